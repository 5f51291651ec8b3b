//! Links to calls that wait, for messages that leave the gateway.
//!
//! Threat: whoever and whatever reads the message: other people, programs that open every link to look at it, and agents
//! that may read the channel. So a link shows nothing that the message does not say, opening it changes nothing, and it
//! answers for nobody: it leads to the login, and from there to the call. It is signed with a key of the state directory,
//! for one call, as it was shown, until the call ends; each person goes through it once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use bartizan_monitor::stages::party;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::desk::{Card, Desk};

/// What the key is for; another purpose has another key.
const PURPOSE: &[u8] = b"links to calls that wait";
/// A longer one is none of ours.
const MAX_LINK: usize = 200;

/// Signs links, and knows who has used them.
#[derive(Debug)]
pub(super) struct Links {
    key: hmac::Key,
    used: Mutex<HashMap<(String, String), u64>>,
}

impl Links {
    /// Links of a state directory, from its key.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), PURPOSE);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref()), used: Mutex::default() }
    }

    /// The link to a call: its name, until when, and the signature over both and over what is shown of it.
    pub(super) fn write(&self, card: &Card) -> String {
        let content = content(card);
        let tag = hmac::sign(&self.key, &content);
        let mut link = card.until_ms.to_be_bytes().to_vec();
        link.extend_from_slice(card.id.as_bytes());
        link.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(link)
    }

    /// The call that a link leads to, if it is one of ours and the call still waits as it was shown.
    pub(super) fn read(&self, link: &str, (desk, now_ms): (&Desk, u64)) -> Option<Arc<Card>> {
        let link = Some(link).filter(|link| link.len() <= MAX_LINK).and_then(|link| URL_SAFE_NO_PAD.decode(link).ok())?;
        let (until, rest) = link.split_first_chunk::<8>()?;
        let (id, tag) = rest.split_last_chunk::<32>()?;
        let card = desk.card(std::str::from_utf8(id).ok()?, now_ms)?;
        let holds = card.until_ms == u64::from_be_bytes(*until) && hmac::verify(&self.key, &content(&card), tag).is_ok();
        holds.then_some(card)
    }

    /// Takes a link for somebody: each person once.
    pub(super) fn take(&self, card: &Card, principal: &str, now_ms: u64) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until_ms| now_ms < *until_ms);
        used.insert((card.id.clone(), party(principal).to_owned()), card.until_ms).is_none()
    }
}

/// What is signed: each part has one length, or is the last.
fn content(card: &Card) -> Vec<u8> {
    let mut content = card.until_ms.to_be_bytes().to_vec();
    content.extend_from_slice(card.shown.digest.bytes());
    content.extend_from_slice(card.id.as_bytes());
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consult::desk::tests::{card, item};

    #[test]
    fn a_link_is_of_one_call_as_it_was_shown_in_time_and_of_one_gateway() {
        let (desk, item) = (Desk::default(), item());
        let (one, two) = (card(&item, 1, 1), card(&item, 2, 1));
        for card in [&one, &two] {
            let room = desk.room(&card.place.principal, &card.binding, 0).expect("room");
            desk.park(card, room);
        }
        let (links, foreign) = (Links::new(&[1; 32]), Links::new(&[2; 32]));
        let link = links.write(&one);
        let read = |links: &Links, link: &str, now_ms| links.read(link, (&desk, now_ms)).map(|card| card.id.clone());
        assert_eq!(read(&links, &link, 99).as_deref(), Some("id1"));
        assert_eq!((read(&links, &link, 100), read(&foreign, &link, 99)), (None, None), "expired, and of another");
        // Another call's name or end with this signature, and what was shown being another.
        let whole = URL_SAFE_NO_PAD.decode(&link).expect("base64");
        let other = URL_SAFE_NO_PAD.decode(links.write(&two)).expect("base64");
        let mixed: Vec<u8> = other[..other.len() - 32].iter().chain(&whole[whole.len() - 32..]).copied().collect();
        assert_eq!(read(&links, &URL_SAFE_NO_PAD.encode(mixed), 0), None);
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert_eq!(read(&links, &URL_SAFE_NO_PAD.encode(altered), 0), None, "byte {at}");
        }
        let mut changed = card(&item, 1, 1);
        Arc::get_mut(&mut changed).expect("alone").shown.digest = bartizan_monitor::wire::canonical::Digest::of_bytes(b"other");
        assert_eq!(read(&links, &links.write(&changed), 0), None, "what was shown is another");
        // Each person once, whatever the number of their token.
        assert!(links.take(&one, "token:ann#1", 0) && !links.take(&one, "token:ann#2", 0) && links.take(&one, "token:bob#1", 0));
        assert!(links.take(&two, "token:ann#1", 0));
    }
}
