//! Every secret value that this process holds, so that whatever leaves it can be looked through for them.
//!
//! Values come here when they are first used. Those that were replaced stay for a while: what was revoked yesterday may
//! be good elsewhere, and a server may repeat it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use arc_swap::ArcSwap;
use bartizan_detect::secrets::{self, Key};
use bartizan_monitor::case::{Cover, Lent};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::MONITOR_FAULT;
use bartizan_monitor::wire::json::{Edits, Json};

use super::held;
use crate::config::Secret;

/// How many values are looked for. The oldest make room.
const MOST: usize = 512;
/// Shorter ones stand in ordinary words.
const SHORTEST: usize = 8;
/// A value of small letters alone is a word, unless it is as long as this.
const LONGER_THAN_WORDS: usize = 16;
/// Lines of a longer value are looked for by themselves from this length.
const LINE: usize = 16;

/// What this process holds.
pub struct Holdings {
    key: [u8; 32],
    values: Mutex<Vec<Arc<Secret>>>,
    lent: ArcSwap<Lent>,
}

// Neither the key nor the values are anybody's to print.
impl fmt::Debug for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holdings({})", held(&self.values).len())
    }
}

/// Those that the log is looked through for: of the first gateway of this process, as there is one.
static LOGGED: OnceLock<Arc<Holdings>> = OnceLock::new();

/// A key of this process alone, from the kernel: the generator of the cryptographic library gathers noise for tens of
/// milliseconds before its first number, and would be most of a start. Without random numbers there is no key that nobody knows, and nothing is served.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

impl Holdings {
    /// None yet, and placeholders made with `key`; without one, with a key of this process.
    #[must_use]
    pub(super) fn new(key: Option<[u8; 32]>) -> Arc<Self> {
        let key = key.or_else(random).unwrap_or_default();
        Arc::new(Self { key, values: Mutex::default(), lent: ArcSwap::from_pointee(Lent::new(&key, &[])) })
    }

    /// From now on the log is looked through for these.
    pub fn watch_the_log(self: &Arc<Self>) {
        let _ = LOGGED.set(self.clone());
    }

    /// Learns a value. That takes a millisecond when it is new.
    pub(crate) fn learn(&self, secret: &Arc<Secret>) {
        if !is_worth(secret.expose()) {
            return;
        }
        let mut values = held(&self.values);
        if values.iter().any(|known| known.expose() == secret.expose()) {
            return;
        }
        if values.len() >= MOST {
            values.remove(0);
        }
        // A copy: what a server's own words are covered with is forgotten when the value is, and this is not.
        values.push(Arc::new(Secret::new(secret.expose().to_owned())));
        let lines =
            |text: &'_ str| -> Vec<String> { text.lines().map(str::trim).filter(|line| line.len() >= LINE).map(str::to_owned).collect() };
        let of_lines: Vec<String> =
            values.iter().filter(|value| value.expose().contains('\n')).flat_map(|value| lines(value.expose())).collect();
        let all: Vec<&str> = values.iter().map(|value| value.expose()).chain(of_lines.iter().map(String::as_str)).collect();
        self.lent.store(Arc::new(Lent::new(&self.key, &all)));
    }

    /// What one message is covered with. Without random numbers nothing can be told from what a server forged.
    pub fn cover(&self) -> Result<Cover, Refusal> {
        // One question to the system for all of it: this is asked for every message.
        let all: [u8; 44] = random().ok_or_else(|| Refusal::new(MONITOR_FAULT, "the system gives no random numbers"))?;
        let byte = |at: usize| all.get(at).copied().unwrap_or_default();
        let names = [12, 28].map(|from: usize| std::array::from_fn(|at| byte(from.saturating_add(at))));
        Ok(Cover::new(self.lent.load_full(), std::array::from_fn(byte), names))
    }

    /// A text of our own in which nothing is left that is held, or looks like a secret.
    #[must_use]
    pub fn covered<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let cover = Cover::new(self.lent.load_full(), [0; 12], [[0; 16]; 2]);
        cover.secrets().mask(text, cover.key())
    }

    /// A record whose `detail`, which may repeat what a server or a client said, is covered.
    #[must_use]
    pub fn covered_record(&self, members: &Json) -> Option<Json> {
        let detail = members.view().get("detail")?;
        let text = detail.as_str()?;
        let Cow::Owned(covered) = self.covered(&text) else { return None };
        let mut edits = Edits::of(members);
        edits.replace(detail, &Json::string(&covered));
        Some(edits.apply())
    }
}

/// A line of the log in which nothing is left that is held, or looks like a secret.
#[must_use]
pub fn covered(line: &str) -> Cow<'_, str> {
    static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(&random().unwrap_or_default()));
    match LOGGED.get() {
        Some(holdings) => holdings.covered(line),
        None => secrets::mask(line, &KEY),
    }
}

/// Whether a value can be looked for. References are used for things that are no secrets, too: a path, an address, a
/// word. Looking for those would cover half of what servers say.
fn is_worth(value: &str) -> bool {
    let place = value.starts_with(['/', '~', '.']) || (value.contains("://") && !value.contains(['@', '?']));
    let word = value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'_');
    value.len() >= SHORTEST && !place && (!word || value.len() >= LONGER_THAN_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Arc<Secret> {
        Arc::new(Secret::new(text.to_owned()))
    }

    #[test]
    fn what_is_held_is_covered_and_what_is_no_secret_is_not_looked_for() {
        let holdings = Holdings::new(None);
        for value in [
            "Kx9-waffle-Trout",
            "/home/ann/projects",
            "production",
            "http://localhost:8080/x",
            "ab",
            "first line of a key 1\nsecond line of a key 2",
        ] {
            holdings.learn(&secret(value));
        }
        let covered =
            holdings.covered("a Kx9-waffle-Trout b, first line of a key 1, /home/ann/projects, production, http://localhost:8080/x");
        assert!(!covered.contains("waffle") && !covered.contains("of a key 1"), "{covered}");
        assert!(covered.ends_with(", /home/ann/projects, production, http://localhost:8080/x"), "{covered}");
        assert_eq!(format!("{holdings:?}"), "Holdings(2)");
    }

    #[test]
    fn old_values_make_room() {
        let holdings = Holdings::new(Some([7; 32]));
        held(&holdings.values).extend((0..MOST).map(|number| secret(&format!("Old-value-{number}"))));
        holdings.learn(&secret("New-value-0"));
        assert_eq!(held(&holdings.values).len(), MOST);
        assert!(holdings.covered("New-value-0").starts_with("[secret:known:"));
        assert_eq!(holdings.covered("Old-value-0"), "Old-value-0");
    }

    #[test]
    fn only_the_detail_of_a_record_is_looked_through() {
        let holdings = Holdings::new(Some([7; 32]));
        holdings.learn(&secret("Kx9-waffle-Trout"));
        let record = |detail: &str| {
            Json::object([("detail", Json::string(detail)), ("shape", Json::object([("password", Json::string("string:12"))]))])
        };
        assert_eq!(holdings.covered_record(&record("all well")), None);
        let covered = holdings.covered_record(&record("said \"Kx9-waffle-Trout\"")).expect("covered").to_string();
        assert!(!covered.contains("waffle") && covered.contains("string:12"), "{covered}");
    }
}
