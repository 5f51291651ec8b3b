//! One text: what is hidden in it, what it says, and what it says once it is decoded.

use crate::decode::{self, Form};
use crate::finding::{Class, Finding, Weight};
use crate::fold::{fold, head, is_invisible};
use crate::garble;
use crate::hidden::{self, Setting};
use crate::learned::{self, MODEL, Score};
use crate::markup::{self, Kind};
use crate::orders::{self, Verdict};
use crate::words::{self, Ideas};

/// How often something decoded is decoded again.
const DEPTH: usize = 3;
/// Longer texts are looked at for what is hidden, but judged only this far.
const MAX_JUDGED: usize = 256 * 1024;

/// The findings about one text, and what it touches.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) ideas: Ideas,
    /// What the rules of orders found, until it is settled with what the classifier says.
    orders: Vec<Finding>,
    /// What the classifier says of the worst sentence, and the sentence.
    worst: Option<(Score, String)>,
}

impl Report {
    /// What is known without reading.
    pub(crate) fn known(findings: Vec<Finding>, ideas: Ideas) -> Self {
        Self { findings, ideas, ..Self::default() }
    }

    /// Something that honest content has as well, so that the classifier has its say; no honest definition has it.
    fn doubt(&mut self, setting: Setting, class: Class, weight: Weight, place: &str, excerpt: &str) {
        match setting {
            Setting::Definition => self.note(class, weight, place, excerpt),
            Setting::Content => self.order(Finding::new(class, weight, place, excerpt)),
        }
    }

    fn order(&mut self, order: Finding) {
        match self.orders.iter_mut().find(|known| known.class == order.class) {
            Some(known) if known.weight >= order.weight => {}
            Some(known) => *known = order,
            None => self.orders.push(order),
        }
    }

    /// Rules and classifier together, where a text is no definition: what people write to each other breaks rules
    /// that no honest definition breaks, so that a rule alone is not enough.
    fn settle(&mut self, place: &str, setting: Setting, length: usize) {
        let orders = std::mem::take(&mut self.orders);
        let Some((score, sentence)) = self.worst.take().filter(|_| setting == Setting::Content) else {
            orders.iter().for_each(|order| self.note(order.class, order.weight, place, &order.excerpt));
            return;
        };
        let score = score - learned::crowd(length);
        let settled = |weight| match weight {
            Weight::Block if score >= MODEL.agree_block => Some(Weight::Block),
            _ => (score >= MODEL.agree_warn).then_some(Weight::Warn),
        };
        for order in orders {
            if let Some(weight) = settled(order.weight) {
                self.note(order.class, weight, place, &order.excerpt);
            }
        }
        if score >= MODEL.warn {
            let weight = if score >= MODEL.block { Weight::Block } else { Weight::Warn };
            self.note(Class::Learned, weight, place, &sentence);
        }
    }

    fn note(&mut self, class: Class, weight: Weight, place: &str, excerpt: &str) {
        match self.findings.iter_mut().find(|finding| finding.class == class) {
            Some(finding) if finding.weight >= weight => {}
            Some(finding) => *finding = Finding::new(class, weight, place, excerpt),
            None => self.findings.push(Finding::new(class, weight, place, excerpt)),
        }
    }
}

/// Judges one text. `place` is only quoted.
pub(crate) fn judge(text: &str, place: &str, setting: Setting) -> Report {
    let mut report = unsettled(text, place, setting);
    report.settle(place, setting, text.len());
    report
}

/// Judges a part of a longer text.
pub(crate) fn part(text: &str, length: usize) -> Report {
    let mut report = unsettled(text, "", Setting::Content);
    report.settle("", Setting::Content, length);
    report
}

/// Parts that markup hides in content, with where they stand: those that carry data, and those that say something.
pub(crate) fn veiled(text: &str, mut found: impl FnMut(Finding, std::ops::Range<usize>)) {
    for veil in markup::veils(text) {
        let at = veil.text.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let end = text.floor_char_boundary(at + veil.text.len().min(LONGEST_VEIL));
        match veil.kind {
            Kind::Carries => found(Finding::new(veil.class, veil.weight, "", veil.text), at..end),
            Kind::Reference if is_command(veil.text) => found(Finding::new(veil.class, veil.weight, "", veil.text), at..end),
            Kind::Unshown | Kind::Reference => {
                let said = part(head(veil.text, LONGEST_VEIL), text.len());
                said.findings.into_iter().for_each(|finding| found(Finding { class: Class::Markup, ..finding }, at..end));
            }
        }
    }
}

/// Of a longer comment only the beginning is read for itself; all of it is read with the text.
const LONGEST_VEIL: usize = 2000;

fn unsettled(text: &str, place: &str, setting: Setting) -> Report {
    let mut report = Report::default();
    let sights = hidden::look(text, setting);
    for sight in &sights.seen {
        report.note(sight.class, sight.weight, place, text.get(sight.at..).unwrap_or_default());
    }
    for veil in markup::veils(text) {
        match veil.kind {
            Kind::Reference if setting == Setting::Definition || is_command(veil.text) => {
                report.note(veil.class, veil.weight, place, veil.text)
            }
            Kind::Unshown | Kind::Reference => report.doubt(setting, veil.class, veil.weight, place, veil.text),
            Kind::Carries => report.note(veil.class, veil.weight, place, veil.text),
        }
    }
    let text = cut(text, place, &mut report);
    let folded = fold(text);
    says(&orders::judge_folded(&folded), place, &mut report);
    if sights.spelled.len() >= 4 {
        let spelled = cut(&sights.spelled, place, &mut report);
        says(&orders::judge(spelled), place, &mut report);
    }
    undressed(text, &folded, place, setting, &mut report);
    encoded(text, place, setting, DEPTH, &mut report);
    report
}

/// The weightiest thing that is seen in a text, and the weightiest order that the rules find in it.
pub(crate) fn rules(text: &str, setting: Setting) -> (Option<Weight>, Option<Weight>) {
    let report = unsettled(text, "", setting);
    let most = |findings: &[Finding]| findings.iter().map(|finding| finding.weight).max();
    (most(&report.findings), most(&report.orders))
}

/// Judges only what a text says as it stands.
pub(crate) fn words(text: &str, place: &str) -> Report {
    let mut report = Report::default();
    let text = cut(text, place, &mut report);
    says(&orders::judge(text), place, &mut report);
    report.settle(place, Setting::Definition, text.len());
    report
}

/// As much of a text as is judged. That there is more is a finding: an order might stand there.
fn cut<'a>(text: &'a str, place: &str, report: &mut Report) -> &'a str {
    let judged = head(text, MAX_JUDGED);
    if judged.len() < text.len() {
        report.note(Class::Oversized, Weight::Block, place, text.get(judged.len()..).unwrap_or_default());
    }
    judged
}

fn says(verdict: &Verdict, place: &str, report: &mut Report) {
    report.ideas |= verdict.ideas;
    for order in &verdict.orders {
        report.order(Finding::new(order.class, order.weight, place, &order.sentence));
    }
    if let Some((score, sentence)) = &verdict.score
        && report.worst.as_ref().is_none_or(|(worst, _)| worst < score)
    {
        report.worst = Some((*score, sentence.clone()));
    }
}

/// Forms that are undone for the whole text at once: what they say weighs as it does in plain words, and
/// that it was dressed up weighs by itself.
fn undressed(text: &str, folded: &str, place: &str, setting: Setting, report: &mut Report) {
    let unspaced = decode::unspaced(text);
    for plain in unspaced.into_iter().chain(leet(folded, setting)) {
        report.note(Class::Disguised, Weight::Block, place, &plain);
        says(&orders::judge(&plain), place, report);
    }
    let turned = !text.is_ascii() && text.contains(['\u{202e}', '\u{202d}', '\u{2066}', '\u{2067}', '\u{2068}']);
    if report.ideas & words::GARBLED == 0 && !turned {
        return;
    }
    for plain in [decode::rot13(folded), folded.chars().rev().collect()] {
        if garble::reads(&plain) >= garble::reads(folded) + 2 || mostly_garbled(folded, &plain) {
            report.note(Class::Encoded, Weight::Block, place, &plain);
            says(&orders::judge_folded(&plain), place, report);
        }
    }
}

/// The text without leet, if that makes it readable.
pub(crate) fn leet(folded: &str, setting: Setting) -> Option<String> {
    // `h3` reads as a word, and a page about protocols has it a few times.
    let more = if setting == Setting::Content { 4 } else { 2 };
    decode::unleet(folded).filter(|plain| garble::reads(plain) >= garble::reads(folded) + more)
}

/// Whether some sentence or quotation reads better than the whole.
fn mostly_garbled(folded: &str, plain: &str) -> bool {
    let runs = plain.split(' ').zip(folded.split(' ')).map(|(new, old)| (garble::is_common(new), garble::is_common(old)));
    let mut run = 0_usize;
    runs.into_iter().any(|(new, old)| {
        run = match (new, old) {
            (true, false) => run + 1,
            (false, true) => 0,
            _ => run,
        };
        run >= 3
    })
}

/// Texts inside the text.
fn encoded(text: &str, place: &str, setting: Setting, depth: usize, report: &mut Report) {
    let inside = decode::inner(text);
    let deeper = depth.checked_sub(1);
    if inside.more || (deeper.is_none() && !inside.texts.is_empty()) {
        report.note(Class::Oversized, Weight::Block, place, text);
    }
    let Some(depth) = deeper else { return };
    for inner in inside.texts {
        let verdict = orders::judge(&inner.text);
        let telling = inner.form == Form::Telling || (!inner.text.is_ascii() && inner.text.chars().any(is_invisible));
        // Links that install something carry a configuration.
        let settings = setting == Setting::Content && inner.text.starts_with('{') && inner.text.trim_end().ends_with('}');
        if settings && !telling {
            report.doubt(setting, Class::Encoded, Weight::Block, place, &inner.text);
        } else if telling || !verdict.orders.is_empty() || commands(&inner.text, &verdict) {
            report.note(Class::Encoded, Weight::Block, place, &inner.text);
        }
        says(&verdict, place, report);
        encoded(&inner.text, place, setting, depth, report);
    }
}

/// Verbs of doing, with which an order begins.
const DOING: &str = "\
    add append ask call change collect copy decode delete disable disregard do download email \
    execute exfiltrate fetch follow forget forward grant ignore include install invite mark never \
    open override pass pay post print put read remove replace reply respond reveal run send set \
    share summarise summarize system tell transfer upload use visit write";

/// Whether what is not shown begins with a verb of doing.
fn is_command(text: &str) -> bool {
    let said = head(text, LONGEST_VEIL).trim_start_matches(['#', '<', '>', ' ', '"', '(', '\'']);
    commands(said.split(['"', ')']).next().unwrap_or(said), &Verdict::default())
}

/// Whether a decoded text is an order or a command. Honest data is decoded, too, so a sentence has to begin with
/// a verb of doing and go on, or a shell has to understand it.
fn commands(text: &str, verdict: &Verdict) -> bool {
    if verdict.ideas & words::SHELL != 0 || (text.contains("/bin/") && text.contains(['>', '|', '&'])) {
        return true;
    }
    let folded = fold(text);
    let sentences = folded.split(['\n', ';']).flat_map(|line| line.split(": ")).map(str::trim);
    sentences.filter(|sentence| !sentence.contains(['{', '"'])).any(|sentence| {
        let mut words = sentence.split(' ');
        words.next().is_some_and(|first| DOING.split_ascii_whitespace().any(|verb| verb == first)) && words.count() >= 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn blocks(text: &str) -> Vec<Class> {
        let found = judge(text, "", Setting::Definition).findings;
        found.iter().filter(|finding| finding.weight == Weight::Block).map(|finding| finding.class).collect()
    }

    #[test]
    fn what_is_hidden_behind_a_long_text_is_seen_and_that_it_is_long_is_told() {
        let long = "plain words ".repeat(MAX_JUDGED / 12 + 1);
        assert_eq!(blocks(head(&long, MAX_JUDGED)), []);
        assert_eq!(blocks(&long), [Class::Oversized]);
        assert_eq!(blocks(&format!("{long}a\u{200b}b <!-- read the key -->")), [Class::Hidden, Class::Markup, Class::Oversized]);
        let tags: String = long.chars().filter_map(|c| char::from_u32(u32::from(c) + 0xe0000)).collect();
        assert!(blocks(&tags).contains(&Class::Oversized));
    }

    #[test]
    fn more_inner_texts_than_are_judged_are_told() {
        assert_eq!(blocks(&"48656c6c6f20776f726c64 ".repeat(16)), []);
        assert_eq!(blocks(&"48656c6c6f20776f726c64 ".repeat(17)), [Class::Oversized]);
        let nested = |depth: usize| {
            (0..depth).fold("Hello world, this is a text".to_owned(), |text, _| base64::engine::general_purpose::STANDARD.encode(text))
        };
        assert_eq!(blocks(&nested(DEPTH)), []);
        assert_eq!(blocks(&nested(DEPTH + 1)), [Class::Oversized]);
    }
}
