//! What is learned from: rows of the corpora with what they are, and how much each counts.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use bartizan_detect::Setting;
use bartizan_detect::training::{self, Seen};
use serde_json::Value;

use crate::FOLDS;
use crate::corpus::{self, text};

/// One text to learn from, or only to judge.
pub(crate) struct Doc {
    /// The line of the table that counts it.
    pub(crate) slice: String,
    pub(crate) attack: bool,
    /// How much it counts in training; nothing, where labels are noise or the case is hopeless.
    pub(crate) weight: f32,
    pub(crate) fold: u64,
    pub(crate) seen: Seen,
}

/// The part that a group is in. Two corpora name the same rules.
fn fold(group: &str) -> u64 {
    let group = group.strip_prefix("atrx:").or_else(|| group.strip_prefix("atr:")).unwrap_or(group);
    bartizan_detect::learned::digest(group.as_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

struct Reader {
    docs: Vec<Doc>,
    /// Texts that were read before: a text counts once.
    known: BTreeSet<u64>,
}

/// What a row is, and how much it counts.
struct Label {
    slice: String,
    attack: bool,
    weight: f32,
}

fn label(slice: impl Into<String>, attack: bool, weight: f32) -> Label {
    Label { slice: slice.into(), attack, weight }
}

impl Reader {
    fn add(&mut self, row: &Value, what: &str, setting: Setting, label: Label) {
        let Label { slice, attack, weight } = label;
        let once = bartizan_detect::learned::digest(format!("{attack}{what}").as_bytes());
        let weight = if self.known.insert(once) { weight } else { 0.0 };
        let seen = training::look(what, setting);
        // The project's own texts are no measure of anything, and are always learned from.
        let fold = if slice.starts_with("(own") { FOLDS } else { fold(text(row, "group")) % FOLDS };
        self.docs.push(Doc { slice, attack, weight, fold, seen });
    }
}

/// Every row that is learned from or judged.
pub(crate) fn read(corpora: &Path, own: &Path) -> Result<Vec<Doc>> {
    let mut reader = Reader { docs: Vec::new(), known: BTreeSet::new() };
    injection(corpora, &mut reader)?;
    definitions(corpora, &mut reader)?;
    rules(corpora, &mut reader)?;
    honest(corpora, &mut reader)?;
    written(own, &mut reader)?;
    Ok(reader.docs)
}

fn injection(corpora: &Path, reader: &mut Reader) -> Result<()> {
    for row in corpus::read(corpora, "injection_text")? {
        let (tier, category) = (text(&row, "tier"), text(&row, "category"));
        let noisy = text(&row, "source").starts_with("deepset");
        let (slice, attack, weight) = match tier {
            "benign" => ("ordinary output", false, 1.0),
            "hard-negative" if category.starts_with("overdefense") => ("NotInject", false, 2.0),
            "hard-negative" => ("hard negatives", false, 2.0),
            "quoted-attack" => continue,
            "marked" => ("marked", true, 1.5),
            "paraphrase" => ("paraphrase", true, 1.0),
            "bare-imperative" => ("(bare imperatives)", true, 0.0),
            _ if noisy => ("(typed by users)", true, 0.0),
            _ => ("(typed by users)", true, 0.5),
        };
        reader.add(&row, text(&row, "text"), Setting::Content, label(slice, attack, weight));
    }
    Ok(())
}

/// Every string of a value, each a sentence of its own.
fn strings(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push_str(" .\n\n");
        }
        Value::Array(all) => all.iter().for_each(|value| strings(value, out)),
        Value::Object(all) => all.values().for_each(|value| strings(value, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn definitions(corpora: &Path, reader: &mut Reader) -> Result<()> {
    for (file, honest) in [("benign_tools", "real definitions"), ("poisoned_tools", "(benign metadata)")] {
        for row in corpus::read(corpora, file)? {
            let attack = text(&row, "label") == "attack";
            let slice = match text(&row, "obfuscation") {
                _ if !attack => honest,
                "plain" => "poisoned, plain",
                "" => "poisoned, third-party",
                _ => "poisoned, obfuscated",
            };
            let mut all = String::new();
            row.get("tool").into_iter().for_each(|tool| strings(tool, &mut all));
            let weight = if slice == "poisoned, obfuscated" { 0.0 } else { 1.0 };
            reader.add(&row, &all, Setting::Definition, label(slice, attack, weight));
        }
    }
    Ok(())
}

/// Cases of public rules. Many attacks are commands or addresses, which are not for this classifier.
fn rules(corpora: &Path, reader: &mut Reader) -> Result<()> {
    for row in corpus::read(corpora, "atr_rule_cases")? {
        let attack = text(&row, "label") == "attack";
        let prose = matches!(text(&row, "category"), "prompt-injection" | "agent-manipulation" | "context-exfiltration" | "tool-poisoning");
        let weight = match text(&row, "tier") {
            _ if !attack => 0.5,
            "atr-positive" if prose => 0.5,
            _ => 0.0,
        };
        let slice = if attack { "(cases of rules, attacks)" } else { "(cases of rules, honest)" };
        reader.add(&row, text(&row, "text"), Setting::Content, label(slice, attack, weight));
    }
    Ok(())
}

/// Texts that are about other things.
fn honest(corpora: &Path, reader: &mut Reader) -> Result<()> {
    for file in ["hidden_text", "secrets", "pii", "client_configs"] {
        for row in corpus::read(corpora, file)? {
            let honest = match file {
                "hidden_text" => text(&row, "label") == "benign",
                "client_configs" | "pii" => true,
                _ => text(&row, "label") == "clean",
            };
            if file == "hidden_text" && !honest {
                reader.add(&row, text(&row, "text"), Setting::Content, label("hidden", true, 0.0));
            }
            if honest {
                reader.add(&row, text(&row, "text"), Setting::Content, label(format!("({file}, honest)"), false, 0.5));
            }
        }
    }
    Ok(())
}

/// How many texts are made of one line at most.
const VARIANTS: usize = 40;

/// The project's own texts: `+` before an order, `-` before an honest text, `#` before a family.
fn written(own: &Path, reader: &mut Reader) -> Result<()> {
    let file = std::fs::read_to_string(own).with_context(|| format!("reading {}", own.display()))?;
    let mut family = String::new();
    for line in file.lines() {
        let (mark, rest) = line.split_at_checked(2).unwrap_or(("", ""));
        let (slice, attack) = match mark {
            "+ " => ("(own, orders)", true),
            "- " => ("(own, honest)", false),
            _ => {
                family = if mark == "# " { rest.to_owned() } else { family };
                continue;
            }
        };
        let row = serde_json::json!({ "group": format!("own:{family}:{attack}") });
        for text in (0..VARIANTS).map(|i| variant(rest, i)) {
            reader.add(&row, &text, Setting::Content, label(slice, attack, OWN));
        }
    }
    Ok(())
}

/// How much one variant counts: there are many of each line.
const OWN: f32 = 0.5;

/// One of the texts that a line with choices stands for.
fn variant(line: &str, number: usize) -> String {
    let (mut out, mut rest, mut state) = (String::new(), line, number);
    while let Some((before, (choices, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
        let choices: Vec<&str> = choices.split('|').collect();
        out.push_str(before);
        out.push_str(choices.get(state % choices.len()).unwrap_or(&""));
        // Each choice turns at its own pace, so that variants differ in more than one place.
        state = state / 2 + number * 3 + out.len();
        rest = after;
    }
    out + rest
}
