//! `cargo xtask docs`: pages that are made from the code, so that they cannot disagree with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{Options, capture, root};

/// Writes `docs/reasons.md` and `docs/controls/`; with `--check` only compares.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let check = o.flag("--check");
    let bartizan = o.value("--bartizan")?.map_or_else(|| root().join("target/debug/bartizan"), PathBuf::from);
    o.finish()?;
    if !bartizan.is_file() {
        bail!("{} is not built: run `cargo build -p bartizan`", bartizan.display());
    }
    let reasons = capture(Command::new(&bartizan).args(["explain", "--all", "--markdown"]))?;
    let mut pages = vec![("docs/reasons.md".to_owned(), reasons)];
    pages.extend(controls()?);
    let stale: Vec<&(String, String)> =
        pages.iter().filter(|(path, page)| std::fs::read_to_string(root().join(path)).unwrap_or_default() != *page).collect();
    if stale.is_empty() {
        println!("{} pages are up to date", pages.len());
        return Ok(());
    }
    if check {
        let names: Vec<&str> = stale.iter().map(|(path, _)| path.as_str()).collect();
        bail!("out of date: {}. Run `cargo xtask docs` and commit the result", names.join(", "));
    }
    for (path, page) in stale {
        write(&root().join(path), page)?;
        println!("wrote {path}");
    }
    Ok(())
}

fn write(path: &Path, page: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}

/// A page for each control, in the order in which they are asked: its file's own words and its reasons.
fn controls() -> Result<Vec<(String, String)>> {
    let folder = root().join("crates/monitor/src");
    let list = std::fs::read_to_string(folder.join("controls.rs"))?;
    let names = list.rsplit_once("controls! {").map(|(_, rest)| rest).unwrap_or_default();
    let names = names.lines().map(|line| line.trim().trim_end_matches(',')).take_while(|name| *name != "}").filter(|name| !name.is_empty());
    names
        .map(|name| {
            let source = std::fs::read_to_string(folder.join("controls").join(format!("{name}.rs")))?;
            Ok((format!("docs/controls/{name}.md"), control(name, &source)))
        })
        .collect()
}

fn control(name: &str, source: &str) -> String {
    let words: Vec<&str> =
        source.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let mut page = format!("# {name}\n\n{}\n\n## Reasons\n\n", words.join("\n"));
    let area = format!("= \"{name}.");
    let reasons: Vec<&str> = source.lines().filter_map(|line| line.split_once(&area)?.1.split('"').next()).collect();
    for reason in &reasons {
        page.push_str(&format!("- `{name}.{reason}`: see [the list of reasons](../reasons.md)\n"));
    }
    if reasons.is_empty() {
        page.push_str("None: it edits and never refuses.\n");
    }
    page.push_str(&format!("\nIts cases are in `tests/cases/{name}/`, its code in `crates/monitor/src/controls/{name}.rs`.\n"));
    page
}

#[cfg(test)]
mod tests {
    use super::control;

    #[test]
    fn a_page_has_the_files_words_and_reasons() {
        let page =
            control("quota", "//! Quotas.\n//!\n//! Threat: a loop.\n\nreasons! {\n    EXCEEDED = \"quota.exceeded\", Class::Limit,\n}\n");
        assert!(page.starts_with("# quota\n\nQuotas.\n\nThreat: a loop.\n"), "{page}");
        assert!(page.contains("- `quota.exceeded`"), "{page}");
    }
}
