use super::plan::line;
use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn command_lines_have_one_origin() {
    for (line, from, origin) in [
        ("npx -y a@1.0.0 x", 0, "Npm"),
        ("/opt/node/bin/npx a", 0, "Npm"),
        ("npm exec --yes -- a@1.0.0 --x", 0, "Npm"),
        ("env A=b C=d npx a", 3, "Npm"),
        ("uvx a@1.0", 0, "Python"),
        ("uv tool run a@1.0", 0, "Python"),
        ("pipx run a==1.0", 0, "Python"),
        ("docker run -i --rm a", 0, "Image"),
        ("podman run a", 0, "Image"),
        ("node a.js", 0, "File"),
        ("./server", 0, "File"),
    ] {
        let (found, read) = Origin::read(&words(line)).expect(line);
        assert_eq!(found, from, "{line}");
        assert!(format!("{read:?}").starts_with(origin), "{line}: {read:?}");
    }
}

#[test]
fn other_ways_to_fetch_are_refused() {
    for line in [
        "npm exec a@1.0.0",
        "npm run start",
        "npm start",
        "uv run a.py",
        "uv run --with a b",
        "pipx install a",
        "env -i a",
        "env",
        "env A=b",
    ] {
        assert!(Origin::read(&words(line)).is_err(), "{line}");
    }
}

#[test]
fn lines_to_copy_are_quoted() {
    assert_eq!(line(&words("npx -y @a/b@1.0.0 /data")), "npx -y @a/b@1.0.0 /data");
    assert_eq!(line(&["a b".to_owned(), "it's".to_owned(), String::new()]), r"'a b' 'it'\''s' ''");
}
