//! `bartizan approvals`: calls that wait for a person, and the person's answer.

mod pattern;
mod stats;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use bartizan_gateway::clock;
use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::consult::line::{self, Line};
use bartizan_monitor::case::Effect;
use bartizan_monitor::wire::json::{Json, View};

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, visible, visible_text};

/// See and answer the calls that wait for a person.
///
/// Reaches every gateway that runs over this state directory, on this machine and as this user. The first answer
/// counts, whoever gives it; what nobody answers in time is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan approvals list\n  bartizan approvals show ID\n  bartizan approvals grant ID")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what waits. Exits with 11 when something does.
    #[command(after_help = "Example:\n  bartizan approvals list --format json")]
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show one call: exactly what would be sent.
    #[command(after_help = "Example:\n  bartizan approvals show 3fK9…")]
    Show {
        /// Its name, or how it begins.
        id: String,
        /// Show long values whole.
        #[arg(long)]
        full: bool,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Agree to one call: it is sent once, exactly as shown.
    #[command(after_help = "Examples:\n  bartizan approvals grant 3fK9…\n  BARTIZAN_AS=$TOKEN bartizan approvals grant 3fK9… --yes")]
    Grant(Decision),
    /// Say where the page is on which people answer from their browsers.
    ///
    /// It is opened by `[approvals] listen` in the configuration of `bartizan serve`. People log in with a token that
    /// `bartizan token issue --approver` has made.
    #[command(after_help = "Example:\n  bartizan approvals web")]
    Web,
    /// Agree in advance: to calls of one tool by one client, with arguments within bounds, so many times, for a while.
    #[command(
        after_help = "Example:\n  bartizan approvals allow files/delete_file --client token:ci --where path^=/srv/tmp/ --times 10 --for 30min"
    )]
    Allow(pattern::Allow),
    /// Show what is agreed to in advance.
    #[command(after_help = "Example:\n  bartizan approvals allowed")]
    Allowed {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Take back what was agreed to in advance.
    #[command(after_help = "Example:\n  bartizan approvals withdraw 3fK9…")]
    Withdraw {
        /// Its name, or how it begins.
        id: String,
    },
    /// Show how often and how fast people say yes, and who seems not to read.
    #[command(after_help = "Example:\n  bartizan approvals stats --since 7d")]
    Stats(stats::Args),
    /// Refuse one call.
    #[command(after_help = "Example:\n  bartizan approvals refuse 3fK9…")]
    Refuse(Decision),
}

#[derive(Debug, clap::Args)]
struct Decision {
    /// Its name, or how it begins.
    id: String,
    /// Do not ask again after showing it.
    #[arg(long)]
    yes: bool,
    /// A credential of whoever answers, where policy wants to know who that is or that it is somebody else than who asks.
    /// `-` reads it from standard input. Others on this machine can see the words of a command line.
    #[arg(long = "as", value_name = "TOKEN", env = "BARTIZAN_AS", hide_env_values = true)]
    by: Option<String>,
    /// How to print what happened.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Lists, shows or answers.
pub(crate) fn main(args: &Args, places: &PlacesArgs) -> Exit {
    let state = match Places::find(places, None) {
        Ok(places) => places.state,
        Err(error) => return Exit::usage(&error),
    };
    let lines = match line::lines(&state) {
        Ok(lines) => lines,
        Err(error) => return Exit::environment(&error),
    };
    let done = match &args.what {
        What::Stats(args) => stats::stats(&state, args),
        What::Allow(wish) => pattern::allow(&lines, wish),
        What::Allowed { format } => pattern::allowed(&lines, *format),
        What::Withdraw { id } => pattern::withdraw(&lines, id),
        What::List { format } => list(&lines, *format),
        What::Show { id, full, format } => show(&lines, id, (*full, *format)),
        What::Web => web(&lines),
        What::Grant(decision) => decide(&lines, "grant", decision),
        What::Refuse(decision) => decide(&lines, "refuse", decision),
    };
    done.unwrap_or_else(|exit| exit)
}

pub(crate) fn question(pairs: &[(&str, &str)]) -> Json {
    Json::object(pairs.iter().map(|(key, text)| (*key, Json::string(text))))
}

/// What waits at all gateways. One that ends in this moment has nothing that waits.
fn held(lines: &[Line]) -> Vec<(&Line, Json)> {
    let mut found = Vec::new();
    for line in lines {
        let Ok(answer) = line.ask(&question(&[("ask", "list")])) else { continue };
        let held = answer.get("held").unwrap_or_else(Json::null);
        found.extend(held.view().items().map(|call| (line, held.share(call))));
    }
    found
}

/// Where people answer from their browsers.
fn web(lines: &[Line]) -> Result<Exit, Exit> {
    let found: Vec<String> =
        lines.iter().filter_map(|line| line.ask(&question(&[("ask", "web")])).ok()).map(|answer| text(answer.view(), "address")).collect();
    let mut out = io::stdout().lock();
    for address in found.iter().filter(|address| !address.is_empty()) {
        writeln!(out, "{}", visible(address)).map_err(|error| Exit::output(&error))?;
    }
    if found.iter().all(String::is_empty) {
        eprintln!("bartizan: no gateway that runs has a page. `[approvals] listen = \"127.0.0.1:7311\"` opens one with `bartizan serve`.");
        return Ok(Exit::Findings);
    }
    eprintln!("People log in with a token of their own: bartizan token issue --label NAME --approver");
    Ok(Exit::Done)
}

pub(crate) fn text(call: View<'_>, key: &str) -> String {
    call.get(key).and_then(View::as_str).unwrap_or_default().into_owned()
}

fn number(call: View<'_>, key: &str) -> u64 {
    call.get(key).and_then(View::as_i64).and_then(|value| u64::try_from(value).ok()).unwrap_or_default()
}

fn list(lines: &[Line], format: Format) -> Result<Exit, Exit> {
    let held = held(lines);
    let mut out = io::stdout().lock();
    let printed = match format {
        Format::Json => writeln!(out, "{}", Json::object([("held", Json::array(held.iter().map(|(_, call)| call.clone())))])),
        Format::Text if held.is_empty() => writeln!(out, "Nothing waits."),
        Format::Text => held.iter().try_for_each(|(_, call)| writeln!(out, "{}", row(call.view()))),
    };
    printed.map_err(|error| Exit::output(&error))?;
    Ok(if held.is_empty() { Exit::Done } else { Exit::ApprovalNeeded })
}

fn row(call: View<'_>) -> String {
    let now = clock::now_ms();
    let effect = text(call, "effect");
    let painted = Effect::read(&effect).map_or_else(|| visible(&effect), |class| Paint::for_stdout().effect(class, &effect));
    let (waits, left) = (now.saturating_sub(number(call, "since_ms")) / 1000, number(call, "until_ms").saturating_sub(now) / 1000);
    format!(
        "{}  {painted}  {}/{}  asked by {}  wants {}  for {waits} s, {left} s left",
        visible(&text(call, "id")),
        visible(&text(call, "server")),
        visible(&text(call, "tool")),
        visible(&text(call, "principal")),
        visible(&text(call, "minimum"))
    )
}

/// The one call whose name begins so.
fn find<'l>(lines: &'l [Line], id: &str) -> Result<(&'l Line, Json), Exit> {
    let mut fits: Vec<_> = held(lines).into_iter().filter(|(_, call)| !id.is_empty() && text(call.view(), "id").starts_with(id)).collect();
    match (fits.pop(), fits.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Exit::usage("several calls have a name that begins so; write more of it")),
        (None, _) => {
            eprintln!("bartizan: nothing of that name waits (any more). `bartizan approvals list` shows what does.");
            Err(Exit::Findings)
        }
    }
}

/// Asks one gateway about one call.
pub(crate) fn ask(line: &Line, asked: &Json) -> Result<Json, Exit> {
    let answer = line.ask(asked).map_err(|error| Exit::environment(&format!("the gateway does not answer: {error}")))?;
    match answer.view().get("error").and_then(View::as_str) {
        Some(error) => {
            eprintln!("bartizan: {}", visible_text(&error));
            Err(Exit::Findings)
        }
        None => Ok(answer),
    }
}

fn show(lines: &[Line], id: &str, (full, format): (bool, Format)) -> Result<Exit, Exit> {
    let (line, call) = find(lines, id)?;
    let detail = if full { "full" } else { "folded" };
    let answer = ask(line, &question(&[("ask", "show"), ("id", &text(call.view(), "id")), ("detail", detail)]))?;
    let mut out = io::stdout().lock();
    let printed = match format {
        Format::Json => writeln!(out, "{answer}"),
        Format::Text => {
            let whole = if full { text(answer.view(), "arguments") } else { String::new() };
            writeln!(out, "{}\n{}{}", row(call.view()), lines_of(&text(answer.view(), "text")), lines_of(&whole))
        }
    };
    printed.map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}

/// The gateway has made it inert; a terminal is told once more, line by line.
pub(crate) fn lines_of(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", visible_text(line))).collect()
}

/// What somebody shows: a token, or `-` and then a line of standard input.
pub(crate) fn credential(by: Option<&str>) -> Result<String, Exit> {
    if by != Some("-") {
        return Ok(by.unwrap_or_default().to_owned());
    }
    let mut token = String::new();
    io::stdin().lock().read_line(&mut token).map_err(|error| Exit::environment(&error))?;
    Ok(token.trim().to_owned())
}

fn decide(lines: &[Line], what: &str, decision: &Decision) -> Result<Exit, Exit> {
    let Decision { id, yes, by, format } = decision;
    let (line, call) = find(lines, id)?;
    let id = text(call.view(), "id");
    let seen = ask(line, &question(&[("ask", "show"), ("id", &id)]))?;
    if what == "grant" && !yes {
        if !io::stdin().is_terminal() {
            return Err(Exit::usage("nobody is there to be asked: look with `bartizan approvals show`, then say --yes"));
        }
        eprint!("{}\nSend exactly this, once? [y]es, [n]o: ", lines_of(&text(seen.view(), "text")));
        let mut said = String::new();
        io::stdin().lock().read_line(&mut said).map_err(|error| Exit::environment(&error))?;
        if !matches!(said.trim(), "y" | "yes") {
            eprintln!("Not granted. It still waits; `bartizan approvals refuse {id}` refuses it.");
            return Ok(Exit::Findings);
        }
    }
    let token = credential(by.as_deref())?;
    let shown = text(call.view(), "shown");
    let done = ask(line, &question(&[("ask", what), ("id", &id), ("shown", &shown), ("token", &token)]))?;
    let more = number(done.view(), "more");
    let words = match what {
        "grant" if more > 0 => "Agreed, and it waits for others, too",
        "grant" => "Granted",
        _ => "Refused",
    };
    let mut out = io::stdout().lock();
    let printed = match format {
        Format::Json => writeln!(out, "{done}"),
        Format::Text => writeln!(
            out,
            "{words}: {}/{}, by {} ({}).",
            visible(&text(call.view(), "server")),
            visible(&text(call.view(), "tool")),
            visible(&text(done.view(), "by")),
            visible(&text(done.view(), "assurance"))
        ),
    };
    printed.map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}
