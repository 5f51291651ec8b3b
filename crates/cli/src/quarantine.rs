//! `bartizan quarantine`: texts that read like orders to a model, and a person's word about them.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use bartizan_gateway::clock;
use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::consult::line::{self, Line};
use bartizan_gateway::consult::shown::{self, Detail};
use bartizan_gateway::identity::local_user;
use bartizan_gateway::kept::quarantine::{self, Item, State, Word};
use serde_json::json;

use crate::approvals::{ask, credential, lines_of, question, text};
use crate::exit::Exit;
use crate::format::Format;
use crate::paint::visible;

/// See texts that were taken out of answers because they read like orders to a model, and let them go or throw them away.
///
/// `[controls.injection]` says for which tools that is done (`quarantine`). Nothing is let go by itself, and no client can do it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan quarantine list\n  bartizan quarantine show 3f9a\n  bartizan quarantine release 3f9a")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what is quarantined. Exits with 11 when something waits for a word.
    #[command(after_help = "Example:\n  bartizan quarantine list --format json")]
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show the texts of one answer: line by line, with an escape for everything that does not show or that does something.
    #[command(after_help = "Example:\n  bartizan quarantine show 3f9a --full")]
    Show {
        /// Its handle, or how it begins.
        handle: String,
        /// Show long texts whole.
        #[arg(long)]
        full: bool,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Let the client read them. They stay marked as data of that server.
    #[command(
        after_help = "Examples:\n  bartizan quarantine release 3f9a\n  BARTIZAN_AS=$TOKEN bartizan quarantine release 3f9a --shown sha256:..."
    )]
    Release {
        #[command(flatten)]
        decision: Decision,
        /// Do not show it and ask again: the digest that `bartizan quarantine show` printed below what it showed.
        #[arg(long, value_name = "DIGEST")]
        shown: Option<String>,
    },
    /// Throw them away.
    #[command(after_help = "Example:\n  bartizan quarantine drop 3f9a")]
    Drop(Decision),
}

#[derive(Debug, clap::Args)]
struct Decision {
    /// Its handle, or how it begins.
    handle: String,
    /// A token for answering (`bartizan token issue --approver`) of whoever decides. `-` reads it from standard input.
    #[arg(long = "as", value_name = "TOKEN", env = "BARTIZAN_AS", hide_env_values = true)]
    by: Option<String>,
    /// How to print what happened.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Lists, shows or decides.
pub(crate) fn main(args: &Args, places: &PlacesArgs) -> Exit {
    let state = match Places::find(places, None) {
        Ok(places) => places.state,
        Err(error) => return Exit::usage(&error),
    };
    let done = match &args.what {
        What::List { format } => list(&state, *format),
        What::Show { handle, full, format } => show(&state, handle, (if *full { Detail::Full } else { Detail::Folded }, *format)),
        What::Release { decision, shown } => release(&state, decision, shown.as_deref()),
        What::Drop(decision) => find(&state, &decision.handle).and_then(|item| decide(&state, "drop", (&item, decision))),
    };
    done.unwrap_or_else(|exit| exit)
}

fn all(state: &Path) -> Result<Vec<Item>, Exit> {
    quarantine::list(state, clock::now_ms()).map_err(|error| Exit::environment(&error))
}

fn brief(item: &Item) -> serde_json::Value {
    let Item { handle, state, by, at_ms, until_ms, principal, session, server, tool, call, classes, texts, .. } = item;
    json!({
        "handle": handle, "state": state, "by": by, "at_ms": at_ms, "until_ms": until_ms, "principal": principal, "session": session,
        "server": server, "tool": tool, "call": call, "classes": classes, "texts": texts.len(),
    })
}

fn row(item: &Item) -> String {
    format!(
        "{}  {}  {}  {}/{}  asked by {}  {} texts: {}",
        visible(&item.handle),
        clock::utc(item.at_ms),
        item.state.name(),
        visible(&item.server),
        visible(&item.tool),
        visible(&item.principal),
        item.texts.len(),
        visible(&item.classes)
    )
}

fn list(state: &Path, format: Format) -> Result<Exit, Exit> {
    let items = all(state)?;
    let mut out = io::stdout().lock();
    let printed = match format {
        Format::Json => writeln!(out, "{}", json!({ "quarantined": items.iter().map(brief).collect::<Vec<_>>() })),
        Format::Text if items.is_empty() => writeln!(out, "Nothing is quarantined."),
        Format::Text => items.iter().try_for_each(|item| writeln!(out, "{}", row(item))),
    };
    printed.map_err(|error| Exit::output(&error))?;
    Ok(if items.iter().any(|item| item.state == State::Waits) { Exit::ApprovalNeeded } else { Exit::Done })
}

/// The one whose handle begins so.
fn find(state: &Path, handle: &str) -> Result<Item, Exit> {
    let mut fits: Vec<Item> = all(state)?.into_iter().filter(|item| !handle.is_empty() && item.handle.starts_with(handle)).collect();
    match (fits.pop(), fits.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Exit::usage("several have a handle that begins so; write more of it")),
        (None, _) => {
            eprintln!("bartizan: nothing of that name is quarantined (any more). `bartizan quarantine list` shows what is.");
            Err(Exit::Findings)
        }
    }
}

/// The texts, so that they do nothing and hide nothing.
fn inert(item: &Item, detail: Detail) -> String {
    let one = |(at, text): (usize, &String)| {
        format!(
            "text {} of {} ({} characters):\n{}",
            at.saturating_add(1),
            item.texts.len(),
            text.chars().count(),
            shown::lines(text.lines(), detail)
        )
    };
    item.texts.iter().enumerate().map(one).collect()
}

fn show(state: &Path, handle: &str, (detail, format): (Detail, Format)) -> Result<Exit, Exit> {
    let item = find(state, handle)?;
    let (whole, texts) = (inert(&item, Detail::Full), inert(&item, detail));
    let mut out = io::stdout().lock();
    let printed = match format {
        // Only who has been shown all of it has its digest.
        Format::Json => {
            let shown = (whole == texts).then(|| item.shown().to_string());
            writeln!(out, "{}", json!({ "quarantined": brief(&item), "text": texts, "shown": shown }))
        }
        Format::Text => {
            let end = if whole == texts {
                format!("This lets {} read it: bartizan quarantine release {} --shown {}", item.principal, item.handle, item.shown())
            } else {
                "It is longer than that: --full shows all of it.".to_owned()
            };
            writeln!(out, "{}\n{}{}", row(&item), lines_of(&texts), visible(&end))
        }
    };
    printed.map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}

/// Somebody has looked at it, here or before.
fn release(state: &Path, decision: &Decision, shown: Option<&str>) -> Result<Exit, Exit> {
    let item = find(state, &decision.handle)?;
    match shown {
        Some(shown) if shown != item.shown().to_string() => {
            return Err(Exit::usage("that is not the digest of these texts: look with `bartizan quarantine show --full`"));
        }
        Some(_) => {}
        None if !io::stdin().is_terminal() => {
            return Err(Exit::usage(
                "nobody is there to be asked: look with `bartizan quarantine show --full`, then say --shown and the digest below it",
            ));
        }
        None => {
            // The word is about all of it, so all of it is shown.
            eprint!("{}\n{}Let {} read this? [y]es, [n]o: ", row(&item), lines_of(&inert(&item, Detail::Full)), visible(&item.principal));
            let mut said = String::new();
            io::stdin().lock().read_line(&mut said).map_err(|error| Exit::environment(&error))?;
            if !matches!(said.trim(), "y" | "yes") {
                eprintln!("Not released. It stays; `bartizan quarantine drop` throws it away.");
                return Ok(Exit::Findings);
            }
        }
    }
    decide(state, "release", (&item, decision))
}

fn decide(state: &Path, what: &str, (item, decision): (&Item, &Decision)) -> Result<Exit, Exit> {
    let Decision { by, format, .. } = decision;
    let token = credential(by.as_deref())?;
    let lines = line::lines(state).map_err(|error| Exit::environment(&error))?;
    // The one that wrote it, while it runs: its policy says whose word counts.
    let own = lines.iter().find(|line| item.gateway.as_ref() == Some(&line.name()));
    let (by, assurance) = match (own.or(lines.first()), what) {
        (Some(line), _) => over(line, what, (item, &token))?,
        (None, "drop") => alone(state, item)?,
        (None, _) => {
            eprintln!(
                "bartizan: no gateway runs over this state directory, so nobody could write down who releases it. Nothing was released."
            );
            return Err(Exit::Findings);
        }
    };
    let mut out = io::stdout().lock();
    let words = if what == "release" { "Released" } else { "Thrown away" };
    let printed = match format {
        Format::Json => writeln!(out, "{}", json!({ "done": what, "handle": item.handle, "by": by, "assurance": assurance })),
        Format::Text => {
            writeln!(out, "{words}: {}/{}, by {} ({}).", visible(&item.server), visible(&item.tool), visible(&by), visible(&assurance))
        }
    };
    printed.map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}

/// A gateway writes it down, and does it.
fn over(line: &Line, what: &str, (item, token): (&Item, &str)) -> Result<(String, String), Exit> {
    let shown = item.shown().to_string();
    let asked = question(&[("ask", "quarantine"), ("to", what), ("handle", &item.handle), ("shown", &shown), ("token", token)]);
    let done = ask(line, &asked)?;
    Ok((text(done.view(), "by"), text(done.view(), "assurance")))
}

/// Where none runs, there is nobody who could read it, and nobody who writes it down.
fn alone(state: &Path, item: &Item) -> Result<(String, String), Exit> {
    let (by, shown) = (local_user().principal().to_string(), item.shown().to_string());
    let word = Word { state, handle: &item.handle, shown: &shown, by: &by, now_ms: clock::now_ms() };
    quarantine::decide(word, State::Dropped, |_| Ok(())).map_err(|why| Exit::environment(&why))?;
    Ok((by, "local".to_owned()))
}
