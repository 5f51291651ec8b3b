use super::*;

fn key() -> Key {
    Key::new(&[7; 32])
}

#[test]
fn places_are_exact() {
    let text = "token ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE6gH9, and on";
    let found = find(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, "github-token");
    assert_eq!(&text[found[0].place.clone()], "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE6gH9");
}
