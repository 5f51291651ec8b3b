//! Calls that change the world, as they are recognised when they come again.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use crate::lock::Repeats;
use crate::wire::canonical::Digest;
use crate::wire::envelope::Outcome;
use crate::wire::json::{Json, View};
use crate::wire::version::Era;

use super::{Caller, Item, Means};

/// The member of a call's `_meta` with which a client says which calls are one and the same.
pub const KEY: &str = "io.github.bartizan-security/idempotency-key";

/// How long a client's key may be.
const LONGEST: usize = 255;

/// A call that changes something.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Under which it is remembered.
    pub key: Digest,
    /// What it does: server, tool, arguments.
    pub print: Digest,
    /// Whether the client gave the key.
    pub named: bool,
    /// Which calls that look the same are the same, where the client gave no key.
    pub repeats: Repeats,
    /// Whose it is.
    pub who: Arc<str>,
    /// `server/tool`.
    pub target: Arc<str>,
    /// The number of the call.
    pub call: u64,
    /// The session.
    pub session: Arc<str>,
    /// The id of the request within it.
    pub request: String,
    /// The form that an answer to it has.
    pub era: Era,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// A key that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

/// Where a call stands in a conversation.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// The number of the call.
    pub call: u64,
    /// The session.
    pub session: &'a Arc<str>,
    /// The id of the request within it.
    pub request: String,
    /// The form of its answer.
    pub era: Era,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

impl Deed {
    /// A call of a tool. `digest` is that of its arguments; `params` are all of its parameters.
    pub fn of(caller: &Caller, item: &Item, params: Option<&Json>, digest: &Digest, moment: Moment<'_>) -> Result<Self, BadKey> {
        let named = match params.and_then(|params| params.view().at(&["_meta", KEY])) {
            None => None,
            Some(key) => Some(key.as_str().filter(|key| !key.is_empty() && key.len() <= LONGEST).ok_or(BadKey)?),
        };
        let print = digest_of(&[&item.server, &item.pin.name, &digest.to_string()]);
        // The token's id changes when it is rotated, and what was done with it does not.
        let who = caller.label().map_or_else(|| caller.principal().clone(), |label| format!("token:{label}").into());
        // Whoever comes without a credential may be anybody: what one session did is no answer for another.
        let own = if caller.means() == Means::Anonymous { &**moment.session } else { "" };
        let key = match &named {
            Some(key) => digest_of(&["named", &who, own, key]),
            None => digest_of(&["derived", &who, own, &print.to_string()]),
        };
        Ok(Self {
            key,
            print,
            named: named.is_some(),
            repeats: item.pin.contract.once.unwrap_or_default(),
            who,
            target: format!("{}/{}", item.server, item.pin.name).into(),
            call: moment.call,
            session: moment.session.clone(),
            request: moment.request,
            era: moment.era,
            now_ms: moment.now_ms,
        })
    }
}

fn digest_of(parts: &[&str]) -> Digest {
    let mut bytes = Vec::with_capacity(256);
    for part in parts {
        bytes.extend_from_slice(&part.len().to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Digest::of_bytes(&bytes)
}

/// What is known of a call from earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// It was not made yet, and is claimed now; or its answer is known, and stands for it.
    Claimed,
    /// The same call is being made.
    Running(u64),
    /// It was made, and its answer was not kept.
    Unkept(u64),
    /// It went out, and no answer came.
    Ambiguous(u64),
    /// The client used the same key for something else.
    Other(u64),
    /// There is no room to remember another one.
    Full,
    /// What was done before cannot be read, or what is done now cannot be written down.
    Lost,
    /// The store in which several gateways remember it cannot be asked now.
    Away,
}

/// Who remembers what was done. Kept outside of the monitor; asked by the control `once` only.
pub trait Deeds: Debug + Send + Sync {
    /// Claims a call, so that the same call is not made beside it, or says what is known of it.
    fn claim(&self, deed: Deed) -> (Before, Option<Arc<dyn Claim>>);
}

/// A call that was claimed. Dropped before it leaves, it was not made; dropped after that, nobody knows.
pub trait Claim: Debug + Send + Sync {
    /// The call whose answer stands for it, where there is one, and that answer.
    fn replay(&self) -> Option<(u64, Json)>;
    /// From here on the server may have it.
    fn leaves(&self);
    /// It turned out that the server did not take it.
    fn spared(&self);
    /// What the server answered.
    fn answered(&self, answer: Answered, body: &Json);
}

/// What an answer says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It was carried out.
    Done,
    /// It was not: the server reports an error, or asks for something first.
    Not,
}

impl Answered {
    /// Reads an answer.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let Outcome::Result(body) = outcome else { return Self::Not };
        let view = body.view();
        let asks = view.get("resultType").and_then(View::as_str).is_some_and(|kind| kind == "input_required");
        let failed = view.get("isError").and_then(View::as_bool) == Some(true);
        if asks || failed { Self::Not } else { Self::Done }
    }
}

/// Remembers nothing: for cases that go nowhere.
#[derive(Debug)]
struct Nowhere;

impl Deeds for Nowhere {
    fn claim(&self, _: Deed) -> (Before, Option<Arc<dyn Claim>>) {
        (Before::Claimed, None)
    }
}

/// The way to what was done before, and what a call claimed of it.
#[derive(Debug, Clone)]
pub struct Once {
    deeds: Arc<dyn Deeds>,
    claim: OnceLock<Arc<dyn Claim>>,
}

impl Default for Once {
    fn default() -> Self {
        static NOWHERE: OnceLock<Arc<Nowhere>> = OnceLock::new();
        Self::with(NOWHERE.get_or_init(|| Arc::new(Nowhere)).clone())
    }
}

impl Once {
    /// Asks there.
    #[must_use]
    pub fn with(deeds: Arc<dyn Deeds>) -> Self {
        Self { deeds, claim: OnceLock::new() }
    }

    pub(crate) fn enter(&self, deed: Deed) -> Before {
        let (before, claim) = self.deeds.claim(deed);
        // A case is judged once; a claim that comes too late is dropped, and with it the second call.
        if let Some(Err(_)) = claim.map(|claim| self.claim.set(claim)) {
            return Before::Full;
        }
        before
    }

    /// What was claimed; nothing for calls that only look.
    #[must_use]
    pub fn claim(&self) -> Option<&Arc<dyn Claim>> {
        self.claim.get()
    }
}
