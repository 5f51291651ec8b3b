//! `bartizan diff`: the lock file against what servers offer now.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bartizan_gateway::config::{PlacesArgs, ServerSettings};
use bartizan_gateway::review::{self, Change, Line, What};
use bartizan_gateway::snapshot::read_lock;
use bartizan_monitor::lock::artefact::Artefact;
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
    after_help = "Examples:\n  bartizan diff\n  bartizan diff files --format json\n  bartizan diff fs -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /data"
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
    let made = target::made(&loaded, &wanted)?;
    let other = |(settings, artefacts): &(Arc<ServerSettings>, Vec<Artefact>)| {
        let old = lock.artefacts(&settings.name);
        (old != *artefacts).then(|| Parts {
            server: settings.name.to_string(),
            is_new: old.is_empty(),
            lines: review::compare_artefacts(old, artefacts),
        })
    };
    let parts: Vec<Parts> = made.found.iter().filter_map(other).collect();
    let survey = target::survey(&loaded, made)?;
    for (name, surveyed) in survey.found {
        all.extend(review::compare(&lock, &name, &surveyed.offer).into_iter().map(|change| (name.clone(), change)));
    }
    let drifted = all.iter().any(|(_, change)| matches!(change.what, What::Changed(..) | What::Removed(_)))
        || parts.iter().any(|parts| !parts.is_new);
    let new = all.iter().any(|(_, change)| matches!(change.what, What::New(_))) || parts.iter().any(|parts| parts.is_new);
    let mut out = io::stdout().lock();
    let printed = match args.format {
        Format::Json => {
            let entries = parts.iter().map(Parts::entry).chain(all.iter().map(|(server, change)| entry(server, change)));
            writeln!(out, "{}", Value::from(entries.collect::<Vec<_>>()))
        }
        Format::Text => parts
            .iter()
            .try_for_each(|parts| parts.print(&mut out))
            .and_then(|()| all.iter().try_for_each(|(server, change)| print(server, change, &mut out))),
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

/// What a server is made of, where it is not what was approved.
struct Parts {
    server: String,
    is_new: bool,
    lines: Vec<Line>,
}

impl Parts {
    const fn word(&self) -> &'static str {
        if self.is_new { "new" } else { "changed" }
    }

    fn entry(&self) -> Value {
        let texts = |pick: fn(&Line) -> Option<&String>| self.lines.iter().filter_map(pick).cloned().collect::<Vec<_>>();
        let gone = texts(|line| if let Line::Gone(text) = line { Some(text) } else { None });
        let came = texts(|line| if let Line::Came(text) = line { Some(text) } else { None });
        json!({"server": self.server, "kind": "artefact", "change": self.word(), "gone": gone, "came": came})
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let paint = Paint::for_stdout();
        writeln!(out, "{}: {} {}", self.server, self.word(), paint.bold("what it is made of"))?;
        self.lines.iter().try_for_each(|line| writeln!(out, "  {}", show(line, &paint)))
    }
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
