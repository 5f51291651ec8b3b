//! `bartizan log`: the journal, for people.

use std::io::{self, Write};
use std::time::Duration;

use bartizan_gateway::clock;
use bartizan_gateway::config::{Places, PlacesArgs};
use bartizan_gateway::journal::browse::{Browser, Told};
use bartizan_monitor::wire::json::View;

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::{Paint, visible};

/// How often a followed journal is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Show what was called, what was refused, and why.
///
/// One line per call, when it ends, over all gateways that share the state directory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan log --since 2h\n  bartizan log --follow --reason quota\n  bartizan log --client ci --tool files/write_file --format json"
)]
pub(crate) struct Args {
    /// Go on with what comes.
    #[arg(long, short)]
    follow: bool,
    /// From when on: 2h (ago), 2026-11-21, 2026-11-21T06:24:00Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only what this client did: a part of its name, as in `ci` or `user:me`.
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// Only calls of this tool, prompt or resource: NAME or SERVER/NAME.
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
    /// Only what was refused for this reason, or for a reason of this area.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// How to print it; json is one object per line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A moment, or how long ago it was.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Since {
    At(u64),
    Ago(Duration),
}

impl Since {
    /// The moment.
    pub(crate) fn begins_ms(self) -> u64 {
        match self {
            Self::At(at_ms) => at_ms,
            Self::Ago(ago) => clock::now_ms().saturating_sub(clock::millis(ago)),
        }
    }
}

/// Reads either.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    let ago = clock::read_duration(text).map(Since::Ago);
    ago.or_else(|_| {
        clock::read_utc(text).map(Since::At).ok_or_else(|| "write 30min, 2h, 7d, 2026-11-21 or 2026-11-21T06:24:00Z".to_owned())
    })
}

/// Shows the journal.
pub(crate) fn main(args: &Args, places: &PlacesArgs) -> Exit {
    let state = match Places::find(places, None) {
        Ok(places) => places.state,
        Err(error) => return Exit::usage(&error),
    };
    let browser = match Browser::open(&state) {
        Ok(browser) => browser,
        Err(error) => return Exit::environment(&format!("the journal in {} cannot be read: {error}", state.display())),
    };
    match show(args, browser) {
        Ok(()) => Exit::Done,
        Err(error) => Exit::output(&error),
    }
}

fn show(args: &Args, mut browser: Browser) -> io::Result<()> {
    let from_ms = args.since.map_or(0, Since::begins_ms);
    let printer = Printer { args, from_ms, paint: Paint::for_stdout() };
    let mut out = io::stdout().lock();
    loop {
        while let Some(told) = browser.next_told()? {
            printer.print(&told, &mut out)?;
        }
        for place in browser.odd() {
            eprintln!("bartizan: {place} is not a record; `bartizan audit verify` says more");
        }
        if !args.follow {
            browser.running().try_for_each(|told| printer.print(&told, &mut out))?;
            return out.flush();
        }
        out.flush()?;
        std::thread::sleep(LOOK);
        browser.look()?;
    }
}

struct Printer<'a> {
    args: &'a Args,
    from_ms: u64,
    paint: Paint,
}

impl Printer<'_> {
    fn print(&self, told: &Told, out: &mut impl Write) -> io::Result<()> {
        if told.at_ms < self.from_ms || !self.wants(told) {
            return Ok(());
        }
        match self.args.format {
            Format::Json => writeln!(out, "{}", told.whole()),
            Format::Text => writeln!(out, "{}", self.text(told)),
        }
    }

    fn wants(&self, told: &Told) -> bool {
        let item = || Some(format!("{}/{}", told.text("server")?, told.text("item")?));
        let reason = || told.text("reason");
        let client =
            self.args.client.as_ref().is_none_or(|client| told.text("principal").is_some_and(|principal| principal.contains(client)));
        let tool = self.args.tool.as_ref().is_none_or(|tool| told.text("item").as_ref() == Some(tool) || item().as_ref() == Some(tool));
        let why = self
            .args
            .reason
            .as_ref()
            .is_none_or(|wanted| reason().is_some_and(|code| code == *wanted || code.split('.').next() == Some(wanted)));
        client && tool && why
    }

    fn text(&self, told: &Told) -> String {
        let event = told.text("event").unwrap_or_default();
        let time = self.paint.dim(&clock::utc(told.at_ms));
        match event.as_str() {
            "closed" => format!("{time}  {}", self.call(told, &told.text("outcome").unwrap_or_default())),
            "decided" => format!("{time}  {}", self.call(told, "running")),
            _ => format!("{time}  {}", self.paint.dim(&note(&event, told))),
        }
    }

    /// How a call ended: outcome, who, what, class, reason, how long, detail.
    fn call(&self, told: &Told, outcome: &str) -> String {
        let shown = format!("{outcome:<11}");
        let mut parts = vec![match outcome {
            "answered" | "sent" => self.paint.good(&shown),
            "running" | "held" => shown,
            _ => self.paint.bad(&shown),
        }];
        parts.extend(told.text("principal").map(|principal| visible(&principal)));
        parts.push(what(told));
        parts.extend(told.text("effect").map(|effect| format!("[{}]", visible(&effect))));
        parts.extend(told.text("reason").map(|reason| self.paint.bad(&visible(&reason))));
        parts.extend(told.get("confirmation").map(|word| self.paint.dim(&confirmed(word))));
        parts.extend(told.get("us").and_then(View::as_i64).map(|us| self.paint.dim(&took(us))));
        parts.extend(told.text("detail").filter(|detail| !detail.is_empty()).map(|detail| self.paint.dim(&visible(&detail))));
        parts.join("  ")
    }
}

/// What was called: the method, and what it was about.
fn what(told: &Told) -> String {
    let method = told.text("method").unwrap_or_else(|| "-".to_owned());
    let place = match (told.text("server"), told.text("item")) {
        (Some(server), Some(item)) => format!(" {server}/{item}"),
        (Some(server), None) => format!(" {server}"),
        (None, _) => String::new(),
    };
    visible(&format!("{method}{place}"))
}

/// What a person said, over which channel, and how long that took.
fn confirmed(word: View<'_>) -> String {
    let text = |key: &str| word.get(key).and_then(View::as_str).unwrap_or_default();
    let seconds = word.get("waited_ms").and_then(View::as_i64).unwrap_or_default().saturating_add(500) / 1000;
    visible(&format!("{}: {} over {} ({}), {seconds} s", text("answer"), text("by"), text("channel"), text("assurance")))
}

fn took(us: i64) -> String {
    let tenths = us.saturating_add(50) / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

/// An event that is not a call, with all that it says.
fn note(event: &str, told: &Told) -> String {
    let known = |key: &str| matches!(key, "seq" | "prev" | "at" | "event");
    let members = told.line.view().members().filter(|(key, _)| !known(key));
    let rest: Vec<String> =
        members.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_else(|| value.text().into()))).collect();
    visible(format!("{event:<11}  {}", rest.join("  ")).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert!(matches!(since("2h"), Ok(Since::Ago(ago)) if ago == Duration::from_secs(7200)));
        assert!(matches!(since("2026-11-21"), Ok(Since::At(_))));
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn durations_are_short() {
        assert_eq!((took(49), took(50), took(12_340)), ("0.0 ms".to_owned(), "0.1 ms".to_owned(), "12.3 ms".to_owned()));
    }
}
