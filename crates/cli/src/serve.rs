//! `bartizan serve`: many servers behind one HTTP endpoint.

use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::{self, PlacesArgs, places};
use bartizan_gateway::serve;

use crate::exit::Exit;

/// Put many servers behind one Streamable HTTP endpoint.
///
/// `/mcp` is all servers, `/mcp/NAME` one of them. Every request needs a credential: see `bartizan
/// token issue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bartizan serve --config bartizan.toml")]
pub(crate) struct Args {}

/// Serves until it is asked to end.
pub(crate) fn main(_args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> ExitCode {
    match run(places, config) {
        Ok(()) => Exit::Done.into(),
        Err(exit) => exit.into(),
    }
}

fn run(places: &PlacesArgs, config: Option<PathBuf>) -> Result<(), Exit> {
    let Some(config) = places::config(config) else {
        return Err(Exit::usage("there is no configuration: write bartizan.toml, or say where it is with --config"));
    };
    let loaded = config::load(Some(&config), places.clone()).map_err(Exit::configuration)?;
    let names: Vec<String> = loaded.settings.servers.iter().map(|server| server.name.to_string()).collect();
    if let Err(error) = bartizan_sandbox::open_many_files() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let own = crate::own::confined(&loaded.settings)?;
    let runtime = crate::runtime().map_err(|error| Exit::environment(&error))?;
    let scheme = if loaded.settings.listen.tls.is_some() { "https" } else { "http" };
    let ready = |address| eprintln!("listening on {scheme}://{address}/mcp (servers: {})", names.join(", "));
    runtime.block_on(serve::run_http(loaded, own, ready)).map_err(|error| Exit::environment(&error))
}
