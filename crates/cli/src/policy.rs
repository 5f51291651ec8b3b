//! `bartizan policy`: what the rules say, why, and what a change of them would change.

mod coverage;
mod diff;
mod explain;
mod test;
mod world;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::{Loaded, PlacesArgs};
use bartizan_monitor::controls::policy::SCHEMA;

use crate::exit::Exit;

/// Ask the policy: why, what it covers, and what a change of it would change.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Explain(Box<explain::Args>),
    Test(test::Args),
    Coverage(coverage::Args),
    Diff(diff::Args),
    /// Print the Cedar schema: everything that a rule can speak of.
    #[command(after_help = "Example:\n  bartizan policy schema > bartizan.cedarschema")]
    Schema,
}

/// Names in the rules that nothing approved has, and the rule: a typing error permits nothing, and forbids nothing.
pub(crate) fn unknown(loaded: &Loaded) -> Result<BTreeSet<(String, String)>, Exit> {
    Ok(coverage::unknown(&world::World::of(loaded)?))
}

/// Answers.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> ExitCode {
    let world = || world::World::load(places, config);
    let answered = match &args.command {
        Command::Schema => io::stdout().lock().write_all(SCHEMA.as_bytes()).map(|()| Exit::Done).map_err(|error| Exit::output(&error)),
        Command::Explain(args) => world().and_then(|world| explain::run(args, &world)),
        Command::Test(args) => world().and_then(|world| test::run(args, &world)),
        Command::Coverage(args) => world().and_then(|world| coverage::run(args, &world)),
        Command::Diff(args) => world().and_then(|world| diff::run(args, &world)),
    };
    match answered {
        Ok(exit) | Err(exit) => exit.into(),
    }
}
