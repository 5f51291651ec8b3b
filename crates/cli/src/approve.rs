//! `bartizan approve`: a person reviews what servers offer, and the lock file remembers it.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::{Loaded, PlacesArgs};
use bartizan_gateway::review::{self, Change, What};
use bartizan_gateway::snapshot::read_lock;
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::controls::schema;
use bartizan_monitor::lock::Lock;

use crate::exit::Exit;
use crate::paint::{Paint, show};
use crate::target::{self, Target};

/// Review what servers offer, and approve it.
///
/// Shows every definition that is new, changed or gone, with the effect class that is proposed for
/// it, asks, and writes the lock file. Nothing else makes a tool visible.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan approve files\n  bartizan approve files/read_file --effect read_file=read\n  bartizan approve fs --all --yes -- npx -y @modelcontextprotocol/server-filesystem /data")]
pub(crate) struct Args {
    /// Servers, or single definitions as SERVER/NAME. Without any: all configured servers.
    #[arg(value_name = "SERVER[/TOOL]")]
    targets: Vec<String>,
    /// Take every definition of the named servers.
    #[arg(long)]
    all: bool,
    /// Do not ask. Only together with names.
    #[arg(long, requires = "targets")]
    yes: bool,
    /// The effect class of a tool: read, write or destructive. May be given several times.
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

/// What a person said to one change.
enum Word {
    Yes(Effect),
    No,
    Quit,
}

/// How words are got.
struct Asker {
    effects: BTreeMap<String, Effect>,
    unattended: bool,
    interactive: bool,
}

/// Runs the review.
pub(crate) fn main(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> ExitCode {
    match run(args, places, config) {
        Ok(exit) => exit.into(),
        Err(exit) => exit.into(),
    }
}

fn run(args: &Args, places: &PlacesArgs, config: Option<PathBuf>) -> Result<Exit, Exit> {
    let wanted = Target::read_all(&args.targets);
    let loaded = target::load(&wanted, &args.command, places, config)?;
    let path = loaded.settings.places.lock.clone();
    let mut lock = read_lock(&path).map_err(|error| Exit::usage(&error))?;
    let before = lock.clone();
    let asker = Asker {
        effects: args.effects.iter().cloned().collect(),
        unattended: args.yes,
        interactive: std::io::stdin().is_terminal() && !args.yes,
    };
    let exit = review_all(&loaded, &wanted, &mut lock, &asker);
    if lock != before {
        review::write_lock(&path, &lock).map_err(|error| Exit::environment(&format!("cannot write {}: {error}", path.display())))?;
        println!("Wrote {}.", path.display());
    }
    exit
}

fn review_all(loaded: &Loaded, wanted: &[Target], lock: &mut Lock, asker: &Asker) -> Result<Exit, Exit> {
    let mut left = 0;
    for (name, surveyed) in target::survey(loaded, wanted)? {
        let changes = review::compare(lock, &name, &surveyed.offer);
        let chosen: Vec<&Change> = changes.iter().filter(|change| Target::covers(wanted, &name, &change.name)).collect();
        let open = chosen.iter().filter(|change| change.is_open()).count();
        println!("{name}: {} definitions, {open} to review ({})", chosen.len(), surveyed.version);
        for change in &chosen {
            match decide(change, &name, asker) {
                Word::Yes(effect) => change.accept(lock, &name, effect),
                Word::No => left += usize::from(change.is_open()),
                Word::Quit => return Ok(Exit::ApprovalNeeded),
            }
        }
    }
    Ok(if left == 0 { Exit::Done } else { Exit::ApprovalNeeded })
}

fn decide(change: &Change, server: &str, asker: &Asker) -> Word {
    let proposed = change.effect();
    let given = [change.name.clone(), format!("{server}/{}", change.name)].iter().find_map(|name| asker.effects.get(name)).copied().filter(|_| change.kind == Kind::Tool);
    let effect = given.unwrap_or(proposed);
    match &change.what {
        What::Same(pin) if given.is_none_or(|given| given == pin.effect) => return Word::No,
        What::Rejected(why) => {
            println!("  ! {} {}: {why}; it cannot be approved", change.kind.name(), change.name);
            return Word::No;
        }
        _ => {}
    }
    print_change(change, effect);
    if effect < proposed {
        println!("    note: name and hints of the tool suggest {proposed}; you decide {effect}");
    }
    if asker.unattended {
        return Word::Yes(effect);
    }
    if asker.interactive { ask(effect) } else { Word::No }
}

fn print_change(change: &Change, effect: Effect) {
    let paint = Paint::for_stdout();
    let sign = match change.what {
        What::New(_) => "+",
        What::Changed(..) => "~",
        What::Removed(_) => "-",
        What::Same(_) | What::Rejected(_) => " ",
    };
    let class = if change.kind == Kind::Tool { format!("  [{effect}]") } else { String::new() };
    println!("  {sign} {} {}{}", change.kind.name(), paint.bold(&change.name), paint.effect(effect, &class));
    for line in change.lines() {
        println!("    {}", show(&line, &paint));
    }
    if let What::New(definition) | What::Changed(_, definition) = &change.what {
        if let Err(why) = schema::compiles(&definition.json) {
            println!("    ! its schema does not compile, so no call of it will pass: {why}");
        }
    }
}

fn ask(proposed: Effect) -> Word {
    loop {
        print!("    approve? [y]es as {proposed}, [n]o, as [r]ead / [w]rite / [d]estructive, [q]uit: ");
        // The question may stay in the buffer on a broken terminal; the answer is asked for anyway.
        let _ = std::io::stdout().flush();
        let mut answer = String::new();
        match std::io::stdin().lock().read_line(&mut answer) {
            Ok(0) | Err(_) => return Word::Quit,
            Ok(_) => {}
        }
        match answer.trim() {
            "y" | "yes" => return Word::Yes(proposed),
            "n" | "no" => return Word::No,
            "r" => return Word::Yes(Effect::Read),
            "w" => return Word::Yes(Effect::Write),
            "d" => return Word::Yes(Effect::Destructive),
            "q" => return Word::Quit,
            _ => {}
        }
    }
}
