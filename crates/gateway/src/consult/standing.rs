//! Yeses that were given in advance: to calls of one tool by one client, with arguments within bounds, for a while, so
//! many times.
//!
//! Threat: a person who is asked too often says yes to everything; and a yes for a pattern that covers more than its
//! giver thought of. So a pattern says everything of a call: an argument that it does not name must not be there. It is
//! for the tool as it was reviewed and the policy as it was, lives in memory, is looked at by the same rules as any other
//! yes, and ends with the credential of whoever gave it. What is held for another reason (what was read before) is asked about.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_monitor::case::{Assurance, Case, Effect, Item, Kind, Standing as Pinned};
use bartizan_monitor::controls::confirm::REQUIRED;
use bartizan_monitor::stages::{Held, Word, party};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::{Json, View};

use super::answer::Who;
use super::desk::fresh_id;
use super::shown;
use crate::serve::House;

/// How many there may be.
const MOST: usize = 100;
/// How often one is good, and for how long: for what destroys, and otherwise.
const TIMES: [u32; 2] = [20, 100];
const LONGEST_MS: [u64; 2] = [3_600_000, 8 * 3_600_000];
/// How long a name or a value may be.
const MAX_VALUE: usize = 1024;

/// What an argument must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Bound {
    /// This text, or the JSON that is written so.
    Is(String),
    /// A text that begins so, and does not go elsewhere from there.
    Begins(String),
    /// Anything, or nothing.
    Any,
}

/// One yes in advance.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) id: String,
    server: String,
    tool: String,
    client: String,
    bounds: Vec<(String, Bound)>,
    pinned: Digest,
    policy: Digest,
    who: Who,
    given: Assurance,
    times: u32,
    until_ms: u64,
    /// What its giver saw, and its digest, which stands in the record of every call.
    pub(super) text: String,
    pub(super) digest: Digest,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Patterns(Mutex<Vec<Standing>>);

impl Bound {
    /// Reads `NAME=VALUE`, `NAME^=BEGINNING` or `NAME=*`.
    fn read(text: &str) -> Option<(String, Self)> {
        let (name, value) = text.split_once('=').filter(|_| text.len() <= MAX_VALUE)?;
        let (name, bound) = match (name.strip_suffix('^'), value) {
            (Some(_), "") => return None,
            (Some(name), beginning) => (name, Self::Begins(beginning.to_owned())),
            (None, "*") => (name, Self::Any),
            (None, value) => (name, Self::Is(value.to_owned())),
        };
        (!name.is_empty()).then(|| (name.to_owned(), bound))
    }

    fn holds(&self, value: View<'_>) -> bool {
        let text = value.as_str();
        match self {
            Self::Any => true,
            Self::Is(wanted) => text.as_deref().map_or_else(|| value.text() == wanted.as_str(), |text| text == wanted),
            Self::Begins(beginning) => text.is_some_and(|text| text.strip_prefix(beginning.as_str()).is_some_and(stays)),
        }
    }

    fn said(&self) -> String {
        match self {
            Self::Is(value) => format!("is \"{}\"", shown::inert(value, MAX_VALUE)),
            Self::Begins(value) => format!("begins with \"{}\"", shown::inert(value, MAX_VALUE)),
            Self::Any => "is anything".to_owned(),
        }
    }
}

/// Whether what comes after a beginning leads nowhere else: no step up, nothing that somebody could read as one, nothing unseen.
fn stays(rest: &str) -> bool {
    !rest.contains("..")
        && !rest.contains(['\\', '%', '~', '$', '`', '@'])
        && rest.chars().all(|symbol| symbol == ' ' || symbol.is_ascii_graphic() || symbol.is_alphanumeric())
}

/// What somebody wants to agree to in advance.
pub(super) struct Wish {
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) client: String,
    pub(super) bounds: Vec<String>,
    pub(super) for_ms: u64,
    pub(super) times: u64,
}

impl Wish {
    /// What it becomes, if it may be.
    pub(super) fn judge(&self, house: &House, who: Who, now_ms: u64) -> Result<Standing, String> {
        let snapshot = house.snapshot();
        let lock = snapshot.catalog.lock();
        let pin = lock.get(&self.server, Kind::Tool, &self.tool).ok_or("there is no such tool that was approved")?;
        let item = Item { server: self.server.as_str().into(), pin: pin.clone(), standing: Pinned::Pinned, shadow: None };
        let at = usize::from(pin.effect != Effect::Destructive);
        let (times, longest) = (TIMES.get(at).copied().unwrap_or(1), LONGEST_MS.get(at).copied().unwrap_or(1));
        let wished = u32::try_from(self.times).unwrap_or(u32::MAX);
        if !(1..=times).contains(&wished) || !(1..=longest).contains(&self.for_ms) {
            return Err(format!("a tool of this effect can be agreed to {times} times and for {} min at most", longest / 60_000));
        }
        if !who.may_agree_to(house, &item) {
            return Err(format!("{} may not use this tool, and so cannot agree to it", who.principal()));
        }
        let bounds: Option<Vec<_>> = self.bounds.iter().map(|text| Bound::read(text)).collect();
        let mut bounds = bounds.ok_or("an argument is written NAME=VALUE, NAME^=BEGINNING or NAME=*")?;
        bounds.sort_by(|a, b| a.0.cmp(&b.0));
        if bounds.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
            return Err("an argument is named twice".to_owned());
        }
        if pin.effect == Effect::Destructive && bounds.iter().all(|(_, bound)| *bound == Bound::Any) {
            return Err("what destroys needs an argument that is bounded".to_owned());
        }
        if self.client.is_empty() {
            return Err("whose calls it is for is missing".to_owned());
        }
        let client = party(&self.client).to_owned();
        let given = who.assurance_for(house, &client);
        let until_ms = now_ms.saturating_add(self.for_ms);
        let mut text = String::new();
        _ = writeln!(text, "server: {}\ntool: {}", shown::inert(&self.server, 80), shown::inert(&self.tool, 80));
        _ = writeln!(text, "effect: {}\ncalls of: {}", pin.effect.name(), shown::inert(&client, 80));
        for (name, bound) in &bounds {
            _ = writeln!(text, "argument {} {}", shown::inert(name, 80), bound.said());
        }
        _ = writeln!(text, "no other argument\nat most {wished} times, until {}", crate::clock::utc(until_ms));
        let id = fresh_id().map_err(|refusal| refusal.detail)?;
        let (server, tool, policy, digest) =
            (self.server.clone(), self.tool.clone(), snapshot.monitor.policy(), Digest::of_bytes(text.as_bytes()));
        Ok(Standing { id, server, tool, client, bounds, pinned: pin.digest, policy, who, given, times: wished, until_ms, text, digest })
    }
}

impl Standing {
    fn covers(&self, case: &Case) -> bool {
        let Some(item) = case.tool().filter(|item| item.pin.digest == self.pinned) else { return false };
        let beside = case.beside();
        let is_named = |key: &str| self.bounds.iter().any(|(name, _)| name == key);
        let arguments = || case.arguments().into_iter().flat_map(View::members);
        *item.server == *self.server
            && item.pin.name == self.tool
            && party(case.caller().principal()) == self.client
            // What is sent beside the arguments belongs to the call: only what was named may be there.
            && beside.as_ref().is_none_or(|beside| beside.view().members().all(|(key, _)| is_named(&key)))
            && arguments().all(|(key, _)| is_named(&key))
            && self.bounds.iter().all(|(name, bound)| {
                let value = arguments().find(|(key, _)| key == name).map(|(_, value)| value);
                value.map_or(*bound == Bound::Any, |value| bound.holds(value))
            })
    }

    /// For lists.
    pub(super) fn json(&self) -> Json {
        Json::object([
            ("id", Json::string(&self.id)),
            ("text", Json::string(&self.text)),
            ("by", Json::string(&self.who.principal())),
            ("assurance", Json::string(self.given.name())),
            ("left", Json::number(self.times.into())),
            ("until_ms", Json::number(self.until_ms)),
        ])
    }
}

impl Patterns {
    fn all(&self, now_ms: u64) -> std::sync::MutexGuard<'_, Vec<Standing>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| now_ms < one.until_ms && one.times > 0);
        all
    }

    /// Keeps one.
    pub(super) fn add(&self, standing: Standing, now_ms: u64) -> Result<(), &'static str> {
        let mut all = self.all(now_ms);
        if all.len() >= MOST {
            return Err("as many patterns are agreed to as may be; withdraw one");
        }
        all.push(standing);
        Ok(())
    }

    /// Those that are still good.
    pub(super) fn list(&self, now_ms: u64) -> Vec<Standing> {
        self.all(now_ms).clone()
    }

    /// Takes one back.
    pub(super) fn withdraw(&self, id: &str, now_ms: u64) -> bool {
        let mut all = self.all(now_ms);
        let before = all.len();
        all.retain(|one| one.id != id);
        all.len() < before
    }

    /// Uses one for a call, if one covers it.
    pub(super) fn take(&self, house: &House, held: &Held, (policy, now_ms): (Digest, u64)) -> Option<(Word, u64)> {
        let hold = held.hold();
        // What is held for what was read before, or needs several people, is asked about.
        if hold.reason != REQUIRED || hold.approvers > 1 {
            return None;
        }
        let mut all = self.all(now_ms);
        all.retain(|one| one.who.still(house, now_ms));
        let one = all.iter_mut().find(|one| one.policy == policy && one.given >= hold.minimum && one.covers(held.case()))?;
        one.times = one.times.saturating_sub(1);
        let by: Arc<str> = one.who.principal();
        Some((Word { by, assurance: one.given, channel: "pattern", shown: one.digest, waited_ms: 0, also: Vec::new() }, one.until_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(bound: &str, value: &'static str) -> bool {
        let (_, bound) = Bound::read(bound).expect("a bound");
        bound.holds(Json::parse(bytes::Bytes::from_static(value.as_bytes())).expect("json").view())
    }

    #[test]
    fn bounds_hold_what_they_say() {
        assert!(fits("n=x", r#""x""#) && fits("n=5", "5") && fits("n=true", "true") && fits("n=", r#""""#) && fits("n=a=b", r#""a=b""#));
        assert!(!fits("n=x", r#""X""#) && !fits("n=5", "50") && !fits("n=x", r#"["x"]"#) && !fits("n=", "null"));
        assert!(fits("n^=/srv/tmp/", r#""/srv/tmp/a b/c.txt""#) && fits("n^=/srv/tmp/", r#""/srv/tmp/""#) && fits("n=*", "[1]"));
        for out in [
            "/srv/tmp",
            "/srv/tmpx",
            "/srv/tmp/../x",
            "/srv/tmp/a/..",
            "/srv/tmp/%2e%2e/x",
            "/srv/tmp/~x",
            "/srv/tmp/$HOME",
            "/srv/tmp/\\u202ex",
            "/srv/tmp/a\\nb",
            "/srv/tmp/a\\\\b",
        ] {
            let json = format!("\"{out}\"");
            assert!(!fits("n^=/srv/tmp/", Box::leak(json.into_boxed_str())), "{out}");
        }
        assert!(!fits("n^=/", "5"));
        for bad in ["", "n", "=x", "^=x", "n^="] {
            assert!(Bound::read(bad).is_none(), "{bad}");
        }
    }
}
