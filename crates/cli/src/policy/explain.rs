//! `bartizan policy explain`: may somebody do something, which rules say so, and what would have to change.

use std::io::{self, Write};

use bartizan_monitor::case::{Caller, Facts, Item, Kind, Labels};
use bartizan_monitor::controls::policy::{ACTIONS, Question, Rule, Rules, Subject, conjuncts};
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;
use cedar_policy::Policy;
use cedar_policy::pst::{Clause, StaticPolicy};
use serde_json::json;

use super::world::{Answer, Who, World, told};
use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, visible};

/// Explain whether the policy lets somebody do something, which rules decide it, and what would have to change.
///
/// Exits with 0 when it is permitted, 1 when it is not. What a credential is good for, quotas and the other controls
/// are not asked.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan policy explain --client token:ci#0 --tool files/write_file\n  bartizan policy explain --client ann --group ops --tool files/read_file --arguments '{\"path\": \"/srv/a\"}'\n  bartizan policy explain --client ann --server files --action ask-elicit"
)]
pub(super) struct Args {
    #[command(flatten)]
    who: Who,
    /// The tool: SERVER/TOOL.
    #[arg(long, value_name = "SERVER/TOOL", group = "what")]
    tool: Option<String>,
    /// The prompt: SERVER/PROMPT.
    #[arg(long, value_name = "SERVER/PROMPT", group = "what")]
    prompt: Option<String>,
    /// The resource or template: SERVER/URI.
    #[arg(long, value_name = "SERVER/URI", group = "what")]
    resource: Option<String>,
    /// The server, for what it asks itself (`--action ask-…`).
    #[arg(long, value_name = "SERVER", group = "what")]
    server: Option<String>,
    /// What is done. Default: call, get, read, or ask-elicit.
    #[arg(long, value_name = "ACTION", value_parser = ACTIONS)]
    action: Option<String>,
    /// The arguments of a call, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    arguments: String,
    /// The URI that is read, for a template.
    #[arg(long, value_name = "URI")]
    uri: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is wanted.
enum Wanted {
    Item(Item),
    Server(String),
}

impl Args {
    fn wanted(&self, world: &World) -> Result<Wanted, Exit> {
        let named = [(Kind::Tool, &self.tool), (Kind::Prompt, &self.prompt), (Kind::Resource, &self.resource)];
        if let Some((kind, name)) = named.into_iter().find_map(|(kind, name)| Some((kind, name.as_ref()?))) {
            return world.item(kind, name).map(Wanted::Item);
        }
        match &self.server {
            Some(server) if world.servers.contains(server) => Ok(Wanted::Server(server.clone())),
            Some(server) => Err(Exit::usage(&format!("no server is called {server:?}"))),
            None => Err(Exit::usage("say what: --tool SERVER/TOOL, --prompt, --resource or --server")),
        }
    }
}

/// The action of this name, and the usual one of a kind.
pub(super) fn action(name: Option<&str>, kind: Option<Kind>) -> Result<&'static str, Exit> {
    let usual = match kind {
        Some(Kind::Tool) => "call",
        Some(Kind::Prompt) => "get",
        Some(_) => "read",
        None => "ask-elicit",
    };
    let wanted = name.unwrap_or(usual);
    let fits = |action: &str| match kind {
        Some(Kind::Tool) => matches!(action, "call" | "follow"),
        Some(Kind::Prompt) => matches!(action, "get" | "complete"),
        Some(_) => matches!(action, "read" | "subscribe" | "complete"),
        None => action.starts_with("ask-"),
    };
    let found = ACTIONS.into_iter().find(|action| *action == wanted && fits(action));
    found.ok_or_else(|| Exit::usage(&format!("{wanted:?} cannot be done with it; the actions are {}", ACTIONS.join(", "))))
}

/// Reads arguments.
pub(super) fn arguments(text: &str) -> Result<Json, Exit> {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).map_err(|error| Exit::usage(&format!("the arguments are no JSON: {error}")))
}

/// Explains.
pub(super) fn run(args: &Args, world: &World) -> Result<Exit, Exit> {
    let (caller, mut facts, arguments) = (args.who.caller()?, args.who.facts()?, arguments(&args.arguments)?);
    if args.who.labels.is_empty() {
        facts.labels = world.read_by(caller.principal())?;
    }
    let wanted = args.wanted(world)?;
    let (kind, name, subject) = match &wanted {
        Wanted::Item(item) => (Some(item.pin.kind), format!("{}/{}", item.server, item.pin.name), Subject::Item(item)),
        Wanted::Server(server) => (None, server.clone(), Subject::Server(server)),
    };
    let action = action(args.action.as_deref(), kind)?;
    let question = world.question(&caller, (action, subject));
    let moment = (&facts, Some(&arguments), args.uri.as_deref());
    let answer = Answer::to(&world.rules, question, moment)?;
    let near = if answer.outcome.allows() { Vec::new() } else { near(world, question, moment)? };
    let told = Told { caller: &caller, labels: facts.labels, name: &name, action, answer: &answer, near: &near };
    let mut out = io::stdout().lock();
    let printed = match args.format {
        Format::Json => writeln!(out, "{}", told.json(&world.rules)),
        Format::Text => told.text(&world.rules, &mut out),
    };
    printed.map_err(|error| Exit::output(&error))?;
    Ok(if answer.outcome.allows() { Exit::Done } else { Exit::Findings })
}

/// A rule that would permit, and what of it does not hold.
struct Near<'r> {
    rule: &'r Rule,
    unmet: Vec<String>,
}

/// How many rules that come close are told.
const NEAREST: usize = 3;

/// The rules that come closest to permitting.
fn near<'r>(world: &'r World, question: Question<'_>, moment: (&Facts, Option<&Json>, Option<&str>)) -> Result<Vec<Near<'r>>, Exit> {
    let mut found = Vec::new();
    for rule in world.rules.iter().filter(|rule| rule.permits() && rule.is_about(question.action)) {
        let mut unmet = Vec::new();
        for (words, part) in parts(&rule.policy).map_err(|what| Exit::environment(&what))? {
            let alone = Rules::of(part).map_err(|what| Exit::environment(&what))?;
            if !Answer::to(&alone, question, moment)?.outcome.allows() {
                unmet.push(words);
            }
        }
        if !unmet.is_empty() {
            found.push(Near { rule, unmet });
        }
    }
    found.sort_by_key(|near| near.unmet.len());
    found.truncate(NEAREST);
    Ok(found)
}

/// A rule's head and its conditions, each as a rule of its own that permits.
fn parts(rule: &Policy) -> Result<Vec<(String, Policy)>, String> {
    let tree = rule.to_pst().map_err(|error| error.to_string())?;
    let with = |clauses: Vec<Clause>| {
        let body = tree.body().clone().try_with_clauses(clauses).map_err(|error| error.to_string())?;
        let body = StaticPolicy::try_from(body).map_err(|error| error.to_string())?;
        Policy::from_pst(body.into()).map_err(|error| error.to_string())
    };
    let head = with(Vec::new())?;
    let mut parts = vec![(format!("it is about {}", scope(&head)), head)];
    for condition in conjuncts(&tree) {
        parts.push((condition.to_string(), with(vec![Clause::When(condition)])?));
    }
    Ok(parts)
}

/// The head of a rule, as it is written.
fn scope(head: &Policy) -> String {
    let text = head.to_cedar().unwrap_or_default();
    let inside = text.split_once("(").map_or("", |(_, rest)| rest).trim().trim_end_matches([')', ';', '\n', ' ']);
    inside.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Told<'a> {
    caller: &'a Caller,
    labels: Labels,
    name: &'a str,
    action: &'a str,
    answer: &'a Answer,
    near: &'a [Near<'a>],
}

impl Told<'_> {
    fn json(&self, rules: &Rules) -> serde_json::Value {
        let decided =
            self.answer.rules(rules).into_iter().map(|rule| json!({"rule": &*rule.name, "place": rule.place, "effect": effect(rule)}));
        let near = self.near.iter().map(|near| json!({"rule": &*near.rule.name, "place": near.rule.place, "unmet": near.unmet}));
        json!({
            "client": &**self.caller.principal(),
            "labels": self.labels.names().collect::<Vec<_>>(),
            "action": self.action,
            "target": self.name,
            "permitted": self.answer.outcome.allows(),
            "reason": (!self.answer.outcome.allows()).then(|| self.answer.word(self.caller)),
            "rules": decided.collect::<Vec<_>>(),
            "errors": self.answer.outcome.errors.iter().map(|(_, error)| error.clone()).collect::<Vec<_>>(),
            "needs": self.answer.needs.as_ref().map(ToString::to_string),
            "hidden": !self.answer.known.could() && self.answer.needs.is_none(),
            "near": near.collect::<Vec<_>>(),
        })
    }

    fn text(&self, rules: &Rules, out: &mut impl Write) -> io::Result<()> {
        let paint = Paint::for_stdout();
        let permitted = self.answer.outcome.allows();
        let word = if permitted { paint.good("may") } else { paint.bad("may not") };
        writeln!(out, "{} {word} {} {}", visible(self.caller.principal()), self.action, visible(self.name))?;
        if !permitted {
            writeln!(out, "  {}", self.answer.word(self.caller))?;
        }
        let labels: Vec<&str> = self.labels.names().collect();
        if !labels.is_empty() {
            writeln!(out, "  has read {} content, for which `flow` may hold a call that policy permits", labels.join(" and "))?;
        }
        for rule in self.answer.rules(rules) {
            writeln!(out, "  decided by {} {}", effect(rule), visible(&told(rule)))?;
        }
        for (_, error) in &self.answer.outcome.errors {
            writeln!(out, "  {}", visible(error))?;
        }
        if permitted {
            return Ok(());
        }
        if !self.answer.known.could() && self.answer.needs.is_none() {
            writeln!(out, "  It is not in this client's lists, and a call is answered as if it did not exist.")?;
        }
        writeln!(out, "{}", paint.bold("What would have to change"))?;
        if let Some(needs) = &self.answer.needs {
            writeln!(out, "  The caller needs {needs}.")?;
        }
        for rule in self.answer.rules(rules) {
            writeln!(out, "  {} must not match.", visible(&told(rule)))?;
        }
        for near in self.near.iter().filter(|_| self.answer.outcome.permits.is_empty()) {
            writeln!(out, "  For {} to permit it:", visible(&told(near.rule)))?;
            near.unmet.iter().try_for_each(|unmet| writeln!(out, "    {}", visible(unmet)))?;
        }
        Ok(())
    }
}

fn effect(rule: &Rule) -> &'static str {
    if rule.permits() { "permit" } else { "forbid" }
}
