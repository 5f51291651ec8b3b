//! `bartizan explain`: what a reason code means. Offline.

use std::io::{self, Write};

use bartizan_monitor::reason::Reason;
use bartizan_monitor::reasons;
use bartizan_monitor::wire::refusal::numbers;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::format::Format;
use crate::paint::Paint;

/// Explain why something was refused, and what to do about it.
///
/// Every refusal carries a reason code, `area.word`: in the answer to the client, in the journal and
/// in the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan explain drift.changed\n  bartizan explain quota\n  bartizan explain --all --markdown")]
pub(crate) struct Args {
    /// The code, or an area of codes.
    #[arg(value_name = "REASON", required_unless_present = "all")]
    reason: Option<String>,
    /// Explain all reasons.
    #[arg(long, conflicts_with = "reason")]
    all: bool,
    /// As a page for the documentation.
    #[arg(long, conflicts_with = "format")]
    markdown: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Explains.
pub(crate) fn main(args: &Args) -> Exit {
    let wanted = args.reason.as_deref();
    let found: Vec<Reason> =
        reasons().filter(|reason| wanted.is_none_or(|wanted| reason.code() == wanted || reason.area() == wanted)).collect();
    if let (Some(wanted), true) = (wanted, found.is_empty()) {
        return unknown(wanted);
    }
    let mut out = io::stdout().lock();
    let printed = match (args.markdown, args.format) {
        (true, _) => markdown(&found, args.all, &mut out),
        (false, Format::Json) => writeln!(out, "{}", Value::from(found.iter().map(|reason| entry(*reason)).collect::<Vec<_>>())),
        (false, Format::Text) => found.iter().try_for_each(|reason| text(*reason, &mut out)),
    };
    printed.map_or_else(|error| Exit::output(&error), |()| Exit::Done)
}

fn unknown(wanted: &str) -> Exit {
    let area = wanted.split('.').next().unwrap_or_default();
    let near: Vec<&str> = reasons().map(Reason::code).filter(|code| code.starts_with(area) || code.ends_with(wanted)).collect();
    let hint =
        if near.is_empty() { "`bartizan explain --all` lists them".to_owned() } else { format!("did you mean {}?", near.join(", ")) };
    Exit::usage(&format!("there is no reason {wanted:?}; {hint}"))
}

/// What a client sees of a class, in numbers.
fn seen(reason: Reason) -> String {
    let (code, status) = numbers(reason.class());
    format!("JSON-RPC {code}, HTTP {status}")
}

fn text(reason: Reason, out: &mut impl Write) -> io::Result<()> {
    let page = reason.page();
    writeln!(out, "{}  ({})\n", Paint::for_stdout().bold(page.code), seen(reason))?;
    writeln!(out, "  What it means   {}", page.meaning)?;
    writeln!(out, "  What to do      {}", page.remedy)?;
    writeln!(out, "  What is said    {:?}\n", page.hint)
}

fn entry(reason: Reason) -> Value {
    let page = reason.page();
    let (code, status) = numbers(page.class);
    json!({"reason": page.code, "meaning": page.meaning, "remedy": page.remedy, "hint": page.hint, "jsonrpc": code, "http": status})
}

fn markdown(found: &[Reason], all: bool, out: &mut impl Write) -> io::Result<()> {
    if all {
        writeln!(out, "# Reasons\n")?;
        writeln!(out, "Made by `cargo xtask docs` from the code; `bartizan explain REASON` says the same, offline. A code is")?;
        writeln!(out, "never renamed and never removed. The numbers are those of an error; a denied `tools/call` is a tool")?;
        writeln!(out, "result with `isError`, which carries the code in `_meta`.")?;
    }
    let mut area = "";
    for reason in found {
        let page = reason.page();
        if reason.area() != area {
            area = page.code.split('.').next().unwrap_or_default();
            writeln!(out, "\n## {area}")?;
        }
        writeln!(out, "\n### {}\n\n{}\n", page.code, page.meaning)?;
        writeln!(out, "* **What to do:** {}", page.remedy)?;
        writeln!(out, "* **What the caller reads:** {}", page.hint)?;
        writeln!(out, "* **What the caller gets:** {}", seen(*reason))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_stands_once_in_the_page() {
        let all: Vec<Reason> = reasons().collect();
        let codes: BTreeSet<&str> = all.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), all.len(), "a code is declared once");
        let mut page = Vec::new();
        markdown(&all, true, &mut page).expect("printed");
        let page = String::from_utf8(page).expect("text");
        for code in codes {
            assert_eq!(page.matches(&format!("### {code}\n")).count(), 1, "{code}");
        }
        assert_eq!(
            page.matches("\n## ").count(),
            all.iter().map(|reason| reason.area()).collect::<BTreeSet<_>>().len(),
            "areas stand together"
        );
    }
}
