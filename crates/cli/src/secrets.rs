//! `bartizan secrets`: which secrets are in use, and since when.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use bartizan_gateway::clock;
use bartizan_gateway::config::{self, PlacesArgs, Settings, places};
use bartizan_gateway::secrets::{Inventory, Row};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, visible};

/// Show which server and tool uses which secret, in which version, and since when.
///
/// No value is shown or kept: two values are told apart by the first characters of a keyed digest. No
/// store is asked; what was never used by a gateway with this state directory is not known yet.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan secrets\n  bartizan secrets --format json")]
pub(crate) struct Args {
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One use of one secret.
struct Use {
    server: String,
    place: String,
    reference: String,
    known: Option<Row>,
}

/// Shows them.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Exit {
    let Some(config) = places::config(config) else {
        return Exit::usage("there is no configuration here: write bartizan.toml, or say where it is with --config");
    };
    let settings = match config::load(Some(&config), places.clone()) {
        Ok(loaded) => loaded.settings,
        Err(errors) => return Exit::configuration(errors),
    };
    let rows = match Inventory::of(&settings.places.state).rows() {
        Ok(rows) => rows,
        Err(error) => return Exit::environment(&format!("the inventory of secrets cannot be read: {error}")),
    };
    let mut uses = Vec::new();
    for server in &settings.servers {
        for (place, template) in server.templates() {
            for reference in template.references().map(ToString::to_string) {
                let known = rows.get(&reference).cloned();
                uses.push(Use { server: server.name.to_string(), place: place.clone(), reference, known });
            }
        }
    }
    match print(&uses, &settings, args.format) {
        Ok(()) => Exit::Done,
        Err(error) => Exit::output(&error),
    }
}

fn is_old(row: &Row, settings: &Settings, now_ms: u64) -> bool {
    settings.stores.warn_after.is_some_and(|after| Duration::from_millis(now_ms.saturating_sub(row.changed_ms)) >= after)
}

fn print(uses: &[Use], settings: &Settings, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let now_ms = clock::now_ms();
    if format == Format::Json {
        let entry = |one: &Use| {
            json!({
                "environment": settings.environment,
                "server": one.server,
                "place": one.place,
                "reference": one.reference,
                "version": one.known.as_ref().and_then(|row| row.version.clone()),
                "digest": one.known.as_ref().map(|row| row.digest.clone()),
                "first_seen": one.known.as_ref().map(|row| clock::utc(row.first_seen_ms)),
                "last_changed": one.known.as_ref().map(|row| clock::utc(row.changed_ms)),
                "old": one.known.as_ref().map(|row| is_old(row, settings, now_ms)),
            })
        };
        return writeln!(out, "{}", Value::from(uses.iter().map(entry).collect::<Vec<_>>()));
    }
    if uses.is_empty() {
        return writeln!(out, "No server uses a secret.");
    }
    let paint = Paint::for_stdout();
    let mut server = "";
    for one in uses {
        if one.server != server {
            server = &one.server;
            writeln!(out, "{}", paint.bold(server))?;
        }
        writeln!(out, "  {}  {}", visible(&one.place), visible(&one.reference))?;
        let told = match &one.known {
            None => "not used yet".to_owned(),
            Some(row) => {
                let version = row.version.as_ref().map_or_else(|| format!("digest {}", row.digest), |version| format!("version {version}"));
                let (first, changed) = (clock::utc(row.first_seen_ms), clock::utc(row.changed_ms));
                format!("{version}, first used {first}, last changed {changed}")
            }
        };
        let old = one.known.as_ref().is_some_and(|row| is_old(row, settings, now_ms));
        let told = visible(&told);
        writeln!(out, "    {}{}", paint.dim(&told), if old { paint.bad("  replace it") } else { String::new() })?;
    }
    Ok(())
}
