//! What the operator decides of a definition beside its effect class. Edited by hand, in review.

use bartizan_format::media;

use crate::case::Kind;
use crate::wire::canonical::Digest;
use crate::wire::json::{Json, Kind as JsonKind, Pointer, View};

use super::formats::Named;

/// What the operator decided. What is absent is as the configuration has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contract {
    /// Who answers for it. Policy sees it.
    pub owner: Option<String>,
    /// Where it acts, for example `production`. Policy sees it.
    pub environment: Option<String>,
    /// What kind of content comes back. Policy sees it; without it, content is untrusted.
    pub returns: Option<Returns>,
    /// Whether data can leave through it.
    pub egress: Option<bool>,
    /// When a person is asked before a call.
    pub confirm: Option<Confirm>,
    /// Which arguments make the tool say what it would do, and do nothing: a JSON object.
    pub preview: Option<Json>,
    /// Which calls without an idempotency key are one and the same.
    pub once: Option<Repeats>,
    /// How much and how long.
    pub limits: Limits,
    /// What arguments must satisfy beside the tool's own schema.
    pub arguments: Option<Constraint>,
    /// What some values of the arguments are.
    pub formats: Vec<Named>,
    /// What stays of the answer, when not all of it does.
    pub project: Vec<Pointer>,
    /// Which bytes may come back, by media type, when it is not as the configuration has it.
    pub binary: Option<Vec<String>>,
    /// For the next reviewer, who is shown it.
    pub notes: Option<String>,
}

/// What kind of content a call brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Returns {
    /// Anybody may know it, and the operator vouches for its author.
    Public,
    /// Not everybody may know it.
    Private,
    /// Anybody may have written it.
    Untrusted,
}

impl Returns {
    /// The name in files and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Untrusted => "untrusted",
        }
    }
}

/// When a person is asked. In order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// Not on account of this entry. No answer for what destroys.
    Never,
    /// Before the first call of a session.
    Session,
    /// Before every call.
    Always,
}

impl Confirm {
    /// The name in files and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Session => "session",
            Self::Always => "always",
        }
    }
}

/// Which calls that look the same are the same one, where the client gives no idempotency key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeats {
    /// While the first runs or is ambiguous; afterwards what looks like a retry: from another session, or the same request.
    #[default]
    Retry,
    /// Also any other within the window.
    Window,
    /// None: only calls with a key are told apart.
    Key,
}

impl Repeats {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Window => "window",
            Self::Key => "key",
        }
    }
}

/// Limits of one definition. Each takes the place of the configuration's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls per minute and session.
    pub calls_per_minute: Option<u32>,
    /// Seconds to wait for an answer.
    pub timeout_seconds: Option<u32>,
    /// Bytes of JSON in one answer.
    pub result_bytes: Option<usize>,
    /// What one call takes of a budget of `cost`; one unit when nothing is said.
    pub cost: Option<u32>,
}

/// A JSON Schema, known by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// The schema.
    pub schema: Json,
    /// SHA-256 of its canonical form.
    pub digest: Digest,
}

impl Constraint {
    /// Takes a schema; it must be an object.
    pub fn read(schema: Json) -> Result<Self, ContractError> {
        if schema.view().kind() != JsonKind::Object {
            return Err(ContractError("arguments: a schema is a JSON object".to_owned()));
        }
        Ok(Self { digest: Digest::of_json(&schema), schema })
    }
}

/// A contract that cannot be kept, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ContractError(pub(super) String);

/// How many calls a minute may hold: one a microsecond, the resolution of the count.
const MOST_CALLS: u32 = 60_000_000;
/// The longest that a call may take.
const MOST_SECONDS: u32 = 3600;

impl Contract {
    /// Refuses what could not be enforced: a limit of nothing, a field that says nothing of this kind.
    pub(super) fn check(&self, kind: Kind) -> Result<(), ContractError> {
        let bad = |what: &str| Err(ContractError(what.to_owned()));
        let Limits { calls_per_minute, timeout_seconds, result_bytes, cost: _ } = self.limits;
        if calls_per_minute.is_some_and(|calls| !(1..=MOST_CALLS).contains(&calls)) {
            return bad("limits.calls_per_minute is 1 to 60000000");
        }
        if timeout_seconds.is_some_and(|seconds| !(1..=MOST_SECONDS).contains(&seconds)) {
            return bad("limits.timeout_seconds is 1 to 3600");
        }
        if result_bytes == Some(0) {
            return bad("limits.result_bytes is at least 1");
        }
        let called = self.limits != Limits::default() || self.returns.is_some() || self.environment.is_some();
        if called && matches!(kind, Kind::Instructions | Kind::Server) {
            return bad("environment, returns and limits are for what is called");
        }
        if self.egress.is_some() && !matches!(kind, Kind::Tool | Kind::Template) {
            return bad("egress is for tools and templates");
        }
        if kind != Kind::Tool && (self.confirm.is_some() || self.once.is_some() || self.arguments.is_some() || self.preview.is_some()) {
            return bad("confirm, once, arguments and preview are for tools");
        }
        // A whole member in the place of the caller's would try another call than the one that is asked about.
        let plain = |(_, value): (_, View<'_>)| !matches!(value.kind(), JsonKind::Object | JsonKind::Array);
        if self.preview.as_ref().map(Json::view).is_some_and(|preview| preview.members().next().is_none() || !preview.members().all(plain))
        {
            return bad(
                "preview: a JSON object with the arguments, texts, numbers or truth values, that make the tool only say what it would do",
            );
        }
        if kind != Kind::Tool && !self.project.is_empty() {
            return bad("project is for tools");
        }
        if self.binary.is_some() && matches!(kind, Kind::Instructions | Kind::Server) {
            return bad("binary is for what is called");
        }
        let strange = |name: &String| media::name(name).as_ref() != Some(name);
        if self.binary.iter().flatten().any(strange) {
            return bad("binary: media types in their registered spelling, as in \"image/png\"");
        }
        if !matches!(kind, Kind::Tool | Kind::Prompt) && !self.formats.is_empty() {
            return bad("formats are for tools and prompts");
        }
        Ok(())
    }

    /// What kind of content comes back, as policy sees it.
    #[must_use]
    pub fn returns(&self) -> Returns {
        self.returns.unwrap_or(Returns::Untrusted)
    }
}
