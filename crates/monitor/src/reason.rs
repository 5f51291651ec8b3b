//! Reason codes: the stable, documented answer to *why not*.
//!
//! A code is `area.word`. Codes are API: users script against them, so one is never renamed or
//! removed (`docs/reasons.lock` is the snapshot that a test compares with). Each is declared once,
//! beside the code that decides it, together with everything that is ever said about it.

use std::fmt;

use crate::wire::json::Json;

/// What kind of *no* a reason is. `wire::refusal` alone turns a class into numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The bytes are not strict JSON.
    NotJson,
    /// JSON, but not a message this protocol knows.
    Invalid,
    /// Parameters that the method does not take.
    Params,
    /// HTTP headers and body say different things.
    HeaderMismatch,
    /// A protocol version that is not spoken here.
    Version,
    /// A method that is not known, or not in this protocol version.
    Method,
    /// The client lacks a capability that the call needs.
    Capability,
    /// No credential, or one that does not hold.
    Unauthenticated,
    /// The request came from a place that may not ask (`Origin`, `Host`).
    Origin,
    /// A session that does not exist, or not for this caller.
    Session,
    /// HTTP method, path or media type that has no meaning here; carries its HTTP status.
    Http(u16),
    /// A target that does not exist, or is not visible: the same words for both.
    Unknown,
    /// The target is known, and the answer is no.
    Denied,
    /// Too often or too much; trying later can help.
    Limit,
    /// More bytes than are taken.
    TooLarge,
    /// The server behind the gateway failed.
    Upstream,
    /// The server behind the gateway did not answer in time.
    Timeout,
    /// The gateway itself failed.
    Fault,
    /// The gateway is shutting down.
    Draining,
}

/// Everything that is said about one reason.
#[derive(Debug)]
pub struct Page {
    /// The stable code, `area.word`.
    pub code: &'static str,
    /// What kind of no it is.
    pub class: Class,
    /// The sentence for the caller, usually a model: fixed, never built from a request or a reply.
    pub hint: &'static str,
    /// For people: what it means and why the rule exists.
    pub meaning: &'static str,
    /// For people: what to do about it.
    pub remedy: &'static str,
}

/// A handle to a [`Page`]; compares by code.
#[derive(Clone, Copy)]
pub struct Reason(&'static Page);

impl Reason {
    /// Declares a reason. Called in `static`/`const` items only, one per code.
    #[must_use]
    pub const fn declare(page: &'static Page) -> Self {
        Self(page)
    }

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.0.code
    }

    /// The part before the dot: which control or area decided.
    #[must_use]
    pub fn area(self) -> &'static str {
        self.0.code.split_once('.').map_or(self.0.code, |(area, _)| area)
    }

    /// What kind of no it is.
    #[must_use]
    pub const fn class(self) -> Class {
        self.0.class
    }

    /// The whole page.
    #[must_use]
    pub const fn page(self) -> &'static Page {
        self.0
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
    }
}
impl Eq for Reason {}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

/// Declares reasons and the list `REASONS` of a module.
///
/// `NAME = "code", Class, "hint", "meaning", "remedy";`
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $class:expr, $hint:literal, $meaning:literal, $remedy:literal;)+) => {
        $(
            #[doc = $meaning]
            $(#[$doc])*
            pub const $name: $crate::reason::Reason = $crate::reason::Reason::declare(&$crate::reason::Page {
                code: $code, class: $class, hint: $hint, meaning: $meaning, remedy: $remedy,
            });
        )+
        /// Every reason that this module can give.
        pub const REASONS: &[$crate::reason::Reason] = &[$($name),+];
    };
}
pub(crate) use reasons;

/// A *no*: why, who said it, and what only the operator may read.
///
/// The caller sees the reason's code and its fixed hint; `detail` goes to the journal and the log.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The stable reason.
    pub reason: Reason,
    /// For the operator only. May name what was asked for; never a secret.
    pub detail: String,
    /// When trying again may succeed, for limits.
    pub retry_after_ms: Option<u64>,
    /// A member of the error's data that the specification asks for: the caller's own word, or scopes.
    pub echo: Option<Box<(&'static str, Json)>>,
    /// Whether the caller is told that there is no such thing. The record still says why.
    pub veiled: bool,
    /// The rules that say so, for the record only, where the operator wrote rules.
    pub rules: Option<Box<Json>>,
}

impl Refusal {
    /// A refusal with the operator's detail.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), retry_after_ms: None, echo: None, veiled: false, rules: None }
    }

    /// Repeats a word of the caller, or names scopes, where the specification asks for it.
    #[must_use]
    pub fn echo(mut self, member: &'static str, word: Json) -> Self {
        self.echo = Some(Box::new((member, word)));
        self
    }

    /// The same to the record, and to the caller what is said of something that does not exist; `uri` is the
    /// one that was asked for.
    #[must_use]
    pub fn veiled(mut self, uri: Option<Json>) -> Self {
        (self.veiled, self.retry_after_ms) = (true, None);
        self.echo = uri.map(|uri| Box::new(("uri", uri)));
        self
    }

    /// Names the rules that say so.
    #[must_use]
    pub fn by(mut self, rules: Option<Json>) -> Self {
        self.rules = rules.map(Box::new);
        self
    }

    /// Says when trying again may succeed.
    #[must_use]
    pub fn retry_after(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }
}

pub mod kept;

/// Reasons that the gateway gives for its own effects. Declared here because a reason is part of
/// the decision's vocabulary, and the list must be complete in one place.
pub mod gateway {
    use super::Class;
    reasons! {
        IDENTITY_MISSING = "identity.missing", Class::Unauthenticated,
            "This gateway needs a credential.",
            "The request carried no credential. Over HTTP nobody is anonymous, unless `listen.anonymous` lets programs of this machine in.",
            "Issue one with `bartizan token issue --label NAME` and send it as `Authorization: Bearer …`.";
        IDENTITY_INVALID = "identity.invalid", Class::Unauthenticated,
            "The credential is not valid.",
            "The credential is malformed, unknown, or was sent more than once or in the wrong place.",
            "Check the client's configuration; `bartizan token list` shows which credentials exist.";
        IDENTITY_EXPIRED = "identity.expired", Class::Unauthenticated,
            "The credential has expired.",
            "Credentials expire so that a leaked one does not work for ever.",
            "Issue a new one with `bartizan token issue`.";
        IDENTITY_REVOKED = "identity.revoked", Class::Unauthenticated,
            "The credential was revoked.",
            "An operator revoked the credential. Revocation works on the next message, in running sessions too.",
            "Ask the operator for a new credential.";
        IDENTITY_ALGORITHM = "identity.algorithm", Class::Unauthenticated,
            "The credential is not valid.",
            "The access token is signed with an algorithm that is not allowed for its issuer. `none` and the HMAC family are never allowed, because they prove nothing here.",
            "Let the issuer sign with one of `oauth.issuer.algorithms`, or allow its algorithm there.";
        IDENTITY_AUDIENCE = "identity.audience", Class::Unauthenticated,
            "The credential was issued for something else.",
            "The access token does not name this gateway as its audience. A token that was issued for another service is not taken, because that service could replay it here.",
            "Let the client ask its issuer for a token with `resource` set to `oauth.resource`, exactly as it is configured.";
        IDENTITY_ISSUER = "identity.issuer", Class::Unauthenticated,
            "The credential comes from somebody who is not trusted here.",
            "The access token names an issuer that is not configured, or none at all.",
            "Add the issuer as `[[oauth.issuer]]`, exactly as it writes itself, or let the client use one that is configured.";
        IDENTITY_SCOPE = "identity.scope", Class::Http(403),
            "The credential is not good for this. Ask for the scopes that the answer names.",
            "The access token is valid and lacks a scope. The answer's `WWW-Authenticate` names all scopes that the operation needs.",
            "The client asks its issuer for these scopes. If the issuer does not give them, change its grants, or `[oauth.scopes]`.";
        IDENTITY_CERTIFICATE = "identity.certificate", Class::Unauthenticated,
            "The client certificate belongs to nobody who is known here.",
            "The connection's certificate is not good, or names nobody, somebody who is not configured, or two clients at once. It never falls back to another credential.",
            "The log says what it names. Add that as `[[clients]]`, or let the client send a token beside its certificate.";
        IDENTITY_BINDING = "identity.binding", Class::Unauthenticated,
            "The credential is bound to a certificate that this connection does not have.",
            "The access token says in `cnf` which key its bearer must have (RFC 8705), and whoever sent it did not prove to have it. It may be stolen.",
            "Let the client use the certificate that it got the token with; its requests must reach the gateway's own TLS, not a proxy's.";
        IDENTITY_CLEARTEXT = "identity.cleartext", Class::Http(403),
            "Use https. Replace the credential if one was sent.",
            "The proxy says that the client came without TLS, so that everybody on the way could read the credential.",
            "Let the proxy take https only.";
        IDENTITY_LOGIN = "identity.login", Class::Http(401),
            "This needs a fresh or stronger login at the issuer. The answer says which.",
            "A rule with `@stepup` would allow the call after a fresh login, or one with a second factor. The answer's `WWW-Authenticate` is a challenge as in RFC 9470.",
            "Clients that know the challenge send the user to the issuer and try again. Others: log in again as the rule wants it.";
        IDENTITY_UNAVAILABLE = "identity.unavailable", Class::Http(503),
            "The credential cannot be verified at the moment. Try again later.",
            "The issuer's keys or its introspection endpoint could not be reached, or answered something else. What cannot be verified is not taken.",
            "The log says what went wrong. Check that the issuer is up, and that the gateway may reach it; private addresses need `dangerous.private_issuers`.";
        SESSION_UNKNOWN = "session.unknown", Class::Session,
            "No such session. Initialize again.",
            "The session does not exist, has ended, or belongs to another principal; the answer is the same for all three.",
            "Clients start a new session by themselves; if this repeats, look for two clients sharing a session id.";
        SESSION_LIMIT = "session.limit", Class::Limit,
            "Too many open sessions.",
            "The principal, or the gateway, has as many open sessions as it may have.",
            "End sessions that are not used, or raise `limits.sessions`.";
        UPSTREAM_UNREACHABLE = "upstream.unreachable", Class::Upstream,
            "The server behind this tool cannot be reached.",
            "The server did not start, closed the connection, or refused it.",
            "`bartizan log` has the server's own words; `bartizan check` tries it.";
        UPSTREAM_INVALID = "upstream.invalid", Class::Upstream,
            "The server's answer was not understood.",
            "The server answered something that is not a strict protocol message. It is not passed on.",
            "Report it to the server's author; the journal says what was wrong with it.";
        UPSTREAM_TIMEOUT = "upstream.timeout", Class::Timeout,
            "The server did not answer in time. The call may still have had its effect.",
            "The call's deadline passed. For a write the effect is unknown: look before trying again.",
            "Raise `timeout` of this server if its calls are legitimately slow.";
        UPSTREAM_TOO_LARGE = "upstream.too-large", Class::Upstream,
            "The server's answer was too large.",
            "The server sent more bytes in one message than the gateway takes.",
            "Ask for less, or raise `limits.message_bytes`.";
        UPSTREAM_CIRCUIT = "upstream.circuit", Class::Upstream,
            "The server behind this tool failed again and again and is left alone for a moment. Wait before trying again.",
            "Calls to the server failed or timed out `limits.circuit_failures` times in a row. It is not asked until `limits.circuit_pause` has passed; then one call tries it.",
            "`bartizan log` has the failures before; the server is used again by itself when it answers.";
        UPSTREAM_CANCELLED = "upstream.cancelled", Class::Upstream,
            "The call was cancelled.",
            "The client cancelled the call, or disconnected where the protocol treats that as cancellation.",
            "Nothing to do.";
        UPSTREAM_ERA = "upstream.era", Class::Method,
            "The server does not speak this protocol version.",
            "The server behind this endpoint does not speak the protocol era of the client.",
            "Use a client that falls back to `initialize`, as the specification asks.";
        UPSTREAM_NOT_ALLOWED = "upstream.not-allowed", Class::Upstream,
            "This server is not one that the organisation allows.",
            "The configuration lists the servers that may be used (`servers_allowed`), and this is none of them.",
            "Ask whoever keeps the configuration to add it there; `bartizan check` shows what it would take.";
        SECRET_MISSING = "secret.missing", Class::Upstream,
            "A secret that this server needs is not there. Ask whoever runs the gateway.",
            "A reference in the server's configuration leads to nothing, or to something that cannot be sent. The server is not started or reached without it; the others are.",
            "The log and `bartizan check` name the reference. Put the secret there; no restart is needed, except for environment variables.";
        SECRET_UNAVAILABLE = "secret.unavailable", Class::Upstream,
            "A secret that this server needs cannot be fetched at the moment. Try again later.",
            "The store did not answer in time, refused the gateway, is sealed, or said something that is not understood. The server is not started or reached without its secret; the others are.",
            "The log and `bartizan check` name the store and what it said. Check that it is up and that the gateway's credential for it holds (`[secrets]`).";
        SECRET_TOKEN = "secret.token", Class::Upstream,
            "The gateway got no access token for this server.",
            "The token endpoint of the server's `oauth` refused, did not answer in time or answered something else; or the caller has no access token that could be exchanged.",
            "The log says what it answered. With `token_exchange` only callers with an access token of a configured issuer can use the server.";
        SECRET_REFUSED = "secret.refused", Class::Upstream,
            "The server does not take the gateway's credential.",
            "The server answered 401. What the gateway showed it is fetched anew before the next call, so that a replaced credential needs no restart.",
            "If it happens again, the credential was revoked or never was good: replace it where its reference leads to.";
        CONFINE_UNAVAILABLE = "confine.unavailable", Class::Upstream,
            "The server cannot be confined as it has to be, so it is not started.",
            "The machine does not offer the confinement that the configuration asks for, or something that is granted is not there.",
            "The record says what is missing and how to get it. `confine.minimum` accepts a weaker confinement, `dangerous.unconfined` none at all.";
        ARTEFACT_FLOATING = "artefact.floating", Class::Upstream,
            "The server's version is not pinned, so it is not started.",
            "The command names no exact version, or an image without its digest: what runs could change from one start to the next, without a review.",
            "Write the command with the version that `bartizan check` and the log show, and approve it. `dangerous.floating_versions` accepts the risk.";
        ARTEFACT_UNCLEAR = "artefact.unclear", Class::Upstream,
            "It cannot be told what the server's command would run, so it is not started.",
            "The command has an option or a form that is not understood, or what it names is not there. What cannot be read cannot be pinned.",
            "`bartizan check` and the log say which word it is and what to write instead.";
        ARTEFACT_UNKNOWN = "artefact.unknown", Class::Upstream,
            "Nobody has reviewed what this server is made of, so it is not started.",
            "The lock file has no artefact of this server: nothing of it was approved, or by an older version of Bartizan.",
            "Run `bartizan approve` for the server: it shows what it is made of and records it.";
        ARTEFACT_CHANGED = "artefact.changed", Class::Upstream,
            "The server is not made of what was reviewed, so it is not started.",
            "The package, image or file is another one than the lock file has: another version, other dependencies, or the same version with other content.",
            "`bartizan diff` shows what changed. If it is an upgrade, review it with `bartizan approve`; if nobody upgraded anything, look into it.";
        SERVE_DRAINING = "serve.draining", Class::Draining,
            "The gateway is shutting down.",
            "The gateway takes no new calls while it finishes the running ones.",
            "Try again in a few seconds.";
        SERVE_SUSPENDED = "serve.suspended", Class::Denied,
            "The operator has suspended this. Do not try again; ask the person who runs it.",
            "Somebody pressed the stop button. A suspended server is not started or reached. A call that was on its way is given up and its server told to cancel it: what it had done by then is done.",
            "The journal names the call. `bartizan suspend` shows what is suspended.";
        SERVE_BUSY = "serve.busy", Class::Limit,
            "Too many calls at once.",
            "As many calls are running as are allowed at the same time.",
            "Wait for running calls, or raise `limits.concurrent_calls`.";
        SERVE_SHARE = "serve.share", Class::Limit,
            "Too much at once for one client.",
            "The session or the principal has as many calls, streams, bodies or server processes as one may have; the rest is for others.",
            "Wait for running calls, close what is not used, or raise the limit that the record names.";
        CONFIRM_REFUSED = "confirm.refused", Class::Denied,
            "A person was asked and said no. Do not try again unless that person asks for it.",
            "Somebody declined, in the client or with `bartizan approvals refuse`; or the question was closed without an answer.",
            "The journal says who declined, over which channel. If it was a mistake, let the client call again.";
        CONFIRM_EXPIRED = "confirm.expired", Class::Denied,
            "Nobody agreed in time.",
            "A question stays open for `controls.confirm.timeout_seconds`; a yes that comes later does not count.",
            "Call again when somebody is there to agree; `bartizan approvals list` shows what waits.";
        CONFIRM_STALE = "confirm.stale", Class::Denied,
            "What was agreed to has changed since. Call again, and a person is asked anew.",
            "The tool's reviewed definition or the policy changed between the question and the answer: what was agreed to is not what would be done.",
            "Nothing to do: the next call is asked for under what holds now.";
        CONFIRM_MISMATCH = "confirm.mismatch", Class::Denied,
            "This is not the call that a person was asked about. Call again without the old answer.",
            "The answer belongs to a call with another caller, session, tool or other arguments. A yes is good for exactly the call that was shown.",
            "If no client was changed, look into it: somebody tried to use a yes for something else.";
        CONFIRM_ASSURANCE = "confirm.assurance", Class::Denied,
            "The client cannot agree to this call on a person's behalf. It must be agreed to out of its reach, with `bartizan approvals`.",
            "Policy wants to know more strongly who agrees (`controls.confirm.minimum`) than this channel can say.",
            "Use `bartizan approvals grant`, with `--as` where another person must agree.";
        CONFIRM_UNKNOWN = "confirm.unknown", Class::Denied,
            "There is no such open question. Call the tool itself again.",
            "The handle or `requestState` was used before, has expired, was altered, belongs to somebody else, or is of a gateway that was restarted; the answer is the same for all.",
            "Let the client call the tool again. If it repeats, look for a client that replays answers.";
        CONFIRM_BUSY = "confirm.busy", Class::Limit,
            "Too many calls wait for a person. Wait until some of them are answered.",
            "As many calls are held as one client, or all together, may have waiting for an answer.",
            "Answer them: `bartizan approvals list`. If a client asks without end, suspend it.";
        CONFIRM_PREVIEW = "confirm.preview", Class::Denied,
            "The server was not asked what this call would do.",
            "`preview` in the tool's entry of the lock file says how the server's own dry run is asked for, and that was not done: the reviewed schema does not declare those arguments, or the dry run would itself have to be agreed to, because of what the session has read.",
            "The detail says which. After an update of the server look whether its dry run still goes by that name.";
        MONITOR_JOURNAL = "monitor.journal", Class::Fault,
            "The gateway could not record the call, so it did not make it.",
            "No record, no call: the journal could not be written.",
            "Check the disk and the permissions of the state directory.";
        MONITOR_FAULT = "monitor.fault", Class::Fault,
            "The gateway could not decide, so the answer is no.",
            "A control failed or panicked. What cannot be judged does not pass.",
            "This is a bug: report it with the record's id.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_is_what_stands_before_the_dot() {
        assert_eq!(gateway::UPSTREAM_TOO_LARGE.area(), "upstream");
    }
}
