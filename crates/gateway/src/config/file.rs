//! The configuration as it was written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_monitor::lock::Confirm;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::clock;

use super::listen;
use super::problem::Problems;
use super::{access, approvals, confine, issuers, opinions, stores, traces};

/// Everything but `[controls]`, which the controls read themselves.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// Which environment this is, such as `prod`. Tokens of another are not good here.
    pub(super) environment: Option<Spanned<String>>,
    /// Where `serve` listens.
    pub(super) listen: listen::written::Listen,
    /// Where `serve` shows how much happens.
    pub(super) metrics: Metrics,
    /// Where it is told how long calls take.
    pub(super) traces: Option<Spanned<traces::Written>>,
    /// Where people answer what waits.
    pub(super) approvals: approvals::written::Approvals,
    /// Who comes with a certificate.
    pub(super) clients: Vec<Spanned<listen::written::Client>>,
    /// How the names of several servers are told apart.
    pub(super) names: Names,
    /// The servers that may be behind it, where the organisation restricts that.
    pub(super) servers_allowed: Option<Allowed>,
    /// The servers behind the gateway.
    pub(super) servers: BTreeMap<Spanned<String>, Spanned<Server>>,
    /// How much is taken.
    pub(super) limits: Limits,
    /// Through what gateways share limits and stops.
    pub(super) redis: Option<Spanned<Redis>>,
    /// Where gateways remember together what was done.
    pub(super) postgres: Option<Spanned<Postgres>>,
    /// How drift is looked for.
    pub(super) drift: Drift,
    /// Where events are posted to.
    pub(super) webhook: Option<Spanned<Webhook>>,
    /// Who is heard about content, beside the controls.
    pub(super) judges: BTreeMap<Spanned<String>, opinions::Written>,
    /// Values that nobody has a reason to send.
    pub(super) canaries: Option<Canaries>,
    /// Who may do what.
    pub(super) policy: Policy,
    /// Whose access tokens are taken, beside the gateway's own.
    pub(super) oauth: Option<Spanned<issuers::written::OAuth>>,
    /// Where secrets are kept.
    pub(super) secrets: stores::Written,
    /// What weakens the gateway. The only place where that can be asked for.
    pub(super) dangerous: Dangerous,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Canaries {
    /// By name: references.
    pub(super) values: BTreeMap<String, Spanned<String>>,
    /// Whether who sends one is suspended, beyond its session.
    pub(super) suspend_client: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    /// Address and port; without one, nothing is shown.
    pub(super) listen: Option<Spanned<SocketAddr>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Names {
    /// What stands between a server's name and a tool's.
    pub(super) separator: Option<Spanned<String>>,
}

/// One server: `command` or `url`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    /// The program to start, and its arguments.
    pub(super) command: Option<Spanned<Vec<Spanned<String>>>>,
    /// The command line that was given instead of written; takes the place of `command` and `url`.
    #[serde(skip)]
    pub(super) given: Option<Vec<String>>,
    /// Its environment; nothing else is inherited that is not harmless.
    pub(super) env: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Where it is started.
    pub(super) directory: Option<Spanned<PathBuf>>,
    /// The address of a server that runs already.
    pub(super) url: Option<Spanned<String>>,
    /// What is sent with every request to it.
    pub(super) headers: BTreeMap<Spanned<String>, Spanned<String>>,
    /// What is sent with calls of one tool.
    pub(super) tools: BTreeMap<Spanned<String>, access::WrittenPart>,
    /// What is sent with calls of tools of one effect.
    pub(super) effects: BTreeMap<Spanned<String>, access::WrittenPart>,
    /// Where access tokens for it come from.
    pub(super) oauth: Option<Spanned<access::WrittenLogin>>,
    /// How long a call may take.
    pub(super) timeout: Option<Spanned<Length>>,
    /// How long starting and first contact may take.
    pub(super) start_timeout: Option<Spanned<Length>>,
    /// Whether it may use the client's model.
    pub(super) sampling: bool,
    /// What it may have of this machine and its network.
    pub(super) confine: Option<Spanned<confine::Written>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Bytes of one message, in either direction.
    pub(super) message_bytes: Option<Spanned<usize>>,
    /// Open sessions.
    pub(super) sessions: Option<Spanned<usize>>,
    /// Open sessions of one principal.
    pub(super) sessions_per_principal: Option<Spanned<usize>>,
    /// How long a session may rest.
    pub(super) session_idle: Option<Spanned<Length>>,
    /// Calls that run at the same time.
    pub(super) concurrent_calls: Option<Spanned<usize>>,
    /// Of these, calls of one principal; a quarter when nothing is said.
    pub(super) calls_per_principal: Option<Spanned<usize>>,
    /// Of these, calls of one session; half of what one principal may run when nothing is said.
    pub(super) calls_per_session: Option<Spanned<usize>>,
    /// Open streams of one principal: what it listens to, beside its calls.
    pub(super) streams_per_principal: Option<Spanned<usize>>,
    /// How long running calls may take to end when the gateway stops.
    pub(super) drain: Option<Spanned<Length>>,
    /// Processes of one server.
    pub(super) children_per_server: Option<Spanned<usize>>,
    /// Of these, processes that run for one principal; half when nothing is said.
    pub(super) children_per_principal: Option<Spanned<usize>>,
    /// Open connections of everybody, and as many of proxies.
    pub(super) connections: Option<Spanned<usize>>,
    /// Open connections from one address; behind one of `listen.proxies`, requests that run.
    pub(super) connections_per_address: Option<Spanned<usize>>,
    /// Bytes of all request bodies that are in the house at the same time.
    pub(super) body_bytes: Option<Spanned<usize>>,
    /// How long a client may take for TLS, and again to send a request's headers.
    pub(super) header_timeout: Option<Spanned<Length>>,
    /// How long a client may take to send a request's body.
    pub(super) body_timeout: Option<Spanned<Length>>,
    /// How long a client may read nothing of what is written to it.
    pub(super) write_timeout: Option<Spanned<Length>>,
    /// Calls that may wait for room instead of being refused at once.
    pub(super) queued_calls: Option<Spanned<usize>>,
    /// How long they wait at most.
    pub(super) queue_wait: Option<Spanned<Length>>,
    /// How old a server's list may be when something of it is called.
    pub(super) list_age: Option<Spanned<Length>>,
    /// Messages of one client in a minute, of whatever kind.
    pub(super) messages_per_minute: Option<Spanned<usize>>,
    /// Refusals by limits within a minute after which a client is shut out.
    pub(super) offences_per_minute: Option<Spanned<usize>>,
    /// For how long.
    pub(super) offence_pause: Option<Spanned<Length>>,
    /// Failures in a row after which a server is left alone.
    pub(super) circuit_failures: Option<Spanned<usize>>,
    /// For how long at first.
    pub(super) circuit_pause: Option<Spanned<Length>>,
    /// Bytes of long answers that are kept to be read on.
    pub(super) kept_bytes: Option<Spanned<usize>>,
    /// For how long.
    pub(super) kept_for: Option<Spanned<Length>>,
    /// How long what is quarantined waits for a person.
    pub(super) quarantined_for: Option<Spanned<Length>>,
}

/// A Redis or Valkey server through which gateways share limits and stops.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Redis {
    /// `redis://HOST:PORT/DATABASE`, or `rediss://` with TLS.
    pub(super) url: Option<Spanned<String>>,
    /// A file with those who may have signed its certificate, beside those whom the system trusts.
    pub(super) ca: Option<Spanned<PathBuf>>,
    /// The user, where it is not the default one.
    pub(super) username: Option<Spanned<String>>,
    /// The password, as a reference.
    pub(super) password: Option<Spanned<String>>,
    /// What the names of all keys begin with; gateways with the same share.
    pub(super) prefix: Option<Spanned<String>>,
    /// What holds when it cannot be reached.
    pub(super) on_loss: Option<Spanned<super::redis::OnLoss>>,
}

/// A PostgreSQL database in which gateways remember together what was done.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Postgres {
    /// `postgres://HOST:PORT/DATABASE`, or a reference to the whole of it.
    pub(super) url: Option<Spanned<String>>,
    /// The user.
    pub(super) username: Option<Spanned<String>>,
    /// The password, as a reference.
    pub(super) password: Option<Spanned<String>>,
    /// How long a gateway may be silent before others take what it was doing for ambiguous.
    pub(super) lease: Option<Spanned<Length>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Drift {
    /// How often what servers offer is compared with the lock file when nobody asks.
    pub(super) probe_every: Option<Spanned<Length>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Webhook {
    /// The address.
    pub(super) url: Option<Spanned<String>>,
    /// What events are signed with, as a reference.
    pub(super) secret: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policy {
    /// Cedar files, relative to the configuration. They take the place of the built-in policy.
    pub(super) files: Option<Spanned<Vec<Spanned<PathBuf>>>>,
}

/// The servers that may be used. What no entry covers is refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Allowed {
    /// Packages of npm: `NAME`, `NAME@1.2.3`, `NAME@1.*`, `@SCOPE/*`.
    pub(super) npm: Vec<Spanned<String>>,
    /// Python packages: `NAME`, `NAME==1.2.3`, `NAME==1.*`.
    pub(super) python: Vec<Spanned<String>>,
    /// Container images by their repository; `*` at the end.
    pub(super) image: Vec<Spanned<String>>,
    /// Programs and scripts of this machine: a file, or a directory with all that is in it.
    pub(super) path: Vec<Spanned<PathBuf>>,
    /// Servers that run elsewhere, by their host: `mcp.example.com`, `*.example.com`.
    pub(super) url: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dangerous {
    /// Controls whose objections are recorded and not enforced.
    pub(super) observe: Vec<Spanned<String>>,
    /// Whether to speak plain HTTP with other machines.
    pub(super) plain_http_beyond_loopback: bool,
    /// Whether to start servers whose version is not fixed.
    pub(super) floating_versions: bool,
    /// Variables such as `NODE_OPTIONS` that a server's `env` may hold although they load code.
    pub(super) load_variables: Vec<Spanned<String>>,
    /// npm packages whose install scripts are run when they are fetched.
    pub(super) allow_scripts: Vec<Spanned<String>>,
    /// When somebody is asked about what destroys, where that is less than always.
    pub(super) destructive_calls: Option<Spanned<Confirm>>,
    /// Servers that are not confined; `*` is all that have no table of their own.
    pub(super) unconfined: Vec<Spanned<String>>,
    /// Judges without whose answer calls go on.
    pub(super) judges_may_fail: Vec<Spanned<String>>,
    /// Issuers whose keys and introspection may be on private addresses and on this machine.
    pub(super) private_issuers: Vec<Spanned<String>>,
}

/// A duration with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length(pub(super) Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        clock::read_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

/// Reads what can be read of a table. What cannot is a problem and left out, so that one mistake does
/// not hide the next.
pub(super) fn salvage<T: DeserializeOwned + Default>(table: DeTable<'_>, problems: &mut Problems) -> T {
    let mut rest = Spanned::new(0..0, DeValue::Table(table));
    loop {
        match T::deserialize(rest.clone().into_deserializer()) {
            Ok(value) => return value,
            Err(error) => {
                problems.add_error(&error);
                let removed = match (rest.get_mut(), error.span()) {
                    (DeValue::Table(table), Some(at)) => remove(table, &at),
                    _ => false,
                };
                if !removed {
                    return T::default();
                }
            }
        }
    }
}

/// Removes the innermost entry that covers a place.
pub(super) fn remove(table: &mut DeTable<'_>, at: &Range<usize>) -> bool {
    let inner = table.iter_mut().any(|(_, value)| match value.get_mut() {
        DeValue::Table(inner) => remove(inner, at),
        DeValue::Array(items) => items.iter_mut().any(|item| match item.get_mut() {
            DeValue::Table(inner) => remove(inner, at),
            _ => false,
        }),
        _ => false,
    });
    if inner {
        return true;
    }
    let covers = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let found = table.iter().find(|(key, value)| covers(key.span()) || covers(value.span()));
    let Some(key) = found.map(|(key, _)| key.clone()) else { return false };
    table.remove(key.get_ref().as_ref()).is_some()
}
