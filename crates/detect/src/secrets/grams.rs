//! One pass over a text that finds the few places worth a look: four bytes at a time, without regard to case,
//! asked of a table of bits. Nothing is allocated, and no step waits for the one before.

/// Four bytes are mixed down to this many bits.
const BITS: u32 = 17;
const WORDS: usize = 1 << (BITS - 6);

/// Which groups of four bytes begin something, and what.
#[derive(Debug)]
pub(super) struct Grams {
    bits: Box<[u64; WORDS]>,
    /// Sorted by group.
    entries: Vec<(u32, u16)>,
}

/// Four bytes without regard to case. Other characters fall together, too; the shapes tell them apart.
const fn fold(group: u32) -> u32 {
    group | 0x2020_2020
}

/// The multiplier spreads the bits that letters differ in.
const fn mix(folded: u32) -> u32 {
    folded.wrapping_mul(0x9e37_79b1) >> (32 - BITS)
}

impl Grams {
    /// From the sets of characters that the first four bytes may have, for each number.
    pub(super) fn new(heads: impl Iterator<Item = ([Vec<u8>; 4], u16)>) -> Self {
        let mut entries = Vec::new();
        for ([first, second, third, fourth], number) in heads {
            for a in &first {
                for b in &second {
                    for c in &third {
                        entries.extend(fourth.iter().map(|d| (fold(u32::from_le_bytes([*a, *b, *c, *d])), number)));
                    }
                }
            }
        }
        entries.sort_unstable();
        entries.dedup();
        let mut bits = Box::new([0_u64; WORDS]);
        for (group, _) in &entries {
            let mixed = mix(*group);
            if let Some(word) = bits.get_mut((mixed >> 6) as usize) {
                *word |= 1 << (mixed & 63);
            }
        }
        Self { bits, entries }
    }

    #[inline]
    fn may(&self, folded: u32) -> bool {
        let mixed = mix(folded);
        self.bits.get((mixed >> 6) as usize).is_some_and(|word| (word >> (mixed & 63)) & 1 == 1)
    }

    /// Every place where something may begin, in order.
    #[inline]
    pub(super) fn each(&self, bytes: &[u8], mut look: impl FnMut(usize, u16)) {
        for (at, group) in bytes.windows(4).enumerate() {
            let [a, b, c, d] = *group else { continue };
            let folded = fold(u32::from_le_bytes([a, b, c, d]));
            if self.may(folded) {
                let first = self.entries.partition_point(|(other, _)| *other < folded);
                for (_, number) in self.entries.iter().skip(first).take_while(|(other, _)| *other == folded) {
                    look(at, *number);
                }
            }
        }
    }
}
