//! The journal's verifier reads files that somebody may have changed: it says so, and never panics.
#![no_main]

use bartizan_monitor::journal::Verifier;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut verifier = Verifier::default();
    for line in data.split(|b| *b == b'\n') {
        if verifier.line(line).is_err() {
            return;
        }
    }
    let _ = verifier.summary();
});
