use super::*;

use std::path::Path;

use crate::config::files::{self, Readers};

fn keeper() -> Arc<Keeper> {
    Keeper::new(&Stores::default(), None)
}

fn write(path: &Path, text: &str) {
    files::replace(path, text.as_bytes(), Readers::Owner).expect("written");
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes_and_only_then() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("key");
    write(&path, "first\n");
    let (keeper, reference) = (keeper(), Reference::File(path.clone()));
    let first = keeper.look(&reference).await.expect("found");
    assert_eq!(first.value.expose(), "first");
    assert!(Arc::ptr_eq(&first.value, &keeper.look(&reference).await.expect("found").value), "one value in memory");
    write(&path, "second");
    assert_eq!(keeper.look(&reference).await.expect("found").value.expose(), "second");
    write(&path, "");
    let refused = keeper.look(&reference).await.expect_err("empty");
    assert_eq!(refused.reason, SECRET_MISSING);
    assert!(refused.detail.contains("${file:"), "{}", refused.detail);
    write(&path, "third");
    assert_eq!(keeper.look(&reference).await.expect("it is back").value.expose(), "third");
}

#[tokio::test]
async fn what_a_server_was_given_is_covered_in_its_words() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("key");
    write(&path, "hunter2hunter2\nsecond-line\nab");
    let (keeper, blinds) = (keeper(), Blinds::default());
    let template = Template::of(Reference::File(path.clone()));
    let value = keeper.fill(&template, &blinds).await.expect("filled");
    assert_eq!(blinds.cover("key=hunter2hunter2; second-line, about".to_owned()), "key=[secret]; [secret], about");
    drop(value);
    write(&path, "another-one");
    let _value = keeper.fill(&template, &blinds).await.expect("filled");
    assert_eq!(blinds.cover("another-one".to_owned()), "[secret]");
    assert_eq!(held(&blinds.0).len(), 1, "what is forgotten is not held");
}

#[tokio::test]
async fn what_a_running_process_was_given_is_covered_after_it_was_replaced() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("key");
    write(&path, "hunter2hunter2");
    let (keeper, blinds) = (keeper(), Blinds::default());
    let template = Template::read("Bearer ${file:key}", dir.path()).expect("a template");
    let held_by_a_process = keeper.fill(&template, &blinds).await.expect("filled");
    write(&path, "another-one");
    let now = keeper.fill(&template, &blinds).await.expect("filled");
    assert_eq!(blinds.cover("hunter2hunter2 another-one".to_owned()), "[secret] [secret]");
    drop((held_by_a_process, now));
    assert_eq!(blinds.cover("hunter2hunter2".to_owned()), "hunter2hunter2", "with the process it is forgotten");
}

#[tokio::test]
async fn stores_that_are_not_configured_have_nothing() {
    let keeper = keeper();
    for reference in [
        Reference::Vault { path: "secret/a".to_owned(), field: "b".to_owned() },
        Reference::Aws { name: "a".to_owned(), field: None },
        Reference::Env("BARTIZAN_TEST_IS_NOT_SET".to_owned()),
    ] {
        let refused = keeper.look(&reference).await.expect_err("nothing");
        assert_eq!(refused.reason, SECRET_MISSING);
        assert!(refused.detail.starts_with(&reference.to_string()), "{}", refused.detail);
    }
}
