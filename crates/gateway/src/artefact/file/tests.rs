use super::super::put;
use super::*;

fn read(line: &str) -> Result<Code, Unclear> {
    Program::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 0).map(|program| program.code)
}

#[test]
fn code_is_told_from_arguments() {
    for (line, code) in [
        ("/opt/server --data /x", Code::Nothing),
        ("/opt/dashboard", Code::Nothing),
        ("/opt/shopify-mcp", Code::Nothing),
        ("python -uI -m a", Code::Installed("a".to_owned())),
        ("python3 -P -m a", Code::Installed("a".to_owned())),
        ("node /srv/a.js --inspect", Code::Script("/srv/a.js".to_owned())),
        ("/usr/bin/node --no-warnings --max-old-space-size=200 a.js", Code::Script("a.js".to_owned())),
        ("node -e x", Code::Inline("x".to_owned())),
        ("python3.11 -u a.py", Code::Script("a.py".to_owned())),
        ("/v/bin/python -m a.b -v", Code::Module("a.b".to_owned())),
        ("python -X utf8 -c x", Code::Inline("x".to_owned())),
        ("sh -c x", Code::Inline("x".to_owned())),
        ("bash run.sh", Code::Script("run.sh".to_owned())),
    ] {
        assert_eq!(read(line), Ok(code), "{line}");
    }
}

#[test]
fn what_loads_more_or_nothing_is_refused() {
    for line in [
        "node",
        "node -",
        "node -r ./x a.js",
        "node --import=x a.js",
        "node --loader x a.js",
        "node --inspect a.js",
        "python",
        "python -i a.py",
        "python -m",
        "sh -s",
        "bash --rcfile x y",
        "bunx a",
        "deno run a",
        "pnpm dlx a",
        "/usr/bin/go run a",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn programs_scripts_and_what_runs_them_are_looked_at() {
    let dir = tempfile::tempdir().expect("dir");
    let at = |name: &str| dir.path().join(name);
    let tool = |name: &str, text: &str| {
        put(&at(name), text);
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).expect("mode");
    };
    tool("node", "binary");
    tool("serve", "#!/usr/bin/env node\n");
    put(&at("a.js"), "one");
    let path = dir.path().as_os_str().to_owned();
    let around = Around { directory: Some(dir.path()), path: &path };
    let of = |line: &str| {
        let program = Program::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 0).expect(line);
        look(&program, &around)
    };
    let names = |found: &Found| found.artefacts.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let script = of("node a.js").expect("found");
    assert_eq!(names(&script), ["node", "a.js"]);
    assert_eq!(script.program, at("node"));
    assert_eq!(names(&of("./serve").expect("found")), ["./serve", "node"]);
    put(&at("a.js"), "two");
    assert_ne!(of("node a.js").expect("found").artefacts, script.artefacts);
    assert!(of("node gone.js").is_err() && of("./gone").is_err() && of("gone").is_err());
    assert!(of("./a.js").is_err(), "it cannot be executed");
}

#[test]
fn a_module_is_looked_for_where_python_does() {
    let dir = tempfile::tempdir().expect("dir");
    put(&dir.path().join("python"), "");
    std::fs::set_permissions(dir.path().join("python"), std::fs::Permissions::from_mode(0o755)).expect("mode");
    let around = Around { directory: Some(dir.path()), path: OsStr::new("") };
    let program = Program::read(&["./python".to_owned(), "-m".to_owned(), "a.b".to_owned()], 0).expect("read");
    assert!(look(&program, &around).expect_err("nowhere").contains("virtual environment"));

    put(&dir.path().join("a/b.py"), "one");
    let before = look(&program, &around).expect("found").artefacts;
    assert_eq!(before[1].name, "a/");
    put(&dir.path().join("a/b.py"), "two");
    assert_ne!(look(&program, &around).expect("found").artefacts, before);
}

#[test]
fn what_starts_something_else_is_refused() {
    for name in WRAPPERS.iter().chain(FETCHERS).chain(INTERPRETERS) {
        for line in [format!("{name} node a.js"), format!("/usr/bin/{name} a"), format!("/x/{name}3.1 a")] {
            assert!(read(&line).is_err(), "{line}");
        }
    }
    for line in ["python3.11d a.py", "python3-dbg a.py", "pypy3-c a.py", "nodemon a.js", "bash-static a.sh", "Perl a", "ENV a", "ksh93 a"] {
        assert!(read(line).is_err(), "{line}");
    }
}

/// A directory with a program in it that can be executed.
fn with_program(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("dir");
    put(&dir.path().join(name), "binary");
    std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o755)).expect("mode");
    dir
}

fn looked(dir: &Path, line: &str) -> Result<Vec<Artefact>, String> {
    let program = Program::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 0).expect(line);
    look(&program, &Around { directory: Some(dir), path: OsStr::new("") }).map(|found| found.artefacts)
}

#[test]
fn a_module_stands_at_one_place() {
    let dir = with_program("python");
    let name = |line: &str| looked(dir.path(), line).map(|found| found[1].name.clone());
    put(&dir.path().join("a.cpython-311-x86_64-linux-gnu.so"), "");
    put(&dir.path().join("ab.py"), "");
    assert_eq!(name("./python -m a").as_deref(), Ok("a.cpython-311-x86_64-linux-gnu.so"));
    put(&dir.path().join("a.py"), "");
    assert!(name("./python -m a").expect_err("two").contains("remove or rename"));
    put(&dir.path().join("b.py"), "");
    assert_eq!(name("./python -m b").as_deref(), Ok("b.py"));
    put(&dir.path().join("b/__init__.py"), "");
    assert!(name("./python -m b").is_err());
    for line in ["./python -I -m ab", "./python -uP -m ab"] {
        assert!(name(line).expect_err("not looked for here").contains("virtual environment"), "{line}");
    }
}

/// Makes a program of this text that can be executed.
fn program(dir: &Path, name: &str, text: &str) {
    put(&dir.join(name), text);
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).expect("mode");
}

fn found_in(dir: &Path, line: &str) -> Result<Found, String> {
    let program = Program::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 0).expect(line);
    look(&program, &Around { directory: Some(dir), path: dir.as_os_str() })
}

#[test]
fn a_first_line_is_read_as_the_system_reads_it() {
    let dir = tempfile::tempdir().expect("dir");
    program(dir.path(), "node", "binary");
    program(dir.path(), "python3", "binary");
    program(dir.path(), "uv", "binary");
    let of = |first: &str| {
        program(dir.path(), "serve", &format!("#!{first}\n"));
        found_in(dir.path(), "./serve").map(|found| found.artefacts.iter().map(|one| one.name.clone()).collect::<Vec<_>>())
    };
    for line in ["/usr/bin/env node", "/usr/bin/env -S node", "/usr/bin/env -S node --no-warnings", "/usr/bin/env -S A=b node"] {
        assert_eq!(of(line).as_deref(), Ok(&["./serve".to_owned(), "node".to_owned()][..]), "{line}");
    }
    for line in [
        "/usr/bin/env",
        "/usr/bin/env node --no-warnings",
        "/usr/bin/env -S NODE_OPTIONS=--import=x node",
        "/usr/bin/env -S PATH=/x node",
        "/usr/bin/env -S -i node",
        "/usr/bin/env -S A=b python3",
        "/usr/bin/env -S uv run --script",
        "/usr/bin/env -S ${X}",
    ] {
        assert!(of(line).is_err(), "{line}: {:?}", of(line));
    }
}

#[test]
fn shims_of_version_managers_are_not_the_program() {
    let dir = tempfile::tempdir().expect("dir");
    program(dir.path(), "node", "#!/usr/bin/env bash\nexec pyenv exec node \"$@\"\n");
    program(dir.path(), "shims/serve", "#!/bin/sh\nexec asdf exec serve\n");
    program(dir.path(), "real/mise", "binary");
    std::os::unix::fs::symlink("real/mise", dir.path().join("python3")).expect("link");
    put(&dir.path().join("a.js"), "");
    put(&dir.path().join("a.py"), "");
    for line in ["node a.js", "./shims/serve", "python3 a.py"] {
        let what = found_in(dir.path(), line).expect_err(line);
        assert!(what.contains("version manager") && what.contains("which"), "{what}");
    }
}

#[test]
fn python_never_looks_for_byte_code_beside_the_sources() {
    let dir = tempfile::tempdir().expect("dir");
    program(dir.path(), "python3", "binary");
    put(&dir.path().join("a.py"), "");
    program(dir.path(), "serve", &format!("#!{}/python3 -E\n", dir.path().display()));
    let at = |name: &str| dir.path().join(name).into_os_string();
    let started = |line: &str, rest: &[&str]| {
        let rest: Vec<String> = rest.iter().map(|word| (*word).to_owned()).collect();
        start(&found_in(dir.path(), line).expect(line), &rest, Some(Path::new("/empty")))
    };
    let options = || ["-B", "-X", "pycache_prefix=/empty"].map(OsString::from).to_vec();
    assert_eq!(started("python3 a.py", &["a.py"]), [vec![at("python3")], options(), vec!["a.py".into()]].concat());
    assert_eq!(started("./serve x", &["x"]), [vec![at("python3")], options(), vec!["-E".into(), at("serve"), "x".into()]].concat());
}
