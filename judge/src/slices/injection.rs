//! Texts that servers return: tool output, file content, and what users type.

use bartizan_detect::{Options, scan_result};
use serde_json::Value;

use super::{Item, Slice, item};
use crate::corpus::text;

/// Injected orders, and honest texts that look like them.
pub(crate) const SLICE: Slice = Slice { name: "injection_text", file: "injection_text", judge };

fn judge(row: &Value) -> Option<Item> {
    let spotted = scan_result(text(row, "text"), Options::default());
    let findings: Vec<_> = spotted.0.into_iter().map(|spotted| spotted.finding).collect();
    let tier = text(row, "tier");
    let mut lines = vec![match tier {
        "benign" => "ordinary output".to_owned(),
        "hard-negative" => "hard negatives".to_owned(),
        "bare-imperative" => "bare imperatives (apart)".to_owned(),
        "user-direct" => "typed by users (apart)".to_owned(),
        _ => tier.to_owned(),
    }];
    if tier == "hard-negative" {
        let kind = text(row, "category").split(':').next().unwrap_or_default();
        lines.push(if kind == "overdefense" { "NotInject".to_owned() } else { format!("hard negatives: {kind}") });
    }
    let technique = text(row, "technique");
    if matches!(tier, "marked" | "paraphrase") && !technique.is_empty() {
        lines.push(format!("{tier}: {technique}"));
    }
    Some(item(row, text(row, "label") == "attack", &findings, lines))
}
