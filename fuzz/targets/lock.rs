//! The lock file: a damaged one is an error, and what is read is written as it was understood.
#![no_main]

use bartizan_monitor::lock::Lock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = Lock::read(text);
});
