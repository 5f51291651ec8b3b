//! Where phrases of the vocabulary stand in a folded text.

use std::ops::Range;
use std::sync::LazyLock;

use crate::fold::fold;
use crate::garble;
use crate::words::{GARBLED, Ideas, VOCABULARY, phrases};

/// One place where a word of the vocabulary stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) idea: Ideas,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A phrase, folded.
struct Needle {
    text: String,
    /// Its first bytes as they stand in memory, and which of them count: most texts differ here.
    head: u64,
    mask: u64,
    idea: Ideas,
    /// Must the character after it be no letter and no digit?
    ends: bool,
}

impl Needle {
    fn new(text: String, idea: Ideas, ends: bool) -> Self {
        let (head, mask) = (eight(text.as_bytes()), eight(&vec![0xff; text.len()]));
        Self { text, head, mask, idea, ends }
    }

    /// Whether it stands at the beginning of a text, whose first eight bytes are given.
    fn stands(&self, rest: &[u8], head: u64) -> bool {
        let text = self.text.as_bytes();
        head & self.mask == self.head
            && (text.len() <= 8 || rest.starts_with(text))
            && rest.len() >= text.len()
            && !(self.ends && rest.get(text.len()).is_some_and(u8::is_ascii_alphanumeric))
    }
}

/// The first eight bytes of a text; zeros where it has ended.
fn eight(text: &[u8]) -> u64 {
    eight_at(text, 0)
}

/// Eight bytes of a text from somewhere on; zeros where it has ended.
pub(crate) fn eight_at(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    match (rest.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(eight), _) => u64::from_le_bytes(*eight),
        // The last eight, without those before: nearly every sentence ends with a few such words.
        (None, Some(last)) => u64::from_le_bytes(*last).checked_shr(64 - 8 * rest.len() as u32).unwrap_or(0),
        (None, None) => rest.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

/// The phrases in order, and where those with the same first bytes begin and end.
///
/// A phrase that begins with an ASCII letter or digit can only stand at the beginning of a word, which leaves so
/// few places to look at that a table of first bytes is faster than an automaton, and is built in no time.
pub(crate) struct Vocabulary {
    needles: Vec<Needle>,
    slots: Vec<Slot>,
    /// For each first byte and five bits of the second, the lengths of keys that begin so, one bit each.
    lengths: Vec<u8>,
    /// Whether any key falls here: small enough to stay in the nearest cache, and most words end at it.
    sieve: Vec<bool>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The first bytes, at most four, and how many they are; 0 is an empty slot.
    key: u64,
    from: usize,
    to: usize,
}

/// Several times the number of different beginnings.
const SLOTS: usize = 4096;
const SIEVE: usize = 16384;
const FIRST: usize = 4;

/// The phrases of all ideas.
pub(crate) fn vocabulary() -> &'static Vocabulary {
    &LOADED
}

static LOADED: LazyLock<Vocabulary> = LazyLock::new(load);

fn load() -> Vocabulary {
    let mut needles: Vec<Needle> = Vec::new();
    for (idea, lists) in VOCABULARY {
        for phrase in lists.iter().flat_map(|list| phrases(list)) {
            let text = fold(phrase.trim_end_matches('*'));
            let ends = !phrase.ends_with('*') && text.ends_with(|c: char| c.is_ascii_alphanumeric());
            needles.push(Needle::new(text, *idea, ends));
        }
    }
    let garbled = garble::words().map(|text| Needle::new(text, GARBLED, true));
    needles.extend(garbled);
    needles.sort_by(|a, b| (a.text.len().min(FIRST), &a.text).cmp(&(b.text.len().min(FIRST), &b.text)));
    let mut vocabulary =
        Vocabulary { needles: Vec::new(), slots: vec![Slot::default(); SLOTS], lengths: vec![0; 256 * SECONDS], sieve: vec![false; SIEVE] };
    for (i, needle) in needles.iter().enumerate() {
        let first = needle.text.as_bytes().get(..FIRST).unwrap_or(needle.text.as_bytes());
        let key = key(eight(first), first.len());
        let slot = vocabulary.place(key);
        // A key of one byte goes on in any way.
        let seconds = if first.len() == 1 { 0..SECONDS } else { second(eight(first))..second(eight(first)) + 1 };
        let begun = begin(eight(first));
        let lengths = vocabulary.lengths.get_mut(begun + seconds.start..begun + seconds.end);
        lengths.unwrap_or_default().iter_mut().for_each(|lengths| *lengths |= 1 << first.len());
        if let Some(hole) = vocabulary.sieve.get_mut(spread(key) % SIEVE) {
            *hole = true;
        }
        if let Some(slot) = vocabulary.slots.get_mut(slot) {
            let from = if slot.key == 0 { i } else { slot.from };
            *slot = Slot { key, from, to: i + 1 };
        }
    }
    vocabulary.needles = needles;
    vocabulary
}

/// How many second bytes are told apart.
const SECONDS: usize = 32;

/// Where those that begin with the first of eight bytes begin, and which of them has the second.
const fn begin(head: u64) -> usize {
    (head & 0xff) as usize * SECONDS
}

const fn second(head: u64) -> usize {
    (head >> 8) as usize % SECONDS
}

/// The first so many bytes of eight, and how many they are, so that keys of different lengths differ.
const fn key(head: u64, length: usize) -> u64 {
    (head & (0xffff_ffff >> (32 - 8 * length))) | (length as u64) << 32
}

/// Spreads keys over a table.
const fn spread(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

impl Vocabulary {
    /// The slot that holds `key`, or the empty one where it would be.
    fn place(&self, key: u64) -> usize {
        let mut at = spread(key) % SLOTS;
        for _ in 0..SLOTS {
            if self.slots.get(at).is_none_or(|slot| slot.key == key || slot.key == 0) {
                break;
            }
            at = (at + 1) % SLOTS;
        }
        at
    }

    /// The phrases that begin like this.
    fn with(&self, key: u64) -> &[Needle] {
        let slot = self.slots.get(self.place(key)).filter(|slot| slot.key == key);
        slot.and_then(|slot| self.needles.get(slot.from..slot.to)).unwrap_or_default()
    }

    /// The phrases that begin at `start`, where these eight bytes stand.
    #[inline]
    pub(crate) fn matches(&self, head: u64, folded: &[u8], start: usize, hits: &mut Vec<Hit>) {
        let lengths = self.lengths.get(begin(head) + second(head)).copied().unwrap_or(0);
        if lengths != 0 {
            self.phrases(lengths, head, (folded, start), hits);
        }
    }

    /// The same, of those whose keys have these lengths.
    fn phrases(&self, mut lengths: u8, head: u64, (folded, start): (&[u8], usize), hits: &mut Vec<Hit>) {
        while lengths != 0 {
            let key = key(head, lengths.trailing_zeros() as usize);
            lengths &= lengths - 1;
            if self.sieve.get(spread(key) % SIEVE) == Some(&true) {
                let rest = folded.get(start..).unwrap_or_default();
                let here = self.with(key).iter().filter(|needle| needle.stands(rest, head));
                hits.extend(here.map(|needle| Hit { idea: needle.idea, start, end: start + needle.text.len() }));
            }
        }
    }

    /// The phrases that begin somewhere in a range of a folded text; what stands before the range is no letter and no digit.
    pub(crate) fn through(&self, folded: &[u8], range: Range<usize>, hits: &mut Vec<Hit>) {
        let mut inside = false;
        for (start, byte) in folded.iter().enumerate().take(range.end).skip(range.start) {
            let Step { begins, alnum } = STEPS.get(usize::from(*byte)).copied().unwrap_or(Step { begins: false, alnum: false });
            // Not within a word, not at a blank, and not within a character.
            if begins && !(alnum && inside) {
                self.matches(eight_at(folded, start), folded, start, hits);
            }
            inside = alnum;
        }
    }

    /// Whether a phrase can begin where this word stands, whatever follows it.
    pub(crate) fn may_begin(&self, word: &[u8]) -> bool {
        let head = eight(word);
        let seconds = if word.len() == 1 { 0..SECONDS } else { second(head)..second(head) + 1 };
        let mut lengths = seconds.filter_map(|second| self.lengths.get(begin(head) + second)).fold(0, |all, lengths| all | lengths);
        let mut begins = false;
        while lengths != 0 {
            let length = lengths.trailing_zeros() as usize;
            lengths &= lengths - 1;
            begins |= length > word.len() || self.sieve.get(spread(key(head, length)) % SIEVE) == Some(&true);
        }
        begins
    }
}

/// Every place in a folded text where a phrase of the vocabulary stands, in the order of their beginnings.
pub(crate) fn hits(folded: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    LOADED.through(folded.as_bytes(), 0..folded.len(), &mut hits);
    hits
}

/// What a byte of a text is to the search.
#[derive(Clone, Copy)]
struct Step {
    /// A phrase may begin here.
    begins: bool,
    /// A letter or a digit, so that none begins right after it with another.
    alnum: bool,
}

const STEPS: [Step; 256] = {
    let mut table = [Step { begins: false, alnum: false }; 256];
    let mut b = 0_u16;
    while b < 256 {
        #[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated by the compiler")]
        {
            let byte = b as u8;
            table[b as usize] = Step { begins: byte != b' ' && byte & 0xc0 != 0x80, alnum: byte.is_ascii_alphanumeric() };
        }
        b += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{HIDE, IGNORE, SECRET, USER};

    fn ideas(text: &str) -> Ideas {
        hits(&fold(text)).iter().fold(0, |all, hit| all | hit.idea)
    }

    #[test]
    fn words_are_whole_unless_they_say_otherwise() {
        assert_eq!(ideas("ignore") & IGNORE, IGNORE);
        assert_eq!(ideas("ignored") & IGNORE, 0);
        assert_eq!(ideas("passwordless") & SECRET, 0);
        assert_eq!(ideas("Credentials") & SECRET, SECRET);
        assert_eq!(ideas("请不要告诉用户") & (HIDE | USER), HIDE | USER);
    }

    #[test]
    fn every_phrase_can_be_found() {
        for (_, lists) in VOCABULARY {
            for phrase in lists.iter().flat_map(|list| phrases(list)) {
                let bare = phrase.trim_end_matches('*');
                assert!(!bare.contains('*') && bare.trim() == bare && !bare.is_empty(), "{phrase:?}");
                assert!(!fold(bare).contains('\n'), "{phrase:?}");
            }
        }
    }
}
