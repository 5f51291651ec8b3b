//! No phrase of the vocabulary that is longer than four words comes from the corpora. Rules that quote what they are
//! measured on are a memory, and what is then measured is how good that is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::corpus;

/// A phrase of so many words is everybody's.
const FREE: usize = 4;

/// Where the vocabulary is.
const VOCABULARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/detect/src");

/// So many words, one after the other.
type Run = [String; FREE + 1];

/// Compares what is written in the detectors with every text of the corpora. Answers how many runs of words were looked for.
pub(crate) fn check(corpora: &Path) -> Result<usize> {
    let mut runs = BTreeSet::new();
    for path in sources(Path::new(VOCABULARY))? {
        let source = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        runs.extend(literals(code).iter().flat_map(|literal| literal.split('|')).flat_map(runs_of));
    }
    let mut found = BTreeSet::new();
    for name in corpus::names(corpora)? {
        for row in corpus::read(corpora, &name)? {
            strings(&row, &mut |text| {
                found.extend(runs_of(text).filter(|run| runs.contains(run)).map(|run| (run.join(" "), name.clone())))
            });
        }
    }
    if found.is_empty() {
        return Ok(runs.len());
    }
    let told: Vec<String> = found.iter().map(|(run, name)| format!("  \"{run}\" ({name})")).collect();
    bail!("the vocabulary quotes the corpora, which are what it is measured on:\n{}", told.join("\n"))
}

/// The source files that are no tests.
fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") && path.file_stem().is_some_and(|name| name != "tests") {
            found.push(path);
        }
    }
    Ok(found)
}

/// What stands between quotes, outside of comments. Escapes stay as they are: no word has one.
fn literals(code: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), code);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let here = rest.get(at..).unwrap_or_default();
        rest = if here.starts_with("//") {
            here.split_once('\n').map_or("", |(_, next)| next)
        } else if here.starts_with("'\"'") {
            here.get(3..).unwrap_or_default()
        } else if let Some(inside) = here.strip_prefix('"') {
            let end = end_of(inside);
            found.push(inside.get(..end).unwrap_or_default().to_owned());
            inside.get(end..).unwrap_or_default().strip_prefix('"').unwrap_or_default()
        } else {
            here.get(1..).unwrap_or_default()
        };
    }
    found
}

/// Where a literal ends that began before this.
fn end_of(inside: &str) -> usize {
    let mut escaped = false;
    let ends = |byte: u8| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    };
    inside.bytes().position(ends).unwrap_or(inside.len())
}

/// All runs of words in a text, in lower case. What stands between blanks is one word, so that an address is no phrase.
fn runs_of(text: &str) -> impl Iterator<Item = Run> {
    let words = text.split_whitespace().map(|word| word.trim_matches(|symbol: char| !symbol.is_alphanumeric()).to_lowercase());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let run = move |at: usize| words.get(at..)?.first_chunk::<{ FREE + 1 }>().cloned();
    (0..).map_while(run)
}

fn strings(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, look)),
        Value::Object(members) => members.values().for_each(|member| strings(member, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_and_comments_are_not() {
        let code = r#"// "not this"
            let quote = '"'; let a = "one|two \"three\""; // nor 'this' "one"
            let b = "four";"#;
        assert_eq!(literals(code), [r#"one|two \"three\""#, "four"]);
    }

    #[test]
    fn a_phrase_of_five_words_that_a_row_has_is_found() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let write = |text: &str| std::fs::write(dir.path().join("a.jsonl"), serde_json::json!({"rows": [text]}).to_string());
        // A phrase that the detectors have, as a row has it.
        let source = std::fs::read_to_string(Path::new(VOCABULARY).join("words.rs"))?;
        let phrase = literals(&source).iter().flat_map(|literal| literal.split('|')).find_map(|phrase| runs_of(phrase).next());
        let phrase = phrase.context("the vocabulary has none")?.join(", ").to_uppercase();
        write("nothing of it is in here, or so it seems")?;
        assert!(check(dir.path())? > 100);
        write(&format!("and so on: {phrase} (it says)"))?;
        assert!(check(dir.path()).is_err());
        Ok(())
    }
}
