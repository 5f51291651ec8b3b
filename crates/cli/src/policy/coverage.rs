//! `bartizan policy coverage`: what no rule is about, and rules that are about nothing.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use bartizan_gateway::identity::Imagined;
use bartizan_monitor::controls::policy::{ACTIONS, Rule, Rules, Subject, conjuncts, uses_of};
use cedar_policy::Policy;
use cedar_policy::pst::{Clause, Expr, PrincipalConstraint, StaticPolicy, Var};
use serde_json::json;

use super::world::{World, told};
use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, visible};

/// Show approved tools, prompts and resources that no rule is about, and rules that match nothing of the lock file.
///
/// Who calls and when is left open: a rule counts when somebody could meet it at some moment. Exits with 1 when there
/// is something to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bartizan policy coverage --format json")]
pub(super) struct Args {
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is found.
struct Found<'r> {
    /// What no rule is about.
    bare: Vec<String>,
    /// What rules forbid only.
    closed: Vec<String>,
    /// Rules that match nothing.
    idle: Vec<&'r Rule>,
    /// Names in rules that the catalogue does not have, and the rule.
    unknown: BTreeSet<(String, String)>,
}

/// Covers.
pub(super) fn run(args: &Args, world: &World) -> Result<Exit, Exit> {
    let found = find(world).map_err(|what| Exit::environment(&what))?;
    let mut out = io::stdout().lock();
    print(&found, world, (args.format, &mut out)).map_err(|error| Exit::output(&error))?;
    let clean = found.bare.is_empty() && found.closed.is_empty() && found.idle.is_empty() && found.unknown.is_empty();
    Ok(if clean { Exit::Done } else { Exit::Findings })
}

fn find(world: &World) -> Result<Found<'_>, String> {
    let items = world.items();
    let mut reach = vec![(false, false); items.len()];
    let mut idle = Vec::new();
    let nobody = Imagined { principal: "somebody".to_owned(), ..Imagined::default() }.caller();
    for rule in world.rules.iter() {
        let anybody = Rules::of(for_anybody(&rule.policy)?)?;
        let matches = |action, subject| {
            let known = anybody.before(world.question(&nobody, (action, subject)))?;
            Ok::<bool, String>(known.could())
        };
        let mut meets = false;
        for (item, reached) in items.iter().zip(&mut reach) {
            for action in ACTIONS {
                let fits = matches(action, Subject::Item(item))?;
                meets |= fits;
                if fits && uses_of(item.pin.kind).contains(&action) {
                    let side = if rule.permits() { &mut reached.0 } else { &mut reached.1 };
                    *side = true;
                }
            }
        }
        for server in &world.servers {
            for action in ACTIONS.into_iter().filter(|action| action.starts_with("ask-")) {
                meets |= matches(action, Subject::Server(server))?;
            }
        }
        if !meets {
            idle.push(rule);
        }
    }
    let named = |wanted: (bool, bool)| {
        let some = items.iter().zip(&reach).filter(|(_, reached)| **reached == wanted);
        some.map(|(item, _)| format!("{} {}/{}", item.pin.kind.name(), item.server, item.pin.name)).collect()
    };
    Ok(Found { bare: named((false, false)), closed: named((false, true)), idle, unknown: unknown(world) })
}

/// The rule for whoever comes, whenever: what of it is about the thing alone.
fn for_anybody(rule: &Policy) -> Result<Policy, String> {
    let tree = rule.to_pst().map_err(|error| error.to_string())?;
    let about_thing = |expr: &Arc<Expr>| {
        !expr.reduce(&|node: &Expr| matches!(node, Expr::Var(Var::Principal | Var::Context)).then_some(true), &|a, b| a || b, false)
    };
    let clauses = conjuncts(&tree).into_iter().filter(about_thing).map(Clause::When);
    let mut body = tree.body().clone().try_with_clauses(clauses.collect::<Vec<_>>()).map_err(|error| error.to_string())?;
    body.principal = PrincipalConstraint::Any;
    body.effect = cedar_policy::pst::Effect::Permit;
    let body = StaticPolicy::try_from(body).map_err(|error| error.to_string())?;
    Policy::from_pst(body.into()).map_err(|error| error.to_string())
}

/// Names of things in rules that nobody approved: a typing error forbids and permits nothing.
pub(super) fn unknown(world: &World) -> BTreeSet<(String, String)> {
    let mut known: BTreeSet<String> = world.servers.iter().map(|server| format!("Server/{server}")).collect();
    for item in world.items() {
        let kind = match item.pin.kind.name() {
            "tool" => "Tool",
            "prompt" => "Prompt",
            _ => "Resource",
        };
        known.insert(format!("{kind}/{}/{}", item.server, item.pin.name));
    }
    let mut unknown = BTreeSet::new();
    for rule in world.rules.iter() {
        for literal in rule.policy.entity_literals() {
            let kind = literal.type_name().to_string();
            let of_catalogue = matches!(kind.as_str(), "Tool" | "Prompt" | "Resource" | "Server");
            if of_catalogue && !known.contains(&format!("{kind}/{}", literal.id().unescaped())) {
                unknown.insert((literal.to_string(), told(rule)));
            }
        }
    }
    unknown
}

fn print(found: &Found<'_>, world: &World, (format, out): (Format, &mut impl Write)) -> io::Result<()> {
    if format == Format::Json {
        let idle: Vec<_> = found.idle.iter().map(|rule| json!({"rule": &*rule.name, "place": rule.place})).collect();
        let unknown: Vec<_> = found.unknown.iter().map(|(name, rule)| json!({"name": name, "rule": rule})).collect();
        return writeln!(out, "{}", json!({"unmentioned": found.bare, "forbidden": found.closed, "idle": idle, "unknown": unknown}));
    }
    let paint = Paint::for_stdout();
    let mut part = |title: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(out, "{}", paint.bold(title))?;
        lines.iter().try_for_each(|line| writeln!(out, "  {}", visible(line)))
    };
    part("No rule is about", found.bare.clone())?;
    part("Only forbidden, to everybody", found.closed.clone())?;
    part("Rules that match nothing that was approved", found.idle.iter().map(|rule| told(rule)).collect())?;
    part("Names that nothing approved has", found.unknown.iter().map(|(name, rule)| format!("{name} in {rule}")).collect())?;
    writeln!(out, "{} rules, {} definitions", world.rules.iter().count(), world.items().len())
}
