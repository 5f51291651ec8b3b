//! Where clients knock.

use std::sync::Arc;

use bartizan_monitor::catalog::Naming;

use crate::upstream::Server;

/// Where clients knock: all servers, or one of them.
#[derive(Debug)]
pub struct Endpoint {
    /// The server's name, for an endpoint of one server.
    pub name: Option<Arc<str>>,
    /// How names are shown.
    pub naming: Naming,
    /// The servers behind it, sorted by name.
    pub servers: Vec<Arc<Server>>,
    pub(super) names: Vec<Arc<str>>,
}

impl Endpoint {
    /// An endpoint of one server, with the server's own names.
    #[must_use]
    pub fn single(server: Arc<Server>) -> Arc<Self> {
        let name = server.name().clone();
        Arc::new(Self { name: Some(name.clone()), naming: Naming::Plain, servers: vec![server], names: vec![name] })
    }

    /// An endpoint of several servers, with prefixed names.
    #[must_use]
    pub fn merged(servers: Vec<Arc<Server>>) -> Arc<Self> {
        let names = servers.iter().map(|server| server.name().clone()).collect();
        Arc::new(Self { name: None, naming: Naming::Prefixed, servers, names })
    }

    /// The only server, where there is only one.
    #[must_use]
    pub fn sole(&self) -> Option<&Arc<Server>> {
        match self.servers.as_slice() {
            [server] if self.naming == Naming::Plain => Some(server),
            _ => None,
        }
    }

    /// A server of this endpoint.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<&Arc<Server>> {
        self.servers.iter().find(|server| &**server.name() == name)
    }
}
