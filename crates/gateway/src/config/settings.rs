//! The configuration as it is used: values that cannot be wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::wire::canonical::Digest;

use super::allow::Allowed;
use super::confine::Confine;
use super::issuers::OAuth;
use super::notices::Webhook;
use super::places::Places;
use super::secret::Secret;

/// Everything that the gateway needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Which environment this is; tokens of another are not good here.
    pub environment: Option<String>,
    /// Where `serve` listens.
    pub listen: Listen,
    /// How the names of several servers are told apart.
    pub names: Names,
    /// The servers, sorted by name.
    pub servers: Vec<Arc<ServerSettings>>,
    /// How much is taken.
    pub limits: Limits,
    /// How often what servers offer is compared with the lock file when nobody asks.
    pub probe_every: Duration,
    /// Where events are posted to.
    pub webhook: Option<Arc<Webhook>>,
    /// Whose access tokens are taken, beside the gateway's own.
    pub oauth: Option<Arc<OAuth>>,
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

/// Where `serve` listens, and who may come from where.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// Values of `Host`, beside those of this machine, lower case, with or without a port.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin`, lower case: `https://example.com`.
    pub allowed_origins: Vec<String>,
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
    /// What it may have of this machine; all that the gateway has when absent.
    pub confine: Option<Confine>,
}

/// What is asked of the things that servers are made of.
#[derive(Debug, Clone)]
pub struct Supply {
    /// Whether a version may float.
    pub floating: Floating,
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
        env: Vec<(String, Secret)>,
        /// Where it is started.
        directory: Option<PathBuf>,
    },
    /// By Streamable HTTP.
    Http {
        /// Its endpoint: `http` or `https`, with a host, without credentials.
        url: url::Url,
        /// What is sent with every request: valid names and values, none that the gateway sets itself.
        headers: Vec<(String, Secret)>,
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
    /// Open connections from one address.
    pub connections_per_address: usize,
    /// Bytes of all request bodies that are in the house at the same time; one principal gets a quarter of them, and
    /// never less than one message.
    pub body_bytes: usize,
    /// How long a client may take to send a request's headers.
    pub header_timeout: Duration,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// How long a client may read nothing of what is written to it.
    pub write_timeout: Duration,
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
            connections_per_address: 1024,
            body_bytes: 256 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
        }
    }
}
