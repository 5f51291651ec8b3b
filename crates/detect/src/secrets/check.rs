//! What can be checked about a value: sums, structure, whether it is a value at all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::kinds::Check;

/// How sure it is that a value is what its kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// What stands around it says so: a name it is assigned to, a header, a URL.
    Context,
    /// It has the shape, and the shape is its issuer's.
    Shape,
    /// A checksum or the structure inside is right, too; or it is a value that was given as known.
    Exact,
}

/// What checking says; `None`: this is not such a value. A sum that is wrong is no reason to let a value pass, as
/// it may be a sum of tomorrow.
pub(super) fn proof(check: Check, value: &[u8]) -> Option<Proof> {
    match check {
        Check::None => Some(Proof::Shape),
        Check::Mixed => is_mixed(value).then_some(Proof::Shape),
        Check::Crc => Some(if has_crc(value) { Proof::Exact } else { Proof::Shape }),
        Check::Account => is_mixed(value).then(|| if has_account(value) { Proof::Exact } else { Proof::Shape }),
        Check::Jwt => is_jwt(value).then_some(Proof::Exact),
    }
}

/// `ghp_` and others: thirty characters, then their CRC-32 in base 62, six digits wide.
fn has_crc(value: &[u8]) -> bool {
    let body = value.rsplit(|byte| *byte == b'_').next().unwrap_or_default();
    let Some((body, sum)) = body.len().checked_sub(6).and_then(|at| body.split_at_checked(at)) else { return false };
    let wanted = sum.iter().try_fold(0_u64, |all, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        Some(all * 62 + u64::from(digit))
    });
    wanted == Some(u64::from(crc32(body)))
}

/// CRC-32 (IEEE 802.3), bit by bit: it is asked of forty bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0_u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

/// An AWS key id is base32, and the account number inside has twelve digits.
fn has_account(value: &[u8]) -> bool {
    let Some(body) = value.get(4..) else { return false };
    let bits = body.iter().take(10).try_fold(0_u64, |all, byte| match byte {
        b'A'..=b'Z' => Some((all << 5) | u64::from(byte - b'A')),
        b'2'..=b'7' => Some((all << 5) | u64::from(byte - b'2' + 26)),
        _ => None,
    });
    // Fifty bits: the account is bits 2 to 40 of the first six bytes.
    bits.is_some_and(|bits| ((bits >> 2) & 0x7fff_ffff_ff80) >> 7 < 1_000_000_000_000)
}

/// The first part of a JWT is a JSON object that names an algorithm or a type (RFC 7515).
fn is_jwt(value: &[u8]) -> bool {
    let head = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    let Ok(json) = URL_SAFE_NO_PAD.decode(head) else { return false };
    let text = String::from_utf8_lossy(&json);
    let text = text.trim();
    text.starts_with('{') && text.ends_with('}') && ["\"alg\"", "\"typ\"", "\"kid\"", "\"enc\""].iter().any(|name| text.contains(name))
}

/// Not one letter again and again, not counting, and no example.
pub(super) fn is_mixed(value: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in value {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    distinct >= 6.min(value.len()) && !is_example(value)
}

/// Whether a value says of itself that it is none. Case does not matter.
pub(super) fn is_example(value: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"example",
        b"xxxx",
        b"****",
        b"....",
        b"your_",
        b"your-",
        b"changeme",
        b"change_me",
        b"change-me",
        b"placeholder",
        b"redacted",
        b"dummy",
        b"insert",
        b"0000000000",
        b"1234567890abcdef",
        b"abcdefghij",
        b"notasecret",
        b"todo",
        b"replace",
        b"[secret:",
    ];
    let has = |word: &[u8]| value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    WORDS.iter().any(|word| has(word))
}

/// Bits for each character, by how often each occurs (Shannon).
#[expect(clippy::cast_precision_loss, reason = "a few hundred characters")]
pub(super) fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let all = value.len().max(1) as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / all).map(|share| -share * share.log2()).sum()
}

/// The length of a part that has both letters and digits, or letters of both cases in turns; else nothing.
pub(super) fn mixed(part: &[u8]) -> usize {
    let digits = part.iter().any(u8::is_ascii_digit);
    let letters = part.iter().any(u8::is_ascii_alphabetic);
    let turns = changes(part) >= 6;
    if (digits && letters) || turns { part.len() } else { 0 }
}

/// How often upper case, lower case and digits change; a word with a capital does not count.
pub(super) fn changes(value: &[u8]) -> usize {
    let class = |byte: &u8| match byte {
        b'0'..=b'9' => 1_u8,
        b'a'..=b'z' => 2,
        b'A'..=b'Z' => 3,
        _ => 0,
    };
    value.iter().zip(value.iter().skip(1)).filter(|(a, b)| class(a) != class(b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_right() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        // A value made here, with its sum.
        let body = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0";
        let mut sum = crc32(body.as_bytes());
        let mut digits = Vec::new();
        for _ in 0..6 {
            let digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(sum % 62) as usize];
            digits.insert(0, digit as char);
            sum /= 62;
        }
        let token = format!("ghp_{body}{}", digits.iter().collect::<String>());
        assert_eq!(proof(Check::Crc, token.as_bytes()), Some(Proof::Exact));
        assert_eq!(proof(Check::Crc, format!("ghp_{body}000000").as_bytes()), Some(Proof::Shape));
    }

    #[test]
    fn a_token_of_three_parts_has_a_header() {
        assert_eq!(proof(Check::Jwt, b"eyJhbGciOiJIUzI1NiJ9.e30.c2ln"), Some(Proof::Exact));
        assert_eq!(proof(Check::Jwt, b"eyJhbGNiOiJIUzI1NiJ9.e30.c2ln"), None);
    }
}
