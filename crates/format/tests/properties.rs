//! Whatever the value: no panic, and what comes out is of the format and stays as it is.

use bartizan_format::{Dates, Dialect, Format, Options, Roots, Urls};
use proptest::prelude::*;

#[expect(clippy::expect_used, reason = "a constant")]
fn formats() -> Vec<Format> {
    vec![
        Format::Path(Roots::new(&["/srv/data"]).expect("a root")),
        Format::Url(Urls::public(&["https", "http"])),
        Format::Hostname,
        Format::Email,
        Format::Identifier,
        Format::SqlReadOnly(Dialect::Any),
        Format::ShellWord,
        Format::Argument(Options::default()),
        Format::Glob,
        Format::Date(Dates::default()),
    ]
}

proptest! {
    #[test]
    fn the_one_spelling_is_its_own(value in prop_oneof!["(?s).{0,80}", "[a-z0-9./:%@*-]{0,40}", "https?://[a-z0-9.:@%/\\[\\]-]{0,30}", "select [a-z0-9 ,()'*]{0,30}"]) {
        for format in formats() {
            if let Ok(canonical) = format.parse(&value) {
                let again = format.parse(canonical.as_str());
                prop_assert_eq!(again, Ok(canonical), "{} {:?}", format.name(), value);
            }
        }
    }

    #[test]
    fn no_path_leaves_its_root(value in "[a./\\\\%2eF~:\u{2025}\u{ff0e}-]{0,24}") {
        if let Ok(path) = formats()[0].parse(&value) {
            prop_assert!(path.as_str() == "/srv/data" || path.as_str().starts_with("/srv/data/"));
            prop_assert!(!path.as_str().split('/').any(|part| part == ".." || part == "."));
        }
    }
}
