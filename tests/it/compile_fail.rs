//! What must not compile: every way around the proofs that somebody thought of. The compiler's words are snapshots
//! beside the programs; `BARTIZAN_SNAPSHOTS=write` writes them anew.
//!
//! The programs are compiled against the very libraries that these tests were linked with: nothing is built twice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates that the programs use.
const CRATES: [&str; 3] = ["bartizan_gateway", "bartizan_monitor", "bytes"];

/// Where Cargo has put the libraries of the workspace.
fn libraries(root: &Path) -> HashMap<String, PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--no-run", "--locked", "--offline", "--workspace", "--message-format=json"]).current_dir(root);
    let built = cargo.output().expect("Cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = String::from_utf8(built.stdout).expect("JSON is UTF-8");
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // A library is also compiled with its own tests in it; nobody links that.
    let artefacts = lines.filter(|line| line["reason"] == "compiler-artifact" && line["profile"]["test"] == false);
    let library = |artefact: Value| {
        let name = artefact["target"]["name"].as_str()?.replace('-', "_");
        let files = artefact["filenames"].as_array()?.clone();
        let file = files.iter().filter_map(Value::as_str).find(|file| Path::new(file).extension().is_some_and(|end| end == "rlib"))?;
        Some((name, PathBuf::from(file)))
    };
    artefacts.filter_map(library).filter(|(name, _)| CRATES.contains(&name.as_str())).collect()
}

/// What the compiler says of a program, a line for each complaint. Nothing: it compiles.
fn complaints(program: &Path, libraries: &HashMap<String, PathBuf>, out: &Path) -> Option<String> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--error-format=short", "--cap-lints=allow", "--out-dir"]);
    rustc.arg(out).arg(program).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, file) in libraries {
        rustc.arg("--extern").arg(format!("{name}={}", file.display()));
        rustc.arg("-L").arg(format!("dependency={}", file.with_file_name("").display()));
    }
    let output = rustc.output().expect("the compiler starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = said.lines().filter(|line| !line.starts_with("error: aborting due to"));
    (!output.status.success()).then(|| lines.map(|line| format!("{line}\n")).collect())
}

#[test]
fn no_way_around_the_proofs_compiles() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let libraries = libraries(tests.parent().expect("a workspace"));
    assert_eq!(libraries.len(), CRATES.len(), "{libraries:?}");
    let out = tempfile::tempdir().expect("a directory");
    let write = std::env::var_os("BARTIZAN_SNAPSHOTS").is_some_and(|word| word == "write");
    let mut differing = Vec::new();
    let found = std::fs::read_dir(tests.join("compile-fail")).expect("programs").map(|entry| entry.expect("readable").path());
    let mut programs: Vec<PathBuf> = found.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
    programs.sort();
    assert!(programs.len() >= 17, "programs are missing: {programs:?}");
    for program in programs {
        let snapshot = program.with_extension("stderr");
        let program = program.strip_prefix(tests).expect("below the tests");
        let Some(said) = complaints(program, &libraries, out.path()) else {
            differing.push(format!("{} compiles", program.display()));
            continue;
        };
        if write {
            std::fs::write(&snapshot, &said).expect("writable");
        }
        let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
        if said != expected {
            differing.push(format!("{}: expected\n{expected}and the compiler says\n{said}", program.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
