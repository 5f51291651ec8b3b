//! What a server sends, under each version: untrusted like everything else.
#![no_main]

use bartizan_monitor::wire::envelope;
use bartizan_monitor::wire::version::Version;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for version in Version::ALL {
        let _ = envelope::parse_server(Bytes::copy_from_slice(data), version);
    }
});
