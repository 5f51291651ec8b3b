//! Two operating points, and what they are worth on texts that the judging model was not shown.

use std::collections::BTreeMap;

use bartizan_detect::Weight;

use crate::rows::Doc;

/// From here on a text is refused, and from here on it is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Points {
    pub(crate) block: f32,
    pub(crate) warn: f32,
    /// What the rules refuse is refused from here on.
    pub(crate) agree_block: f32,
    /// What the rules find is shown from here on.
    pub(crate) agree_warn: f32,
}

impl Points {
    fn learned(self, score: f32) -> Option<Weight> {
        if score >= self.block { Some(Weight::Block) } else { (score >= self.warn).then_some(Weight::Warn) }
    }

    /// As the product puts it together.
    fn together(self, doc: &Doc, score: f32) -> Option<Weight> {
        let rules = match doc.seen.rules {
            Some(Weight::Block) if score >= self.agree_block => Some(Weight::Block),
            Some(_) if score >= self.agree_warn => Some(Weight::Warn),
            _ => None,
        };
        rules.max(self.learned(score)).max(doc.seen.sights)
    }
}

/// False positives that are borne, per slice: less than the bars, as the next texts are others.
const BORNE: &[(&str, f32, f32)] = &[("ordinary output", 0.004, 0.035), ("hard negatives", 0.0072, 0.035), ("NotInject", 0.006, 0.035)];

/// What rules find counts from these scores on: far below what the classifier would say by itself.
const AGREE_BLOCK: f32 = 0.0;
const AGREE_WARN: f32 = -1.5;

/// The lowest scores at which the classifier alone raises no more false alarms than are borne in any slice.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares of a few thousand rows")]
pub(crate) fn points(docs: &[Doc], scores: &[f32]) -> Points {
    let mut points = Points { block: 0.0, warn: -2.0, agree_block: AGREE_BLOCK, agree_warn: AGREE_WARN };
    for (slice, block, warn) in BORNE {
        let mut honest: Vec<f32> = docs.iter().zip(scores).filter(|(doc, _)| doc.slice == *slice).map(|(_, score)| *score).collect();
        honest.sort_by(|a, b| b.total_cmp(a));
        let at = |share: f32| honest.get((share * honest.len() as f32) as usize).copied().unwrap_or(0.0) + 0.01;
        let (block, warn) = (at(*block), at(*warn));
        eprintln!("{slice}: block at {block:.2}, warn at {warn:.2}");
        points = Points { block: points.block.max(block), warn: points.warn.max(warn), ..points };
    }
    points
}

#[derive(Default)]
struct Count {
    rows: usize,
    /// Rules, classifier, both together; block and warn.
    hits: [[usize; 2]; 3],
}

/// The table: rules alone, classifier alone, both.
#[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
pub(crate) fn table(docs: &[Doc], scores: &[f32], points: Points) -> String {
    let mut counts: BTreeMap<(bool, &str), Count> = BTreeMap::new();
    for (doc, score) in docs.iter().zip(scores) {
        let count = counts.entry((!doc.attack, doc.slice.as_str())).or_default();
        count.rows += 1;
        let rules = doc.seen.rules.max(doc.seen.sights);
        for (hits, said) in count.hits.iter_mut().zip([rules, points.learned(*score), points.together(doc, *score)]) {
            hits[0] += usize::from(said == Some(Weight::Block));
            hits[1] += usize::from(said.is_some());
        }
    }
    let mut out = String::from("| | rows | rules | classifier, not shown | together |\n| --- | ---: | --- | --- | --- |\n");
    for ((_, slice), count) in counts {
        let share = |hits: &[usize; 2]| {
            let part = |hits: usize| 100.0 * hits as f64 / count.rows as f64;
            format!("{:.1} / {:.1} %", part(hits[0]), part(hits[1]))
        };
        let cells: Vec<String> = count.hits.iter().map(share).collect();
        out.push_str(&format!("| {slice} | {} | {} |\n", count.rows, cells.join(" | ")));
    }
    out
}
