//! Drift is told when it is found, not only when somebody calls what drifted.
//!
//! Whenever a server's lists were read (at first contact, when it says that they changed, for a
//! client's list, by the probe), they are compared with the lock file. What was not known before is
//! told once: in the log, in the journal, and to the configured address. Nothing is decided here; the
//! control `drift` refuses calls whether or not anybody was told.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_monitor::case::{Kind, Standing};
use bartizan_monitor::catalog::{Definition, Offer};
use bartizan_monitor::lock::{Lock, Pin};
use bartizan_monitor::wire::json::Json;

use crate::journal::Journal;
use crate::metrics::{Drifted, Metrics};
use crate::review::grade::{Grade, grade, gravest};
use crate::webhook::Hook;

/// How many differences of one server are told between two reviews. One that changes without end drowns nobody else's.
const MOST: usize = 200;

/// Who tells of drift.
#[derive(Debug)]
pub struct Drift {
    journal: Arc<Journal>,
    hook: Option<Hook>,
    metrics: Arc<Metrics>,
    told: Mutex<HashMap<Arc<str>, Told>>,
}

/// What was told about one server since its lock file changed.
#[derive(Debug, Default)]
struct Told {
    lock: Option<Arc<Lock>>,
    known: BTreeMap<Found, Drifted>,
    /// What differed when it was last looked at.
    now: Vec<Found>,
}

/// One definition that is not as it was reviewed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    kind: &'static str,
    name: String,
    /// The digest that was reviewed.
    was: String,
    /// The digest that is offered; nothing when it is gone.
    is: Option<String>,
}

impl Found {
    const fn what(&self) -> &'static str {
        if self.is.is_some() { "drift.changed" } else { "drift.removed" }
    }

    fn told(&self, server: &str) -> Json {
        let is = self.is.iter().map(|is| ("is", Json::string(is)));
        let members = [
            ("server", Json::string(server)),
            ("kind", Json::string(self.kind)),
            ("name", Json::string(&self.name)),
            ("was", Json::string(&self.was)),
        ];
        Json::object(members.into_iter().chain(is))
    }
}

impl Drift {
    /// Tells it to the log, to this journal, and to the address, if there is one; and counts it.
    #[must_use]
    pub fn new(journal: Arc<Journal>, hook: Option<Hook>, metrics: Arc<Metrics>) -> Self {
        Self { journal, hook, metrics, told: Mutex::default() }
    }

    /// Compares what a server offers with what was approved of it, and tells what is not known yet.
    pub fn look(&self, lock: &Arc<Lock>, server: &Arc<str>, offer: &Offer) {
        for (found, drifted) in self.fresh(lock, server, offer) {
            self.metrics.found(server, drifted);
            tracing::warn!(%server, kind = found.kind, name = ?found.name, reason = found.what(), "a definition is not as it was approved; run: bartizan diff {server}");
            let told = found.told(server);
            self.journal.note(&Json::object([
                ("event", Json::string("drift")),
                ("reason", Json::string(found.what())),
                ("drift", told.clone()),
            ]));
            if let Some(hook) = &self.hook {
                hook.post(found.what(), &told);
            }
        }
    }

    /// How a tool stood when its server's word was last heard; as it was reviewed, where nothing else is known.
    #[must_use]
    pub fn standing(&self, lock: &Lock, server: &str, tool: &str) -> Standing {
        let was = lock.get(server, Kind::Tool, tool).map(|pin| pin.digest.to_string());
        let is_it = |found: &&Found| found.kind == Kind::Tool.name() && found.name == tool && Some(&found.was) == was.as_ref();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.get(server).and_then(|told| told.now.iter().find(is_it));
        known.map_or(Standing::Pinned, |found| if found.is.is_some() { Standing::Changed } else { Standing::Removed })
    }

    /// What was not known yet, and how grave it is; counts what differs now, known or not.
    fn fresh(&self, lock: &Arc<Lock>, server: &Arc<str>, offer: &Offer) -> Vec<(Found, Drifted)> {
        let found = compare(lock, server, offer);
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.entry(server.clone()).or_default();
        if !told.lock.as_ref().is_some_and(|known| Arc::ptr_eq(known, lock)) {
            // What was reviewed changed: whatever still differs is news again.
            *told = Told { lock: Some(lock.clone()), ..Told::default() };
        }
        let mut fresh = Vec::new();
        let (mut now, mut differs) = (Vec::new(), Vec::new());
        for (found, pin, offered) in found {
            let named = found.clone();
            let drifted = match told.known.get(&found) {
                Some(drifted) => *drifted,
                // Grading takes time that a server could use up: what comes after so many is taken for the gravest.
                None if told.known.len() >= MOST => offered.map_or(Drifted::Removed, |_| Drifted::Changed(Grade::Steering)),
                None => {
                    let drifted = weigh(pin, offered);
                    told.known.insert(found.clone(), drifted);
                    fresh.push((found, drifted));
                    drifted
                }
            };
            now.push(drifted);
            differs.push(named);
        }
        told.now = differs;
        self.metrics.drifted(server, now);
        fresh
    }
}

/// The approved definitions that the server does not offer as they were reviewed. What a server says that it is
/// and can do is not among them: it differs between clients, and nothing is called by it.
fn compare<'a>(lock: &'a Lock, server: &str, offer: &'a Offer) -> Vec<(Found, &'a Pin, Option<&'a Definition>)> {
    let differs = |pin: &'a Arc<Pin>| {
        let offered = offer.get(pin.kind, &pin.name);
        let digest = offered.map(|definition| definition.digest);
        let found = || Found {
            kind: pin.kind.name(),
            name: pin.name.clone(),
            was: pin.digest.to_string(),
            is: digest.map(|digest| digest.to_string()),
        };
        (digest != Some(pin.digest)).then(|| (found(), &**pin, offered))
    };
    lock.of(server).filter(|pin| pin.kind != Kind::Server).filter_map(differs).collect()
}

/// How grave a difference is.
fn weigh(pin: &Pin, offered: Option<&Definition>) -> Drifted {
    let Some(offered) = offered else { return Drifted::Removed };
    // A difference that nobody can name is no light one.
    Drifted::Changed(gravest(&grade(pin.kind, &pin.definition, &offered.json)).unwrap_or(Grade::Steering))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_monitor::case::Effect;
    use bartizan_monitor::catalog::Definition;
    use bytes::Bytes;

    fn offer(tools: &[(&str, &str)]) -> Offer {
        let mut offer = Offer::default();
        for (name, title) in tools {
            let text = format!(r#"{{"name":"{name}","title":"{title}","inputSchema":{{}}}}"#);
            offer.add(Kind::Tool, &Json::parse(Bytes::from(text)).expect("json"));
        }
        offer
    }

    fn lock(offer: &Offer) -> Arc<Lock> {
        let mut lock = Lock::default();
        offer.all().for_each(|definition: &Definition| _ = lock.put("s", Pin::new(definition.clone(), Effect::Read)));
        Arc::new(lock)
    }

    #[test]
    fn news_is_told_once_and_again_after_a_review() {
        let directory = tempfile::tempdir().expect("dir");
        let drift = Drift::new(Journal::open(directory.path()).expect("journal"), None, Metrics::new(&["s".into()]));
        let approved = lock(&offer(&[("a", "1"), ("b", "1")]));
        let server: Arc<str> = "s".into();
        let fresh = |lock: &Arc<Lock>, tools: &[(&str, &str)]| {
            drift.fresh(lock, &server, &offer(tools)).iter().map(|(found, _)| (found.name.clone(), found.what())).collect::<Vec<_>>()
        };
        assert_eq!(fresh(&approved, &[("a", "1"), ("b", "1"), ("new", "1")]), []);
        let both = [("a".to_owned(), "drift.changed"), ("b".to_owned(), "drift.removed")];
        assert_eq!(fresh(&approved, &[("a", "2")]), both);
        let stands = |tool: &str| drift.standing(&approved, "s", tool);
        assert_eq!((stands("a"), stands("b"), stands("c")), (Standing::Changed, Standing::Removed, Standing::Pinned));
        // A server that alternates between two definitions is told about once for each.
        assert_eq!(fresh(&approved, &[("a", "1"), ("b", "1")]), []);
        assert_eq!((stands("a"), stands("b")), (Standing::Pinned, Standing::Pinned));
        assert_eq!(fresh(&approved, &[("a", "2")]), []);
        assert_eq!(fresh(&approved, &[("a", "3"), ("b", "1")]), [("a".to_owned(), "drift.changed")]);
        let reviewed = lock(&offer(&[("a", "3"), ("b", "1")]));
        assert_eq!(fresh(&reviewed, &[("a", "2"), ("b", "1")]), [("a".to_owned(), "drift.changed")]);
    }
}
