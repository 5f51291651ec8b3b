//! `cargo xtask judge`: the product's detectors on corpora, and the floor that they must not fall below.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{Options, cargo, root, run, text};

/// Where the floor is kept.
const FLOOR: &str = "tests/judge-floor.toml";
/// The page that shows what is reached.
const PAGE: &str = "docs/detection.md";
/// Names the directory of the corpora, where no option does.
const VARIABLE: &str = "BARTIZAN_CORPORA";

/// Where the corpora are: beside the checkout, unless the environment says otherwise.
pub(crate) fn corpora() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(|| root().join("../shared/corpora/dev"), PathBuf::from)
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let corpora = o.value("--corpora")?.map_or_else(corpora, PathBuf::from);
    let format = o.value("--format")?.unwrap_or("text").to_owned();
    let misses = o.value("--misses")?.map(str::to_owned);
    let (check, write) = (o.flag("--check"), o.flag("--write"));
    o.finish()?;
    if !matches!(format.as_str(), "text" | "json") {
        bail!("--format is text or json");
    }
    if !corpora.is_dir() {
        bail!("there are no corpora in {}: say where they are with --corpora DIR or {VARIABLE}", corpora.display());
    }
    // Times mean something only when optimised; counts are the same in what is built already.
    let mut judge = if check || write || misses.is_some() { as_built()? } else { optimised() };
    let (floor, page) = (root().join(FLOOR), root().join(PAGE));
    judge.args(["--corpora", text(&corpora)?, "--format", &format]).current_dir(root());
    if let Some(slice) = &misses {
        judge.args(["--misses", slice]);
    }
    if check {
        judge.args(["--check", text(&floor)?]);
    }
    if write {
        judge.args(["--write", text(&floor)?]);
    }
    if check || write {
        judge.args(["--page", text(&page)?]);
    }
    run(&mut judge)
}

/// The program that the step `build` built. Built alone, it would ask other things of its dependencies, and most of them
/// would be built once more.
fn as_built() -> Result<Command> {
    run(cargo().args(["build", "--locked", "--quiet", "--workspace", "--all-targets"]))?;
    Ok(Command::new(root().join("target/debug/bartizan-judge")))
}

fn optimised() -> Command {
    let mut judge = cargo();
    judge.args(["run", "--locked", "--quiet", "-p", "bartizan-judge", "--release", "--"]);
    judge
}
