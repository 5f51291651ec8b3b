//! What a server on a command line may have of this machine.

use std::path::PathBuf;

use bartizan_gateway::config;

/// Grants beside those of the configuration. Arguments of the server grant nothing: who writes them may not know what
/// they open.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Grants {
    /// Let the server read this file or directory.
    #[arg(long, value_name = "PATH")]
    read: Vec<PathBuf>,
    /// Let the server read and write this file or directory.
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
    /// Let the server connect to this host: api.github.com:443.
    #[arg(long, value_name = "HOST:PORT")]
    host: Vec<String>,
}

impl From<&Grants> for config::Grants {
    fn from(grants: &Grants) -> Self {
        Self { read: grants.read.clone(), write: grants.write.clone(), hosts: grants.host.clone() }
    }
}
