//! The embedded classifier: logistic regression over hashed words, pairs of words, letters and ideas of one
//! sentence. It finds orders in words that nobody listed; the rules find orders that it was never shown.
//!
//! The model is a file of the repository, written by `cargo xtask train`: eight bits for each weight. It is read in place,
//! so that judging a sentence allocates nothing.

use crate::words::Ideas;

/// The size of the hash space: features that fall together share a weight.
pub const BITS: u32 = 18;
/// How many weights a model has.
pub const SIZE: usize = 1 << BITS;
/// The first bytes of a model file, with the version of its format and of the features.
pub const MAGIC: [u8; 8] = *b"BZLIN\x00\x00\x02";
/// What stands before the weights: the magic, the digest, and six numbers.
pub const HEADER: usize = 40;
static FILE: &[u8] = include_bytes!("model.bin");

/// What a model says of a sentence or a text: the logarithm of the odds that it is an order to a model.
pub type Score = f32;

/// A model, read where it stands.
#[derive(Debug, Clone)]
pub struct Model {
    weights: &'static [u8],
    scale: f32,
    bias: f32,
    /// At this score or above a sentence is refused.
    pub block: Score,
    /// At this score or above a sentence is shown.
    pub warn: Score,
    /// What rules refuse is refused at this score or above, and shown below it.
    pub agree_block: Score,
    /// What rules find is shown at this score or above.
    pub agree_warn: Score,
}

/// A model that knows nothing.
const NONE: Model =
    Model { weights: &[], scale: 0.0, bias: -100.0, block: f32::INFINITY, warn: f32::INFINITY, agree_block: -200.0, agree_warn: -200.0 };

/// The model of this build. One that is damaged knows nothing; a test sees to it that none is.
pub(crate) static MODEL: std::sync::LazyLock<Model> = std::sync::LazyLock::new(|| read(FILE).unwrap_or(NONE));

/// FNV-1a over the numbers and the weights.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn read(file: &'static [u8]) -> Option<Model> {
    let (magic, rest) = file.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    if *magic != MAGIC || u64::from_le_bytes(*sum) != digest(rest) {
        return None;
    }
    let (scale, rest) = rest.split_first_chunk::<4>()?;
    let (bias, rest) = rest.split_first_chunk::<4>()?;
    let (block, rest) = rest.split_first_chunk::<4>()?;
    let (warn, rest) = rest.split_first_chunk::<4>()?;
    let (agree_block, rest) = rest.split_first_chunk::<4>()?;
    let (agree_warn, weights) = rest.split_first_chunk::<4>()?;
    let number = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
    (weights.len() == SIZE).then(|| Model {
        weights,
        scale: number(scale),
        bias: number(bias),
        block: number(block),
        warn: number(warn),
        agree_block: number(agree_block),
        agree_warn: number(agree_warn),
    })
}

impl Model {
    fn weight(&self, at: usize) -> i32 {
        self.weights.get(at).map_or(0, |byte| i32::from(byte.cast_signed()))
    }

    /// Judges one folded sentence with the ideas it touches and those of the sentence before.
    pub(crate) fn score(&self, sentence: &str, ideas: Ideas, before: Ideas) -> Score {
        let mut sum = Sum::default();
        features(sentence, ideas, before, &mut |at| sum.add(self.weight(at)));
        self.total(sum)
    }

    /// What the features of one sentence come to.
    #[expect(clippy::cast_precision_loss, reason = "sums of a few thousand bytes")]
    pub(crate) fn total(&self, sum: Sum) -> Score {
        self.bias + self.scale * sum.weight as f32 / (sum.count.max(1) as f32).sqrt()
    }

    /// What a word is worth by itself, wherever it stands, and its hash.
    pub(crate) fn word(&self, word: &[u8]) -> (u64, Sum) {
        let (hash, mut sum) = (hash(word), Sum::default());
        sum.add(self.weight(spot(WORD, hash)));
        grams(word, &mut |at| sum.add(self.weight(at)));
        (hash, sum)
    }

    /// What a word is worth after the two before it.
    pub(crate) fn after(&self, [older, last]: [u64; 2], hash: u64) -> Sum {
        Sum { weight: self.weight(pair(last, hash)) + self.weight(skip(older, hash)), count: 2 }
    }

    /// What the ideas of a sentence are worth after those of the one before.
    pub(crate) fn ideas(&self, ideas: Ideas, before: Ideas) -> Sum {
        let mut sum = Sum::default();
        thoughts(ideas, before, &mut |at| sum.add(self.weight(at)));
        sum
    }
}

/// The weights of some features, and how many these are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) weight: i32,
    pub(crate) count: u32,
}

impl Sum {
    pub(crate) const NOTHING: Self = Self { weight: 0, count: 0 };

    fn add(&mut self, weight: i32) {
        self.weight += weight;
        self.count += 1;
    }
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.weight += other.weight;
        self.count += other.count;
    }
}

/// How much less a sentence counts in a text of this many bytes: where there are many sentences, the worst of them
/// is bad by chance. Bounded, so that no order is lost in a heap of words.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "at most ten thousand")]
pub fn crowd(length: usize) -> Score {
    const SHARE: f32 = 0.3;
    const SENTENCE: f32 = 100.0;
    SHARE * (length.min(10_000) as f32 / SENTENCE).ln_1p()
}

/// A sentence ends for the features here, whatever its length.
const LONGEST: usize = 1200;

const WORD: u64 = 0x9e37_79b9_7f4a_7c15;
const PAIR: u64 = 0xc2b2_ae3d_27d4_eb4f;
const SKIP: u64 = 0x1656_67b1_9e37_79f9;
const GRAM: u64 = 0x2545_f491_4f6c_dd1d;
const IDEA: u64 = 0xd6e8_feb8_6659_fd93;
const BOTH: u64 = 0xa076_1d64_78bd_642f;
const NEXT: u64 = 0xe703_7ed1_a0b4_28db;

/// Where a feature falls.
fn spot(kind: u64, value: u64) -> usize {
    let mixed = (value ^ kind).wrapping_mul(0xff51_afd7_ed55_8ccd);
    usize::try_from((mixed ^ (mixed >> 29)).wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> (64 - BITS)).unwrap_or(0)
}

/// What words are made of.
const WRITTEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u16;
    while b < 256 {
        #[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated by the compiler")]
        {
            table[b as usize] = (b as u8).is_ascii_alphanumeric() || b >= 0x80 || b as u8 == b'\'';
        }
        b += 1;
    }
    table
};

/// Whether a byte belongs to a word.
pub(crate) fn is_written(byte: u8) -> bool {
    WRITTEN.get(usize::from(byte)).copied().unwrap_or(false)
}

fn hash(word: &[u8]) -> u64 {
    word.iter().fold(7_u64, |hash, byte| {
        let byte = if byte.is_ascii_digit() { b'0' } else { *byte };
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What stands for the words before the first.
pub(crate) const NO_WORDS: [u64; 2] = [2, 1];

fn pair(last: u64, hash: u64) -> usize {
    spot(PAIR, last.rotate_left(7) ^ hash)
}

fn skip(older: u64, hash: u64) -> usize {
    spot(SKIP, older.rotate_left(9) ^ hash)
}

/// Every feature of a folded sentence, as its place in the hash space. Training and judging share this function.
pub(crate) fn features(sentence: &str, ideas: Ideas, before: Ideas, take: &mut impl FnMut(usize)) {
    let bytes = sentence.as_bytes().get(..LONGEST).unwrap_or(sentence.as_bytes());
    let [mut older, mut last] = NO_WORDS;
    for word in bytes.split(|b| !is_written(*b)).filter(|word| !word.is_empty()) {
        let hash = hash(word);
        take(spot(WORD, hash));
        take(pair(last, hash));
        take(skip(older, hash));
        grams(word, take);
        (older, last) = (last, hash);
    }
    thoughts(ideas, before, take);
}

fn thoughts(ideas: Ideas, before: Ideas, take: &mut impl FnMut(usize)) {
    each(ideas, &mut |one| {
        take(spot(IDEA, u64::from(one)));
        each(ideas & !((2_u64 << one) - 1), &mut |other| take(spot(BOTH, u64::from(one) << 8 | u64::from(other))));
        each(before, &mut |other| take(spot(NEXT, u64::from(one) << 8 | u64::from(other))));
    });
}

/// Letters that stand together: four of a Latin word, two or three characters of scripts without blanks.
fn grams(word: &[u8], take: &mut impl FnMut(usize)) {
    if word.is_ascii() {
        if word.len() > 4 {
            let mut value = 0_u32;
            for (i, byte) in word.iter().enumerate() {
                value = value << 8 | u32::from(*byte);
                if i >= 3 {
                    take(spot(GRAM, u64::from(value)));
                }
            }
        }
        return;
    }
    let value = |window: &[u8]| window.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    for window in word.windows(6).filter(|window| window.first().is_some_and(|b| b & 0xc0 != 0x80)) {
        take(spot(GRAM, value(window)));
    }
}

/// Calls `take` with the number of each bit. The highest bit is no idea of a text, but how it is written.
fn each(ideas: Ideas, take: &mut impl FnMut(u32)) {
    let mut rest = ideas & !(1 << 63);
    while rest != 0 {
        take(rest.trailing_zeros());
        rest &= rest - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_model_is_whole_and_has_two_points() {
        let model = read(FILE).expect("cargo xtask train writes it");
        assert!(model.block > model.warn && model.block.is_finite() && model.scale > 0.0);
        assert!(FILE.len() <= 4 << 20);
    }

    #[test]
    fn a_damaged_model_is_not_read() {
        let damaged: &'static [u8] = Box::leak(FILE.iter().enumerate().map(|(i, b)| if i == 999 { b ^ 1 } else { *b }).collect());
        assert!(read(damaged).is_none());
    }
}
