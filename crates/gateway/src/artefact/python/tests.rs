use super::super::put;
use super::*;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn pinned(package: &Package) -> Vec<String> {
    package.specs.iter().map(|spec| format!("{}{}", spec.pinned(), if spec.version.is_some() { "" } else { "?" })).collect()
}

#[test]
fn exact_versions_are_told_from_floating_ones() {
    for (line, specs, bin) in [
        ("uvx a@1.2.3 x", "a==1.2.3", "a"),
        ("uvx a==1.2.3", "a==1.2.3", "a"),
        ("uvx --from a[cli]==1.2 b", "a[cli]==1.2", "b"),
        ("uvx --from=a==1.2 --with c==2.0 b", "a==1.2 c==2.0", "b"),
        ("uvx a", "a==?", "a"),
        ("uvx a@latest", "a==?", "a"),
        ("uvx --from a>=1.0 a", "a==?", "a"),
        ("uvx --from a==1.* a", "a==?", "a"),
        ("uvx --with c a@1.0", "a==1.0 c==?", "a"),
    ] {
        let package = Package::uvx(&words(line), 1).expect(line);
        assert_eq!((pinned(&package).join(" ").as_str(), package.bin.as_str()), (specs, bin), "{line}");
    }
    let package = Package::pipx(&words("pipx run --spec a==1.0 b -x"), 2).expect("read");
    assert_eq!((pinned(&package), package.bin.as_str(), package.arguments), (vec!["a==1.0".to_owned()], "b", 5));
}

#[test]
fn what_could_be_something_else_is_refused() {
    for line in [
        "uvx",
        "uvx --index-url http://x a@1.0",
        "uvx --with-editable . a@1.0",
        "uvx --from git+https://x/y a",
        "uvx --from ./here a",
        "uvx --from a@git+https://x/y a",
        "uvx ./a.py",
        "uvx a[b@1.0",
        "uvx -v a",
        "uvx --python /x/python a@1.0",
        "uvx -p pypy a@1.0",
        "uvx -p . a@1.0",
    ] {
        assert!(Package::uvx(&words(line), 1).is_err(), "{line}");
    }
}

/// An environment with one package, as an installer leaves it behind.
fn environment_with(source: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("dir");
    let site = dir.path().join("lib/python3.11/site-packages");

    put(&dir.path().join("pyvenv.cfg"), "include-system-site-packages = false\n");
    put(&site.join("a/__init__.py"), source);
    put(&site.join("a/__pycache__/x.pyc"), "made by python");
    let info = |name: &str, text: &str| put(&site.join("A_b-1.0.dist-info").join(name), text);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, source.as_bytes());
    let record = format!(
        "a/__init__.py,sha256={},1\n../../../bin/a,sha256=x,1\nA_b-1.0.dist-info/INSTALLER,sha256=x,1\nA_b-1.0.dist-info/RECORD,,\n",
        BASE64_URL_SAFE_NO_PAD.encode(digest)
    );
    info("RECORD", &record);
    info("INSTALLER", "uv");
    info("METADATA", "Name: A_b\nVersion: 1.0\n\nName: c\n");
    info("entry_points.txt", "[other]\nx = y\n[console_scripts]\nrun = a:main.go [extra]\n[more]\nz = a:z\n");
    dir
}

#[test]
fn an_environment_is_what_its_lists_say() {
    let dir = environment_with("one");
    let first = environment(dir.path()).expect("environment");
    assert!(first.parts.len() == 1 && first.parts[0].starts_with("a-b 1.0 sha256:"), "{first:?}");
    let site = dir.path().join("lib/python3.11/site-packages");
    put(&site.join("a/__pycache__/x.pyc"), "made again");
    put(&site.join("A_b-1.0.dist-info/INSTALLER"), "pip");
    assert_eq!(environment(dir.path()).expect("environment"), first, "how it was installed is not what it is");
    put(&site.join("b.py"), "not in any list");
    let more = environment(dir.path()).expect("environment");
    assert!(more.files != first.files && more.parts == first.parts);
    put(&site.join("a/__init__.py"), "two");
    assert!(environment(dir.path()).expect_err("changed").contains("a/__init__.py"));
    assert_ne!(environment(environment_with("two").path()).expect("other").parts, first.parts, "the same version with other content");
}

#[test]
fn code_from_elsewhere_cannot_be_pinned() {
    let dir = environment_with("one");
    let pth = dir.path().join("lib/python3.11/site-packages/x.pth");
    put(&pth, "import _virtualenv\n# a comment\n");
    assert!(environment(dir.path()).is_ok());
    put(&pth, "/srv/code\n");
    assert!(environment(dir.path()).is_err());
    put(&pth, "# nothing");
    put(&dir.path().join("pyvenv.cfg"), "include-system-site-packages = true\n");
    assert!(environment(dir.path()).is_err());
    put(&dir.path().join("pyvenv.cfg"), "home = /x\rInclude-System-Site-Packages = TRUE\n");
    assert!(environment(dir.path()).expect_err("shared").contains("--system-site-packages"));
}

#[test]
fn editable_installations_cannot_be_pinned() {
    let dir = environment_with("one");
    let site = dir.path().join("lib/python3.11/site-packages");
    let direct = site.join("A_b-1.0.dist-info/direct_url.json");
    put(&direct, r#"{"url":"file:///x","dir_info":{"editable":false}}"#);
    assert!(environment(dir.path()).is_ok());
    put(&direct, r#"{"url":"file:///x","dir_info":{"editable":true}}"#);
    assert!(environment(dir.path()).expect_err("editable").contains("editable"));
    put(&direct, "{");
    assert!(environment(dir.path()).is_err());
    put(&direct, "{}");
    put(&site.join("__editable___a_finder.py"), "");
    assert!(environment(dir.path()).expect_err("editable").contains("editable"));
}

#[test]
fn no_package_replaces_a_part_of_the_environment() {
    let dir = environment_with("one");
    let site = dir.path().join("lib/python3.11/site-packages");
    let record = |row: &str| put(&site.join("A_b-1.0.dist-info/RECORD"), row);
    for row in ["../../../bin/python3,sha256=x,1", "../../../bin/Python,,", "../../../pyvenv.cfg,sha256=x,1", "/x/bin/activate.fish,,"] {
        record(row);
        assert!(environment(dir.path()).expect_err(row).contains("replace"), "{row}");
    }
    record("../../../bin/a,sha256=x,1");
    assert!(environment(dir.path()).is_ok());
}

#[test]
fn what_was_fetched_is_its_interpreter_too_and_runs_no_byte_code_of_others() {
    let made = environment_with("one");
    let home = tempfile::tempdir().expect("dir");
    let env = home.path().join("env");
    std::os::unix::fs::symlink(made.path(), &env).expect("linked");
    put(&env.join("bin/python"), "binary");
    let package = Package::uvx(&words("uvx --from a-b==1.0 run"), 1).expect("read");
    let of = || look(&package, home.path());
    let first = of().expect("found");
    let start: Vec<String> = first.start.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let prefix = format!("pycache_prefix={}", home.path().join("bytecode").display());
    assert_eq!(start.get(1..6), Some(&["-I", "-B", "-X", &prefix, "-c"].map(str::to_owned)[..]));
    let config = |text: &str| put(&env.join("pyvenv.cfg"), text);
    config("include-system-site-packages = false\ncommand = x\nprompt = y\n");
    assert_eq!(of().expect("found").artefacts, first.artefacts, "where it was made is not what it is");
    config("include-system-site-packages = false\nhome = /x\n");
    assert_ne!(of().expect("found").artefacts, first.artefacts);
    config("include-system-site-packages = false\n");
    put(&env.join("bin/python"), "other");
    assert_ne!(of().expect("found").artefacts, first.artefacts);
    put(&home.path().join("bytecode/x.pyc"), "");
    assert!(of().expect_err("not empty").contains("byte code"));
}

#[test]
fn programs_are_started_as_their_scripts_would() {
    let dir = environment_with("one");
    let found = distributions(dir.path()).expect("found");
    let chosen: Vec<&Distribution> = found.iter().collect();
    assert_eq!(entry(&chosen, "run").as_deref(), Ok("import sys; sys.argv[0] = 'run'; import a as m; sys.exit(m.main.go())"));
    assert!(entry(&chosen, "z").expect_err("no such").contains("it has run"));
}

#[test]
fn what_was_approved_is_asked_for_in_its_versions() {
    let words: Vec<String> = "uvx --from A_b[x]==1.0 a".split(' ').map(str::to_owned).collect();
    let package = Package::uvx(&words, 1).expect("read");
    let approved = |version: &str| Artefact {
        source: Source::Python,
        name: "a-b".to_owned(),
        version: version.to_owned(),
        integrity: String::new(),
        files: String::new(),
        parts: ["c 2.0 sha256:x", "d 3.0+local sha256:y", "--index-url=x 1 sha256:z", "e"].map(str::to_owned).to_vec(),
    };
    assert_eq!(along(&package, &[approved("1.0")]), ["c==2.0", "d==3.0+local"]);
    assert!(along(&package, &[approved("0.9")]).is_empty(), "another version of it may need others");
    assert!(along(&package, &[]).is_empty());
}
