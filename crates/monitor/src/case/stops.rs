//! What the operator has stopped for the moment.

use std::collections::BTreeSet;
use std::fmt;

use super::Caller;

/// The stop button, as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stops {
    /// Everything.
    pub all: bool,
    /// Clients: a principal, or its name without kind and number, such as a token's label.
    pub clients: BTreeSet<String>,
    /// Servers.
    pub servers: BTreeSet<String>,
    /// Tools, as `server/tool`.
    pub tools: BTreeSet<String>,
}

/// Which stop is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// That of everything.
    All,
    /// That of the client.
    Client,
    /// That of the server.
    Server,
    /// That of the tool.
    Tool,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "everything is suspended",
            Self::Client => "the client is suspended",
            Self::Server => "the server is suspended",
            Self::Tool => "the tool is suspended",
        })
    }
}

impl Stops {
    /// The stop that is in the way of a caller at a server, at one of its tools or at neither.
    #[must_use]
    pub fn cover(&self, caller: &Caller, server: Option<&str>, tool: Option<&str>) -> Option<Stopped> {
        let is_caller = |client: &String| *client == **caller.principal() || client == name(caller.principal());
        let at = |server: &str| tool.is_some_and(|tool| self.tools.contains(&format!("{server}/{tool}")));
        if self.all {
            Some(Stopped::All)
        } else if self.clients.iter().any(is_caller) {
            Some(Stopped::Client)
        } else if server.is_some_and(|server| self.servers.contains(server)) {
            Some(Stopped::Server)
        } else {
            // Most of the time nothing is stopped, and then no name is put together.
            server.filter(|server| !self.tools.is_empty() && at(server)).map(|_| Stopped::Tool)
        }
    }

    /// Whether nothing is stopped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `ci` of `token:ci#1f3a9c04`, `alice` of `oauth:login.example.com#alice`.
fn name(principal: &str) -> &str {
    let (kind, rest) = principal.split_once(':').unwrap_or(("", principal));
    match rest.split_once('#') {
        Some((_, subject)) if kind == "oauth" => subject,
        Some((name, _)) => name,
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Means, Reach};

    #[test]
    fn stops_cover_what_they_name_and_nothing_else() {
        let caller = Caller::assertion("token:ci#1f3a9c04", Means::Token, Reach::all());
        let set = |text: &str| BTreeSet::from([text.to_owned()]);
        let cover = |stops: &Stops| stops.cover(&caller, Some("files"), Some("read"));
        for client in ["ci", "token:ci#1f3a9c04"] {
            assert_eq!(cover(&Stops { clients: set(client), ..Stops::default() }), Some(Stopped::Client));
        }
        assert_eq!(cover(&Stops { servers: set("files"), ..Stops::default() }), Some(Stopped::Server));
        assert_eq!(cover(&Stops { tools: set("files/read"), ..Stops::default() }), Some(Stopped::Tool));
        assert_eq!(cover(&Stops { all: true, ..Stops::default() }), Some(Stopped::All));
        let others = Stops { all: false, clients: set("c"), servers: set("file"), tools: set("files/rea") };
        assert_eq!(cover(&others), None);
        assert!(Stops::default().is_empty() && !others.is_empty());
        let person = Caller::assertion("oauth:login.example.com/a#alice#1", Means::OAuth, Reach::all());
        let stopped = |client: &str| Stops { clients: set(client), ..Stops::default() }.cover(&person, None, None);
        assert_eq!((stopped("alice#1"), stopped("login.example.com/a")), (Some(Stopped::Client), None));
    }
}
