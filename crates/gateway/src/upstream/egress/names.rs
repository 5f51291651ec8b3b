//! Names inside a server's own network: every listed one gets an address of the loopback device, by which a
//! connection tells later for whom it is.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// How many names one server may ask for.
const MOST: usize = 4096;

/// The names that were asked for.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: BTreeMap<String, Ipv4Addr>,
    by_address: BTreeMap<Ipv4Addr, String>,
}

/// One question (RFC 1035, section 4.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    id: [u8; 2],
    /// In lower case, without the final dot.
    pub(super) name: String,
    kind: u16,
    /// The question as it stood.
    text: Vec<u8>,
}

impl Question {
    /// Reads a packet with one question for a plain name.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let [a, b, flags, _, 0, 1, _, _, _, _, _, _, rest @ ..] = packet else { return None };
        // A query, of the standard kind.
        if flags & 0xf8 != 0 {
            return None;
        }
        let mut labels = Vec::new();
        let mut at = rest;
        loop {
            let (length, after) = at.split_first()?;
            if *length == 0 {
                at = after;
                break;
            }
            if *length > 63 {
                return None;
            }
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            labels.push(std::str::from_utf8(label).ok().filter(|label| label.bytes().all(|byte| plain(&byte)))?.to_ascii_lowercase());
            at = after;
        }
        let [high, low, 0, 1, ..] = at else { return None };
        let length = rest.len().saturating_sub(at.len()).saturating_add(4);
        let name = labels.join(".");
        if name.len() > 253 {
            return None;
        }
        Some(Self { id: [*a, *b], name, kind: u16::from_be_bytes([*high, *low]), text: rest.get(..length)?.to_vec() })
    }
}

impl Names {
    /// The name whose address this is.
    pub(super) fn of(&self, address: Ipv4Addr) -> Option<String> {
        self.by_address.get(&address).cloned()
    }

    fn address(&mut self, name: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.by_name.get(name) {
            return Some(*address);
        }
        let number = u16::try_from(self.by_name.len()).ok().filter(|number| usize::from(*number) < MOST)?.saturating_add(1);
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 1, high, low);
        self.by_name.insert(name.to_owned(), address);
        self.by_address.insert(address, name.to_owned());
        Some(address)
    }

    /// The answer to a question: an address for a listed name, and no such name for all others.
    pub(super) fn answer(&mut self, question: &Question, is_listed: bool) -> Vec<u8> {
        const A: u16 = 1;
        const NO_SUCH_NAME: u8 = 3;
        const REFUSED: u8 = 5;
        let (code, address) = match (is_listed, question.kind) {
            (false, _) => (NO_SUCH_NAME, None),
            (true, A) => self.address(&question.name).map_or((REFUSED, None), |address| (0, Some(address))),
            // It is there, and has nothing of this kind.
            (true, _) => (0, None),
        };
        let mut reply = question.id.to_vec();
        reply.extend([0x85, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
        reply.extend_from_slice(&question.text);
        if let Some(address) = address {
            // The name of the question, A, IN, five seconds, four bytes.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
            reply.extend(address.octets());
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(name: &str, kind: u8) -> Vec<u8> {
        let mut packet = vec![9, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            packet.push(u8::try_from(label.len()).expect("short"));
            packet.extend(label.bytes());
        }
        packet.extend([0, 0, kind, 0, 1]);
        packet
    }

    #[test]
    fn listed_names_have_an_address_that_tells_them_apart() {
        let mut names = Names::default();
        let question = |name| Question::read(&packet(name, 1)).expect("a question");
        let reply = names.answer(&question("A.example"), true);
        assert_eq!(reply[..8], [9, 8, 0x85, 0x80, 0, 1, 0, 1]);
        assert_eq!(reply[reply.len() - 4..], [127, 1, 0, 1]);
        let other = names.answer(&question("b.example"), true);
        assert_eq!(other[other.len() - 4..], [127, 1, 0, 2]);
        assert_eq!(names.answer(&question("a.example"), true)[reply.len() - 4..], [127, 1, 0, 1]);
        assert_eq!(names.of(Ipv4Addr::new(127, 1, 0, 2)).as_deref(), Some("b.example"));
        assert_eq!(names.of(Ipv4Addr::new(127, 0, 0, 1)), None);
    }

    #[test]
    fn all_others_do_not_exist() {
        let mut names = Names::default();
        let question = Question::read(&packet("x.evil", 1)).expect("a question");
        assert_eq!(names.answer(&question, false)[3] & 15, 3);
        assert!(names.by_name.is_empty());
        let six = Question::read(&packet("a.example", 28)).expect("a question");
        assert_eq!(names.answer(&six, true)[3..8], [0x80, 0, 1, 0, 0]);
    }

    #[test]
    fn broken_packets_are_no_questions() {
        let whole = packet("a.example", 1);
        for length in 0..whole.len() {
            assert_eq!(Question::read(&whole[..length]), None, "{length}");
        }
        let mut pointer = whole.clone();
        pointer[12] = 0xc0;
        assert_eq!(Question::read(&pointer), None);
        let mut reply = whole;
        reply[2] = 0x80;
        assert_eq!(Question::read(&reply), None);
    }
}
