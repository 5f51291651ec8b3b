//! `cargo xtask docs`: pages that are made from the code, so that they cannot disagree with it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{Options, capture, root};

/// Writes `docs/reasons.md`; with `--check` only compares.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let check = o.flag("--check");
    let bartizan = o.value("--bartizan")?.map_or_else(|| root().join("target/debug/bartizan"), PathBuf::from);
    o.finish()?;
    if !bartizan.is_file() {
        bail!("{} is not built: run `cargo build -p bartizan`", bartizan.display());
    }
    let page = capture(Command::new(&bartizan).args(["explain", "--all", "--markdown"]))?;
    let path = root().join("docs/reasons.md");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed == page {
        println!("docs/reasons.md is up to date");
    } else if check {
        bail!("docs/reasons.md is out of date: run `cargo xtask docs` and commit the result");
    } else {
        std::fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote docs/reasons.md");
    }
    Ok(())
}
