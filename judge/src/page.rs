//! The table on its page: written from what was measured, so that the two cannot disagree.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

const BEGIN: &str = "<!-- measured: cargo xtask judge --write -->\n";
const END: &str = "<!-- end -->";

/// The page with the table in its place.
fn with(page: &str, table: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("the page has no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("the page has no {END}"))?;
    Ok(format!("{before}{BEGIN}{table}\n{END}{after}"))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// Puts the table on the page.
pub(crate) fn write(path: &Path, table: &str) -> Result<()> {
    let page = with(&read(path)?, table)?;
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}

/// Whether the page has this table.
pub(crate) fn check(path: &Path, table: &str) -> Result<()> {
    let page = read(path)?;
    if with(&page, table)? != page {
        bail!("{} shows other figures: run `cargo xtask judge --write` and commit the result", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_is_replaced() {
        let page = format!("a\n{BEGIN}old\n{END}\nb\n");
        assert_eq!(with(&page, "new").unwrap_or_default(), format!("a\n{BEGIN}new\n{END}\nb\n"));
        assert!(with("nothing", "new").is_err());
    }
}
