//! `bartizan policy test`: what the policy must say, written down.

use std::io::{self, Write};
use std::path::PathBuf;

use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::controls::policy::Subject;
use bartizan_monitor::lock::Returns;
use bartizan_monitor::wire::json::Json;
use serde_json::json;

use super::explain;
use super::world::{Answer, Who, World, invented, text};
use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, visible};

/// Test the policy against cases in TOML files. Exits with 1 when one fails.
///
/// A case says who does what, and what must become of it: `[[case]]` with `what`, `who`, one of `tool`, `prompt`,
/// `resource`, `server`, and `expect`: "permit", "deny" or a reason. docs/policy.md describes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bartizan policy test policy-tests.toml")]
pub(super) struct Args {
    /// The files.
    #[arg(value_name = "FILE", default_value = "policy-tests.toml")]
    files: Vec<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    #[serde(default)]
    who: Who,
    tool: Option<String>,
    prompt: Option<String>,
    resource: Option<String>,
    server: Option<String>,
    action: Option<String>,
    #[serde(default)]
    arguments: toml::Table,
    uri: Option<String>,
    /// For what no lock file has.
    effect: Option<Effect>,
    returns: Option<Returns>,
    expect: String,
    /// The rules that must decide it.
    rules: Option<Vec<String>>,
}

impl Case {
    /// What is wrong, if something is.
    fn failure(&self, world: &World) -> Result<Option<String>, Exit> {
        let (caller, facts) = (self.who.caller()?, self.who.facts()?);
        let named = [(Kind::Tool, &self.tool), (Kind::Prompt, &self.prompt), (Kind::Resource, &self.resource)];
        let named = named.into_iter().find_map(|(kind, name)| Some((kind, name.as_deref()?)));
        let item = match (named, self.effect) {
            (None, _) => None,
            (Some((kind, name)), None) => Some(world.item(kind, name)?),
            (Some((kind, name)), Some(effect)) => {
                Some(invented(kind, name, (effect, self.returns)).ok_or_else(|| Exit::usage(&format!("{name:?} is not SERVER/NAME")))?)
            }
        };
        let subject = match (&item, &self.server) {
            (Some(item), None) => Subject::Item(item),
            (None, Some(server)) => Subject::Server(server),
            _ => return Err(Exit::usage(&format!("{:?}: one of tool, prompt, resource and server", self.what))),
        };
        let action = explain::action(self.action.as_deref(), item.as_ref().map(|item| item.pin.kind))?;
        let arguments = Json::of(&self.arguments);
        let question = world.question(&caller, (action, subject));
        let answer = Answer::to(&world.rules, question, (&facts, Some(&arguments), self.uri.as_deref()))?;
        let word = answer.word(&caller);
        let known = ["permit", "deny", "policy.forbid", "policy.unpermitted", "policy.error", "policy.step-up", "identity.login"];
        if !known.contains(&self.expect.as_str()) {
            return Err(Exit::usage(&format!("{:?}: expect is one of {}", self.what, known.join(", "))));
        }
        if self.expect != word && (self.expect != "deny" || word == "permit") {
            return Ok(Some(format!("expected {}, and it is {word}", self.expect)));
        }
        let decided: Vec<&str> = answer.rules(&world.rules).into_iter().map(|rule| &*rule.name).collect();
        let missing = self.rules.iter().flatten().find(|rule| !decided.contains(&rule.as_str()));
        Ok(missing.map(|rule| format!("expected that {rule} decides, and it is [{}]", decided.join(", "))))
    }
}

/// Tests.
pub(super) fn run(args: &Args, world: &World) -> Result<Exit, Exit> {
    let mut results: Vec<(String, Option<String>)> = Vec::new();
    for path in &args.files {
        let file: File = toml::from_str(&text(path)?).map_err(|error| Exit::usage(&format!("{}: {error}", path.display())))?;
        for case in &file.case {
            results.push((case.what.clone(), case.failure(world)?));
        }
    }
    let failed = results.iter().filter(|(_, failure)| failure.is_some()).count();
    let mut out = io::stdout().lock();
    print(&results, failed, (args.format, &mut out)).map_err(|error| Exit::output(&error))?;
    Ok(if failed == 0 { Exit::Done } else { Exit::Findings })
}

fn print(results: &[(String, Option<String>)], failed: usize, (format, out): (Format, &mut impl Write)) -> io::Result<()> {
    if format == Format::Json {
        let entries = results.iter().map(|(what, failure)| json!({"what": what, "passed": failure.is_none(), "failure": failure}));
        return writeln!(out, "{}", serde_json::Value::from(entries.collect::<Vec<_>>()));
    }
    let paint = Paint::for_stdout();
    for (what, failure) in results {
        match failure {
            None => writeln!(out, "{} {}", paint.good("ok    "), visible(what))?,
            Some(failure) => writeln!(out, "{} {}: {}", paint.bad("FAILED"), visible(what), visible(failure))?,
        }
    }
    writeln!(out, "{} cases, {failed} failed", results.len())
}
