//! Which trace a call belongs to: `traceparent` as W3C Trace Context has it, in a header or in `_meta` (SEP-414).

/// Bits by which calls are chosen: the rightmost 56 of a trace id, which W3C Trace Context level 2 says are random.
const RANDOM_BITS: u32 = 56;
const RANDOM: u64 = (1 << RANDOM_BITS) - 1;

/// A trace's name: never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TraceId(pub(super) [u8; 16]);

/// A span's name: never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanId(pub(super) [u8; 8]);

/// The span of somebody else from which a call was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

impl Parent {
    /// Reads a `traceparent`. What is none, in a version that is known or not, is as if nothing had been sent.
    /// Whether the sender follows its call is not heard: who calls does not decide how much the gateway writes.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let mut next = |bytes: usize| fields.next().filter(|field| field.len() == 2 * bytes);
        let [version] = hex(next(1)?)?;
        let (trace, span, [_flags]) = (hex(next(16)?)?, hex(next(8)?)?, hex(next(1)?)?);
        let whole = version != 0 || fields.next().is_none();
        (version != 0xff && whole && trace != [0; 16] && span != [0; 8]).then_some(Self { trace: TraceId(trace), span: SpanId(span) })
    }
}

/// Lowercase only, as the specification has it.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        let [high, low] = *pair;
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// Which calls are followed: those whose random number is among the highest, so that everybody who follows by the same
/// trace ids follows the same calls (OpenTelemetry, consistent probability sampling).
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// The first number that is followed.
    from: u64,
}

impl Share {
    /// So many of a call: 0 to 1.
    pub(super) fn of(share: f64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share needs no more digits, and is between 0 and 1"
        )]
        let followed = ((RANDOM as f64 + 1.0) * share.clamp(0.0, 1.0)) as u64;
        Self { from: (RANDOM + 1).saturating_sub(followed) }
    }

    /// Whether a trace is followed that somebody else named.
    pub(super) fn has(self, TraceId(trace): TraceId) -> bool {
        let [.., a, b, c, d, e, f, g] = trace;
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= self.from
    }

    /// The number of a call that nobody named a trace for, if it is followed. Numbers look random: SplitMix64 (Steele, Lea
    /// and Flood 2014) of a seed and the call's number.
    pub(super) fn choose(self, seed: u64, call: u64) -> Option<u64> {
        let mut mixed = seed.wrapping_add(call.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = (mixed ^ (mixed >> 31)) & RANDOM;
        (number >= self.from).then_some(number)
    }
}

impl TraceId {
    /// A new one that ends in a number by which it was chosen.
    pub(super) fn ending_in(number: u64, random: [u8; 9]) -> Self {
        let [a, b, c, d, e, f, g, h, i] = random;
        let [_, j, k, l, m, n, o, p] = number.to_be_bytes();
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_as_the_specification_has_it() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = Parent::read(good).expect("a parent");
        assert_eq!((parent.trace.0[0], parent.trace.0[15], parent.span.0), (0x4b, 0x36, [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        assert_eq!(Parent::read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later"), Some(parent));
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47é6-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn as_many_are_followed_as_were_asked_for() {
        for (share, low, high) in [(0.0, 0, 0), (0.01, 850, 1150), (0.5, 49_000, 51_000), (1.0, 100_000, 100_000)] {
            let share = Share::of(share);
            let followed = (0..100_000).filter(|call| share.choose(7, *call).is_some()).count();
            assert!((low..=high).contains(&followed), "{share:?} {followed}");
        }
    }

    #[test]
    fn who_is_chosen_by_number_is_chosen_by_name() {
        let share = Share::of(0.25);
        let chosen = (0..1000).filter_map(|call| share.choose(1, call));
        assert!(chosen.into_iter().all(|number| share.has(TraceId::ending_in(number, [0; 9]))));
        assert!(!share.has(TraceId([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1])));
    }
}
