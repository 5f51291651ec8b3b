//! `bartizan once`: calls of which nobody knows whether they were carried out.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_gateway::clock;
use bartizan_gateway::config::{self, Places, PlacesArgs, Postgres, Settings, places};
use bartizan_gateway::once::{self, Shown, shared};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::visible;

/// Calls that went out and were not answered: show them, or let one be made again.
///
/// A call that changes something is not made again while nobody knows whether it was carried out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan once list\n  bartizan once forget 0000019aa4f1c2d3")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The calls that are ambiguous.
    #[command(after_help = "Example:\n  bartizan once list --format json")]
    List {
        /// How to print them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Let an ambiguous call be made again: you have looked, and it may.
    #[command(after_help = "Example:\n  bartizan once forget 0000019aa4f1c2d3")]
    Forget {
        /// Its number, as `bartizan once list` and the journal have it.
        call: String,
    },
}

/// Shows or clears.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Exit {
    let store = match Store::find(places, config) {
        Ok(store) => store,
        Err(exit) => return exit,
    };
    match &args.what {
        What::List { format } => match store.list() {
            Ok(all) => show(&all, *format),
            Err(exit) => exit,
        },
        What::Forget { call } => match store.forget(call) {
            Ok(true) => {
                eprintln!("Forgotten: {}. The same call may be made again within a second or two.", visible(call));
                Exit::Done
            }
            Ok(false) => {
                eprintln!("Not ambiguous: {}. `bartizan once list` shows what is.", visible(call));
                Exit::Findings
            }
            Err(exit) => exit,
        },
    }
}

/// Where the gateways of this configuration remember.
enum Store {
    Own(PathBuf),
    Shared(Box<Settings>, Arc<Postgres>, Runtime),
}

impl Store {
    fn find(places: &PlacesArgs, config: Option<PathBuf>) -> Result<Self, Exit> {
        let Some(config) = places::config(config) else {
            return Places::find(places, None).map(|places| Self::Own(places.state)).map_err(|error| Exit::usage(&error));
        };
        let settings = config::load(Some(&config), places.clone()).map_err(Exit::configuration)?.settings;
        match settings.postgres.clone() {
            None => Ok(Self::Own(settings.places.state)),
            Some(postgres) => {
                let runtime = crate::one_thread().map_err(|error| Exit::environment(&error))?;
                Ok(Self::Shared(Box::new(settings), postgres, runtime))
            }
        }
    }

    fn list(&self) -> Result<Vec<Shown>, Exit> {
        match self {
            Self::Own(state) => once::list(state).map_err(|error| Exit::environment(&error)),
            Self::Shared(settings, postgres, runtime) => {
                runtime.block_on(shared::list(postgres, settings.effects.once)).map_err(|error| Exit::environment(&error))
            }
        }
    }

    fn forget(&self, call: &str) -> Result<bool, Exit> {
        match self {
            Self::Own(state) => once::forget(state, call, clock::now_ms()).map_err(|error| Exit::environment(&error)),
            Self::Shared(settings, postgres, runtime) => {
                runtime.block_on(shared::forget(postgres, settings.effects.once, call)).map_err(|error| Exit::environment(&error))
            }
        }
    }
}

fn show(all: &[Shown], format: Format) -> Exit {
    let mut out = io::stdout().lock();
    let printed = if format == Format::Json {
        writeln!(out, "{}", json!(all))
    } else if all.is_empty() {
        writeln!(out, "No call is ambiguous.")
    } else {
        all.iter().try_for_each(|shown| {
            writeln!(out, "{}  {}  {}  {}", shown.call, clock::utc(shown.at_ms), visible(&shown.client), visible(&shown.tool))
        })
    };
    printed.map_or_else(|error| Exit::output(&error), |()| Exit::Done)
}
