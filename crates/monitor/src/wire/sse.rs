//! Server-sent events: the text/event-stream format (WHATWG HTML, section 9.2), both ways.

use bytes::{Bytes, BytesMut};

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The `id:` of the event, when it had one.
    pub id: Option<String>,
    /// The `retry:` milliseconds, when given.
    pub retry_ms: Option<u64>,
    /// The `data:` lines, joined by line feeds. Empty for a priming event.
    pub data: Bytes,
}

/// A stream that cannot go on: one event is larger than a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than a message may be")]
pub struct TooLarge;

/// Takes bytes as they come and gives events as they complete.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    line: BytesMut,
    after_cr: bool,
    first: bool,
    data: BytesMut,
    has_data: bool,
    event: Event,
}

impl Decoder {
    /// A decoder that holds at most `limit` bytes of one event.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, line: BytesMut::new(), after_cr: false, first: true, data: BytesMut::new(), has_data: false, event: Event::default() }
    }

    /// Takes the next bytes; returns the events that they complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) else {
                self.hold(bytes)?;
                break;
            };
            let (line, rest) = bytes.split_at(end);
            self.hold(line)?;
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
            events.extend(self.end_line());
            if self.is_between() {
                // Blank lines mean nothing here, and there may be millions.
                let blank = bytes.iter().take_while(|byte| **byte == b'\n').count();
                bytes = bytes.get(if self.after_cr { 0 } else { blank }..).unwrap_or_default();
            }
        }
        Ok(events)
    }

    /// Whether nothing of an event has come yet.
    fn is_between(&self) -> bool {
        self.line.is_empty() && !self.has_data && self.event == Event::default() && !self.first
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let held = self.line.len().saturating_add(self.data.len()).saturating_add(bytes.len());
        if held > self.limit {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = self.line.split();
        let mut line: &[u8] = &line;
        if std::mem::take(&mut self.first) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let value = line.get(colon.saturating_add(1)..).unwrap_or_default();
                (line.get(..colon).unwrap_or_default(), value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        self.field(field, value);
        None
    }

    fn field(&mut self, field: &[u8], value: &[u8]) {
        match field {
            b"data" => {
                if self.has_data {
                    self.data.extend_from_slice(b"\n");
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => self.event.id = std::str::from_utf8(value).ok().map(str::to_owned),
            b"retry" => self.event.retry_ms = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()),
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        event.data = self.data.split().freeze();
        let seen = std::mem::take(&mut self.has_data) || event.id.is_some() || event.retry_ms.is_some();
        seen.then_some(event)
    }
}

/// Writes one event. `data` is one line of JSON.
#[must_use]
pub fn encode(event: &Event) -> Bytes {
    let mut out = Vec::with_capacity(event.data.len().saturating_add(48));
    if let Some(id) = &event.id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    if let Some(retry) = event.retry_ms {
        out.extend_from_slice(format!("retry: {retry}\n").as_bytes());
    }
    // A line feed inside JSON is white space between tokens: each line gets its own field.
    for line in event.data.split(|byte| *byte == b'\n' || *byte == b'\r') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&str]) -> Vec<Event> {
        let mut decoder = Decoder::new(1000);
        chunks.iter().flat_map(|chunk| decoder.push(chunk.as_bytes()).expect("in limits")).collect()
    }

    fn data(text: &'static str) -> Event {
        Event { data: Bytes::from_static(text.as_bytes()), ..Event::default() }
    }

    #[test]
    fn line_ends_and_chunk_borders_do_not_matter() {
        for text in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data:a\r\rdata:b\r\r",
            "\u{feff}data: a\n\n: comment\nevent: message\ndata: b\n\n",
        ] {
            assert_eq!(all(&[text]), [data("a"), data("b")], "{text:?}");
            let single: Vec<&str> = text.split("").filter(|part| !part.is_empty()).collect();
            assert_eq!(all(&single), [data("a"), data("b")], "{text:?}");
        }
    }

    #[test]
    fn several_data_lines_are_one_event() {
        assert_eq!(all(&["data: {\ndata:  1}\n\n"]), [data("{\n 1}")]);
    }

    #[test]
    fn a_priming_event_has_an_id_and_no_data() {
        let event = Event { id: Some("s-1".into()), retry_ms: Some(500), data: Bytes::new() };
        assert_eq!(all(&["id: s-1\nretry: 500\ndata:\n\n"]), [event]);
    }

    #[test]
    fn an_unfinished_event_is_no_event() {
        assert_eq!(all(&["data: a\n"]), []);
    }

    #[test]
    fn what_is_written_reads_back() {
        let event = Event { id: Some("7".into()), retry_ms: None, data: Bytes::from_static(b"{\"a\":1}") };
        let text = encode(&event);
        assert_eq!(all(&[std::str::from_utf8(&text).expect("text")]), [event]);
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut decoder = Decoder::new(100);
        assert_eq!(decoder.push(&[b'x'; 101]), Err(TooLarge));
    }
}
