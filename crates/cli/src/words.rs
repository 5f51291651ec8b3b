//! A change in words, for `diff` and `approve` alike.

use bartizan_gateway::review::grade::Grade;
use bartizan_gateway::review::{Change, Finding, Group, Weight, What};

use crate::paint::{Paint, visible};

/// How many differences of one change are told; the lines show all of them.
const MOST: usize = 40;

/// The name that something had before.
pub(crate) fn was(change: &Change) -> String {
    match &change.what {
        What::Renamed(pin, _) => format!("  (approved as {})", visible(&pin.name)),
        What::New(_) | What::Changed(..) | What::Removed(_) | What::Same(_) | What::Rejected(_) => String::new(),
    }
}

/// How grave a group of changes is, and what differs where.
pub(crate) fn told(group: &Group<'_>, paint: &Paint) -> Vec<String> {
    let Some(grade) = group.grade else { return Vec::new() };
    let colour = |grade: Grade, text: &str| match grade {
        Grade::Cosmetic => paint.dim(text),
        Grade::Narrowing => text.to_owned(),
        Grade::Widening | Grade::Steering => paint.bad(text),
    };
    let mut lines = vec![colour(grade, &format!("grade: {grade}"))];
    let mut gravest: Vec<_> = group.differences.iter().collect();
    gravest.sort_by_key(|difference| std::cmp::Reverse(difference.grade));
    for difference in gravest.iter().take(MOST) {
        lines.push(colour(
            difference.grade,
            &format!("  {}: {} ({})", visible(&difference.place), visible(&difference.words), difference.grade),
        ));
    }
    if let Some(more) = gravest.len().checked_sub(MOST).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more places"));
    }
    lines
}

/// What the scanner noticed, below a headline; nothing when there is nothing to say.
pub(crate) fn noticed(findings: &[Finding], head: &str, paint: &Paint) -> Vec<String> {
    let line = |finding: &Finding| {
        let place = if finding.place.is_empty() { "the whole".to_owned() } else { finding.place.clone() };
        let text =
            format!("  {} ({}) at {place}: {} \u{201c}{}\u{201d}", finding.class, finding.weight.name(), finding.what(), finding.excerpt);
        if finding.weight == Weight::Block { paint.bad(&text) } else { text }
    };
    let head = (!findings.is_empty()).then(|| format!("{head}:"));
    head.into_iter().chain(findings.iter().map(line)).collect()
}

/// Names of other servers that are the same, or nearly.
pub(crate) fn near(names: &[String]) -> Option<String> {
    let names: Vec<String> = names.iter().map(|name| visible(name)).collect();
    (!names.is_empty()).then(|| format!("other servers have a tool of this name, too: {}", names.join(", ")))
}

/// What the operator wrote of it for whoever reviews it.
pub(crate) fn noted(change: &Change) -> Option<String> {
    let contract = &change.pin()?.contract;
    let owner = contract.owner.as_ref().map(|owner| format!("owner {}", visible(owner)));
    let notes = contract.notes.as_ref().map(|notes| format!("notes: {}", visible(notes)));
    let said: Vec<String> = owner.into_iter().chain(notes).collect();
    (!said.is_empty()).then(|| said.join("; "))
}
