//! Other ways to write the same text: escapes of JSON, of URLs, base64, hexadecimal. Each view knows where its bytes
//! came from, so that what is found there can be masked here.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::shape::Class;

/// A text written differently, and for each of its bytes where that began; one more entry for the end.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    pub(super) origin: Vec<usize>,
    /// Stretches of plain characters, every one of which was escaped by number: nobody does that but to hide.
    pub(super) hidden: Vec<(usize, usize)>,
}

impl View {
    fn push(&mut self, byte: u8, at: usize) {
        self.bytes.push(byte);
        self.origin.push(at);
    }

    /// Where a part of the view is in the text that it was made of.
    pub(super) fn place(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        Some((*self.origin.get(start)?, *self.origin.get(end)?))
    }
}

/// How much text before and behind an escape belongs to it.
const BEFORE: usize = 128;
const BEHIND: usize = 640;

/// The stretches in which escapes may hide something: plain characters by number, or slashes that need no escape.
pub(super) fn escapes(bytes: &[u8], mut look: impl FnMut(usize, usize)) {
    let mut part: Option<(usize, usize)> = None;
    for at in memchr::memchr_iter(b'\\', bytes).filter(|at| hides(bytes, *at)) {
        let end = at.saturating_add(BEHIND).min(bytes.len());
        part = match part {
            Some((begun, until)) if at < until => Some((begun, end)),
            Some((begun, until)) => {
                look(begun, until);
                Some((at.saturating_sub(BEFORE).max(until), end))
            }
            None => Some((at.saturating_sub(BEFORE), end)),
        };
    }
    if let Some((begun, until)) = part {
        look(begun, until);
    }
}

fn hides(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at.saturating_add(1)..).unwrap_or_default();
    match rest {
        [b'u', b'0', b'0', high, low, ..] | [b'x', high, low, ..] => (b'2'..b'8').contains(high) && low.is_ascii_hexdigit(),
        [b'/', ..] => true,
        _ => false,
    }
}

/// Without one layer of backslash escapes (RFC 8259, and `\x41`).
pub(super) fn unescaped(bytes: &[u8]) -> View {
    let mut view =
        View { bytes: Vec::with_capacity(bytes.len()), origin: Vec::with_capacity(bytes.len().saturating_add(1)), hidden: Vec::new() };
    let (mut at, mut run) = (0, None::<usize>);
    while let Some(byte) = bytes.get(at) {
        let (symbol, width, numbered) = if *byte == b'\\' { escape(bytes, at) } else { (u32::from(*byte), 1, false) };
        let plain = numbered && (0x21..0x7f).contains(&symbol);
        match (plain, run) {
            (true, None) => run = Some(view.bytes.len()),
            (false, Some(begun)) => {
                view.hidden.push((begun, view.bytes.len()));
                run = None;
            }
            _ => {}
        }
        if let (true, Some(symbol)) = (numbered && symbol >= 0x80, char::from_u32(symbol)) {
            let mut room = [0; 4];
            symbol.encode_utf8(&mut room).bytes().for_each(|byte| view.push(byte, at));
        } else {
            view.push(u8::try_from(symbol).unwrap_or(b'?'), at);
        }
        at = at.saturating_add(width);
    }
    view.hidden.extend(run.map(|begun| (begun, view.bytes.len())));
    view.origin.push(bytes.len());
    view
}

/// The symbol, how long its escape is, and whether it was a number.
fn escape(bytes: &[u8], at: usize) -> (u32, usize, bool) {
    let next = bytes.get(at.saturating_add(1)).copied();
    let number = |width: usize| {
        let digits = bytes.get(at.saturating_add(2)..at.saturating_add(2).saturating_add(width))?;
        digits.iter().try_fold(0_u32, |all, digit| Some(all * 16 + char::from(*digit).to_digit(16)?))
    };
    match next {
        Some(b'u') => number(4).map_or((u32::from(b'\\'), 1, false), |symbol| (symbol, 6, true)),
        Some(b'x') => number(2).map_or((u32::from(b'\\'), 1, false), |symbol| (symbol, 4, true)),
        Some(b'n') => (u32::from(b'\n'), 2, false),
        Some(b't') => (u32::from(b'\t'), 2, false),
        Some(b'r') => (u32::from(b'\r'), 2, false),
        Some(symbol @ (b'"' | b'\\' | b'/' | b'\'')) => (u32::from(symbol), 2, false),
        _ => (u32::from(b'\\'), 1, false),
    }
}

/// The stretches without white space or quotes that have percent escapes, decoded.
pub(super) fn unquoted(bytes: &[u8]) -> Vec<View> {
    let mut views = Vec::new();
    let mut from = 0;
    while let Some(found) = bytes.get(from..).and_then(|rest| memchr::memchr(b'%', rest)) {
        let at = from.saturating_add(found);
        from = at.saturating_add(1);
        if percent(bytes, at).is_none() {
            continue;
        }
        let stop = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>`".contains(byte);
        let back = bytes.get(..at).unwrap_or_default().iter().rev().take(256).take_while(|byte| !stop(byte)).count();
        let on = bytes.get(at..).unwrap_or_default().iter().take(8192).take_while(|byte| !stop(byte)).count();
        let end = at.saturating_add(on);
        let mut view = View::default();
        let mut here = at.saturating_sub(back);
        while here < end {
            let Some(byte) = bytes.get(here) else { break };
            let decoded = if *byte == b'%' { percent(bytes, here) } else { None };
            view.push(decoded.unwrap_or(*byte), here);
            here = here.saturating_add(if decoded.is_some() { 3 } else { 1 });
        }
        view.origin.push(here);
        views.push(view);
        from = end.max(from);
    }
    views
}

fn percent(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    let value = digit(at.saturating_add(1))? * 16 + digit(at.saturating_add(2))?;
    u8::try_from(value).ok()
}

/// Shorter runs hold nothing worth a look.
const SHORTEST_RUN: usize = 24;

/// The characters of a run, in both alphabets.
const RUN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[byte as usize] = (Class::BASE64.has(byte) && byte != b'=') || byte == b'-' || byte == b'_';
        }
        byte += 1;
    }
    table
};

/// Every run of characters that may be base64 or hexadecimal. Only every 24th byte is looked at until one is in a run.
pub(super) fn runs(bytes: &[u8], mut look: impl FnMut(usize, usize)) {
    let part = |byte: &u8| RUN.get(usize::from(*byte)).copied().unwrap_or(false);
    let mut at = SHORTEST_RUN - 1;
    let mut done = 0;
    while let Some(byte) = bytes.get(at) {
        if !part(byte) {
            at = at.saturating_add(SHORTEST_RUN);
            continue;
        }
        let back = bytes.get(done..at).unwrap_or_default().iter().rev().take_while(|byte| part(byte)).count();
        let mut end = at.saturating_add(bytes.get(at..).unwrap_or_default().iter().take_while(|byte| part(byte)).count());
        let start = at.saturating_sub(back);
        // Lines of equal length belong together (MIME, PEM).
        if end.saturating_sub(start) >= 60 {
            end = folded(bytes, end, part);
        }
        if end.saturating_sub(start) >= SHORTEST_RUN {
            look(start, end);
        }
        done = end;
        at = end.saturating_add(SHORTEST_RUN);
    }
}

fn folded(bytes: &[u8], mut end: usize, part: impl Fn(&u8) -> bool) -> usize {
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        let gap = if rest.starts_with(b"\r\n") { 2 } else { 1 };
        if !rest.starts_with(b"\n") && gap == 1 {
            return end;
        }
        let more = rest.get(gap..).unwrap_or_default().iter().take_while(|byte| part(byte)).count();
        if more < 4 {
            return end;
        }
        end = end.saturating_add(gap).saturating_add(more);
    }
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What a run says, each way that gives text. Bytes that are not text are not looked at.
pub(super) fn decoded(run: &[u8], mut look: impl FnMut(&[u8])) {
    let joined: Vec<u8>;
    let run = if run.iter().any(u8::is_ascii_whitespace) {
        joined = run.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        joined.as_slice()
    } else {
        run
    };
    // Room without allocation for all but the largest.
    let (mut small, mut large) = ([0_u8; 1536], Vec::new());
    let room: &mut [u8] = if run.len() <= 2000 {
        &mut small
    } else {
        large.resize(run.len(), 0);
        &mut large
    };
    if run.len() >= 2 * SHORTEST_RUN && run.iter().all(|byte| Class::HEX.has(*byte)) {
        let mut length = 0;
        for (pair, slot) in run.chunks_exact(2).zip(room.iter_mut()) {
            let [high, low] = *pair else { continue };
            let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
            *slot = u8::try_from(digit(high) * 16 + digit(low)).unwrap_or(0);
            length += 1;
        }
        room.get(..length).filter(|text| is_text(text)).into_iter().for_each(&mut look);
    }
    let engine = if run.iter().any(|byte| *byte == b'-' || *byte == b'_') { &URL_SAFE } else { &STANDARD };
    let shifts = if run.len() <= 2000 { 4 } else { 1 };
    for shift in 0..shifts {
        let Some(part) = run.get(shift..) else { continue };
        // A last character alone says nothing.
        let part = if part.len() % 4 == 1 { part.get(..part.len().saturating_sub(1)).unwrap_or_default() } else { part };
        // The first characters tell whether the rest is worth it.
        let mut probe = [0_u8; 24];
        let head = part.get(..part.len().min(24)).unwrap_or_default();
        let first = engine.decode_slice_unchecked(head, &mut probe).unwrap_or(0);
        if run.len() <= 2000 && !probe.get(..first).is_some_and(is_text) {
            continue;
        }
        if let Ok(length) = engine.decode_slice(part, room) {
            room.get(..length).filter(|text| run.len() > 2000 || is_text(text)).into_iter().for_each(&mut look);
        }
    }
}

/// Mostly characters that people write.
fn is_text(bytes: &[u8]) -> bool {
    let plain = bytes.iter().filter(|byte| (0x20..0x7f).contains(*byte) || b"\n\r\t".contains(byte)).count();
    bytes.len() >= 8 && plain * 10 >= bytes.len() * 9
}
