//! What must not compile: every way around the proofs that somebody thought of. The compiler's words are
//! snapshots beside the programs; `TRYBUILD=overwrite` writes them anew.

#[test]
fn no_way_around_the_proofs_compiles() {
    let tests = trybuild::TestCases::new();
    tests.compile_fail("compile-fail/*.rs");
}
