//! `bartizan approve`: a person reviews what servers offer, and the lock file remembers it.

mod ask;
mod decide;
mod rollback;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::review::grade::Grade;
use bartizan_gateway::review::{self, Advice, Change, What, Written};
use bartizan_gateway::snapshot::read_lock;
use bartizan_gateway::upstream::Surveyed;
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::lock::Lock;

use crate::exit::Exit;
use crate::grants::Grants;
use crate::target::{self, Made, Survey, Target};
use ask::Screen;
use decide::{Asking, Terms};

/// Review what servers offer, and approve it.
///
/// Shows every definition that is new, changed or gone, with the effect class that is proposed for
/// it, asks, and writes the lock file. Nothing else makes a tool visible. Exits with 11 when
/// something is left to review.
///
/// Changes have a grade: `cosmetic` says and allows the same, `narrowing` asks more or allows less,
/// `widening` allows more, `steering` may lead a model elsewhere. `--grade` takes what is no graver
/// without asking; what steers is always asked. The same edit in many definitions is asked once.
///
/// Findings of the scanner are advice for whoever reviews. What they warn of most is not taken without
/// a person, unless --despite-findings says so.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan approve files\n  bartizan approve files/read_file --effect read_file=read\n  bartizan approve --grade cosmetic\n  bartizan approve files/read_file --rollback\n  bartizan approve fs --read /data --all --yes -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /data"
)]
pub(crate) struct Args {
    /// Servers, or single definitions as SERVER/NAME. Without any: all configured servers.
    #[arg(value_name = "SERVER[/TOOL]")]
    targets: Vec<String>,
    /// Take every definition of the named servers, and ask once per server.
    #[arg(long, requires = "targets")]
    all: bool,
    /// Do not ask. Only together with names.
    #[arg(long, requires = "targets")]
    yes: bool,
    /// With --yes: approve also what the scanner warns of most.
    #[arg(long, requires = "yes")]
    despite_findings: bool,
    /// Take changes up to this grade without asking. With --yes, take no other changes.
    #[arg(long, value_name = "GRADE", value_parser = grade)]
    grade: Option<Grade>,
    /// Restore the version that was approved before, or the one whose digest begins so. Starts no server.
    #[arg(long, value_name = "DIGEST", num_args = 0..=1, default_missing_value = "", requires = "targets", conflicts_with_all = ["all", "yes", "grade", "effects"])]
    rollback: Option<String>,
    /// The effect class of a tool: read, write or destructive. TOOL or SERVER/TOOL; may be given several times.
    #[arg(long = "effect", value_name = "TOOL=CLASS", value_parser = effect)]
    effects: Vec<(String, Effect)>,
    #[command(flatten)]
    grants: Grants,
    /// The command of a server that no configuration names yet.
    #[arg(last = true, value_name = "CMD ARG…")]
    command: Vec<String>,
}

fn effect(text: &str) -> Result<(String, Effect), String> {
    let (tool, class) = text.rsplit_once('=').ok_or("say TOOL=read, TOOL=write or TOOL=destructive")?;
    let class = Effect::read(class).ok_or_else(|| format!("{class:?} is not read, write or destructive"))?;
    Ok((tool.to_owned(), class))
}

fn grade(text: &str) -> Result<Grade, String> {
    let found = Grade::ALL.into_iter().find(|grade| grade.name() == text && *grade != Grade::Steering);
    found.ok_or_else(|| "cosmetic, narrowing or widening; what steers is always asked".to_owned())
}

/// Runs the review.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> ExitCode {
    match run(args, places, config) {
        Ok(exit) | Err(exit) => exit.into(),
    }
}

fn run(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Result<Exit, Exit> {
    let wanted = Target::read_all(&args.targets);
    let loaded = target::load(&wanted, (&args.command, &args.grants), places, config)?;
    let path = loaded.settings.places.lock.clone();
    let mut lock = read_lock(&path).map_err(|error| Exit::usage(&error))?;
    let before = lock.clone();
    if let Some(digest) = &args.rollback {
        rollback::restore(&wanted, digest, &mut lock)?;
        write(&loaded.settings.places, &before, &lock)?;
        return Ok(Exit::Done);
    }
    let asking = match (args.yes, args.all, io::stdin().is_terminal()) {
        (true, _, _) => Asking::Granted,
        (false, _, false) => Asking::Nobody,
        (false, true, true) => Asking::Once,
        (false, false, true) => Asking::Each,
    };
    let mut screen = Screen::new(io::stdout().lock());
    let (mut left, mut broken) = (0_usize, None);
    let mut made = target::made(&loaded, &wanted, &lock)?;
    let terms = Parts { args, wanted: &wanted, asking };
    let agreed = agree(&terms, &mut made, &mut lock, &mut screen);
    left = left.saturating_add(agreed.map_err(|error| Exit::output(&error))?);
    let survey = target::survey(&loaded, made)?;
    let unasked = survey.exit;
    let offers = compared(args, &wanted, survey, &lock)?;
    for (name, changes) in &offers {
        match decide::review(&Terms { args, asking, advice: Advice::on(&lock, name, changes) }, (name, changes), &mut lock, &mut screen) {
            Ok(open) => left = left.saturating_add(open),
            Err(error) => {
                // Nobody sees the questions any more. What was agreed to stands.
                (broken, left) = (Some(error), left.saturating_add(1));
                break;
            }
        }
    }
    write(&loaded.settings.places, &before, &lock)?;
    match broken {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Exit::output(&error)),
        _ if left == 0 => Ok(unasked),
        _ => {
            eprintln!(
                "{left} definitions are not approved{}.",
                if asking == Asking::Nobody { "; there is no terminal to ask at, and --yes was not given" } else { "" }
            );
            Ok(Exit::ApprovalNeeded)
        }
    }
}

/// What the command says beforehand of what servers are made of.
struct Parts<'a> {
    args: &'a Args,
    wanted: &'a [Target],
    asking: Asking,
}

impl Parts<'_> {
    /// Whether the command itself agrees: to first parts always, to others only where the whole server is
    /// named and no grade was asked for, because another program has no grade.
    fn grant(&self, lock: &Lock, server: &str) -> bool {
        let whole = self.wanted.iter().any(|target| target.is_of(server) && !target.is_single());
        lock.artefacts(server).is_empty() || (whole && self.args.grade.is_none())
    }
}

/// Shows what is new in what servers are made of, and asks. A server whose parts nobody agrees to is not started.
fn agree<W: io::Write>(terms: &Parts<'_>, made: &mut Made, lock: &mut Lock, screen: &mut Screen<W>) -> io::Result<usize> {
    let mut left = 0_usize;
    let mut agreed = Vec::new();
    for (settings, resolved) in made.found.drain(..) {
        let name = &*settings.name;
        // Also where nothing changed: it is why a server that was approved may not work.
        screen.left_out(name, &resolved.left_out)?;
        if lock.artefacts(name) == resolved.artefacts {
            agreed.push((settings, resolved));
            continue;
        }
        screen.artefacts(name, &review::compare_artefacts(lock.artefacts(name), &resolved.artefacts))?;
        let yes = match terms.asking {
            Asking::Each | Asking::Once => screen.ask_artefacts(name)?,
            Asking::Granted => terms.grant(lock, name),
            Asking::Nobody => false,
        };
        if yes {
            lock.set_artefacts(name, resolved.artefacts.clone());
            agreed.push((settings, resolved));
        } else {
            left = left.saturating_add(1);
        }
    }
    made.found = agreed;
    Ok(left)
}

/// Writes the lock file if it is another than before, unless somebody else wrote it meanwhile.
fn write(places: &Places, before: &Lock, lock: &Lock) -> Result<(), Exit> {
    if lock == before {
        return Ok(());
    }
    let path = &places.lock;
    let unchanged = || read_lock(path).is_ok_and(|now| now == *before);
    let written = review::write_lock(places, lock, unchanged).map_err(|error| {
        Exit::environment(&format!(
            "cannot write {}: {error}. Make it and its directory writable, or name another file with --lock",
            path.display()
        ))
    })?;
    if written == Written::Outrun {
        let what = format!("somebody else changed {} during the review; nothing was written, review again", path.display());
        return Err(Exit::environment(&what));
    }
    eprintln!("Wrote {}.", path.display());
    Ok(())
}

type Compared = Vec<(String, Vec<Change>)>;

/// What is to be reviewed. Names that fit nothing are mistakes, and mistakes come before questions.
fn compared(args: &Args, wanted: &[Target], survey: Survey, lock: &Lock) -> Result<Compared, Exit> {
    let chosen = |(name, surveyed): (String, Surveyed)| {
        let mut changes = review::compare(lock, &name, &surveyed.offer);
        // Which program it is belongs to the first look at anything of it.
        let first = |change: &Change| change.kind == Kind::Server && lock.lacks(&name);
        changes.retain(|change| Target::covers(wanted, &name, &change.name) || names_old(wanted, &name, change) || first(change));
        (name, changes)
    };
    let offers: Compared = survey.found.into_iter().map(chosen).collect();
    let all = || offers.iter().flat_map(|(name, changes)| changes.iter().map(move |change| (name.as_str(), change)));
    if let Some(target) = wanted.iter().find(|target| {
        !all().any(|(server, change)| target.means(server, &change.name) || names_old(std::slice::from_ref(target), server, change))
            && target.is_single()
            && offers.iter().any(|(server, _)| target.is_of(server))
    }) {
        return Err(Exit::usage(&format!("there is nothing called {target}; `bartizan diff` shows what there is")));
    }
    let tools = || all().filter(|(_, change)| change.kind == Kind::Tool);
    if let Some((tool, _)) = args.effects.iter().find(|(tool, _)| !tools().any(|(server, change)| is_called(tool, server, change))) {
        return Err(Exit::usage(&format!("--effect: none of the definitions to review is a tool called {tool:?}")));
    }
    Ok(offers)
}

/// Whether the name that something was approved under is wanted.
fn names_old(wanted: &[Target], server: &str, change: &Change) -> bool {
    matches!(&change.what, What::Renamed(pin, _) if Target::covers(wanted, server, &pin.name))
}

fn is_called(name: &str, server: &str, change: &Change) -> bool {
    name == change.name || name.strip_prefix(server).and_then(|rest| rest.strip_prefix('/')) == Some(&change.name)
}

#[cfg(test)]
mod tests;
