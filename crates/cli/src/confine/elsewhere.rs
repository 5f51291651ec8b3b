//! What would confine a server on a system on which this program does not run.

use std::path::PathBuf;

use bartizan_gateway::config::PlacesArgs;
use bartizan_gateway::upstream;
use bartizan_sandbox::System;

use crate::exit::Exit;
use crate::grants::Grants;
use crate::target::{self, Target};

/// A system for which there is a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Elsewhere {
    /// A profile for sandbox-exec.
    Macos,
    /// A job object and a restricted token.
    Windows,
}

impl From<Elsewhere> for System {
    fn from(elsewhere: Elsewhere) -> Self {
        match elsewhere {
            Elsewhere::Macos => Self::MacOs,
            Elsewhere::Windows => Self::Windows,
        }
    }
}

/// Prints the profile of one server; two in one file would give each what the other may do. Nothing is started.
pub(super) fn print(system: Elsewhere, servers: &[String], places: &PlacesArgs, config: Option<PathBuf>) -> Result<Exit, Exit> {
    let [name] = servers else { return Err(Exit::usage("name one server: a profile is for one")) };
    let wanted = Target::read_all(servers);
    let loaded = target::load(&wanted, (&[], &Grants::default()), places, config)?;
    let settings = loaded.settings.server(name).ok_or_else(|| Exit::usage(&format!("there is no server {name:?}")))?;
    let profile = upstream::profile(settings, system.into());
    print!("{}", profile.map_err(|why| Exit::usage(&format!("{name}: {why}")))?);
    Ok(Exit::Done)
}
