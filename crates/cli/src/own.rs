//! What the gateway gives up before it begins.

use bartizan_gateway::config::{Settings, files};
use bartizan_gateway::serve::Enclosed;
use bartizan_sandbox::own::{self, Starts};

use crate::exit::Exit;

/// Confines this process, which has one thread, as far as its configuration lets it.
pub(crate) fn confined(settings: &Settings) -> Result<Enclosed, Exit> {
    let state = &settings.places.state;
    // What is not there cannot be granted.
    files::private_directory(state).map_err(|error| Exit::environment(&format!("{}: {error}", state.display())))?;
    let starts = if settings.servers.iter().any(|server| server.is_started_here()) { Starts::Servers } else { Starts::Nothing };
    let layers = own::confine(starts, &[state]).map_err(|why| Exit::environment(&format!("the gateway cannot confine itself: {why}")))?;
    Ok(Enclosed(layers.into_iter().map(|layer| (layer.name.clone(), layer.told())).collect()))
}
