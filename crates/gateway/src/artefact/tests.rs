use super::plan::line;
use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn command_lines_have_one_origin() {
    for (line, from, origin) in [
        ("npx -y a@1.0.0 x", 0, "Npm"),
        ("/usr/bin/env A=b npx a", 2, "Npm"),
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

#[test]
fn launchers_and_variables_that_lead_elsewhere_are_refused() {
    for line in [
        "/opt/node/bin/npx a@1.0.0",
        "./npm exec -- a@1.0.0",
        "/opt/uvx a@1.0",
        "/opt/uv tool run a@1.0",
        "./pipx run a==1.0",
        "/opt/docker run a",
        "env A=b ./podman run a",
        "/opt/env A=b npx a@1.0.0",
        "env A=b env C=d ./server",
        "env PATH=/x npx a@1.0.0",
        "env A=b LD_PRELOAD=/x ./server",
        "env DYLD_INSERT_LIBRARIES=/x ./server",
        "env NODE_OPTIONS=--import=x node a.js",
        "env NODE_PATH=/x node a.js",
        "env PYTHONPATH=/x python a.py",
        "env BASH_ENV=/x bash a.sh",
        "env ENV=/x sh a.sh",
    ] {
        assert!(Origin::read(&words(line)).is_err(), "{line}");
    }
}
