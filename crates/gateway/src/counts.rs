//! What is counted over all calls, and by which clock.

mod file;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_meter::{DoorRules, Doors, Key, Knock, Meter, Moment, Rate, Scope, Seed, Tally, Told, Why};
use bartizan_monitor::case::{Caller, Means};
use bartizan_monitor::controls::quota::{BREAKER, FLOOD};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use tokio::sync::Notify;

use crate::clock::{self, Stopwatch};
use crate::config::{Redis, Settings};
use crate::journal::Journal;

/// How often budgets are written down: so much of them is lost when the machine fails.
const WRITE: Duration = Duration::from_secs(2);

/// How many running things a client may end in a minute, whatever else it sends.
const ENDS: u32 = 120;

/// Who sends, as the door knows it: one that goes on is shut out alone, and not whoever has the same name.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    principal: &'a str,
    /// The certificate or the application, where the principal has several.
    credential: &'a str,
    /// Where somebody comes from who says nothing else of itself.
    peer: Option<IpAddr>,
}

impl<'a> Who<'a> {
    /// A caller, from there.
    #[must_use]
    pub fn of(caller: &'a Caller, peer: Option<IpAddr>) -> Self {
        let application = caller.badge().and_then(|badge| badge.application.as_deref());
        let credential = caller.strength().certificate.as_deref().or(application).unwrap_or_default();
        Self { principal: caller.principal(), credential, peer: peer.filter(|_| caller.means() == Means::Anonymous) }
    }

    fn key(&self, meter: &Meter) -> Key {
        let peer = self.peer.map(|peer| peer.to_string()).unwrap_or_default();
        meter.key(Scope::Door, &[self.principal, self.credential, &peer])
    }
}

/// The counts of a gateway.
#[derive(Debug)]
pub struct Counts {
    /// Rates and budgets.
    pub meter: Arc<Meter>,
    doors: Doors,
    /// Beside the doors, for what ends something.
    ends: Doors,
    since: Stopwatch,
    /// Where budgets are written down; nowhere when they are shared.
    file: Option<file::Budgets>,
    /// Whether leases are wanted.
    pub(crate) wanted: Notify,
    pub(crate) journal: Arc<Journal>,
}

/// A message that may not come in.
#[derive(Debug)]
pub struct Turned {
    /// Why.
    pub refusal: Refusal,
    /// How many the record did not hear of; nothing when it does not hear of this one either.
    pub untold: Option<u32>,
}

impl Counts {
    /// The counts of a state directory, or of all gateways that share them.
    #[must_use]
    pub fn open(settings: &Settings, journal: Arc<Journal>) -> Arc<Self> {
        let limits = &settings.limits;
        let pause_us = u64::try_from(limits.offence_pause.as_micros()).unwrap_or(u64::MAX);
        let rules = DoorRules { messages: Rate::per_minute(limits.messages_per_minute), offences: limits.offences_per_minute, pause_us };
        let written = settings.redis.is_none() && !settings.quota.budgets.is_empty();
        let file = written.then(|| file::Budgets::open(&settings.places.state));
        let seed = match (&settings.redis, &file) {
            (Some(redis), _) => common(redis),
            (None, Some(file)) => file.seed(),
            (None, None) => file::random().map(Seed::new).unwrap_or_default(),
        };
        let counts = Self {
            meter: Arc::new(Meter::new(seed)),
            doors: Doors::new(rules),
            ends: Doors::new(DoorRules { messages: Rate::per_minute(ENDS), offences: u32::MAX, pause_us: 0 }),
            since: Stopwatch::start(),
            file,
            wanted: Notify::new(),
            journal,
        };
        if let Some(redis) = &settings.redis {
            // Until it is reached, it is lost.
            counts.meter.share(redis.on_loss.sharing());
        }
        counts.write();
        Arc::new(counts)
    }

    /// This moment. Rates are counted by a clock that nobody sets.
    #[must_use]
    pub fn now(&self) -> Moment {
        // Not from nothing: a cell that was never used is one that was whole at the beginning.
        Moment { steady_us: self.since.elapsed_us().saturating_add(1), wall_ms: clock::now_ms() }
    }

    /// What a call will take.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        Arc::new(Tally::new(self.meter.clone(), self.now()))
    }

    /// Has leases fetched that the last call may have made scarce.
    pub fn nudge(&self) {
        if self.meter.is_wanting() {
            self.wanted.notify_one();
        }
    }

    /// A message of a client arrives, whatever it is. Nothing when it may come in.
    #[must_use]
    pub fn knock(&self, who: &Who<'_>) -> Option<Turned> {
        let (why, wait_us, told) = match self.doors.knock(who.key(&self.meter), self.now().steady_us) {
            Knock::In => return None,
            Knock::Again { untold } => {
                self.calm(who.principal, untold);
                return None;
            }
            Knock::Out { why, wait_us, told } => (why, wait_us, told),
        };
        let (reason, detail) = match why {
            Why::Flood => (FLOOD, "limits.messages_per_minute"),
            Why::Shut => (BREAKER, "limits.offences_per_minute"),
        };
        let untold = match told {
            Told::Line { untold } => Some(untold),
            Told::Untold => None,
        };
        Some(Turned { refusal: Refusal::new(reason, detail).retry_after(wait_us.div_ceil(1000)), untold })
    }

    /// Whether a client may end something that runs, though it may not be listened to otherwise. It has few of those.
    #[must_use]
    pub fn may_end(&self, who: &Who<'_>) -> bool {
        matches!(self.ends.knock(who.key(&self.meter), self.now().steady_us), Knock::In | Knock::Again { .. })
    }

    /// The record hears how it ended.
    fn calm(&self, principal: &str, untold: u32) {
        self.journal.note(&Json::object([
            ("event", Json::string("calm")),
            ("principal", Json::string(principal)),
            ("untold", Json::number(untold.into())),
            ("detail", Json::string("the client is within its limits again; so many of its messages were refused without a record")),
        ]));
    }

    /// A limit refused a call of a client; returns whether it is not listened to from now on.
    #[must_use]
    pub fn offend(&self, who: &Who<'_>) -> bool {
        self.doors.offend(who.key(&self.meter), self.now().steady_us)
    }

    /// How many clients are not listened to.
    #[must_use]
    pub fn shut(&self) -> usize {
        self.doors.shut(self.now().steady_us)
    }

    /// Writes budgets down, and learns what other gateways over the same state directory spent.
    pub fn write(&self) {
        if let Some(file) = &self.file {
            file.exchange(&self.meter, self.now());
        }
    }

    /// Writes budgets down from time to time, for ever.
    pub async fn keep(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(WRITE).await;
            let own = self.clone();
            // A slow disk, or another gateway that holds the file, must not hold up calls.
            if let Err(error) = tokio::task::spawn_blocking(move || own.write()).await {
                tracing::error!(%error, "budgets were not written down");
            }
        }
    }
}

/// The secret that gateways have in common that share their counts: what they all know anyway.
fn common(redis: &Redis) -> Seed {
    let password = redis.password.as_ref().map_or("", |password| password.expose());
    let text = Json::array(["bartizan counts", &redis.prefix, password].map(Json::string));
    let digest = Digest::of_bytes(text.bytes());
    Seed::new(std::array::from_fn(|at| digest.bytes().get(at).copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Imagined;

    #[test]
    fn the_door_tells_applications_certificates_and_nameless_programs_apart() {
        let meter = Meter::default();
        let key = |imagined: &Imagined, peer: Option<&str>| {
            let peer = peer.map(|peer| peer.parse().expect("an address"));
            Who::of(&imagined.clone().caller(), peer).key(&meter)
        };
        let user = |application: &str| Imagined {
            principal: "oauth:i#alice".to_owned(),
            application: Some(application.to_owned()),
            ..Imagined::default()
        };
        assert_ne!(key(&user("good"), None), key(&user("rogue"), None));
        assert_eq!(key(&user("good"), Some("192.0.2.1")), key(&user("good"), Some("192.0.2.2")), "an address is no way out");
        let mut bound = user("good");
        bound.strength.certificate = Some("dns:a".into());
        assert_ne!(key(&bound, None), key(&user("good"), None));
        let nameless = Imagined { principal: "anonymous:l".to_owned(), means: Some(Means::Anonymous), ..Imagined::default() };
        assert_ne!(key(&nameless, Some("192.0.2.1")), key(&nameless, Some("192.0.2.2")));
    }
}
