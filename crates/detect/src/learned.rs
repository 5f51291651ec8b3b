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
pub const MAGIC: [u8; 8] = *b"BZLIN\x00\x00\x01";
/// What stands before the weights: the magic, the digest, and six numbers.
pub const HEADER: usize = 40;
/// How many words the first look tells apart.
pub const HEATS: usize = 1 << 16;
/// A piece of a text with this much heat is read.
pub const HOT: u32 = 64;

static FILE: &[u8] = include_bytes!("model.bin");

/// What a model says of a sentence or a text: the logarithm of the odds that it is an order to a model.
pub type Score = f32;

/// A model, read where it stands.
#[derive(Debug, Clone)]
pub struct Model {
    weights: &'static [u8],
    /// For each word how much it makes a piece worth reading.
    heats: Vec<u8>,
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
const NONE: Model = Model {
    weights: &[],
    heats: Vec::new(),
    scale: 0.0,
    bias: -100.0,
    block: f32::INFINITY,
    warn: f32::INFINITY,
    agree_block: -200.0,
    agree_warn: -200.0,
};

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
    let (agree_warn, rest) = rest.split_first_chunk::<4>()?;
    let (heats, weights) = rest.split_at_checked(HEATS)?;
    let number = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
    (weights.len() == SIZE).then(|| Model {
        weights,
        heats: with_garbled(heats.to_vec()),
        scale: number(scale),
        bias: number(bias),
        block: number(block),
        warn: number(warn),
        agree_block: number(agree_block),
        agree_warn: number(agree_warn),
    })
}

/// Words turned or written backwards are read wherever they stand.
fn with_garbled(mut heats: Vec<u8>) -> Vec<u8> {
    for word in crate::garble::words() {
        let spot = spot_of(word.bytes().fold(0, mix));
        if let Some(heat) = heats.get_mut(spot) {
            *heat = u8::try_from(HOT).unwrap_or(u8::MAX);
        }
    }
    heats
}

/// One letter more in the hash of a word, as the first look makes it.
pub(crate) const fn mix(hash: u64, letter: u8) -> u64 {
    hash.rotate_left(5) ^ letter as u64
}

/// Where a word falls in the table of the first look.
pub(crate) fn spot_of(hash: u64) -> usize {
    usize::try_from(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).unwrap_or(0) % HEATS
}

impl Model {
    /// How much a word, hashed by the first look, makes a piece worth reading.
    pub(crate) fn heat(&self, word: usize) -> u32 {
        self.heats.get(word).copied().map_or(HOT, u32::from)
    }

    /// Judges one folded sentence with the ideas it touches and those of the sentence before.
    #[expect(clippy::cast_precision_loss, reason = "sums of a few thousand bytes")]
    pub(crate) fn score(&self, sentence: &str, ideas: Ideas, before: Ideas) -> Score {
        let (mut sum, mut count) = (0_i32, 0_u32);
        features(sentence, ideas, before, &mut |at| {
            let weight = self.weights.get(at).map_or(0, |byte| byte.cast_signed());
            sum += i32::from(weight);
            count += 1;
        });
        self.bias + self.scale * sum as f32 / (count.max(1) as f32).sqrt()
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

/// Every feature of a folded sentence, as its place in the hash space. Training and judging share this function.
pub(crate) fn features(sentence: &str, ideas: Ideas, before: Ideas, take: &mut impl FnMut(usize)) {
    let bytes = sentence.as_bytes().get(..LONGEST).unwrap_or(sentence.as_bytes());
    let (mut last, mut older) = (1_u64, 2_u64);
    for word in bytes.split(|b| !WRITTEN.get(usize::from(*b)).copied().unwrap_or(false)).filter(|word| !word.is_empty()) {
        let hash = word.iter().fold(7_u64, |hash, byte| {
            let byte = if byte.is_ascii_digit() { b'0' } else { *byte };
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        take(spot(WORD, hash));
        take(spot(PAIR, last.rotate_left(7) ^ hash));
        take(spot(SKIP, older.rotate_left(9) ^ hash));
        grams(word, take);
        (older, last) = (last, hash);
    }
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
