//! A definition: every text of it, where it stands, and whether it agrees with the rest.

use crate::finding::{Class, Finding, Weight};
use crate::fold::is_written;
use crate::hidden::Setting;
use crate::text::{self, Report};
use crate::{vocabulary, words};

/// What a text of a definition is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A name: of the tool, of a parameter, any key.
    Name,
    /// A title: a few words for people.
    Title,
    /// A description: prose.
    Prose,
    /// One of the allowed values.
    Choice,
    /// A default or an example.
    Sample,
}

/// One text of a definition.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// A JSON pointer (RFC 6901) into the definition.
    pub place: &'a str,
    /// What it is there for.
    pub role: Role,
    /// The text, with its JSON escapes decoded.
    pub text: &'a str,
}

/// What is known about a definition besides its texts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The tool's name.
    pub name: &'a str,
    /// The server says that it changes nothing (`readOnlyHint`).
    pub read_only: bool,
    /// The server says that it destroys nothing (`destructiveHint` is false).
    pub harmless: bool,
    /// Tools that other servers offer, and this one does not.
    pub others: Option<&'a Names>,
}

/// Names of tools, to be recognised in the texts of others.
#[derive(Debug, Clone, Default)]
pub struct Names(std::collections::HashSet<String>);

impl<S: Into<String>> FromIterator<S> for Names {
    /// Only names that are no ordinary words count: a description may say *search*, and means nothing by it.
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).filter(|name: &String| is_identifier(name)).collect())
    }
}

fn is_identifier(word: &str) -> bool {
    word.len() >= 4 && (word.contains(['_', '-', '.', '/']) || word.chars().skip(1).any(char::is_uppercase))
}

/// Everything that is noticed about one definition: for each text and class at most one finding, the
/// weightiest first.
///
/// Linear in the length of the texts, and never fails: what cannot be decoded is judged as it stands.
#[must_use]
pub fn scan(texts: &[Text<'_>], facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in texts {
        let Report { findings: mut found, ideas, .. } = judge(text);
        found.extend(misplaced(text, ideas));
        found.extend(named(text, facts, ideas));
        findings.append(&mut found);
    }
    findings.extend(contradiction(texts, facts));
    findings.sort_by(|a, b| (b.weight, a.class, &a.place).cmp(&(a.weight, b.class, &b.place)));
    findings
}

/// Judges one text; names are read as words.
fn judge(text: &Text<'_>) -> Report {
    if text.role == Role::Name && is_plain_name(text.text) {
        return plain_name(text);
    }
    let mut report = text::judge(text.text, text.place, Setting::Definition);
    if text.text.len() >= 16 && !text.text.contains(' ') && words_of(text.text) >= 4 {
        let spaced = text.text.replace(['_', '-', '+', '.'], " ");
        let as_words = text::words(&spaced, text.place);
        report.ideas |= as_words.ideas;
        let known: Vec<Class> = report.findings.iter().map(|finding| finding.class).collect();
        let new = as_words.findings.into_iter().filter(|new| !known.contains(&new.class));
        report.findings.extend(new);
    }
    report
}

/// Most names: there is no room in them for more than a telling word.
fn is_plain_name(name: &str) -> bool {
    name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$' | b'.'))
}

fn plain_name(text: &Text<'_>) -> Report {
    let ideas = vocabulary::hits(&text.text.to_ascii_lowercase()).iter().fold(0, |all, hit| all | hit.idea);
    let lurks = ideas & words::LURK != 0;
    let findings = lurks.then(|| Finding::new(Class::Context, Weight::Warn, text.place, text.text));
    Report::known(findings.into_iter().collect(), ideas & words::LURK)
}

/// How many words a text has; scripts without blanks count two characters as a word.
fn words_of(text: &str) -> usize {
    let dense = text.chars().filter(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')).count();
    let words = text.split(|c: char| !is_written(c)).filter(|word| !word.is_empty() && word.is_ascii()).count();
    words + dense / 2
}

/// Names of more words than this are sentences.
const NAME_WORDS: usize = 7;
/// Titles and choices of more words than this are.
const TITLE_WORDS: usize = 9;
/// Defaults and examples may be a phrase.
const SAMPLE_WORDS: usize = 7;

/// Prose in a place that a client shows to nobody, or as a label.
fn misplaced(text: &Text<'_>, ideas: words::Ideas) -> Option<Finding> {
    use words::{
        AI, CHANGE, CHOOSE, CONSENTED, DEAD, GIVE, HIDE, IGNORE, OTHER, PARAM, RUN, SECRET, SYSPROMPT, TAKE, TALK, TELL, USER, WHEN,
    };
    const ACTS: words::Ideas = CHANGE | CHOOSE | CONSENTED | DEAD | GIVE | HIDE | IGNORE | RUN | TAKE | TELL;
    const ABOUT: words::Ideas = AI | OTHER | PARAM | SECRET | SYSPROMPT | TALK | USER | WHEN | words::TOOL | words::KEYFILE | words::URL;
    if text.role == Role::Prose || text.text.len() < 16 {
        return None;
    }
    let count = words_of(text.text);
    let instructs = ideas & ACTS != 0 && ideas & ABOUT != 0;
    let weight = match text.role {
        Role::Name if count > NAME_WORDS => Weight::Block,
        Role::Choice | Role::Title if count > TITLE_WORDS => Weight::Block,
        Role::Sample if count > SAMPLE_WORDS && instructs => Weight::Block,
        Role::Choice | Role::Title if count > SAMPLE_WORDS && instructs => Weight::Block,
        Role::Sample if count > 2 * SAMPLE_WORDS => Weight::Warn,
        _ => return None,
    };
    Some(Finding::new(Class::Misplaced, weight, text.place, text.text))
}

/// Orders that name a tool of another server.
fn named(text: &Text<'_>, facts: &Facts<'_>, ideas: words::Ideas) -> Option<Finding> {
    let others = facts.others?;
    const ORDERS: words::Ideas = words::WHEN | words::CHANGE | words::DEAD | words::INSTEAD | words::MONEY | words::HIDE | words::CHOOSE;
    if text.role == Role::Name || ideas & ORDERS == 0 {
        return None;
    }
    let mut words = text.text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')));
    let name = words.find(|word| *word != facts.name && others.0.contains(word.trim_matches(['.', '/', '-'])))?;
    let at = text.text.find(name)?;
    let mut from = at.saturating_sub(30);
    while !text.text.is_char_boundary(from) {
        from -= 1;
    }
    let weight = if ideas & (words::CHANGE | words::MONEY | words::INSTEAD | words::HIDE) != 0 { Weight::Block } else { Weight::Warn };
    Some(Finding::new(Class::Shadowing, weight, text.place, text.text.get(from..).unwrap_or_default()))
}

/// Hints against the name and the first words of the description.
fn contradiction(texts: &[Text<'_>], facts: &Facts<'_>) -> Option<Finding> {
    const DESTROYS: &[&str] =
        &["delete", "remove", "destroy", "drop", "purge", "wipe", "erase", "truncate", "uninstall", "revoke", "terminate", "kill"];
    const WRITES: &[&str] = &[
        "create", "write", "update", "insert", "send", "post", "upload", "publish", "execute", "set", "edit", "move", "rename", "install",
        "merge", "push", "deploy",
    ];
    let does = |verbs: &[&str], word: &str| verbs.iter().any(|verb| word == *verb || word.strip_suffix('s') == Some(*verb));
    let denied = |word: &str| (facts.read_only || facts.harmless) && does(DESTROYS, word) || facts.read_only && does(WRITES, word);
    if !facts.read_only && !facts.harmless {
        return None;
    }
    let name = facts.name.to_ascii_lowercase();
    let in_name = name.split(['_', '-', '.', '/']).next().filter(|word| denied(word));
    let description = texts.iter().find(|text| text.place == "/description").map_or("", |text| text.text);
    let first = description.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if in_name.is_some() {
        return Some(Finding::new(Class::Contradiction, Weight::Warn, "/annotations", facts.name));
    }
    denied(&first).then(|| Finding::new(Class::Contradiction, Weight::Warn, "/annotations", description))
}
