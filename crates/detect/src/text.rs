//! One text: what is hidden in it, what it says, and what it says once it is decoded.

use crate::decode::{self, Form};
use crate::finding::{Class, Finding, Weight};
use crate::fold::{fold, is_invisible};
use crate::garble;
use crate::hidden::{self, Setting};
use crate::markup;
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
}

impl Report {
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
    let mut report = Report::default();
    let text = cut(text);
    let sights = hidden::look(text, setting);
    for sight in &sights.seen {
        report.note(sight.class, sight.weight, place, text.get(sight.at..).unwrap_or_default());
    }
    for veil in markup::veils(text) {
        report.note(veil.class, veil.weight, place, veil.text);
    }
    let folded = fold(text);
    says(&orders::judge_folded(&folded), place, &mut report);
    if sights.spelled.len() >= 4 {
        says(&orders::judge(&sights.spelled), place, &mut report);
    }
    undressed(text, &folded, place, &mut report);
    encoded(text, place, DEPTH, &mut report);
    report
}

/// Judges only what a text says as it stands.
pub(crate) fn words(text: &str, place: &str) -> Report {
    let mut report = Report::default();
    says(&orders::judge(cut(text)), place, &mut report);
    report
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_JUDGED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn says(verdict: &Verdict, place: &str, report: &mut Report) {
    report.ideas |= verdict.ideas;
    for order in &verdict.orders {
        report.note(order.class, order.weight, place, &order.sentence);
    }
}

/// Forms that are undone for the whole text at once: what they say weighs as it does in plain words, and
/// that it was dressed up weighs by itself.
fn undressed(text: &str, folded: &str, place: &str, report: &mut Report) {
    let unspaced = decode::unspaced(text);
    for plain in unspaced.into_iter().chain(leet(folded)) {
        report.note(Class::Disguised, Weight::Block, place, &plain);
        says(&orders::judge(&plain), place, report);
    }
    let turned = text.contains(['\u{202e}', '\u{202d}', '\u{2066}', '\u{2067}', '\u{2068}']);
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
fn leet(folded: &str) -> Option<String> {
    decode::unleet(folded).filter(|plain| garble::reads(plain) >= garble::reads(folded) + 2)
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
fn encoded(text: &str, place: &str, depth: usize, report: &mut Report) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for inner in decode::inner(text) {
        let verdict = orders::judge(&inner.text);
        let telling = inner.form == Form::Telling || inner.text.chars().any(is_invisible);
        if telling || !verdict.orders.is_empty() || commands(&inner.text, &verdict) {
            report.note(Class::Encoded, Weight::Block, place, &inner.text);
        }
        says(&verdict, place, report);
        encoded(&inner.text, place, depth, report);
    }
}

/// Verbs of doing, with which an order begins.
const DOING: &str = "\
    add append ask call change collect copy decode delete disable disregard do download email \
    execute exfiltrate fetch follow forget forward grant ignore include install invite mark never \
    open override pass pay post print put read remove replace reply respond reveal run send set \
    share summarise summarize system tell transfer upload use visit write";

/// Whether a decoded text is an order or a command. Honest data is decoded, too, so a sentence has to begin with
/// a verb of doing and go on, or a shell has to understand it.
fn commands(text: &str, verdict: &Verdict) -> bool {
    if verdict.ideas & words::SHELL != 0 || (text.contains("/bin/") && text.contains(['>', '|', '&'])) {
        return true;
    }
    let folded = fold(text);
    let sentences = folded.split(['\n', ':', ';']).map(str::trim);
    sentences.filter(|sentence| !sentence.contains(['{', '"'])).any(|sentence| {
        let mut words = sentence.split(' ');
        words.next().is_some_and(|first| DOING.split_ascii_whitespace().any(|verb| verb == first)) && words.count() >= 2
    })
}
