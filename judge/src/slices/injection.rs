//! Texts that servers return: tool output, file content, and what users type.

use bartizan_detect::{Setting, scan_text};
use serde_json::Value;

use super::{Item, Slice, item};
use crate::corpus::text;

/// Injected orders, and honest texts that look like them.
pub(crate) const SLICE: Slice = Slice { name: "injection_text", file: "injection_text", judge };

fn judge(row: &Value) -> Option<Item> {
    let findings = scan_text(text(row, "text"), Setting::Content);
    let tier = text(row, "tier");
    let mut lines = vec![match tier {
        "benign" => "ordinary output".to_owned(),
        "hard-negative" => "hard negatives".to_owned(),
        _ => tier.to_owned(),
    }];
    if tier == "hard-negative" {
        lines.push(format!("hard negatives: {}", text(row, "category").split(':').next().unwrap_or_default()));
    }
    if tier == "benign" || tier == "marked" || tier == "paraphrase" {
        let technique = text(row, "technique");
        lines.push(format!("{tier}: {}", if technique.is_empty() { text(row, "category") } else { technique }));
    }
    Some(item(row, text(row, "label") == "attack", &findings, lines))
}
