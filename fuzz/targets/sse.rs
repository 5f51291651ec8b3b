//! Event streams: how the bytes are cut must not matter, and what is encoded is decoded again.
#![no_main]

use bartizan_monitor::wire::sse::{Decoder, Event, encode};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 4096;

/// All events, or those before the stream could not go on.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Event>> {
    let mut decoder = Decoder::new(LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        events.extend(decoder.push(piece).ok()?);
    }
    Some(events)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else {
        return;
    };
    let whole = decode(std::iter::once(stream));
    let pieces = decode(stream.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, pieces);
    for event in whole.into_iter().flatten() {
        let again = decode(std::iter::once(&*encode(&event)));
        assert_eq!(again, Some(vec![event]));
    }
});
