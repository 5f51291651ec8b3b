//! The slices: which corpus, which of its rows, and the function of the product that judges them. A new slice
//! is a function and a line in the table.

mod injection;

use bartizan_detect::{Finding, Names, Options, Weight, scan_result};
use bartizan_gateway::review::scan;
use bartizan_monitor::case::Kind;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;
use serde_json::Value;

use crate::corpus::{is_tuned, text};

mod formats;
mod live;
mod pii;
mod secrets;

/// A corpus and how it is judged.
pub(crate) struct Slice {
    pub(crate) name: &'static str,
    /// The file's name without its ending.
    pub(crate) file: &'static str,
    pub(crate) judge: fn(&Value) -> Option<Item>,
}

pub(crate) const SLICES: &[Slice] = &[
    Slice { name: "poisoned_tools", file: "poisoned_tools", judge: poisoned },
    Slice { name: "benign_tools", file: "benign_tools", judge: benign },
    Slice { name: "hidden_text", file: "hidden_text", judge: hidden },
    injection::SLICE,
];

/// A corpus whose rows are counted in more than one way, or not at all.
pub(crate) struct Many {
    pub(crate) name: &'static str,
    /// The file's name without its ending.
    pub(crate) file: &'static str,
    pub(crate) judge: fn(&Value) -> Vec<Item>,
}

/// Masking and named formats: `block` and `warn` are the same here, what was done to the row.
pub(crate) const MANY: &[Many] = &[
    Many { name: "secrets", file: "secrets", judge: secrets::secrets },
    Many { name: "pii", file: "pii", judge: pii::pii },
    Many { name: "path_arguments", file: "path_arguments", judge: formats::paths },
    Many { name: "ssrf_urls", file: "ssrf_urls", judge: formats::ssrf },
    Many { name: "url_host_parse", file: "url_host_parse", judge: formats::hosts },
    Many { name: "command_arguments", file: "command_arguments", judge: formats::commands },
    Many { name: "sql_readonly", file: "sql_readonly", judge: formats::sql },
    // The held-out halves of the same corpora on the road of live traffic, which takes longer and shows whether it is there.
    Many { name: "live_injection_text", file: "injection_text", judge: live::injection },
    Many { name: "live_secrets", file: "secrets", judge: live::secrets },
    Many { name: "live_pii", file: "pii", judge: live::pii },
    Many { name: "live_ssrf_urls", file: "ssrf_urls", judge: live::ssrf },
    Many { name: "live_command_arguments", file: "command_arguments", judge: live::commands },
];

/// One row of a corpus, judged.
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) tuned: bool,
    /// Should something be found?
    pub(crate) attack: bool,
    /// The weightiest finding.
    pub(crate) weight: Option<Weight>,
    /// The classes of the findings, for whoever looks into a miss.
    pub(crate) classes: Vec<&'static str>,
    /// The lines of the table that count it.
    pub(crate) lines: Vec<String>,
}

fn item(row: &Value, attack: bool, findings: &[Finding], lines: Vec<String>) -> Item {
    Item {
        id: text(row, "id").to_owned(),
        tuned: is_tuned(text(row, "group")),
        attack,
        weight: findings.iter().map(|finding| finding.weight).max(),
        classes: findings.iter().map(|finding| finding.class.name()).collect(),
        lines,
    }
}

/// A row to which something was to be done, or not, and was, or was not.
fn judged(row: &Value, wanted: bool, done: bool, lines: Vec<String>) -> Item {
    Item { weight: done.then_some(Weight::Block), ..item(row, wanted, &[], lines) }
}

/// As `approve` and `diff` see a definition; the corpora do not say which other servers there are.
fn definition(row: &Value) -> Vec<Finding> {
    let tool = row.get("tool").map(Value::to_string).unwrap_or_default();
    let json = Json::parse(Bytes::from(tool));
    json.map(|json| scan::findings(Kind::Tool, &json, &Names::default())).unwrap_or_default()
}

fn poisoned(row: &Value) -> Option<Item> {
    let findings = definition(row);
    if text(row, "label") != "attack" {
        return Some(item(row, false, &findings, vec!["benign metadata".into()]));
    }
    let obfuscation = text(row, "obfuscation");
    if obfuscation.is_empty() {
        return Some(item(row, true, &findings, vec!["third-party".into()]));
    }
    let dress = if obfuscation == "plain" { "own, plain" } else { "own, obfuscated" };
    let mut lines = vec![
        dress.to_owned(),
        format!("position {} ({})", text(row, "position"), if obfuscation == "plain" { "plain" } else { "obfuscated" }),
    ];
    lines.push(format!("obfuscation {obfuscation}"));
    Some(item(row, true, &findings, lines))
}

fn benign(row: &Value) -> Option<Item> {
    let strong = row.get("imperative").and_then(Value::as_bool) == Some(true);
    let wording = if strong { "strong wording" } else { "ordinary wording" };
    Some(item(row, false, &definition(row), vec!["real definitions".into(), wording.into()]))
}

fn hidden(row: &Value) -> Option<Item> {
    let spotted = scan_result(text(row, "text"), Options::default());
    let findings: Vec<Finding> = spotted.0.into_iter().map(|spotted| spotted.finding).collect();
    if text(row, "label") != "attack" {
        return Some(item(row, false, &findings, vec!["emoji, scripts, logs".into()]));
    }
    let lines = vec!["hidden".into(), format!("tier {}", text(row, "tier")), format!("technique {}", text(row, "technique"))];
    Some(item(row, true, &findings, lines))
}
