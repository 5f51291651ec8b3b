//! A server, whoever talks to it.

use std::path::PathBuf;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{UPSTREAM_CANCELLED, UPSTREAM_ERA, UPSTREAM_INVALID, UPSTREAM_UNREACHABLE};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::version::Version;

use super::circuit::Breaker;
use super::desk::Desk;
use super::{Link, Pipe, dial, shelf, stdio};
use crate::artefact::Gate;
use crate::config::{Limits, Network, ServerSettings};
use crate::secrets::{Blinds, Keeper, Logins};
use crate::share::Shares;

/// A configured server and what is known about it across all links.
#[derive(Debug)]
pub struct Server {
    /// Its configuration.
    pub settings: Arc<ServerSettings>,
    /// How large one of its messages may be.
    pub message_bytes: usize,
    /// Through which it goes before it starts.
    pub(super) gate: Gate,
    pub(super) modern: AtomicU8,
    /// Its processes, by the principal for whom they run.
    pub(super) children: Arc<Shares<Arc<str>>>,
    /// A process that was only asked whether it speaks the modern era, and does not.
    pub(super) spare: Mutex<Option<(Pipe, Arc<Desk>)>>,
    pub(super) http: dial::Client,
    pub(super) backoff: stdio::Backoff,
    /// Where its secrets come from.
    pub(super) keeper: Arc<Keeper>,
    /// Its access tokens.
    pub(super) logins: Logins,
    /// Its secrets, which its own words must not carry anywhere.
    pub(super) blinds: Blinds,
    /// What its lists say to most.
    pub(super) common: shelf::Common,
    pub(super) circuit: Breaker,
    links: Mutex<Vec<Weak<Link>>>,
    record: OnceLock<Arc<dyn Record>>,
    confined: Mutex<Option<Arc<Confined>>>,
}

/// Where it is written down how servers were confined, and where they connected to.
pub trait Record: Send + Sync + std::fmt::Debug {
    /// Writes something down that is not a call.
    fn note(&self, members: &Json);
}

/// How a server was actually confined when it was started last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confined {
    /// What its confinement was made for: `node`, `python`, `binary`, `image`, or why there is none.
    pub preset: &'static str,
    /// `native`, `container`, `landlock` or `none`.
    pub level: &'static str,
    /// Its layers: name, whether it holds, and what is missing.
    pub layers: Vec<(String, &'static str, String)>,
    /// Places that its command names and that it has no access to.
    pub unseen: Vec<PathBuf>,
}

impl Confined {
    /// A server that is not confined, and why.
    pub(super) const fn not(why: &'static str) -> Self {
        Self { preset: why, level: "none", layers: Vec::new(), unseen: Vec::new() }
    }

    /// What its command names and it has no access to, and how that is granted; nothing when there is nothing.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let unseen: Vec<String> = self.unseen.iter().map(|path| format!("{:?}", path.display().to_string())).collect();
        let grant = "grant it with `--read` or `--write`, or in the server's `confine`";
        (!unseen.is_empty())
            .then(|| format!("it is confined, and its command names {}, to which it has no access; {grant}", unseen.join(", ")))
    }

    /// The layers that do not hold as they should.
    #[must_use]
    pub fn missing(&self) -> String {
        let missing = self.layers.iter().filter(|layer| layer.1 != "enforced");
        missing.map(|(name, state, detail)| format!("{name} {state}: {detail}")).collect::<Vec<_>>().join("; ")
    }
}

/// How a server is, as far as the gateway has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nobody talks to it.
    Idle,
    /// Somebody does, and it is there.
    Running,
    /// It ended soon after its last start, or could not be started: the next start is paused.
    Failing,
    /// It could not be reached again and again: it is left alone for a while.
    Closed,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Running, Self::Failing, Self::Closed];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Failing => "failing",
            Self::Closed => "closed",
        }
    }
}

pub(super) const UNKNOWN: u8 = 0;
pub(super) const NO: u8 = 2;

impl Server {
    /// A server that nobody has talked to yet.
    #[must_use]
    pub fn new(settings: Arc<ServerSettings>, limits: &Limits, gate: Gate, keeper: Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            message_bytes: limits.message_bytes,
            gate,
            modern: AtomicU8::new(UNKNOWN),
            children: Shares::new(limits.children_per_server, limits.children_per_principal),
            spare: Mutex::default(),
            http: dial::client(Network::Any),
            backoff: stdio::Backoff::default(),
            keeper,
            logins: Logins::default(),
            blinds: Blinds::default(),
            common: shelf::Common::default(),
            circuit: Breaker::new(limits),
            links: Mutex::default(),
            record: OnceLock::new(),
            confined: Mutex::default(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Writes down from now on what concerns no call.
    pub fn record_with(&self, record: Arc<dyn Record>) {
        // It is said once, before the server is used.
        let _ = self.record.set(record);
    }

    pub(super) fn note(&self, members: &Json) {
        if let Some(record) = self.record.get() {
            record.note(members);
        }
    }

    /// How it was confined when it was started last.
    #[must_use]
    pub fn confined(&self) -> Option<Arc<Confined>> {
        self.confined.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_confined(&self, confined: Confined) {
        let layer = |(name, state, detail): &(String, &str, String)| {
            let text = if detail.is_empty() { (*state).to_owned() } else { format!("{state}: {detail}") };
            (name.clone(), Json::string(&text))
        };
        let layers: Vec<(String, Json)> = confined.layers.iter().map(layer).collect();
        self.note(&Json::object([
            ("event", Json::string("confined")),
            ("server", Json::string(self.name())),
            ("level", Json::string(confined.level)),
            ("preset", Json::string(confined.preset)),
            ("layers", Json::object(layers.iter().map(|(name, text)| (name.as_str(), text.clone())))),
        ]));
        if let Some(hint) = confined.hint() {
            let hint = self.blinds.cover(hint);
            tracing::warn!(server = %self.name(), "{hint}");
        }
        *self.confined.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(confined));
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        if self.circuit.is_open() {
            Health::Closed
        } else if !self.links().is_empty() {
            Health::Running
        } else if self.backoff.is_failing() {
            Health::Failing
        } else {
            Health::Idle
        }
    }

    /// The links to it that are open.
    #[must_use]
    pub fn links(&self) -> Vec<Arc<Link>> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.iter().filter_map(Weak::upgrade).filter(|link| link.is_alive()).collect()
    }

    pub(super) fn linked(&self, link: &Arc<Link>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    pub(super) fn spare(&self) -> Option<(Pipe, Arc<Desk>)> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn legacy_only(&self) -> Refusal {
        Refusal::new(UPSTREAM_ERA, format!("{} does not speak {}", self.name(), Version::NEWEST))
    }

    /// What runs in a conversation that the gateway ended is given up; that says nothing about the server.
    pub(super) fn over(&self) -> Refusal {
        Refusal::new(UPSTREAM_CANCELLED, format!("{}: the conversation with it is over", self.name()))
    }

    pub(crate) fn unreachable(&self, detail: impl std::fmt::Display) -> Refusal {
        let hint = self.confined().and_then(|confined| confined.hint()).map(|hint| format!("; {hint}")).unwrap_or_default();
        Refusal::new(UPSTREAM_UNREACHABLE, self.blinds.cover(format!("{}: {detail}{hint}", self.name())))
    }

    pub(crate) fn invalid(&self, detail: impl std::fmt::Display) -> Refusal {
        Refusal::new(UPSTREAM_INVALID, self.blinds.cover(format!("{}: {detail}", self.name())))
    }
}
