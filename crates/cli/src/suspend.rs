//! `bartizan suspend` and `bartizan resume`: the stop button.

use std::io::{self, Write as _};

use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::stops::{Button, Thing};
use bartizan_monitor::case::Stops;
use serde_json::json;

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::visible;

/// Stop a client, a tool, a server, or everything, now.
///
/// Takes effect on the next message of every gateway that uses this state directory; calls that run
/// are cancelled within a second. Without a name: shows what is suspended.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan suspend --client laptop\n  bartizan suspend --tool files/write_file\n  bartizan suspend --all\n  bartizan suspend"
)]
pub(crate) struct Suspend {
    #[command(flatten)]
    thing: What,
    /// How to print what is suspended.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Let what was suspended go on.
///
/// `--all` ends the stop of everything; what was suspended by name stays suspended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan resume --client laptop\n  bartizan resume --all")]
pub(crate) struct Resume {
    #[command(flatten)]
    thing: What,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct What {
    /// A client: a token's label, or a whole principal as the log shows it.
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// A tool.
    #[arg(long, value_name = "SERVER/TOOL", value_parser = tool)]
    tool: Option<String>,
    /// A server.
    #[arg(long, value_name = "SERVER")]
    server: Option<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
}

fn tool(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((server, tool)) if !server.is_empty() && !tool.is_empty() => Ok(text.to_owned()),
        _ => Err("say SERVER/TOOL".to_owned()),
    }
}

impl What {
    fn thing(&self) -> Option<Thing> {
        let named = self.client.clone().map(Thing::Client);
        let named = named.or_else(|| self.tool.clone().map(Thing::Tool)).or_else(|| self.server.clone().map(Thing::Server));
        named.or_else(|| self.all.then_some(Thing::All))
    }
}

fn words(thing: &Thing) -> String {
    match thing {
        Thing::All => "everything".to_owned(),
        Thing::Client(name) => format!("client {}", visible(name)),
        Thing::Server(name) => format!("server {}", visible(name)),
        Thing::Tool(name) => format!("tool {}", visible(name)),
    }
}

fn button(places: &PlacesArgs) -> Result<Button, Exit> {
    let places = Places::find(places, None).map_err(|error| Exit::usage(&error))?;
    Button::open(&places.state).map_err(|error| Exit::environment(&error))
}

/// Stops something, or shows what is stopped.
pub(crate) fn suspend(args: &Suspend, places: &PlacesArgs) -> Exit {
    let done = button(places).and_then(|button| match args.thing.thing() {
        None => show(&button.stops().map_err(|error| Exit::environment(&error))?, args.format),
        Some(thing) => {
            let fresh = button.suspend(&thing).map_err(|error| Exit::environment(&error))?;
            let note = if fresh { "" } else { " It was before." };
            eprintln!("Suspended: {}.{note}", words(&thing));
            Ok(Exit::Done)
        }
    });
    done.unwrap_or_else(|exit| exit)
}

/// Lets something go on.
pub(crate) fn resume(args: &Resume, places: &PlacesArgs) -> Exit {
    let done = button(places).and_then(|button| {
        let thing = args.thing.thing().ok_or_else(|| Exit::usage("say what: --client, --tool, --server or --all"))?;
        if button.resume(&thing).map_err(|error| Exit::environment(&error))? {
            eprintln!("Resumed: {}.", words(&thing));
            return Ok(Exit::Done);
        }
        eprintln!("Not suspended: {}. `bartizan suspend` shows what is.", words(&thing));
        Ok(Exit::Findings)
    });
    done.unwrap_or_else(|exit| exit)
}

fn show(stops: &Stops, format: Format) -> Result<Exit, Exit> {
    let mut out = io::stdout().lock();
    let printed = if format == Format::Json {
        writeln!(out, "{}", json!(stops))
    } else if stops.is_empty() {
        writeln!(out, "Nothing is suspended.")
    } else {
        let things = stops.all.then_some(Thing::All).into_iter();
        let things = things.chain(stops.clients.iter().cloned().map(Thing::Client));
        let mut things = things.chain(stops.servers.iter().cloned().map(Thing::Server)).chain(stops.tools.iter().cloned().map(Thing::Tool));
        things.try_for_each(|thing| writeln!(out, "{}", words(&thing)))
    };
    printed.map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}
