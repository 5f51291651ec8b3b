//! What a server on a command line may have of this machine.

use std::path::PathBuf;

use bartizan_gateway::config::{self, Learn};

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
    /// Let the server start this program: git, /usr/bin/git.
    #[arg(long, value_name = "PROGRAM")]
    run: Vec<String>,
    /// Let the server connect to this host: api.github.com:443.
    #[arg(long, value_name = "HOST:PORT")]
    host: Vec<String>,
    /// Record what the server asks for and does not get; `bartizan confine` shows it.
    #[arg(long)]
    learn: bool,
}

impl From<&Grants> for config::Grants {
    fn from(grants: &Grants) -> Self {
        let Grants { read, write, run, host, learn } = grants.clone();
        Self { read, write, run, hosts: host, learn: if learn { Learn::Yes } else { Learn::No } }
    }
}
