//! `bartizan policy diff`: what a change of the policy or the lock file grants, and what it takes away.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use bartizan_gateway::identity::Imagined;
use bartizan_gateway::snapshot::read_lock;
use bartizan_monitor::case::{Caller, Item};
use bartizan_monitor::controls::policy::{Question, Rules, Subject, uses_of};
use serde_json::json;

use super::world::{World, items, rules_of};
use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, visible};

/// Show what another policy or another lock file would grant and take away.
///
/// Asked for everything in both lock files, and for every client and group that either policy names, for those that
/// are given, and for somebody whom no rule names. Exits with 1 when there is a difference.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan policy diff --to policy.new/\n  git show main:bartizan.lock > /tmp/old.lock && bartizan policy diff --lock-file /tmp/old.lock"
)]
pub(super) struct Args {
    /// The other policy: files, or directories of *.cedar files.
    #[arg(long, value_name = "PATH", num_args = 1.., required_unless_present = "lock_file")]
    to: Vec<PathBuf>,
    /// The other lock file.
    #[arg(long, value_name = "FILE")]
    lock_file: Option<PathBuf>,
    /// A client to ask for as well; may be given several times.
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,
    /// A group to ask for as well; may be given several times.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What somebody may do with something, whenever.
#[derive(Debug, Clone, PartialEq, Eq)]
enum May {
    No,
    /// It depends on the moment: these rules.
    Depends(BTreeSet<String>),
    Yes,
}

impl May {
    const fn word(&self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Depends(_) => "depends",
            Self::Yes => "yes",
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::No => 0,
            Self::Depends(_) => 1,
            Self::Yes => 2,
        }
    }
}

/// One difference.
struct Change {
    who: String,
    action: &'static str,
    target: String,
    was: May,
    is: May,
}

impl Change {
    fn word(&self) -> &'static str {
        match self.is.rank().cmp(&self.was.rank()) {
            std::cmp::Ordering::Greater => "grants",
            std::cmp::Ordering::Less => "takes away",
            std::cmp::Ordering::Equal => "changes when",
        }
    }
}

fn may(rules: &Rules, question: Question<'_>) -> Result<May, String> {
    let known = rules.before(question)?;
    if !known.could() {
        return Ok(May::No);
    }
    let open = known.open();
    if open.is_empty() {
        return Ok(May::Yes);
    }
    // By their texts: a rule that was renamed is no other rule.
    let texts = open.iter().filter_map(|id| rules.get(id)).filter_map(|rule| {
        let bare = rule.policy.new_id(cedar_policy::PolicyId::new("rule"));
        bare.to_cedar()
    });
    Ok(May::Depends(texts.collect()))
}

/// Compares.
pub(super) fn run(args: &Args, world: &World) -> Result<Exit, Exit> {
    let other = if args.to.is_empty() { None } else { Some(rules_of(&args.to)?) };
    let new_rules = other.as_ref().unwrap_or(&world.rules);
    let lock = args.lock_file.as_ref().map(|path| read_lock(path)).transpose().map_err(|error| Exit::usage(&error))?;
    let old_items = world.items();
    let new_items = lock.as_ref().map_or_else(|| old_items.clone(), items);
    let who = callers([&world.rules, new_rules], (&args.clients, &args.groups));
    let changes = compare(world, new_rules, (&old_items, &new_items), &who).map_err(|what| Exit::environment(&what))?;
    let mut out = io::stdout().lock();
    print(&changes, (args.format, &mut out)).map_err(|error| Exit::output(&error))?;
    Ok(if changes.is_empty() { Exit::Done } else { Exit::Findings })
}

fn compare(world: &World, rules: &Rules, (old, new): (&[Item], &[Item]), who: &[(String, Caller)]) -> Result<Vec<Change>, String> {
    let key = |item: &'_ Item| (item.server.to_string(), item.pin.kind.name(), item.pin.name.clone());
    let mut pairs: BTreeMap<_, (Option<&Item>, Option<&Item>)> = BTreeMap::new();
    old.iter().for_each(|item| pairs.entry(key(item)).or_default().0 = Some(item));
    new.iter().for_each(|item| pairs.entry(key(item)).or_default().1 = Some(item));
    let mut changes = Vec::new();
    for ((server, kind, name), (was, is)) in &pairs {
        for (who, caller) in who {
            for action in was.or(*is).map(|item| uses_of(item.pin.kind)).unwrap_or_default() {
                let ask = |rules: &Rules, item: &Option<&Item>| {
                    item.map_or(Ok(May::No), |item| may(rules, world.question(caller, (action, Subject::Item(item)))))
                };
                let (was, is) = (ask(&world.rules, was)?, ask(rules, is)?);
                if was != is {
                    changes.push(Change { who: who.clone(), action, target: format!("{kind} {server}/{name}"), was, is });
                }
            }
        }
    }
    Ok(changes)
}

/// Everybody whom the rules tell apart by name, and somebody else.
fn callers(rules: [&Rules; 2], (clients, groups): (&[String], &[String])) -> Vec<(String, Caller)> {
    let mut named: BTreeSet<(bool, String)> = clients.iter().map(|name| (false, name.clone())).collect();
    named.extend(groups.iter().map(|name| (true, name.clone())));
    for literal in rules.into_iter().flat_map(|rules| rules.iter()).flat_map(|rule| rule.policy.entity_literals()) {
        match literal.type_name().to_string().as_str() {
            "Client" => drop(named.insert((false, literal.id().unescaped().to_owned()))),
            "Group" => drop(named.insert((true, literal.id().unescaped().to_owned()))),
            _ => {}
        }
    }
    let one = |(is_group, name): (bool, String)| {
        let imagined = if is_group {
            Imagined { principal: "somebody".to_owned(), groups: [name.clone()].into(), ..Imagined::default() }
        } else {
            Imagined { principal: name.clone(), ..Imagined::default() }
        };
        (format!("{} {name}", if is_group { "group" } else { "client" }), imagined.caller())
    };
    let somebody = Imagined { principal: "somebody".to_owned(), ..Imagined::default() }.caller();
    std::iter::once(("anybody else".to_owned(), somebody)).chain(named.into_iter().map(one)).collect()
}

fn print(changes: &[Change], (format, out): (Format, &mut impl Write)) -> io::Result<()> {
    if format == Format::Json {
        let entries = changes.iter().map(|change| {
            json!({"who": change.who, "action": change.action, "target": change.target, "was": change.was.word(), "is": change.is.word(), "change": change.word()})
        });
        return writeln!(out, "{}", serde_json::Value::from(entries.collect::<Vec<_>>()));
    }
    let paint = Paint::for_stdout();
    for change in changes {
        let word = match change.word() {
            "grants" => paint.bad("grants"),
            "takes away" => paint.good("takes away"),
            word => paint.bold(word),
        };
        let sense = if change.is == May::No || change.was == May::No || change.was.word() != change.is.word() {
            format!("{} → {}", change.was.word(), change.is.word())
        } else {
            "other conditions".to_owned()
        };
        writeln!(out, "{word} {} {} {} ({sense})", visible(&change.who), change.action, visible(&change.target))?;
    }
    if changes.is_empty() {
        writeln!(out, "No difference.")?;
    }
    Ok(())
}
