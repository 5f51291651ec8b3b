//! `bartizan labels`: what clients have read.

use std::io::{self, Write as _};

use bartizan_gateway::clock;
use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::labels::{self, All};
use serde_json::json;

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::visible;

/// What clients have read: show it, or clear it.
///
/// After a client has read untrusted content, what could carry data out is held; a label goes after some time
/// (`[controls.flow] label_hours`), or when a person clears it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan labels list\n  bartizan labels clear --client laptop")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Which client has which label, and since when.
    #[command(after_help = "Example:\n  bartizan labels list --format json")]
    List {
        /// How to print them.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Forget what a client has read: you know that it does not matter any more.
    #[command(after_help = "Example:\n  bartizan labels clear --client laptop")]
    Clear {
        /// The client, as `bartizan labels list` has it, or its name without what stands before the colon.
        #[arg(long, value_name = "CLIENT")]
        client: String,
    },
}

/// Shows or clears.
pub(crate) fn main(args: &Args, places: &PlacesArgs) -> Exit {
    let state = match Places::find(places, None) {
        Ok(places) => places.state,
        Err(error) => return Exit::usage(&error),
    };
    match &args.what {
        What::List { format } => match labels::list(&state) {
            Ok(all) => show(&all, *format),
            Err(error) => Exit::environment(&error),
        },
        What::Clear { client } => match labels::clear(&state, client) {
            Ok(true) => {
                eprintln!("Cleared: {}.", visible(client));
                Exit::Done
            }
            Ok(false) => {
                eprintln!("No labels: {}. `bartizan labels list` shows who has some.", visible(client));
                Exit::Findings
            }
            Err(error) => Exit::environment(&error),
        },
    }
}

fn show(all: &All, format: Format) -> Exit {
    let mut out = io::stdout().lock();
    let printed = if format == Format::Json {
        writeln!(out, "{}", json!(all))
    } else if all.is_empty() {
        writeln!(out, "No client has a label.")
    } else {
        all.iter().try_for_each(|(client, times)| {
            let label = |name: &str, at: Option<u64>| at.map(|at| format!("{name} since {}", clock::utc(at)));
            let labels: Vec<String> =
                [label("private", times.private), label("untrusted", times.untrusted)].into_iter().flatten().collect();
            writeln!(out, "{}  {}", visible(client), labels.join(", "))
        })
    };
    printed.map_or_else(|error| Exit::output(&error), |()| Exit::Done)
}
