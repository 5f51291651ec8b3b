//! Which servers a command is about, and what they offer.

use std::path::PathBuf;
use std::sync::Arc;

use bartizan_gateway::config::{self, Loaded, PlacesArgs, ServerSettings, places, seen};
use bartizan_gateway::upstream::{self, Server, Surveyed};
use bartizan_monitor::reason::Refusal;

use crate::exit::Exit;

/// A server, or one definition of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    server: String,
    item: Option<String>,
}

impl Target {
    /// Reads `SERVER` or `SERVER/NAME`.
    pub(crate) fn read_all(words: &[String]) -> Vec<Self> {
        let read = |word: &String| match word.split_once('/') {
            Some((server, item)) => Self { server: server.to_owned(), item: Some(item.to_owned()) },
            None => Self { server: word.clone(), item: None },
        };
        words.iter().map(read).collect()
    }

    /// Whether a definition was asked for; everything was when nothing was named.
    pub(crate) fn covers(wanted: &[Self], server: &str, name: &str) -> bool {
        wanted.is_empty() || wanted.iter().any(|target| target.server == server && target.item.as_deref().is_none_or(|item| item == name))
    }
}

/// Loads the configuration that the targets need: the file's, or that of one server by its command,
/// or of one that `run` has seen.
pub(crate) fn load(wanted: &[Target], command: &[String], args: &PlacesArgs, config: Option<PathBuf>) -> Result<Loaded, Exit> {
    let config = places::config(config);
    if let (false, [only]) = (command.is_empty(), wanted) {
        return config::single(&only.server, command.to_vec(), args.clone(), config.as_deref()).map_err(Exit::configuration);
    }
    if !command.is_empty() {
        let name = seen::name_for(command);
        return config::single(&name, command.to_vec(), args.clone(), config.as_deref()).map_err(Exit::configuration);
    }
    let loaded = config::load(config.as_deref(), args.clone()).map_err(Exit::configuration)?;
    let missing = wanted.iter().find(|target| loaded.settings.server(&target.server).is_none());
    let Some(missing) = missing else {
        if loaded.settings.servers.is_empty() {
            return Err(Exit::usage("no server is configured and none is named. Say which: `bartizan approve NAME -- CMD ARG…`"));
        }
        return Ok(loaded);
    };
    let known = seen::recall(&loaded.settings.places.state, &missing.server).map_err(|error| Exit::environment(&error))?;
    match known {
        Some(command) if wanted.iter().all(|target| target.server == missing.server) => {
            config::single(&missing.server, command, args.clone(), config.as_deref()).map_err(Exit::configuration)
        }
        _ => Err(Exit::usage(&format!("no server is called {:?}: neither the configuration nor `bartizan run` knows it. Say how it is started: `-- CMD ARG…`", missing.server))),
    }
}

/// Asks every wanted server what it offers.
pub(crate) fn survey(loaded: &Loaded, wanted: &[Target]) -> Result<Vec<(String, Surveyed)>, Exit> {
    let runtime = crate::runtime().map_err(|error| Exit::environment(&error))?;
    let mut found = Vec::new();
    for settings in &loaded.settings.servers {
        if !wanted.is_empty() && !wanted.iter().any(|target| target.server == *settings.name) {
            continue;
        }
        crate::paint::progress(&format!("asking {} what it offers …", settings.name));
        let surveyed = runtime.block_on(ask(loaded, settings));
        crate::paint::progress("");
        let surveyed = surveyed.map_err(|refusal| Exit::environment(&format!("{}: {}", refusal.reason.page().hint, refusal.detail)))?;
        found.push((settings.name.to_string(), surveyed));
    }
    Ok(found)
}

/// Asks one server what it offers.
pub(crate) async fn ask(loaded: &Loaded, settings: &Arc<ServerSettings>) -> Result<Surveyed, Refusal> {
    let server = Server::new(settings.clone(), loaded.settings.limits.message_bytes, 4);
    upstream::survey(&server).await
}
