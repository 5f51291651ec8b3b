//! `bartizan diff`: the lock file against what servers offer now.

mod sarif;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bartizan_gateway::artefact::Resolved;
use bartizan_gateway::config::{PlacesArgs, ServerSettings};
use bartizan_gateway::review::grade::{Difference, parts};
use bartizan_gateway::review::{self, Advice, Change, Finding, Group, Line, What};
use bartizan_gateway::snapshot::read_lock;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::format::Findings;
use crate::grants::Grants;
use crate::paint::{Paint, show};
use crate::target::{self, Target};
use crate::words::{near, noted, noticed, told, was};

/// Show how what servers offer differs from what was approved.
///
/// Exits with 0 when nothing differs, 10 when something approved changed or is gone, 11 when
/// something new waits for approval. A server that is not made of what was approved is not started, and
/// only that is shown, unless --start is given. Each change has a grade (see `bartizan approve --help`).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan diff\n  bartizan diff files --format json\n  bartizan diff --format sarif > drift.sarif\n  bartizan diff fs --read /data -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /data"
)]
pub(crate) struct Args {
    /// Servers; without any, all configured ones.
    #[arg(value_name = "SERVER")]
    servers: Vec<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Findings,
    /// Start also a server that is not made of what was approved, to show the rest. It runs with all that it is given.
    #[arg(long)]
    start: bool,
    #[command(flatten)]
    grants: Grants,
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
    let loaded = target::load(&wanted, (&args.command, &args.grants), places, config)?;
    let lock = read_lock(&loaded.settings.places.lock).map_err(|error| Exit::usage(&error))?;
    let mut all: Vec<(String, Vec<Change>, Advice)> = Vec::new();
    let mut made = target::made(&loaded, &wanted, &lock)?;
    let other = |(settings, Resolved { artefacts, .. }): &(Arc<ServerSettings>, Resolved)| {
        let old = lock.artefacts(&settings.name);
        (old != *artefacts).then(|| Parts {
            server: settings.name.to_string(),
            is_new: old.is_empty(),
            lines: review::compare_artefacts(old, artefacts),
        })
    };
    let parts: Vec<Parts> = made.found.iter().filter_map(other).collect();
    if !args.start {
        made.found.retain(|(settings, resolved)| lock.artefacts(&settings.name) == resolved.artefacts);
    }
    let survey = target::survey(&loaded, made)?;
    for (name, surveyed) in survey.found {
        let changes = review::compare(&lock, &name, &surveyed.offer);
        let advice = Advice::on(&lock, &name, &changes);
        all.push((name, changes, advice));
    }
    let changes = || all.iter().flat_map(|(_, changes, _)| changes);
    let differs = |change: &Change| matches!(change.what, What::Changed(..) | What::Renamed(..) | What::Removed(_));
    let drifted = changes().any(differs) || parts.iter().any(|parts| !parts.is_new);
    let new = changes().any(|change| matches!(change.what, What::New(_))) || parts.iter().any(|parts| parts.is_new);
    let mut out = io::stdout().lock();
    let printed = match args.format {
        Findings::Json => writeln!(out, "{}", Value::from(rows(&parts, &all))),
        Findings::Sarif => writeln!(out, "{}", sarif::log(&rows(&parts, &all), &loaded.settings.places.lock)),
        Findings::Text => parts
            .iter()
            .try_for_each(|parts| parts.print(&mut out))
            .and_then(|()| all.iter().try_for_each(|(server, changes, advice)| print(server, (changes, advice), &mut out))),
    };
    let equal = args.format == Findings::Text && !drifted && !new && survey.exit == Exit::Done;
    let told = printed.and_then(|()| {
        if equal { writeln!(out, "No difference: {} definitions are as they were approved.", changes().count()) } else { Ok(()) }
    });
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
        What::Renamed(..) => "renamed",
        What::Removed(_) => "removed",
        What::Same(_) => "same",
        What::Rejected(_) => "rejected",
    }
}

/// Everything as `--format json` has it.
fn rows(parts: &[Parts], all: &[(String, Vec<Change>, Advice)]) -> Vec<Value> {
    let changes = all.iter().flat_map(|(server, changes, advice)| entries(server, changes, advice));
    parts.iter().map(Parts::entry).chain(changes).collect()
}

/// One entry per change. Those of one `group` are the same edit.
fn entries(server: &str, changes: &[Change], advice: &Advice) -> Vec<Value> {
    let groups = review::groups(changes);
    let entries = groups
        .iter()
        .enumerate()
        .flat_map(|(number, group)| group.changes.iter().map(move |change| entry(server, (change, advice), (number, group))));
    entries.collect()
}

fn entry(server: &str, (change, advice): (&Change, &Advice), (number, group): (usize, &Group<'_>)) -> Value {
    let mut entry = json!({"server": server, "kind": change.kind.name(), "name": change.name, "change": word(change), "effect": change.effect().name()});
    let Some(members) = entry.as_object_mut() else { return entry };
    if let What::Renamed(pin, _) = &change.what {
        members.insert("was".to_owned(), json!(pin.name));
    }
    if let What::Rejected(why) = &change.what {
        members.insert("why".to_owned(), json!(why));
    }
    if let Some(grade) = group.grade {
        let differences: Vec<Value> = group.differences.iter().map(difference).collect();
        members.insert("grade".to_owned(), json!(grade.name()));
        members.insert("group".to_owned(), json!(number));
        members.insert("differences".to_owned(), json!(differences));
    }
    if !advice.near(change).is_empty() {
        members.insert("near".to_owned(), json!(advice.near(change)));
    }
    if !advice.about(change).is_empty() {
        members.insert("findings".to_owned(), advice.about(change).iter().map(finding).collect());
    }
    if change.is_open() {
        let parts: Vec<Value> = parts(change.pin().map(|pin| &pin.definition), change.offered().map(|definition| &definition.json))
            .into_iter()
            .map(|part| json!({"part": part.name, "was": part.was.map(|digest| digest.to_string()), "is": part.is.map(|digest| digest.to_string())}))
            .collect();
        members.insert("parts".to_owned(), json!(parts));
    }
    entry
}

fn finding(finding: &Finding) -> Value {
    json!({"class": finding.class.name(), "weight": finding.weight.name(), "place": finding.place, "what": finding.what(), "excerpt": finding.excerpt})
}

fn difference(difference: &Difference) -> Value {
    json!({"place": difference.place, "grade": difference.grade.name(), "words": difference.words})
}

fn print(server: &str, (changes, advice): (&[Change], &Advice), out: &mut impl Write) -> io::Result<()> {
    let paint = Paint::for_stdout();
    for line in noticed(&advice.together, "Over all definitions", &paint) {
        writeln!(out, "{server}: {line}")?;
    }
    for group in &review::groups(changes) {
        let shown = |change: &Change| change.is_open() || matches!(change.what, What::Rejected(_));
        for (number, change) in group.changes.iter().enumerate().filter(|(_, change)| shown(change)) {
            writeln!(out, "{server}: {} {} {}{}", word(change), change.kind.name(), paint.bold(&change.name), was(change))?;
            if let What::Rejected(why) = &change.what {
                writeln!(out, "  {why}; it cannot be approved")?;
            }
            let told = if number == 0 { told(group, &paint) } else { vec!["the same edit as above".to_owned()] };
            told.iter()
                .chain(&noted(change))
                .chain(&near(advice.near(change)))
                .chain(&noticed(advice.about(change), "Noticed", &paint))
                .try_for_each(|line| writeln!(out, "  {line}"))?;
            let lines = change.lines();
            let lines = lines.iter().filter(|line| number == 0 || !matches!(line, Line::Kept(_)));
            lines.into_iter().try_for_each(|line| writeln!(out, "  {}", show(line, &paint)))?;
        }
    }
    Ok(())
}
