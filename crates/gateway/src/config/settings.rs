//! The configuration as it is used: values that cannot be wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_meter::Rules;
use bartizan_monitor::controls::once;
use bartizan_monitor::wire::canonical::Digest;

use super::access::Access;
use super::allow::Allowed;
use super::approvals::Approvals;
use super::confine::Confine;
use super::issuers::OAuth;
use super::listen::{Clients, Listen};
use super::notices::{Canaries, Webhook};
use super::opinions::Judge;
use super::places::Places;
use super::postgres::Postgres;
use super::redis::Redis;
use super::secret::Template;
use super::stores::Stores;
use super::traces::Traces;
use crate::learn::Learning;

/// Everything that the gateway needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Which environment this is; tokens of another are not good here.
    pub environment: Option<String>,
    /// Where `serve` listens.
    pub listen: Listen,
    /// Who comes in without a token.
    pub clients: Arc<Clients>,
    /// Where `serve` shows how much happens: an address of this machine alone.
    pub metrics: Option<SocketAddr>,
    /// Where it is told how long calls take, and of how many.
    pub traces: Option<Arc<Traces>>,
    /// The page on which people answer what waits, where `serve` has one.
    pub approvals: Option<Approvals>,
    /// How the names of several servers are told apart.
    pub names: Names,
    /// The servers, sorted by name.
    pub servers: Vec<Arc<ServerSettings>>,
    /// How much is taken.
    pub limits: Limits,
    /// How often calls may be made, and budgets.
    pub quota: Rules,
    /// How long a question to a person stays open.
    pub confirm_timeout: Duration,
    /// What is remembered of calls, and what nobody has a reason to send.
    pub effects: Effects,
    /// Through what gateways share limits and stops.
    pub redis: Option<Arc<Redis>>,
    /// Where gateways remember together what was done.
    pub postgres: Option<Arc<Postgres>>,
    /// How often what servers offer is compared with the lock file when nobody asks.
    pub probe_every: Duration,
    /// Where events are posted to.
    pub webhook: Option<Arc<Webhook>>,
    /// Who is heard about content, beside the controls.
    pub judges: Vec<Arc<Judge>>,
    /// Whose access tokens are taken, beside the gateway's own.
    pub oauth: Option<Arc<OAuth>>,
    /// Where secrets are kept.
    pub stores: Stores,
    /// Where things are.
    pub places: Places,
    /// The digest of everything that the controls were built from.
    pub policy_digest: Digest,
}

impl Settings {
    /// One server.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<&Arc<ServerSettings>> {
        self.servers.iter().find(|server| &*server.name == name)
    }
}

/// What is remembered of calls, and what nobody has a reason to send.
#[derive(Debug, Clone)]
pub struct Effects {
    /// How long labels of what was read stay.
    pub labels_kept: Duration,
    /// How long what was done is remembered.
    pub once: once::Config,
    /// Values that nobody has a reason to send.
    pub canaries: Option<Arc<Canaries>>,
}

/// How the names of several servers are told apart.
#[derive(Debug, Clone)]
pub struct Names {
    /// What stands between a server's name and a tool's. No server's name can be misread across it.
    pub separator: String,
}

/// One server.
#[derive(Debug)]
pub struct ServerSettings {
    /// Its name, as the operator gave it.
    pub name: Arc<str>,
    /// How to get to it.
    pub how: How,
    /// How long a call may take.
    pub timeout: Duration,
    /// How long starting and first contact may take.
    pub start_timeout: Duration,
    /// What is asked of the things that it is made of.
    pub supply: Supply,
    /// What it may have of this machine; all that the gateway has when absent, which `dangerous.unconfined` says.
    pub confine: Option<Confine>,
    /// Where it is kept what it asks for beside that; nothing is recorded when absent.
    pub learning: Option<Arc<Learning>>,
}

impl ServerSettings {
    /// Whether the gateway starts it.
    #[must_use]
    pub const fn is_started_here(&self) -> bool {
        matches!(self.how, How::Stdio { .. })
    }

    /// Every value that may hold secrets, with where it stands in the server's part of the configuration.
    pub fn templates(&self) -> impl Iterator<Item = (String, &Template)> {
        let (env, access) = match &self.how {
            How::Stdio { env, .. } => (Some(env), None),
            How::Http { access, .. } => (None, Some(&**access)),
        };
        let env = env.into_iter().flatten().map(|(name, value)| (format!("env.{name}"), value));
        env.chain(access.into_iter().flat_map(Access::templates))
    }
}

/// What is asked of the things that servers are made of.
#[derive(Debug, Clone)]
pub struct Supply {
    /// Whether a version may float.
    pub floating: Floating,
    /// Variables in a server's `env` that load code and are accepted all the same. Only `dangerous` can say so.
    pub load_variables: BTreeSet<String>,
    /// npm packages whose install scripts are run. Only `dangerous` can say so.
    pub allow_scripts: BTreeSet<String>,
    /// The servers that may be used; all of them when the organisation does not say.
    pub allowed: Option<Arc<Allowed>>,
    /// Where packages are installed. May not exist yet.
    pub packages: PathBuf,
}

/// Whether a server without a fixed version is started. Only `dangerous` can say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floating {
    /// No.
    Refused,
    /// Yes, and nothing is known of what it is made of.
    Accepted,
}

/// How to get to a server.
#[derive(Debug)]
pub enum How {
    /// By starting it and talking over its standard input and output.
    Stdio {
        /// Program and arguments; at least the program.
        command: Vec<String>,
        /// Its environment, beside the harmless variables that every server gets.
        env: Vec<(String, Template)>,
        /// Where it is started.
        directory: Option<PathBuf>,
    },
    /// By Streamable HTTP.
    Http {
        /// Its endpoint: `http` or `https`, with a host, without credentials.
        url: url::Url,
        /// What the gateway shows it: valid names, none that the gateway sets itself.
        access: Box<Access>,
    },
}

/// How much is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, in either direction.
    pub message_bytes: usize,
    /// Open sessions.
    pub sessions: usize,
    /// Open sessions of one principal.
    pub sessions_per_principal: usize,
    /// How long a session may rest.
    pub session_idle: Duration,
    /// Calls that run at the same time.
    pub concurrent_calls: usize,
    /// Of these, calls of one principal.
    pub calls_per_principal: usize,
    /// Of these, calls of one session.
    pub calls_per_session: usize,
    /// Open streams of one principal: what it listens to, beside its calls.
    pub streams_per_principal: usize,
    /// How long running calls may take to end when the gateway stops.
    pub drain: Duration,
    /// Processes of one server.
    pub children_per_server: usize,
    /// Of these, processes that run for one principal.
    pub children_per_principal: usize,
    /// Open connections of everybody, and as many of proxies.
    pub connections: usize,
    /// Open connections from one address, and requests that run for one behind a proxy.
    pub connections_per_address: usize,
    /// Bytes of all request bodies that are in the house at the same time; one principal gets a quarter of them, and
    /// never less than one message.
    pub body_bytes: usize,
    /// How long a client may take for TLS, and again to send a request's headers.
    pub header_timeout: Duration,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// How long a client may read nothing of what is written to it.
    pub write_timeout: Duration,
    /// Calls that may wait for room instead of being refused at once.
    pub queued_calls: usize,
    /// How long they wait at most.
    pub queue_wait: Duration,
    /// How old a server's list may be when something of it is called.
    pub list_age: Duration,
    /// Messages of one client in a minute, of whatever kind.
    pub messages_per_minute: u32,
    /// Refusals by limits within a minute after which a client is shut out.
    pub offences_per_minute: u32,
    /// For how long.
    pub offence_pause: Duration,
    /// Failures in a row after which a server is left alone.
    pub circuit_failures: u32,
    /// For how long at first; twice as long after every trial that fails, up to sixteen times.
    pub circuit_pause: Duration,
    /// Bytes of long answers that are kept to be read on; one principal has a quarter of them.
    pub kept_bytes: usize,
    /// For how long.
    pub kept_for: Duration,
    /// How long what is quarantined waits for a person.
    pub quarantined_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024 * 1024,
            sessions: 1000,
            sessions_per_principal: 100,
            session_idle: Duration::from_secs(30 * 60),
            concurrent_calls: 1024,
            calls_per_principal: 256,
            calls_per_session: 128,
            streams_per_principal: 256,
            drain: Duration::from_secs(10),
            children_per_server: 64,
            children_per_principal: 32,
            connections: 4096,
            connections_per_address: 1024,
            body_bytes: 256 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            queued_calls: 0,
            queue_wait: Duration::from_secs(1),
            list_age: Duration::from_secs(10),
            messages_per_minute: 3000,
            offences_per_minute: 100,
            offence_pause: Duration::from_secs(30),
            circuit_failures: 8,
            circuit_pause: Duration::from_secs(5),
            kept_bytes: 128 * 1024 * 1024,
            kept_for: Duration::from_secs(15 * 60),
            quarantined_for: Duration::from_secs(7 * 86_400),
        }
    }
}
