//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy can hold.
//!
//! The rules themselves, with every number, name and exception, are in `tidy/rules.rs`; the other parts
//! know how to look. A finding is one line, `file:line: rule: what to do`.

mod budgets;
mod graph;
mod imports;
mod rules;
mod source;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::root;
use source::Source;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// What was found so far, with the exceptions that were used.
#[derive(Default)]
pub(crate) struct Findings {
    all: Vec<Finding>,
    excused: Vec<usize>,
}

impl Findings {
    fn add(&mut self, path: &str, line: usize, rule: &'static str, advice: impl Into<String>) {
        self.all.push(Finding { path: path.to_string(), line, rule, advice: advice.into() });
    }

    /// Adds where the file does not have this finding yet: of one import, the first line is enough.
    fn add_once(&mut self, path: &str, line: usize, rule: &'static str, advice: String) {
        if !self.all.iter().any(|f| f.path == path && f.rule == rule && f.advice == advice) {
            self.add(path, line, rule, advice);
        }
    }

    /// Adds unless `rules::EXCEPTIONS` lists this rule at `place` (a path, or `path::function`).
    fn add_unless_excused(&mut self, place: &str, line: usize, rule: &'static str, advice: String) {
        match rules::EXCEPTIONS.iter().position(|e| e.rule == rule && e.place == place) {
            Some(i) => self.excused.push(i),
            None => self.add(place.split("::").next().unwrap_or(place), line, rule, advice),
        }
    }

    /// An exception nobody needs any more would excuse the next offender.
    fn stale_exceptions(&mut self) {
        for (i, e) in rules::EXCEPTIONS.iter().enumerate() {
            if !self.excused.contains(&i) {
                let advice = format!("{} no longer breaks {}: remove it from EXCEPTIONS", e.place, e.rule);
                self.add(rules::FILE, 1, "stale-exception", advice);
            }
        }
    }
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    crate::run::Options::new(args).finish()?;
    let sources = sources(&root())?;
    let mut f = Findings::default();
    words::check(&sources, &mut f);
    imports::check(&sources, &mut f);
    budgets::check(&sources, &mut f);
    graph::check(&mut f)?;
    f.stale_exceptions();
    f.all.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &f.all {
        println!("{finding}");
    }
    if !f.all.is_empty() {
        bail!("{} findings; the rules are in {}", f.all.len(), rules::FILE);
    }
    println!("tidy: {} files, no findings", sources.len());
    Ok(())
}

/// Where libraries are: what programs say of themselves is not run.
const LIBRARIES: &[&str] = &["crates", "tests", "judge"];

/// Whether a comment of documentation holds a block of code, which rustdoc would run.
pub(crate) fn has_examples() -> Result<bool> {
    let mut files = Vec::new();
    for dir in LIBRARIES {
        walk(&root().join(dir), &mut files)?;
    }
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        if text.lines().any(is_block) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a line of documentation begins or ends a block of code. One that is indented by four or more is code, too.
fn is_block(line: &str) -> bool {
    let line = line.trim_start();
    let documentation = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
    documentation
        .is_some_and(|text| text.trim_start().starts_with("```") || text.trim_start().starts_with("~~~") || text.starts_with("     "))
}

/// Every Rust file of ours.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for dir in rules::SOURCE_DIRS {
        walk(&root.join(dir), &mut files)?;
    }
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let path = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            Ok(Source::new(&path, &text))
        })
        .collect()
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            // The fuzzers' own lock and seeds live beside their code; build products do not belong to us.
            if !path.ends_with("target") {
                walk(&path, files)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
