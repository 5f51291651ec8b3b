//! `bartizan run`: one stdio server behind the gateway.

use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::{self, PlacesArgs, Single, places, seen};
use bartizan_gateway::serve;

use crate::confine;
use crate::exit::Exit;
use crate::grants::Grants;

/// Put a stdio server behind the gateway.
///
/// Standard input and output speak the protocol: this is what goes into a client's configuration.
/// Nothing of the server is visible until `bartizan approve` was run. It is confined: of this machine it
/// has its own program and what is granted here or in the configuration.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example, in a client's configuration:\n  \"command\": \"bartizan\",\n  \"args\": [\"run\", \"--name\", \"fs\", \"--read\", \"/data\", \"--\", \"npx\", \"-y\", \"@modelcontextprotocol/server-filesystem@2026.8.31\", \"/data\"]"
)]
pub(crate) struct Args {
    /// What to call the server. Default: made from the command.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    grants: Grants,
    /// The server's command.
    #[arg(last = true, required = true, value_name = "CMD ARG…")]
    command: Vec<String>,
}

/// Runs until the client leaves.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> ExitCode {
    match run(args, places, config) {
        Ok(()) => Exit::Done.into(),
        Err(exit) => exit.into(),
    }
}

fn run(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Result<(), Exit> {
    let name = args.name.clone().unwrap_or_else(|| seen::name_for(&args.command));
    let config = places::config(config);
    let single = Single { name: name.clone(), command: args.command.clone(), grants: (&args.grants).into() };
    let loaded = config::single(single, places.clone(), config.as_deref()).map_err(Exit::configuration)?;
    if let Err(error) = seen::remember(&loaded.settings.places.state, &name, &args.command) {
        eprintln!("cannot remember how {name} is started ({error}); `bartizan approve {name}` will need its command");
    }
    let own = crate::own::confined(&loaded.settings)?;
    let runtime = crate::one_thread().map_err(|error| Exit::environment(&error))?;
    let (places, learnt) = (loaded.settings.places.clone(), loaded.settings.server(&name).cloned());
    let ended = runtime.block_on(serve::run_stdio(loaded, own));
    // A blocked read of standard input must not hold up the end.
    runtime.shutdown_background();
    learnt.iter().for_each(|server| confine::told(server, &places));
    ended.map_err(|error| Exit::environment(&error))
}
