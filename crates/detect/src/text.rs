//! One text: what is hidden in it, what it says, and what it says once it is decoded.

use crate::decode::{self, Form};
use crate::finding::{Class, Finding, Weight};
use crate::fold::{fold, is_invisible};
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
    if let Some(plain) = decode::unspaced(text) {
        report.note(Class::Disguised, Weight::Block, place, &plain);
        says(&orders::judge(&plain), place, report);
    }
    if let Some(plain) = decode::unleet(folded)
        && reads(&plain) >= reads(folded) + 2
    {
        report.note(Class::Disguised, Weight::Block, place, &plain);
        says(&orders::judge_folded(&plain), place, report);
    }
    if folded.len() >= 12 && folded.is_ascii() && scrambled(folded) {
        let backwards: String = folded.chars().rev().collect();
        for plain in [decode::rot13(folded), backwards] {
            if reads(&plain) >= reads(folded) + 2 {
                report.note(Class::Encoded, Weight::Block, place, &plain);
                says(&orders::judge_folded(&plain), place, report);
            }
        }
    } else if text.contains(['\u{202e}', '\u{202d}', '\u{2067}', '\u{2066}', '\u{2068}']) {
        let backwards: String = folded.chars().rev().collect();
        says(&orders::judge_folded(&backwards), place, report);
    }
}

/// Words that every English text has, and words that orders have: how many of them stand in a text.
fn reads(folded: &str) -> usize {
    folded.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() >= 2 && COMMON.contains(word)).count()
}

/// Whether a text has words that are common words, turned by thirteen letters or backwards. Only such words
/// count that mean nothing as they stand.
fn scrambled(folded: &str) -> bool {
    folded.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word.len() >= 3 && SCRAMBLED.contains(word))
}

static COMMON: std::sync::LazyLock<std::collections::HashSet<&'static str>> = std::sync::LazyLock::new(|| WORDS.split_ascii_whitespace().collect());

static SCRAMBLED: std::sync::LazyLock<std::collections::HashSet<String>> = std::sync::LazyLock::new(|| {
    let long = COMMON.iter().filter(|word| word.len() >= 3);
    let both = long.flat_map(|word| [decode::rot13(word), word.chars().rev().collect()]);
    both.filter(|word| !COMMON.contains(word.as_str()) && !HONEST.contains(&word.as_str())).collect()
});

/// Reversed or turned words that are words themselves, or common in identifiers.
const HONEST: &[&str] = &["tel", "nac", "nus", "tes", "nah", "elif", "lla", "eno", "txt", "erp", "sel", "era", "saw", "net", "tab", "bus", "pat", "sip", "ner"];

/// The most frequent English words, and the verbs and nouns of orders.
const WORDS: &str = "the and all any for you your that this with from have has not are was were will would can \
    could should must may when what who which their there then than them they been being into out about only also \
    other some such new each every after before first always never use using used user users tool tools file files \
    read send open copy pass include ignore disregard forget instructions instruction previous prior above system prompt \
    secret password token key keys data content contents tell mention inform call calling calls run execute delete \
    remove add append post email mail forward upload message messages conversation attacker account disable alerts \
    alert mark resolved reply approved transfer inbox repository repositories server argument parameter value and to \
    of in is it as at be by do if no on or so up we an my me he us";

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

/// Whether a decoded text is an order or a command. Honest data is decoded, too, so a sentence has to begin with
/// a verb of doing and go on, or a shell has to understand it.
fn commands(text: &str, verdict: &Verdict) -> bool {
    const DOING: &[&str] = &[
        "add", "append", "ask", "call", "change", "collect", "copy", "decode", "delete", "disable", "disregard", "do", "download", "email", "execute",
        "exfiltrate", "fetch", "follow", "forget", "forward", "grant", "ignore", "include", "install", "invite", "mark", "never", "open", "override",
        "pass", "pay", "post", "print", "put", "read", "remove", "replace", "reply", "respond", "reveal", "run", "send", "set", "share", "summarise",
        "summarize", "system", "tell", "transfer", "upload", "use", "visit", "write",
    ];
    if verdict.ideas & words::SHELL != 0 || (text.contains("/bin/") && text.contains(['>', '|', '&'])) {
        return true;
    }
    let folded = fold(text);
    let sentences = folded.split(['\n', ':', ';']).map(str::trim);
    sentences.filter(|sentence| !sentence.contains(['{', '"'])).any(|sentence| {
        let mut words = sentence.split(' ');
        words.next().is_some_and(|first| DOING.contains(&first)) && words.count() >= 2
    })
}
