//! Whether a form asks a person for a secret: a password, a key, a code, the number of a card.
//!
//! A noun alone is no question: "token count", "password policy" and "the name of the API key" are about secrets and ask for
//! none. So a label (the name or title of a field) is read for what its noun is part of, and a sentence for somebody being
//! told to give it. Only fields that something can be typed into count. What is asked for in a roundabout way is not seen.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::fold::fold;

mod words;
use words::{
    BARE, BEFORE, CUES, EMPTY, ENDS, INTO, NOT, NOUNS, OF, OPENING, OTHER_TOKENS, SPACELESS, SPACELESS_CUES, SPACELESS_NOT, SPOILS, STATES,
};

/// What a form asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// A password or passphrase, or an answer that is as good.
    Password,
    /// A key of an interface or of a cipher.
    Key,
    /// A token or the cookie of a session.
    Token,
    /// A number or code that is good once, or a PIN.
    Code,
    /// What pays with a card.
    Card,
    /// The words that a wallet is made from.
    Phrase,
    /// A number by which a state knows somebody.
    Identity,
}

impl Secret {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Key => "key",
            Self::Token => "token",
            Self::Code => "code",
            Self::Card => "card",
            Self::Phrase => "phrase",
            Self::Identity => "identity",
        }
    }

    /// Whether it may be made of digits alone.
    const fn is_number(self) -> bool {
        match self {
            Self::Code | Self::Card | Self::Identity => true,
            Self::Password | Self::Key | Self::Token | Self::Phrase => false,
        }
    }
}

/// What can be entered into a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// Text that is not shown while it is typed: it says itself that it is a secret.
    Masked,
    /// A number.
    Number,
    /// One of some values that are given, a date, or an address: no secret can be entered.
    Closed,
}

/// A field of a form.
#[derive(Debug, Clone)]
pub struct Field<'t> {
    /// Its name.
    pub name: Cow<'t, str>,
    /// What stands beside it.
    pub title: Cow<'t, str>,
    /// What is said of it.
    pub description: Cow<'t, str>,
    /// What can be entered.
    pub shape: Shape,
}

/// The secret that a form asks for, if it asks for one; and the field, if it is one of them. `messages` is what is said of
/// the whole form; it counts where something can be entered.
#[must_use]
pub fn secret_asked(messages: &[&str], fields: &[Field<'_>]) -> Option<(Secret, Option<usize>)> {
    for (at, field) in fields.iter().enumerate() {
        let fits = |secret: &Secret| field.shape != Shape::Number || secret.is_number();
        let found = match field.shape {
            Shape::Closed => None,
            Shape::Masked => Some(Secret::Password),
            Shape::Text | Shape::Number => {
                let labels = [&field.name, &field.title].into_iter().find_map(|text| label(text).filter(fits));
                labels.or_else(|| sentences(&field.description, Place::Field).filter(fits))
            }
        };
        if let Some(secret) = found {
            return Some((secret, Some(at)));
        }
    }
    let open = |shape: Shape| fields.iter().any(|field| field.shape == shape);
    let fits = |secret: &Secret| open(Shape::Text) || (open(Shape::Number) && secret.is_number());
    messages.iter().find_map(|message| sentences(message, Place::Form).filter(fits)).map(|secret| (secret, None))
}

/// Where a sentence stands: beside a field a noun phrase is a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Field,
    Form,
}

/// Nouns by their first word, and those of writings without blanks.
struct Vocabulary {
    nouns: HashMap<String, Vec<Noun>>,
    within: Vec<(String, Secret)>,
    sets: [HashSet<String>; 9],
}

struct Noun {
    words: Vec<String>,
    secret: Secret,
    /// It says nothing beside other words.
    bare: bool,
}

/// Which list a word is in.
#[derive(Clone, Copy)]
enum List {
    Spoils,
    Before,
    Cues,
    Not,
    Of,
    Ends,
    Opening,
    OtherTokens,
    Empty,
}

/// Reads the words before the first text comes.
pub(crate) fn prepare() {
    LazyLock::force(&VOCABULARY);
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut nouns: HashMap<String, Vec<Noun>> = HashMap::new();
    for (list, bare) in [(NOUNS, false), (BARE, true)] {
        for (secret, text) in list.iter().flat_map(|(secret, texts)| texts.split(", ").map(move |text| (*secret, text))) {
            let words = split(&fold(text));
            if let Some(first) = words.first() {
                nouns.entry(first.clone()).or_default().push(Noun { words, secret, bare });
            }
        }
    }
    // The longest first: "secret access key" is a key, and no secret with something behind it.
    nouns.values_mut().for_each(|nouns| nouns.sort_by_key(|noun| std::cmp::Reverse(noun.words.len())));
    let within = SPACELESS.iter().flat_map(|(secret, texts)| texts.split(", ").map(move |text| (fold(text), *secret))).collect();
    let set = |text: &str| split(&fold(text)).into_iter().collect();
    Vocabulary { nouns, within, sets: [SPOILS, BEFORE, CUES, NOT, OF, ENDS, OPENING, OTHER_TOKENS, EMPTY].map(set) }
});

impl List {
    fn has(self, word: Option<&String>) -> bool {
        word.is_some_and(|word| VOCABULARY.sets.get(self as usize).is_some_and(|set| set.contains(word)))
    }
}

/// The words of a folded text.
fn split(folded: &str) -> Vec<String> {
    let word = |word: &str| {
        let plain = word.trim_end_matches(|c: char| c.is_ascii_digit());
        // Digits in the place of letters.
        let meant = plain.bytes().any(|byte| byte.is_ascii_digit()) && plain.bytes().any(|byte| byte.is_ascii_alphabetic());
        if meant {
            plain.replace('0', "o").replace(['1', '!'], "i").replace('3', "e").replace('4', "a").replace('5', "s")
        } else {
            plain.to_owned()
        }
    };
    folded.split(|c: char| !c.is_alphanumeric()).map(word).filter(|word| !word.is_empty()).collect()
}

/// The words of a name or title, `camelCase` and `snake_case` among them.
fn label_words(text: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(text.len().saturating_add(8));
    let mut before = ' ';
    for c in text.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    split(&fold(&spaced))
}

/// A noun, and where it stands.
struct Hit<'v> {
    noun: &'v Noun,
    from: usize,
    to: usize,
}

fn hits(words: &[String]) -> Vec<Hit<'static>> {
    let mut found = Vec::new();
    let mut at = 0_usize;
    while let Some(word) = words.get(at) {
        let rest = words.get(at..).unwrap_or_default();
        let noun = VOCABULARY.nouns.get(word).and_then(|nouns| nouns.iter().find(|noun| rest.starts_with(&noun.words)));
        let Some(noun) = noun else {
            at = at.saturating_add(1);
            continue;
        };
        let to = at.saturating_add(noun.words.len());
        found.push(Hit { noun, from: at, to });
        at = to;
    }
    found
}

/// The secret that a name or title stands for.
fn label(text: &str) -> Option<Secret> {
    let words = label_words(text);
    // Looked for once, and not for each of the nouns that a hostile label may be full of.
    let first = |fits: &dyn Fn(&String) -> bool| words.iter().position(fits).unwrap_or(words.len());
    let (told, changed) = (first(&|word| !List::Empty.has(Some(word))), first(&|word| List::Before.has(Some(word))));
    let named = hits(&words).into_iter().find(|hit| {
        let last = hit.to == words.len();
        let alone = told >= hit.from;
        let other = hit.noun.secret == Secret::Token && List::OtherTokens.has(words.get(..hit.from).and_then(<[String]>::last));
        let bare = !hit.noun.bare || (last && (alone || (hit.noun.secret == Secret::Token && !other)));
        bare && !spoiled(&words, hit) && changed >= hit.from
    });
    named.map(|hit| hit.noun.secret).or_else(|| within(&fold(text)))
}

/// Whether a noun is a part of something that is no secret: `token count`, `name of the key`.
fn spoiled(words: &[String], hit: &Hit<'_>) -> bool {
    let before = words.get(..hit.from).unwrap_or_default();
    let mut back = before.iter().rev().skip_while(|word| List::Empty.has(Some(word))).take(2);
    let genitive = List::Of.has(back.next()) && back.next().is_some_and(|word| List::Spoils.has(Some(word)));
    genitive || List::Spoils.has(words.get(hit.to))
}

/// The secret that a sentence asks for.
fn sentences(text: &str, place: Place) -> Option<Secret> {
    fold(text).split(['\n', ';']).find_map(|sentence| sentence_asks(sentence, place).or_else(|| spaceless_asks(sentence, place)))
}

fn sentence_asks(sentence: &str, place: Place) -> Option<Secret> {
    const NEAR: usize = 8;
    let words = split(sentence);
    let question = sentence.trim_end().ends_with(['?', ':']) || words.len() <= 3;
    let asks = |hit: &&Hit<'_>| {
        let before = words.get(hit.from.saturating_sub(NEAR)..hit.from).unwrap_or_default();
        let after = words.get(hit.to..).unwrap_or_default();
        let close = before.iter().rev().take(4);
        if close.clone().any(|word| List::Not.has(Some(word)))
            || spoiled(&words, hit)
            || close.take(2).any(|word| List::Before.has(Some(word)))
        {
            return false;
        }
        let clause_ends = after.first().is_none_or(|word| List::Ends.has(Some(word)));
        let other = hit.noun.secret == Secret::Token && List::OtherTokens.has(before.last());
        if hit.noun.bare && (!clause_ends || other) {
            return false;
        }
        let told = before.iter().chain(after.iter().take(NEAR)).any(|word| List::Cues.has(Some(word)));
        let into = before.iter().rev().take(2).any(|word| INTO.contains(&word.as_str()));
        let opens = hit.from <= 3
            && after.first().is_none_or(|word| !STATES.contains(&word.as_str()))
            && before.iter().all(|word| !List::Opening.has(Some(word)));
        !into && (told || (opens && (place == Place::Field || question)))
    };
    hits(&words).iter().find(asks).map(|hit| hit.noun.secret)
}

/// The same in writings that put no blank between words.
fn within(folded: &str) -> Option<Secret> {
    VOCABULARY.within.iter().find_map(|(noun, secret)| {
        let (_, after) = folded.split_once(noun.as_str())?;
        let spoiled = words::SPACELESS_SPOILS.iter().any(|spoil| after.trim_start().starts_with(&fold(spoil)));
        (!spoiled).then_some(*secret)
    })
}

fn spaceless_asks(sentence: &str, place: Place) -> Option<Secret> {
    let has = |list: &[&str]| list.iter().any(|word| sentence.contains(&fold(word)));
    let short = sentence.chars().count() <= 12;
    (!has(SPACELESS_NOT) && (place == Place::Field || short || has(SPACELESS_CUES))).then(|| within(sentence)).flatten()
}

#[cfg(test)]
mod tests;
