//! Names that can be mistaken for another name.
//!
//! A model picks a tool by its name, and a person approves it by what the name looks like. Two names
//! are *look-alikes* when a reader takes one for the other: foreign letters (Unicode TR39 skeletons),
//! invisible characters, digits for letters, letters that run together, doubled separators. They are
//! *near* when they differ in case and separators only: real servers have such pairs, so that alone
//! is a matter of routing between servers. Within one server it is not: no real server does it, and
//! clients that fold names would call the one for the other. Edit distance is not used: one real
//! name in twenty is within a letter of another server's.
//!
//! Everything here is linear in the number of names, except for sorting.

mod fold;
pub use fold::is_unseen;

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::MixedScript as _;
use unicode_security::mixed_script::AugmentedScriptSet;

/// Why a name is suspicious by itself: nobody writes such a name to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disguise {
    /// Characters that do not show, or that turn the direction of the text, or control characters.
    Invisible,
    /// White space that is not a single space between words.
    Space,
    /// Another form of an ASCII character: fullwidth, mathematical, superscript, ligature.
    Form,
    /// Letters of different scripts in one word.
    Scripts,
}

/// How one name relates to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// A reader tells them apart.
    Different,
    /// The very same name.
    Same,
    /// Only case and separators differ.
    Near,
    /// A reader takes one for the other, and they are not the same.
    LookAlike,
}

/// A name, prepared for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    text: String,
    disguise: Option<Disguise>,
    /// Without case and single separators.
    loose: String,
    /// What a reader sees, read in two ways (some digits look like two letters). Empty when there is
    /// nothing to see.
    keys: [String; 2],
}

impl Name {
    /// Prepares a name.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { disguise: disguise(text), loose: loose(text), keys: fold::keys(text), text: text.to_owned() }
    }

    /// What makes it suspicious whatever other names there are.
    #[must_use]
    pub const fn disguise(&self) -> Option<Disguise> {
        self.disguise
    }

    /// Compares two names, whoever offers them.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> Likeness {
        if self.text == other.text {
            Likeness::Same
        } else if self.disguise.is_none() && other.disguise.is_none() && self.loose == other.loose {
            Likeness::Near
        } else if self.keys.iter().zip(&other.keys).any(|(a, b)| !a.is_empty() && a == b) {
            Likeness::LookAlike
        } else {
            Likeness::Different
        }
    }

    /// How much it looks like it is hiding something: of two look-alikes the higher one is the copy.
    fn strangeness(&self) -> u8 {
        match self.disguise {
            Some(_) => 2,
            None => u8::from(!self.text.is_ascii()),
        }
    }
}

/// What is wrong with a name among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// It is suspicious by itself.
    Disguised(Disguise),
    /// It can be mistaken for the name at this place of the list.
    Resembles(usize),
    /// It begins like a name of the server at this place of the list.
    Prefix(usize),
}

/// Finds the names that may not stand beside the others. Each is given with its server; the outcome
/// has one entry for each. Of two look-alikes the stranger one loses, and both when neither is:
/// which of them was meant is then anybody's guess.
#[must_use]
pub fn tricks(names: &[(&str, &str)]) -> Vec<Option<Trick>> {
    let prepared: Vec<Name> = names.iter().map(|(_, name)| Name::new(name)).collect();
    let mut found = vec![None; names.len()];
    let mut groups: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
    for (at, name) in prepared.iter().enumerate() {
        for (reading, key) in name.keys.iter().enumerate().filter(|(_, key)| !key.is_empty()) {
            groups.entry((reading, key)).or_default().push(at);
        }
    }
    for group in groups.values().filter(|group| group.len() > 1) {
        resembling(names, &prepared, group, &mut found);
    }
    for (at, server) in prefixes(names) {
        found.get_mut(at).map(|slot| slot.get_or_insert(Trick::Prefix(server)));
    }
    for (slot, name) in found.iter_mut().zip(&prepared) {
        if let (None, Some(disguise)) = (&slot, name.disguise) {
            *slot = Some(Trick::Disguised(disguise));
        }
    }
    found
}

/// Judges names that a reader sees as one.
fn resembling(names: &[(&str, &str)], prepared: &[Name], group: &[usize], found: &mut [Option<Trick>]) {
    let get = |at: &usize| names.get(*at).zip(prepared.get(*at));
    let Some(least) = group.iter().filter_map(get).map(|(_, name)| name.strangeness()).min() else { return };
    let plain: Vec<usize> = group.iter().copied().filter(|at| get(at).is_some_and(|(_, name)| name.strangeness() == least)).collect();
    // One member for each way of writing it, and two for each server: enough to name another for any.
    let (mut ways, mut servers) = (BTreeMap::new(), BTreeMap::<&str, BTreeMap<&str, usize>>::new());
    for at in &plain {
        let Some(((server, text), name)) = get(at) else { continue };
        ways.entry(if least > 1 { *text } else { name.loose.as_str() }).or_insert(*at);
        let texts = servers.entry(server).or_default();
        if texts.len() < 2 {
            texts.entry(text).or_insert(*at);
        }
    }
    for at in group {
        let Some(((server, text), name)) = get(at) else { continue };
        let other = if name.strangeness() > least {
            plain.first().copied()
        } else {
            let way = if least > 1 { *text } else { name.loose.as_str() };
            let elsewhere = ways.iter().take(2).find(|(other, _)| **other != way).map(|(_, at)| *at);
            elsewhere.or_else(|| servers.get(server)?.iter().find(|(other, _)| *other != text).map(|(_, at)| *at))
        };
        if let (Some(other), Some(slot)) = (other, found.get_mut(*at)) {
            slot.get_or_insert(Trick::Resembles(other));
        }
    }
}

/// Names that begin with what looks like another server's name and a run of separators, as names
/// of that server do where several servers share an endpoint.
fn prefixes<'n>(names: &'n [(&str, &str)]) -> impl Iterator<Item = (usize, usize)> + use<'n> {
    let mut servers: BTreeMap<String, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for (at, (server, _)) in names.iter().enumerate() {
        let [key, _] = fold::keys(server);
        servers.entry(key).or_insert_with(|| (at, BTreeSet::new())).1.insert(server);
    }
    names.iter().enumerate().filter_map(move |(at, (server, name))| {
        let [key, _] = fold::keys(head(name)?);
        let (first, owners) = servers.get(&key)?;
        (!owners.contains(server)).then_some((at, *first))
    })
}

/// What stands before the first run of separators.
fn head(name: &str) -> Option<&str> {
    let mut before = None;
    for (at, symbol) in name.char_indices() {
        match before {
            Some(end) if !symbol.is_alphanumeric() => return name.get(..end).filter(|head| !head.is_empty()),
            _ => before = (!symbol.is_alphanumeric()).then_some(at),
        }
    }
    None
}

/// Lower case, without single separators between words. Others stay: `a__b` is not another way to
/// write `a_b`.
fn loose(text: &str) -> String {
    let lower = text.to_lowercase();
    let symbols: Vec<char> = lower.chars().collect();
    let word = |at: Option<usize>| at.and_then(|at| symbols.get(at)).is_some_and(|symbol| symbol.is_alphanumeric());
    let single =
        |at: usize, symbol: char| matches!(symbol, '_' | '-' | '.' | '/' | ':' | ' ') && word(at.checked_sub(1)) && word(at.checked_add(1));
    symbols.iter().enumerate().filter(|(at, symbol)| !single(*at, **symbol)).map(|(_, symbol)| *symbol).collect()
}

fn disguise(text: &str) -> Option<Disguise> {
    if text.chars().any(|symbol| is_unseen(symbol) || symbol.is_control()) {
        return Some(Disguise::Invisible);
    }
    let spaced = |symbol: char| symbol.is_whitespace() && symbol != ' ';
    if text.trim() != text || text.contains("  ") || text.chars().any(spaced) {
        return Some(Disguise::Space);
    }
    if text.is_ascii() {
        return None;
    }
    if text.chars().any(is_form) {
        return Some(Disguise::Form);
    }
    let mixed = text.split(|symbol: char| !symbol.is_alphanumeric() && !fold::is_mark(symbol)).any(is_mixed);
    mixed.then_some(Disguise::Scripts)
}

/// Whether a character is an ASCII character in another dress (NFKC, not NFC).
fn is_form(symbol: char) -> bool {
    !symbol.is_ascii()
        && std::iter::once(symbol).nfkd().any(|part| part.is_ascii_graphic())
        && !std::iter::once(symbol).nfd().any(|part| part.is_ascii_graphic())
        || fold::is_enclosed(symbol)
}

/// Whether a word has letters of several scripts. Latin letters beside those of East Asia are usual
/// (TR39, highly restrictive).
fn is_mixed(word: &str) -> bool {
    if word.is_single_script() {
        return false;
    }
    let latin = |symbol: &char| format!("a{symbol}").is_single_script();
    let rest: String = word.chars().filter(|symbol| !latin(symbol)).collect();
    let scripts = AugmentedScriptSet::for_str(&rest);
    scripts.is_empty() || !(scripts.hanb || scripts.jpan || scripts.kore)
}

#[cfg(test)]
mod tests;
