//! `bartizan check`: judges a configuration and what stands behind it, item by item.

mod items;
mod secrets;

use std::io::{self, Write as _};
use std::path::PathBuf;

use bartizan_gateway::artefact;
use bartizan_gateway::config::{self, Loaded, PlacesArgs, places};
use bartizan_gateway::secrets::Keeper;
use bartizan_gateway::snapshot::read_lock;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{self, Paint, visible};
use crate::target;
use items::{Item, Standing};

/// Judge a configuration before it is used: mistakes with their places, weakenings, and what is open.
///
/// Starts every server to see what it offers (not with --offline), listens nowhere, writes nothing.
/// Exits with 1 when an item is open, with 2 when the configuration cannot be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan check\n  bartizan check --config gateway.toml --offline --format json")]
pub(crate) struct Args {
    /// Do not start or contact the servers.
    #[arg(long)]
    offline: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Judges.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Exit {
    let Some(config) = places::config(config) else {
        return Exit::usage("there is no configuration here: write bartizan.toml, or say where it is with --config");
    };
    let loaded = match config::load(Some(&config), places.clone()) {
        Ok(loaded) => loaded,
        Err(errors) => return Exit::configuration(errors),
    };
    let items = match items(args, &loaded) {
        Ok(items) => items,
        Err(exit) => return exit,
    };
    let open = items.iter().any(|item| item.standing == Standing::Open);
    match print(&items, args.format) {
        Err(error) => Exit::output(&error),
        Ok(()) if open => Exit::Findings,
        Ok(()) => Exit::Done,
    }
}

fn items(args: &Args, loaded: &Loaded) -> Result<Vec<Item>, Exit> {
    let lock = read_lock(&loaded.settings.places.lock).map_err(|error| Exit::usage(&error))?;
    let mut items = items::gateway(loaded, &lock);
    items.extend(items::strange(&crate::policy::unknown(loaded)?));
    let runtime = crate::runtime().map_err(|error| Exit::environment(&error))?;
    // It writes nothing down: only what a server was used with is in use.
    let keeper = Keeper::new(&loaded.settings.stores, None);
    for server in &loaded.settings.servers {
        items.extend(items::server(server, &lock));
        items.extend(secrets::items(server, &keeper, (&loaded.settings, args.offline), &runtime));
        if !args.offline {
            paint::progress(&format!("asking {} what it offers …", server.name));
            let made = runtime.block_on(artefact::resolve(server, lock.artefacts(&server.name)));
            let (item, artefacts) = items::made(&server.name, &lock, made.map(|resolved| resolved.artefacts));
            items.push(item);
            // One that is not what was approved is not started just to be judged.
            if let Some(artefacts) = artefacts {
                let surveyed = runtime.block_on(target::ask(loaded, server, artefacts));
                items.extend(items::offered(&server.name, &lock, surveyed));
            }
            paint::progress("");
        }
    }
    Ok(items)
}

fn print(items: &[Item], format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if format == Format::Json {
        let entry = |item: &Item| json!({"item": item.name, "about": item.about, "standing": item.standing.word(), "evidence": item.evidence, "remedy": item.remedy});
        return writeln!(out, "{}", Value::from(items.iter().map(entry).collect::<Vec<_>>()));
    }
    let paint = Paint::for_stdout();
    let mut about = "";
    for item in items {
        if item.about != about {
            about = &item.about;
            writeln!(out, "{}", paint.bold(about))?;
        }
        let word = format!("{:<4}", item.standing.word());
        let word = match item.standing {
            Standing::Good => paint.good(&word),
            Standing::Note => word,
            Standing::Open => paint.bad(&word),
        };
        writeln!(out, "  {word}  {:<12}  {}", item.name, visible(&item.evidence))?;
        if !item.remedy.is_empty() {
            writeln!(out, "                      {}", paint.dim(&visible(&item.remedy)))?;
        }
    }
    let open = items.iter().filter(|item| item.standing == Standing::Open).count();
    writeln!(out, "{} items, {open} open", items.len())
}
