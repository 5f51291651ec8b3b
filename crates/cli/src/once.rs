//! `bartizan once`: calls of which nobody knows whether they were carried out.

use std::io::{self, Write as _};

use bartizan_gateway::clock;
use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::once::{self, Shown};
use serde_json::json;

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
pub(crate) fn main(args: &Args, places: &PlacesArgs) -> Exit {
    let state = match Places::find(places, None) {
        Ok(places) => places.state,
        Err(error) => return Exit::usage(&error),
    };
    match &args.what {
        What::List { format } => match once::list(&state) {
            Ok(all) => show(&all, *format),
            Err(error) => Exit::environment(&error),
        },
        What::Forget { call } => match once::forget(&state, call, clock::now_ms()) {
            Ok(true) => {
                eprintln!("Forgotten: {}. The same call may be made again within a second or two.", visible(call));
                Exit::Done
            }
            Ok(false) => {
                eprintln!("Not ambiguous: {}. `bartizan once list` shows what is.", visible(call));
                Exit::Findings
            }
            Err(error) => Exit::environment(&error),
        },
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
