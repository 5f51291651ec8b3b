//! One pass over a text that finds the few places worth a look: four bytes at a time, without regard to case,
//! asked of a table of bits. Nothing is allocated, and no step waits for the one before.

/// Four bytes are mixed down to this many bits.
const BITS: u32 = 17;
const WORDS: usize = 1 << (BITS - 6);

/// Which groups of four bytes begin something, and what.
#[derive(Debug)]
pub(super) struct Grams {
    bits: Box<[u64; WORDS]>,
    /// In the order of what they are mixed to, then by group.
    entries: Vec<(u32, u16)>,
    /// For each mixed value, where its entries begin.
    first: Vec<u16>,
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
        entries.sort_unstable_by_key(|(group, number)| (mix(*group), *group, *number));
        entries.dedup();
        // More than fit are more than anybody has; what does not fit is looked for at the end, and not found.
        let mut first = vec![u16::MAX; 1 << BITS];
        for (at, (group, _)) in entries.iter().enumerate().rev() {
            if let (Some(slot), Ok(at)) = (first.get_mut(mix(*group) as usize), u16::try_from(at)) {
                *slot = at;
            }
        }
        let mut bits = Box::new([0_u64; WORDS]);
        for (group, _) in &entries {
            let mixed = mix(*group);
            if let Some(word) = bits.get_mut((mixed >> 6) as usize) {
                *word |= 1 << (mixed & 63);
            }
        }
        Self { bits, entries, first }
    }

    /// Which of up to 64 places may begin something, one bit each. Nothing else is done here, so that all of it
    /// stays in registers.
    fn block(&self, bytes: &[u8]) -> u64 {
        let mut places = 0_u64;
        for (at, group) in bytes.windows(4).take(64).enumerate() {
            let [a, b, c, d] = *group else { continue };
            let mixed = mix(fold(u32::from_le_bytes([a, b, c, d])));
            let word = self.bits.get((mixed >> 6) as usize & (WORDS - 1)).copied().unwrap_or(0);
            places |= ((word >> (mixed & 63)) & 1) << at;
        }
        places
    }

    /// Every place where something may begin, in order.
    pub(super) fn each(&self, bytes: &[u8], mut look: impl FnMut(usize, u16)) {
        let mut base = 0_usize;
        while let Some(rest) = bytes.get(base..).filter(|rest| rest.len() >= 4) {
            let mut places = self.block(rest.get(..67).unwrap_or(rest));
            while places != 0 {
                let at = base.saturating_add(places.trailing_zeros() as usize);
                places &= places.wrapping_sub(1);
                self.here(bytes, at, &mut look);
            }
            base = base.saturating_add(64);
        }
    }

    fn here(&self, bytes: &[u8], at: usize, look: &mut impl FnMut(usize, u16)) {
        let Some(&[a, b, c, d]) = bytes.get(at..at.saturating_add(4)) else { return };
        let folded = fold(u32::from_le_bytes([a, b, c, d]));
        let mixed = mix(folded);
        let first = self.first.get(mixed as usize).copied().map_or(usize::MAX, usize::from);
        for (group, number) in self.entries.get(first..).unwrap_or_default() {
            match *group {
                group if group == folded => look(at, *number),
                group if mix(group) == mixed => {}
                _ => break,
            }
        }
    }
}
