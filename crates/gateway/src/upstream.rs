//! Servers behind the gateway, and the links to them.
//!
//! [`Link::send`] takes a [`Recorded`] and nothing else: the proof that the monitor judged the call
//! and that the decision is in the journal. What the gateway asks on its own account is a
//! [`Probe`], a closed list that cannot carry a client's data.

mod circuit;
mod confine;
mod credentials;
mod desk;
mod dial;
mod egress;
mod encode;
mod fetch;
mod http;
mod learn;
mod open;
mod patience;
mod probe;
mod server;
mod shelf;
mod stdio;
mod survey;

pub use confine::profile;
pub(crate) use dial::{Line, Way, line_after};
pub use fetch::{Ask, Fetcher, Form};
pub use probe::{Capabilities, Level, Probe, Watch, identity};
pub use server::{Confined, Health, Record, Server};
pub use survey::{Surveyed, survey};

use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::case::{Answered, Claim, Target};
use bartizan_monitor::catalog::{Menu, Offer};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::UPSTREAM_TIMEOUT;
use bartizan_monitor::stages::{Answer, Recorded};
use bartizan_monitor::wire::envelope::{Id, Message, Outcome};
use bartizan_monitor::wire::json::{Edits, Json};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::{Era, Version};

use crate::secrets::{Source, Speaker};
use circuit::Trying;
use desk::{Desk, Slot, Waits};
use encode::{encode, request};

/// Who hears what a server says before, beside and instead of an answer.
pub trait Listener: Send + Sync {
    /// Something the server says on its own: in the course of `call`, or outside of any.
    fn hear(&self, link: &Arc<Link>, call: Option<&Recorded>, message: Message);

    /// Something the server said that fits nothing: it is dropped, and this is the reason.
    fn stray(&self, link: &Link, refusal: &Refusal);

    /// The stream of the call says how it will go on.
    fn pulse(&self, pulse: Pulse);

    /// The server's lists were read.
    fn offered(&self, _link: &Link, _offer: &Offer) {}
}

/// Signs of life on the stream of a call (SSE polling, 2025-11-25).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// The server primed the stream for resumption, and says how long to wait before that.
    Primed {
        /// Milliseconds, when the server gave them.
        retry_ms: Option<u64>,
    },
    /// The server hung up and expects the stream to be resumed.
    HungUp,
}

/// How a link is opened.
#[derive(Debug, Clone)]
pub enum Hello {
    /// `initialize`, on behalf of a client that speaks this version and can do this.
    Legacy(Version, Capabilities),
    /// `server/discover`.
    Modern,
}

impl Hello {
    const fn era(&self) -> Era {
        match self {
            Self::Legacy(..) => Era::Legacy,
            Self::Modern => Era::Modern,
        }
    }
}

/// For whom a link is opened.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The principal, or what stands for the gateway itself.
    pub principal: Arc<str>,
    /// On whose behalf the server is spoken to.
    pub speaker: Speaker,
}

impl Holder {
    /// A caller, whose token is found here when it has one.
    #[must_use]
    pub fn caller(principal: &Arc<str>, source: Source) -> Self {
        Self { principal: principal.clone(), speaker: Speaker::Caller(source) }
    }
}

/// A request on its way to a server.
#[derive(Clone, Copy)]
struct Outgoing<'a> {
    method: Method,
    params: Option<&'a Json>,
    /// Arguments that HTTP headers must mirror: header and value.
    declared: &'a [(String, String)],
}

/// Who hears what the server says before it answers.
#[derive(Clone, Copy)]
struct Hearing<'a> {
    link: &'a Arc<Link>,
    recorded: Option<&'a Recorded>,
    ear: &'a dyn Listener,
}

impl Hearing<'_> {
    /// What was claimed of a call that must not be made twice: told when the server may have it.
    fn claim(&self) -> Option<&Arc<dyn Claim>> {
        self.recorded?.case().facts().once.claim()
    }
}

#[derive(Debug)]
enum Pipe {
    Stdio(stdio::Pipe),
    Http(http::Pipe),
}

impl Pipe {
    async fn is_current(&self) -> bool {
        match self {
            Self::Stdio(pipe) => pipe.is_current().await,
            Self::Http(_) => true,
        }
    }
}

/// A conversation with one server, in one era, on behalf of one session or principal.
pub struct Link {
    server: Arc<Server>,
    era: Era,
    version: Version,
    pipe: Pipe,
    desk: Arc<Desk>,
    hello: Json,
    shelf: shelf::Shelf,
    listener: Arc<dyn Listener>,
    patience: patience::Patience,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({}, {})", self.server.name(), self.version)
    }
}

impl Link {
    /// The server it leads to.
    #[must_use]
    pub const fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The era it is spoken in.
    #[must_use]
    pub const fn era(&self) -> Era {
        self.era
    }

    /// The version it is spoken in.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What the server said of itself: the result of `initialize` or `server/discover`.
    #[must_use]
    pub const fn hello(&self) -> &Json {
        &self.hello
    }

    /// Whether all calls share one pipe, on which nothing but an id says what belongs to which.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.pipe, Pipe::Stdio(_))
    }

    /// Whether the server is still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.pipe {
            Pipe::Stdio(pipe) => pipe.is_alive(),
            Pipe::Http(pipe) => pipe.is_alive(),
        }
    }

    /// Whether the server still is shown what would be shown to a new one. What changes for one over HTTP goes with the
    /// next request; a process has one environment from its start to its end.
    pub async fn is_current(&self) -> bool {
        self.pipe.is_current().await
    }

    /// Ends the conversation.
    pub async fn end(&self) {
        match &self.pipe {
            Pipe::Stdio(pipe) => pipe.end(),
            Pipe::Http(pipe) => pipe.end().await,
        }
    }

    /// What the server offers now, no older than `age`.
    pub async fn offer(&self, age: Duration) -> Result<Arc<Offer>, Refusal> {
        self.shelf.offer(self, age).await
    }

    /// The server says that its lists changed: what is known of them is stale.
    pub fn stale(&self) {
        self.shelf.stale();
    }

    /// The same as a menu for the catalogue.
    pub async fn menu(&self, age: Duration) -> Menu {
        Menu { server: self.server.name().clone(), offer: self.offer(age).await }
    }

    /// Sends a call that was judged and recorded, and waits for its answer, or until somebody ends it
    /// and says why.
    pub async fn send(
        self: &Arc<Self>,
        recorded: Recorded,
        ear: &dyn Listener,
        ended: impl Future<Output = Refusal>,
    ) -> Result<Answer, Refusal> {
        let attempt = match self.server.attempt(recorded.case().caller().principal(), Trying::Call) {
            Ok(attempt) => attempt,
            Err(refusal) => return Err(recorded.failed(refusal)),
        };
        // From here on it is made: what it takes of limits is spent.
        recorded.case().facts().tally.keep();
        // Who gave the call up comes first: what becomes of a conversation that is over says nothing about the server.
        let outcome = tokio::select! {
            // What was ended before it was sent is not sent.
            biased;
            refusal = ended => Err(refusal),
            outcome = self.converse(&recorded, ear) => outcome,
        };
        attempt.ended(outcome.as_ref().err());
        if let (Ok(outcome), Some(claim)) = (&outcome, recorded.case().facts().once.claim()) {
            let (Outcome::Result(body) | Outcome::Error(body)) = outcome;
            claim.answered(Answered::of(outcome), body);
        }
        match outcome {
            Ok(outcome) => Ok(recorded.answered(outcome)),
            Err(refusal) => Err(recorded.failed(refusal)),
        }
    }

    async fn converse(self: &Arc<Self>, recorded: &Recorded, ear: &dyn Listener) -> Result<Outcome, Refusal> {
        let Message::Request { method, params, .. } = recorded.case().message() else {
            return Err(self.server.invalid("not a request"));
        };
        let slot = self.desk.take(Waits::Client, params.as_ref().and_then(progress_token));
        let params = params.as_ref().map(|params| self.with_own_token(params, slot.id()));
        let declared = declared_headers(recorded);
        let timeout = self.patience(recorded);
        let outgoing = Outgoing { method: *method, params: params.as_ref(), declared: &declared };
        let hearing = Hearing { link: self, recorded: Some(recorded), ear };
        match tokio::time::timeout(timeout, self.exchange(outgoing, slot, hearing)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Refusal::new(UPSTREAM_TIMEOUT, format!("{}: no answer within {} s", self.server.name(), timeout.as_secs()))),
        }
    }

    /// How long a call may take: what its entry in the lock file says, else what its server's configuration says.
    fn patience(&self, recorded: &Recorded) -> Duration {
        let own = recorded.case().item().and_then(|item| item.pin.contract.limits.timeout_seconds);
        own.map_or(self.server.settings.timeout, |seconds| Duration::from_secs(seconds.into()))
    }

    /// On a shared pipe two clients' progress tokens could be the same: the number of the call takes
    /// their place there, and the desk puts them back.
    fn with_own_token(&self, params: &Json, id: u64) -> Json {
        let Some(token) = params.view().at(&["_meta", "progressToken"]).filter(|_| matches!(self.pipe, Pipe::Stdio(_))) else {
            return params.clone();
        };
        let mut edits = Edits::of(params);
        edits.replace(token, &Json::number(id));
        edits.apply()
    }

    async fn exchange(self: &Arc<Self>, outgoing: Outgoing<'_>, slot: Slot, hearing: Hearing<'_>) -> Result<Outcome, Refusal> {
        match &self.pipe {
            Pipe::Stdio(pipe) => pipe.exchange(outgoing, slot, hearing).await,
            Pipe::Http(pipe) => pipe.exchange(outgoing, slot, hearing).await,
        }
    }

    /// Asks the server to tell what changes, until it has no more to say. What it tells goes to `ear`.
    pub async fn subscribe(self: &Arc<Self>, probe: &Probe, ear: &dyn Listener) -> Result<Outcome, Refusal> {
        let params = probe.params(self.era);
        let outgoing = Outgoing { method: probe.method(), params: params.as_ref(), declared: &[] };
        self.exchange(outgoing, self.desk.take(Waits::Client, None), Hearing { link: self, recorded: None, ear }).await
    }

    /// Answers a request that the server made of the client.
    pub async fn reply(&self, recorded: Recorded, id: &Id) -> Result<(), Refusal> {
        let Message::Response { outcome, .. } = recorded.case().message() else {
            return Err(recorded.failed(self.server.invalid("not an answer")));
        };
        match self.pass(&Message::Response { id: id.clone(), outcome: outcome.clone() }).await {
            Ok(()) => {
                recorded.sent();
                Ok(())
            }
            Err(refusal) => Err(recorded.failed(refusal)),
        }
    }

    async fn pass(&self, message: &Message) -> Result<(), Refusal> {
        let text = encode(message);
        let passed = async {
            match &self.pipe {
                Pipe::Stdio(pipe) => pipe.write(&text).await,
                Pipe::Http(pipe) => pipe.pass(self, &text, message).await,
            }
        };
        let timeout = self.server.settings.timeout;
        let late = |_| Err(Refusal::new(UPSTREAM_TIMEOUT, format!("{}: it does not take what it is told", self.server.name())));
        tokio::time::timeout(timeout, passed).await.unwrap_or_else(late)
    }

    /// Asks the server something on the gateway's own account.
    pub async fn probe(&self, probe: &Probe) -> Result<Outcome, Refusal> {
        self.ask(probe, self.server.settings.timeout).await
    }

    async fn ask(&self, probe: &Probe, timeout: Duration) -> Result<Outcome, Refusal> {
        let slot = self.desk.take(Waits::Gateway, None);
        let params = probe.params(self.era);
        let asked = async {
            match &self.pipe {
                Pipe::Stdio(pipe) => pipe.ask(probe.method(), params.as_ref(), slot).await,
                Pipe::Http(pipe) => pipe.ask(probe.method(), params.as_ref(), slot).await,
            }
        };
        match tokio::time::timeout(timeout, asked).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Refusal::new(UPSTREAM_TIMEOUT, format!("{}: no answer to {}", self.server.name(), probe.method()))),
        }
    }

    /// Tells the server something on the gateway's own account.
    pub async fn tell(&self, probe: &Probe) -> Result<(), Refusal> {
        self.pass(&Message::Notification { method: probe.method(), params: probe.params(self.era) }).await
    }
}

fn progress_token(params: &Json) -> Option<Json> {
    params.view().at(&["_meta", "progressToken"]).map(|token| params.share(token))
}

/// The arguments that HTTP headers must mirror, as the pinned definition says.
fn declared_headers(recorded: &Recorded) -> Vec<(String, String)> {
    let (Target::Item(item), Some(arguments)) = (recorded.case().target(), recorded.case().arguments()) else { return Vec::new() };
    let value = |property: &str| {
        arguments
            .get(property)
            .filter(|value| !value.is_null())
            .map(|value| value.as_str().map_or_else(|| value.text().to_owned(), std::borrow::Cow::into_owned))
    };
    item.pin.mirrored.iter().filter_map(|(header, property)| Some((header.clone(), value(property)?))).collect()
}
