//! `cargo xtask train`: writes the model of the embedded classifier, and says what it is worth.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::judge::corpora;
use crate::run::{Options, cargo, root, run, text};

/// What the detectors read.
const MODEL: &str = "crates/detect/src/model.bin";
/// The project's own texts to learn from.
const TEXTS: &str = "judge/train/texts.txt";

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut o = Options::new(args);
    let corpora = o.value("--corpora")?.map_or_else(corpora, PathBuf::from);
    o.finish()?;
    if !corpora.is_dir() {
        bail!("there are no corpora in {}: say where they are with --corpora DIR", corpora.display());
    }
    let mut train = cargo();
    train.args(["run", "--locked", "--quiet", "--release", "-p", "bartizan-train", "--"]);
    train.args([text(&corpora)?, text(&root().join(TEXTS))?, text(&root().join(MODEL))?]);
    run(&mut train)
}
