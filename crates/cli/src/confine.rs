//! `bartizan confine`: what servers asked for and did not get, and a person who says what of it they may have.

mod ask;
mod elsewhere;

use std::io;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_gateway::config::files::{self, Readers};
use bartizan_gateway::config::{self, Confine, Grants, Learn, Places, PlacesArgs, ServerSettings, Single, places, seen};
use bartizan_gateway::learn::{self, Book, Change, Item};
use serde_json::json;

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::visible;
use ask::Screen;
use elsewhere::Elsewhere;

/// How large a configuration may be.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// How long servers that were listened to may take to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Show what servers asked for and did not get, and let them have it.
///
/// Knows what `bartizan run --learn` and `bartizan approve --learn` have recorded. Asks item by item, and writes the
/// configuration; for a server that no configuration names, it prints the options to add. What is more than a server
/// has a reason to ask for is named in words, and --yes does not give it. Exits with 11 when something is left to
/// decide.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan run --learn --name fs -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /data\n  bartizan confine fs\n  bartizan confine fs --yes\n  bartizan confine --format json\n  bartizan confine --profile macos fs"
)]
pub(crate) struct Args {
    /// Servers. Without any: all of which something was recorded.
    #[arg(value_name = "SERVER")]
    servers: Vec<String>,
    /// Do not ask: give what is no overreach.
    #[arg(long, visible_alias = "accept", requires = "servers")]
    yes: bool,
    /// Ask again what was refused before.
    #[arg(long)]
    again: bool,
    /// Forget what was recorded.
    #[arg(long, requires = "servers", conflicts_with_all = ["yes", "again"])]
    forget: bool,
    /// Print what would confine a server on another system, as far as that can be said. It was never run there.
    #[arg(long, value_enum, value_name = "SYSTEM", requires = "servers", conflicts_with_all = ["yes", "again", "forget", "format"])]
    profile: Option<Elsewhere>,
    /// How to print it. JSON asks nothing.
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["yes", "forget"])]
    format: Format,
}

/// What is known of one server.
struct Learnt {
    name: String,
    book: Book,
    items: Vec<Item>,
}

/// Shows, asks, writes.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Exit {
    match run(args, places, config) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn run(args: &Args, args_places: &PlacesArgs, config: Option<PathBuf>) -> Result<Exit, Exit> {
    if let Some(system) = args.profile {
        return elsewhere::print(system, &args.servers, args_places, config);
    }
    let config = places::config(config);
    let places = Places::find(args_places, config.as_deref()).map_err(|error| Exit::usage(&error))?;
    let known = learn::names(&places.state).map_err(|error| Exit::environment(&error))?;
    if let Some(unknown) = args.servers.iter().find(|name| !known.contains(name)) {
        return Err(Exit::usage(&format!("nothing was recorded of {unknown:?}; `bartizan run --learn --name NAME -- CMD ARG…` records")));
    }
    let names: Vec<String> = if args.servers.is_empty() { known } else { args.servers.clone() };
    if args.forget {
        names.iter().try_for_each(|name| learn::forget(&places.state, name)).map_err(|error| Exit::environment(&error))?;
        return Ok(Exit::Done);
    }
    let mut all = Vec::new();
    for name in names {
        all.push(learnt(name, args, (args_places, &places))?);
    }
    if args.format == Format::Json {
        let servers: Vec<_> = all.iter().map(|one| json!({"name": one.name, "items": one.items, "missed": one.book.missed})).collect();
        println!("{}", json!({"servers": servers}));
        return Ok(if all.iter().any(|one| one.items.iter().any(Item::is_open)) { Exit::ApprovalNeeded } else { Exit::Done });
    }
    let mut screen = Screen::new(io::stdout().lock(), config::own_world(&places).home);
    if all.is_empty() {
        screen
            .say("Nothing was recorded. `bartizan run --learn --name NAME -- CMD ARG…` records what a server asks for.")
            .map_err(|error| Exit::output(&error))?;
    }
    let mut left = 0_usize;
    for one in &all {
        left = left.saturating_add(review(args, one, &places, &mut screen)?);
    }
    if left == 0 {
        return Ok(Exit::Done);
    }
    let why = if args.yes {
        "; what is overreach is given at a terminal only"
    } else {
        "; there is no terminal to ask at, and --yes was not given"
    };
    eprintln!("{left} left to decide{why}.");
    Ok(Exit::ApprovalNeeded)
}

/// What a server asked for that it does not have by now.
fn learnt(name: String, args: &Args, (args_places, places): (&PlacesArgs, &Places)) -> Result<Learnt, Exit> {
    let mut book = learn::recall(&places.state, &name).map_err(|error| Exit::environment(&error))?;
    if args.again {
        book.declined.clear();
    }
    let command = seen::recall(&places.state, &name).map_err(|error| Exit::environment(&error))?;
    // How it is started does not matter here, and `run` says it.
    let command = command.unwrap_or_else(|| vec![name.clone()]);
    let single = Single { name: name.clone(), command, grants: Grants { learn: Learn::Yes, ..Grants::default() } };
    let loaded = config::single(single, args_places.clone(), places.config.as_deref()).map_err(Exit::configuration)?;
    let confine: Option<&Confine> =
        loaded.settings.server(&name).and_then(|server: &std::sync::Arc<ServerSettings>| server.confine.as_ref());
    let items = learn::items(&book, confine.unwrap_or(&Confine::default()), &config::own_world(places));
    Ok(Learnt { name, book, items })
}

/// Shows what one server asked for, asks, and gives. Returns how much was not decided.
fn review<W: io::Write>(args: &Args, one: &Learnt, places: &Places, screen: &mut Screen<W>) -> Result<usize, Exit> {
    let output = |error: io::Error| Exit::output(&error);
    screen.server(one.name.as_str(), &one.book, &one.items).map_err(output)?;
    let (mut given, mut declined, mut left) = (Vec::new(), Vec::new(), 0_usize);
    let asks = !args.yes && io::stdin().is_terminal();
    for item in &one.items {
        screen.item(item).map_err(output)?;
        match item.is_open() {
            false => {}
            true if asks => {
                if screen.ask(item).map_err(output)? {
                    given.push(item)
                } else {
                    declined.push(item.word())
                }
            }
            true if args.yes && item.overreach.is_none() => given.push(item),
            true => left = left.saturating_add(1),
        }
    }
    if !declined.is_empty() || args.again {
        let remember = |book: &mut Book| {
            book.declined = one.book.declined.clone();
            book.declined.extend(declined);
        };
        learn::update(&places.state, &one.name, remember).map_err(|error| Exit::environment(&error))?;
    }
    // Nobody was asked: what would be given is shown, and not written.
    let proposed: Vec<&Item> = one.items.iter().filter(|item| item.is_open() && item.overreach.is_none()).collect();
    let (shown, writes) = if asks || args.yes { (given, true) } else { (proposed, false) };
    if !shown.is_empty() {
        give(one, &shown, (places, writes), screen)?;
    }
    Ok(left)
}

/// Shows the difference, and writes it if somebody agreed.
fn give<W: io::Write>(one: &Learnt, items: &[&Item], (places, writes): (&Places, bool), screen: &mut Screen<W>) -> Result<(), Exit> {
    let output = |error: io::Error| Exit::output(&error);
    let path = places.config.as_deref();
    let text = path.map(|path| files::read(path, MAX_FILE)).transpose().map_err(|error| Exit::environment(&error))?;
    let change = text.as_deref().map(|text| learn::change(text, &one.name, items)).transpose().map_err(|why| Exit::usage(&why))?;
    let (Some(path), Some(Change { text: new, lines })) = (path, change.flatten()) else {
        return screen.options(&one.name, &learn::options(items)).map_err(output);
    };
    screen.change(path, &lines).map_err(output)?;
    if writes {
        write(path, (text.as_deref().unwrap_or_default(), &new))?;
        screen.say(&format!("Wrote {}. A gateway that runs reads it when it is started again.", path.display())).map_err(output)?;
    }
    Ok(())
}

/// Writes the configuration, unless somebody else did meanwhile.
fn write(path: &Path, (before, new): (&str, &str)) -> Result<(), Exit> {
    if files::read(path, MAX_FILE).map_err(|error| Exit::environment(&error))? != before {
        return Err(Exit::environment(&format!("somebody else changed {} meanwhile; nothing was written, run this again", path.display())));
    }
    let written = files::replace(path, new.as_bytes(), Readers::Usual);
    written.map_err(|error| Exit::environment(&format!("cannot write {}: {error}", path.display())))
}

/// Says at the end of a run what was asked for, on standard error: standard output belongs to the protocol.
pub(crate) fn told(server: &ServerSettings, places: &Places) {
    let Some(learning) = &server.learning else { return };
    let book = match learning.finish(PATIENCE) {
        Ok(book) => book,
        Err(error) => return eprintln!("what {} asked for cannot be kept: {error}", server.name),
    };
    let world = config::own_world(places);
    let items = learn::items(&book, server.confine.as_ref().unwrap_or(&Confine::default()), &world);
    if items.is_empty() && book.missed == 0 {
        return eprintln!("{} asked for nothing that it did not get.", server.name);
    }
    if book.missed > 0 {
        eprintln!("{} asked for more than can be recorded: {} more.", server.name, book.missed);
    }
    eprintln!(
        "{} asked for {} that it did not get:",
        server.name,
        if items.len() == 1 { "1 thing".to_owned() } else { format!("{} things", items.len()) }
    );
    for item in items.iter().rev().take(10) {
        eprintln!("  {}", ask::words(item, world.home.as_deref()));
    }
    eprintln!("Look at it, and say what it may have: bartizan confine {}", visible(&server.name));
}
