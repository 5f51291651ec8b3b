//! `bartizan diff`: the lock file against what servers offer now.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::PlacesArgs;
use bartizan_gateway::review::{self, Change, What};
use bartizan_gateway::snapshot::read_lock;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, show};
use crate::target::{self, Target};

/// Show how what servers offer differs from what was approved.
///
/// Exits with 0 when nothing differs, 10 when something approved changed or is gone, 11 when
/// something new waits for approval.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan diff\n  bartizan diff files --format json\n  bartizan diff fs -- npx -y @modelcontextprotocol/server-filesystem /data"
)]
pub(crate) struct Args {
    /// Servers; without any, all configured ones.
    #[arg(value_name = "SERVER")]
    servers: Vec<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The command of a server that no configuration names yet.
    #[arg(last = true, value_name = "CMD ARG…")]
    command: Vec<String>,
}

/// Shows the difference.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> ExitCode {
    match run(args, places, config) {
        Ok(exit) | Err(exit) => exit.into(),
    }
}

fn run(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Result<Exit, Exit> {
    let wanted = Target::read_all(&args.servers);
    let loaded = target::load(&wanted, &args.command, places, config)?;
    let lock = read_lock(&loaded.settings.places.lock).map_err(|error| Exit::usage(&error))?;
    let mut all = Vec::new();
    let survey = target::survey(&loaded, &wanted)?;
    for (name, surveyed) in survey.found {
        all.extend(review::compare(&lock, &name, &surveyed.offer).into_iter().map(|change| (name.clone(), change)));
    }
    let drifted = all.iter().any(|(_, change)| matches!(change.what, What::Changed(..) | What::Removed(_)));
    let new = all.iter().any(|(_, change)| matches!(change.what, What::New(_)));
    let mut out = io::stdout().lock();
    let printed = match args.format {
        Format::Json => writeln!(out, "{}", Value::from(all.iter().map(|(server, change)| entry(server, change)).collect::<Vec<_>>())),
        Format::Text => all.iter().try_for_each(|(server, change)| print(server, change, &mut out)),
    };
    let equal = args.format == Format::Text && !drifted && !new && survey.exit == Exit::Done;
    let told = printed
        .and_then(|()| if equal { writeln!(out, "No difference: {} definitions are as they were approved.", all.len()) } else { Ok(()) });
    // Who closes the pipe has read enough; the answer is in the code.
    if let Err(error) = told.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }) {
        return Err(Exit::output(&error));
    }
    Ok(if drifted {
        Exit::Drifted
    } else if new {
        Exit::ApprovalNeeded
    } else {
        survey.exit
    })
}

const fn word(change: &Change) -> &'static str {
    match change.what {
        What::New(_) => "new",
        What::Changed(..) => "changed",
        What::Removed(_) => "removed",
        What::Same(_) => "same",
        What::Rejected(_) => "rejected",
    }
}

fn entry(server: &str, change: &Change) -> Value {
    json!({"server": server, "kind": change.kind.name(), "name": change.name, "change": word(change), "effect": change.effect().name()})
}

fn print(server: &str, change: &Change, out: &mut impl Write) -> io::Result<()> {
    if !change.is_open() && !matches!(change.what, What::Rejected(_)) {
        return Ok(());
    }
    let paint = Paint::for_stdout();
    writeln!(out, "{server}: {} {} {}", word(change), change.kind.name(), paint.bold(&change.name))?;
    change.lines().iter().try_for_each(|line| writeln!(out, "  {}", show(line, &paint)))
}
