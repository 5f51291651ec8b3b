//! Words turned by thirteen letters or written backwards: how they are noticed, and how a text is found readable.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::decode::rot13;

/// The most frequent English words, and the verbs and nouns of orders.
const WORDS: &str = "the and all any for you your that this with from have has not are was were will would can \
    could should must may when what who which their there then than them they been being into out about only also \
    other some such new each every after before first always never use using used user users tool tools file files \
    read send open copy pass include ignore disregard forget instructions instruction previous prior above system prompt \
    secret password token key keys data content contents tell mention inform call calling calls run execute delete \
    remove add append post email mail forward upload message messages conversation attacker account disable alerts \
    alert mark resolved reply approved transfer inbox repository repositories server argument parameter value and to \
    of in is it as at be by do if no on or so up we an my me he us";

/// Garbled words that are words themselves, or common in identifiers.
const HONEST: &[&str] =
    &["tel", "nac", "nus", "tes", "nah", "elif", "lla", "eno", "txt", "erp", "sel", "era", "saw", "net", "tab", "bus", "pat", "sip", "ner"];

static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| WORDS.split_ascii_whitespace().collect());

/// Common words, garbled, as far as they mean nothing as they stand.
pub(crate) fn words() -> impl Iterator<Item = String> {
    let long = COMMON.iter().filter(|word| word.len() >= 3);
    let both = long.flat_map(|word| [rot13(word), word.chars().rev().collect()]);
    both.filter(|word| !COMMON.contains(word.as_str()) && !HONEST.contains(&word.as_str()))
}

/// Whether a word is one of the most frequent ones; what stands around it does not matter.
pub(crate) fn is_common(word: &str) -> bool {
    COMMON.contains(word.trim_matches(|c: char| !c.is_ascii_alphabetic()))
}

/// How many common words stand in a folded text.
pub(crate) fn reads(folded: &str) -> usize {
    folded.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() >= 2 && COMMON.contains(word)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbled_words_are_no_words() {
        let words: HashSet<String> = words().collect();
        assert!(words.contains("gur") && words.contains("eht"));
        assert!(words.iter().all(|word| !COMMON.contains(word.as_str())));
        assert_eq!(reads("read the files, then zzz"), 4);
    }
}
