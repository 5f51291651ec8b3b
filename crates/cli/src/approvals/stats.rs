//! `bartizan approvals stats`: how often and how fast people say yes.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use bartizan_gateway::clock;
use bartizan_gateway::journal::browse::{Browser, Told};
use bartizan_monitor::wire::json::{Json, View};

use super::{number, text};
use crate::exit::Exit;
use crate::format::Format;
use crate::log::Since;
use crate::paint::visible;

/// Faster than this nobody has read anything.
const FAST_MS: u64 = 3_000;
/// From how many answers on a habit is one, and from how many of a hundred fast yeses it is said.
const HABIT: usize = 5;
const HABIT_PERCENT: usize = 80;

/// What of, and how it is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// From when on: 2h (ago), 2026-11-21, 2026-11-21T06:24:00Z.
    #[arg(long, value_name = "TIME", value_parser = crate::log::since)]
    since: Option<Since>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What one person did, or what became of one tool's questions.
#[derive(Debug, Default)]
struct Tally {
    yes: usize,
    no: usize,
    unanswered: usize,
    ahead: usize,
    /// How long each yes took.
    took: Vec<u64>,
}

impl Tally {
    fn median(&self) -> Option<u64> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }

    fn fast(&self) -> usize {
        self.took.iter().filter(|took| **took < FAST_MS).count()
    }

    /// Whether somebody seems to agree without reading.
    fn is_habit(&self) -> bool {
        let fast = self.fast().saturating_mul(100).checked_div(self.took.len()).unwrap_or_default();
        self.took.len() >= HABIT && fast >= HABIT_PERCENT
    }

    fn json(&self, key: &str, name: &str) -> Json {
        let count = |number: usize| Json::number(u64::try_from(number).unwrap_or(u64::MAX));
        Json::object([
            (key, Json::string(name)),
            ("yes", count(self.yes)),
            ("no", count(self.no)),
            ("unanswered", count(self.unanswered)),
            ("in_advance", count(self.ahead)),
            ("median_ms", self.median().map_or_else(Json::null, Json::number)),
            ("under_3_s", count(self.fast())),
            ("habit", Json::of(&self.is_habit())),
        ])
    }

    fn row(&self, name: &str) -> String {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        let median = self.median().map_or_else(|| "-".to_owned(), seconds);
        let habit = if self.is_habit() { "  says yes without reading?" } else { "" };
        format!(
            "{}  yes {}  no {}  unanswered {}  in advance {}  median {median}  under 3 s {}{habit}",
            visible(name),
            self.yes,
            self.no,
            self.unanswered,
            self.ahead,
            self.fast()
        )
    }
}

/// By person, and by tool.
#[derive(Debug, Default)]
struct Stats {
    people: BTreeMap<String, Tally>,
    tools: BTreeMap<String, Tally>,
}

impl Stats {
    /// Counts how a call ended that somebody was asked about. Where several agreed, each did.
    fn count(&mut self, told: &Told) {
        let Some(word) = told.get("confirmation") else { return };
        let tool = format!("{}/{}", told.text("server").unwrap_or_default(), told.text("item").unwrap_or_default());
        // What was asked in an answer is counted when it comes back.
        if text(word, "answer") == "asked" {
            return;
        }
        self.tools.entry(tool).or_default().add(word);
        for word in std::iter::once(word).chain(word.get("also").into_iter().flat_map(View::items)) {
            if text(word, "by") != "nobody" {
                self.people.entry(text(word, "by")).or_default().add(word);
            }
        }
    }
}

impl Tally {
    fn add(&mut self, word: View<'_>) {
        match (&*text(word, "answer"), &*text(word, "channel"), &*text(word, "by")) {
            ("yes", "pattern", _) => self.ahead = self.ahead.saturating_add(1),
            ("yes", _, _) => {
                self.yes = self.yes.saturating_add(1);
                self.took.push(number(word, "waited_ms"));
            }
            (_, _, "nobody") => self.unanswered = self.unanswered.saturating_add(1),
            _ => self.no = self.no.saturating_add(1),
        }
    }
}

/// Counts and prints.
pub(super) fn stats(state: &Path, args: &Args) -> Result<Exit, Exit> {
    let from_ms = args.since.map_or(0, Since::begins_ms);
    let failed = |error: io::Error| Exit::environment(&format!("the journal in {} cannot be read: {error}", state.display()));
    let mut browser = Browser::open(state).map_err(failed)?;
    let mut stats = Stats::default();
    while let Some(told) = browser.next_told().map_err(failed)? {
        if told.at_ms >= from_ms {
            stats.count(&told);
        }
    }
    let mut out = io::stdout().lock();
    let printed = match args.format {
        Format::Json => {
            let all = |key: &str, of: &BTreeMap<String, Tally>| Json::array(of.iter().map(|(name, tally)| tally.json(key, name)));
            writeln!(out, "{}", Json::object([("people", all("by", &stats.people)), ("tools", all("tool", &stats.tools))]))
        }
        Format::Text if stats.tools.is_empty() => {
            writeln!(out, "Nobody was asked{}.", if from_ms > 0 { format!(" since {}", clock::utc(from_ms)) } else { String::new() })
        }
        Format::Text => {
            let rows = |of: &BTreeMap<String, Tally>| of.iter().map(|(name, tally)| format!("  {}\n", tally.row(name))).collect::<String>();
            write!(out, "By person:\n{}By tool:\n{}", rows(&stats.people), rows(&stats.tools))
        }
    };
    printed.map_or_else(|error| Err(Exit::output(&error)), |()| Ok(Exit::Done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(confirmation: &str) -> Told {
        let line = format!(r#"{{"server":"s","item":"t","confirmation":{confirmation}}}"#);
        Told { at_ms: 0, line: Json::parse(line.into_bytes().into()).expect("json"), decided: None }
    }

    #[test]
    fn a_yes_counts_for_everybody_who_said_it_and_haste_is_noticed() {
        let mut stats = Stats::default();
        for _ in 0..5 {
            stats.count(&told(r#"{"answer":"yes","by":"ann","channel":"web","waited_ms":900,"also":[{"answer":"yes","by":"bob","channel":"web","waited_ms":60000}]}"#));
        }
        stats.count(&told(r#"{"answer":"no","by":"ann","channel":"web","waited_ms":1}"#));
        stats.count(&told(r#"{"answer":"no","by":"nobody","channel":"elicitation","waited_ms":300000}"#));
        stats.count(&told(r#"{"answer":"asked","by":"nobody","channel":"input-required","waited_ms":0}"#));
        stats.count(&told(r#"{"answer":"yes","by":"ann","channel":"pattern","waited_ms":0}"#));
        let of = |name: &str| stats.people.get(name).map(|tally| (tally.yes, tally.no, tally.ahead, tally.median(), tally.is_habit()));
        assert_eq!((of("ann"), of("bob")), (Some((5, 1, 1, Some(900), true)), Some((5, 0, 0, Some(60_000), false))));
        assert_eq!(of("nobody"), None);
        let tool = stats.tools.get("s/t").expect("counted");
        assert_eq!((tool.yes, tool.no, tool.unanswered), (5, 1, 1));
    }
}
