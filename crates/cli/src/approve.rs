//! `bartizan approve`: a person reviews what servers offer, and the lock file remembers it.

mod ask;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::PlacesArgs;
use bartizan_gateway::review::{self, Change, What};
use bartizan_gateway::snapshot::read_lock;
use bartizan_gateway::upstream::Surveyed;
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::lock::Lock;

use crate::exit::Exit;
use crate::target::{self, Made, Survey, Target};
use ask::{Screen, Word};

/// Review what servers offer, and approve it.
///
/// Shows every definition that is new, changed or gone, with the effect class that is proposed for
/// it, asks, and writes the lock file. Nothing else makes a tool visible. Exits with 11 when
/// something is left to review.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan approve files\n  bartizan approve files/read_file --effect read_file=read\n  bartizan approve fs --all --yes -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /data"
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
    /// The effect class of a tool: read, write or destructive. TOOL or SERVER/TOOL; may be given several times.
    #[arg(long = "effect", value_name = "TOOL=CLASS", value_parser = effect)]
    effects: Vec<(String, Effect)>,
    /// The command of a server that no configuration names yet.
    #[arg(last = true, value_name = "CMD ARG…")]
    command: Vec<String>,
}

fn effect(text: &str) -> Result<(String, Effect), String> {
    let (tool, class) = text.rsplit_once('=').ok_or("say TOOL=read, TOOL=write or TOOL=destructive")?;
    let class = Effect::read(class).ok_or_else(|| format!("{class:?} is not read, write or destructive"))?;
    Ok((tool.to_owned(), class))
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// A person, about each definition.
    Each,
    /// A person, once per server.
    Once,
    /// Nobody: the command says yes.
    Granted,
    /// Nobody: there is no terminal.
    Nobody,
}

/// Runs the review.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> ExitCode {
    match run(args, places, config) {
        Ok(exit) | Err(exit) => exit.into(),
    }
}

fn run(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Result<Exit, Exit> {
    let wanted = Target::read_all(&args.targets);
    let loaded = target::load(&wanted, &args.command, places, config)?;
    let path = loaded.settings.places.lock.clone();
    let mut lock = read_lock(&path).map_err(|error| Exit::usage(&error))?;
    let asking = match (args.yes, args.all, io::stdin().is_terminal()) {
        (true, _, _) => Asking::Granted,
        (false, _, false) => Asking::Nobody,
        (false, true, true) => Asking::Once,
        (false, false, true) => Asking::Each,
    };
    let mut screen = Screen::new(io::stdout().lock());
    let before = lock.clone();
    let (mut left, mut broken) = (0_usize, None);
    let mut made = target::made(&loaded, &wanted)?;
    let agreed = agree(asking, &mut made, &mut lock, &mut screen);
    left = left.saturating_add(agreed.map_err(|error| Exit::output(&error))?);
    let survey = target::survey(&loaded, made)?;
    let unasked = survey.exit;
    let offers = compared(args, &wanted, survey, &lock)?;
    for (name, changes) in &offers {
        match review(args, asking, (name, changes), &mut lock, &mut screen) {
            Ok(open) => left = left.saturating_add(open),
            Err(error) => {
                // Nobody sees the questions any more. What was agreed to stands.
                (broken, left) = (Some(error), left.saturating_add(1));
                break;
            }
        }
    }
    if lock != before {
        let now = read_lock(&path).map_err(|error| Exit::usage(&error))?;
        if now != before {
            return Err(Exit::environment(&format!(
                "somebody else changed {} during the review; nothing was written, review again",
                path.display()
            )));
        }
        review::write_lock(&path, &lock).map_err(|error| Exit::environment(&format!("cannot write {}: {error}", path.display())))?;
        eprintln!("Wrote {}.", path.display());
    }
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

/// Shows what is new in what servers are made of, and asks. A server whose parts nobody agrees to is not started;
/// where nobody can be asked, it is, to show the rest.
fn agree<W: io::Write>(asking: Asking, made: &mut Made, lock: &mut Lock, screen: &mut Screen<W>) -> io::Result<usize> {
    let mut left = 0_usize;
    let mut agreed = Vec::new();
    for (settings, artefacts) in made.found.drain(..) {
        let name = &*settings.name;
        if lock.artefacts(name) == artefacts {
            agreed.push((settings, artefacts));
            continue;
        }
        screen.artefacts(name, &review::compare_artefacts(lock.artefacts(name), &artefacts))?;
        let yes = match asking {
            Asking::Each | Asking::Once => screen.ask_artefacts(name)?,
            Asking::Granted => true,
            Asking::Nobody => false,
        };
        if yes {
            lock.set_artefacts(name, artefacts.clone());
        } else {
            left = left.saturating_add(1);
        }
        if yes || asking == Asking::Nobody {
            agreed.push((settings, artefacts));
        }
    }
    made.found = agreed;
    Ok(left)
}

type Compared = Vec<(String, Vec<Change>)>;

/// What is to be reviewed. Names that fit nothing are mistakes, and mistakes come before questions.
fn compared(args: &Args, wanted: &[Target], survey: Survey, lock: &Lock) -> Result<Compared, Exit> {
    let chosen = |(name, surveyed): (String, Surveyed)| {
        let mut changes = review::compare(lock, &name, &surveyed.offer);
        changes.retain(|change| Target::covers(wanted, &name, &change.name));
        (name, changes)
    };
    let offers: Compared = survey.found.into_iter().map(chosen).collect();
    let all = || offers.iter().flat_map(|(name, changes)| changes.iter().map(move |change| (name.as_str(), change)));
    if let Some(target) = wanted.iter().find(|target| {
        !all().any(|(server, change)| target.means(server, &change.name))
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

fn is_called(name: &str, server: &str, change: &Change) -> bool {
    name == change.name || name.strip_prefix(server).and_then(|rest| rest.strip_prefix('/')) == Some(&change.name)
}

/// Reviews one server; returns how many definitions are left open.
fn review<W: io::Write>(
    args: &Args,
    asking: Asking,
    (server, changes): (&str, &[Change]),
    lock: &mut Lock,
    screen: &mut Screen<W>,
) -> io::Result<usize> {
    let open = changes.iter().filter(|change| change.is_open()).count();
    screen.say(&format!("{server}: {} definitions, {open} to review", changes.len()))?;
    let given = |change: &Change| {
        args.effects.iter().rev().find(|(tool, _)| change.kind == Kind::Tool && is_called(tool, server, change)).map(|(_, effect)| *effect)
    };
    let mut chosen: Vec<(&Change, Effect)> = Vec::new();
    let mut left = 0_usize;
    for change in changes {
        let effect = given(change).unwrap_or_else(|| change.effect());
        match &change.what {
            What::Same(pin) if effect == pin.effect => continue,
            What::Rejected(why) => {
                screen.rejected(change, why)?;
                continue;
            }
            What::Same(_) | What::New(_) | What::Changed(..) | What::Removed(_) => screen.change(change, effect)?,
        }
        let word = match asking {
            Asking::Each => screen.ask(effect)?,
            Asking::Once | Asking::Granted => Word::Yes(effect),
            Asking::Nobody => Word::No,
        };
        match word {
            Word::Yes(effect) => chosen.push((change, effect)),
            Word::No => left = left.saturating_add(1),
        }
    }
    if asking == Asking::Once && !chosen.is_empty() && !screen.ask_all(chosen.len(), server)? {
        return Ok(left.saturating_add(chosen.len()));
    }
    chosen.iter().for_each(|(change, effect)| change.accept(lock, server, *effect));
    Ok(left)
}

#[cfg(test)]
mod tests;
