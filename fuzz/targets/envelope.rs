//! What a client sends, over each transport and under each version: it is understood or refused, never a panic.
#![no_main]

use bartizan_monitor::wire::envelope;
use bartizan_monitor::wire::mirror::{Header, Mirror};
use bartizan_monitor::wire::version::Version;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first line, when there is one, is what the transport says; the rest is the message.
    let (head, body) = match data.iter().position(|b| *b == b'\n') {
        Some(i) => (&data[..i], &data[i + 1..]),
        None => (&b""[..], data),
    };
    let head = String::from_utf8_lossy(head);
    let mut fields = head.split('\t');
    let mut header = || fields.next().map_or(Header::Absent, |f| Header::Once(f.to_string()));
    let (negotiated, version, method, name) = (header(), header(), header(), header());
    let http = !head.is_empty();
    let mirror = Mirror { http, version, method, name, ..Mirror::default() };
    let negotiated = negotiated.once().and_then(Version::read);
    let _ = envelope::parse(Bytes::copy_from_slice(body), &mirror, negotiated);
});
