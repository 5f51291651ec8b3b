//! Which servers a command is about, and what they offer.

use std::path::PathBuf;
use std::sync::Arc;

use bartizan_gateway::artefact::{self, Gate, Resolved};
use bartizan_gateway::config::{self, Loaded, PlacesArgs, ServerSettings, Single, places, seen};
use bartizan_gateway::secrets::Keeper;
use bartizan_gateway::upstream::{self, Server, Surveyed};
use bartizan_monitor::lock::Lock;
use bartizan_monitor::lock::artefact::Artefact;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{ARTEFACT_FLOATING, ARTEFACT_UNCLEAR, UPSTREAM_NOT_ALLOWED};

use crate::exit::Exit;
use crate::grants::Grants;

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
        wanted.is_empty() || wanted.iter().any(|target| target.means(server, name))
    }

    /// Whether it is this definition, or the server that has it.
    pub(crate) fn means(&self, server: &str, name: &str) -> bool {
        self.server == server && self.item.as_deref().is_none_or(|item| item == name)
    }

    /// Whether it is this server, or something of it.
    pub(crate) fn is_of(&self, server: &str) -> bool {
        self.server == server
    }

    /// Whether it is one definition, and not a whole server.
    pub(crate) const fn is_single(&self) -> bool {
        self.item.is_some()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.server)?;
        self.item.iter().try_for_each(|item| write!(f, "/{item}"))
    }
}

/// Loads the configuration that the targets need: the file's, or that of one server by its command,
/// or of one that `run` has seen.
pub(crate) fn load(
    wanted: &[Target],
    (command, grants): (&[String], &Grants),
    args: &PlacesArgs,
    config: Option<PathBuf>,
) -> Result<Loaded, Exit> {
    let config = places::config(config);
    let single = |name: &str, command: Vec<String>| {
        let single = Single { name: name.to_owned(), command, grants: grants.into() };
        config::single(single, args.clone(), config.as_deref()).map_err(Exit::configuration)
    };
    if let (false, [only]) = (command.is_empty(), wanted) {
        return single(&only.server, command.to_vec());
    }
    if !command.is_empty() {
        let name = seen::name_for(command);
        return single(&name, command.to_vec());
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
        Some(command) if wanted.iter().all(|target| target.server == missing.server) => single(&missing.server, command),
        _ => Err(Exit::usage(&format!(
            "no server is called {:?}: neither the configuration nor `bartizan run` knows it. Say how it is started: `-- CMD ARG…`",
            missing.server
        ))),
    }
}

/// What servers offer, as far as they answer.
pub(crate) struct Survey {
    /// By server.
    pub(crate) found: Vec<(String, Surveyed)>,
    /// How it ends when nothing else is to be said: one server that fails does not hide the others,
    /// and is not forgotten.
    pub(crate) exit: Exit,
}

/// What servers are made of, as far as that can be told. Nothing of them was started.
pub(crate) struct Made {
    /// The servers that can be asked, and what they are made of.
    pub(crate) found: Vec<(Arc<ServerSettings>, Resolved)>,
    /// How it ends when nothing else is to be said.
    pub(crate) exit: Exit,
}

/// Fetches what the wanted servers are made of, and looks at it: what was approved, where that can still be had.
pub(crate) fn made(loaded: &Loaded, wanted: &[Target], lock: &Lock) -> Result<Made, Exit> {
    let runtime = crate::runtime().map_err(|error| Exit::environment(&error))?;
    let mut made = Made { found: Vec::new(), exit: Exit::Done };
    for settings in &loaded.settings.servers {
        if !wanted.is_empty() && !wanted.iter().any(|target| target.server == *settings.name) {
            continue;
        }
        crate::paint::progress(&format!("looking at what {} is made of …", settings.name));
        let looked = runtime.block_on(artefact::resolve(settings, lock.artefacts(&settings.name)));
        crate::paint::progress("");
        match looked {
            Ok(resolved) => made.found.push((settings.clone(), resolved)),
            Err(refusal) => {
                let what = format!("{} ({})", refusal.detail, refusal.reason);
                let is_written = [ARTEFACT_FLOATING, ARTEFACT_UNCLEAR, UPSTREAM_NOT_ALLOWED].contains(&refusal.reason);
                made.exit = if is_written { Exit::usage(&what) } else { Exit::environment(&what) };
            }
        }
    }
    Ok(made)
}

/// Asks every server what it offers. It is started if it still is what was shown.
pub(crate) fn survey(loaded: &Loaded, made: Made) -> Result<Survey, Exit> {
    let runtime = crate::runtime().map_err(|error| Exit::environment(&error))?;
    let mut survey = Survey { found: Vec::new(), exit: made.exit };
    let asked: Vec<Arc<ServerSettings>> = made.found.iter().map(|(settings, _)| settings.clone()).collect();
    for (settings, Resolved { artefacts, .. }) in made.found {
        crate::paint::progress(&format!("asking {} what it offers …", settings.name));
        let surveyed = runtime.block_on(ask(loaded, &settings, artefacts));
        crate::paint::progress("");
        match surveyed {
            Ok(surveyed) => {
                if let Some(hint) = surveyed.confined.as_ref().and_then(|confined| confined.hint()) {
                    eprintln!("{}: {hint}", settings.name);
                }
                survey.found.push((settings.name.to_string(), surveyed));
            }
            Err(refusal) => {
                survey.exit =
                    Exit::environment(&format!("{} ({}). BARTIZAN_LOG=info shows the server's own words", refusal.detail, refusal.reason))
            }
        }
    }
    asked.iter().for_each(|server| crate::confine::told(server, &loaded.settings.places));
    Ok(survey)
}

/// Asks one server what it offers.
pub(crate) async fn ask(loaded: &Loaded, settings: &Arc<ServerSettings>, artefacts: Vec<Artefact>) -> Result<Surveyed, Refusal> {
    let server =
        Server::new(settings.clone(), &loaded.settings.limits, Gate::Shown(artefacts.into()), Keeper::new(&loaded.settings.stores, None));
    upstream::survey(&server).await
}
