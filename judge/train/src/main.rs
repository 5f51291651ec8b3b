//! `cargo xtask train`: trains the embedded classifier on corpora and writes the model of `crates/detect`.
//!
//! Rows of one group (an attack, a server, a rule) stay together: five models are trained on four fifths of the groups
//! each, and judge the fifth that they were not shown. The two operating points are chosen on those judgements, and the
//! figures that are printed come from them. The model that is written is trained on all rows at these points.

#[path = "../../src/corpus.rs"]
#[allow(dead_code, reason = "the halves are for the judge")]
mod corpus;
mod model;
mod report;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

/// How many parts the groups are in.
pub(crate) const FOLDS: u64 = 5;

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let corpora = PathBuf::from(args.next().context("bartizan-train CORPORA TEXTS MODEL")?);
    let own = PathBuf::from(args.next().context("bartizan-train CORPORA TEXTS MODEL")?);
    let out = PathBuf::from(args.next().context("bartizan-train CORPORA TEXTS MODEL")?);
    let docs = rows::read(&corpora, &own)?;
    eprintln!("{} texts, {} sentences", docs.len(), docs.iter().map(|doc| doc.seen.sentences.len()).sum::<usize>());
    let mut scores = vec![0.0; docs.len()];
    for fold in 0..FOLDS {
        let model = model::train(&docs.iter().filter(|doc| doc.fold != fold).collect::<Vec<_>>());
        for (doc, score) in docs.iter().zip(&mut scores).filter(|(doc, _)| doc.fold == fold) {
            *score = model.score(doc);
        }
        eprintln!("part {} of {FOLDS} judged", fold + 1);
    }
    let points = report::points(&docs, &scores);
    println!("{}", report::table(&docs, &scores, points));
    let all = model::train(&docs.iter().collect::<Vec<_>>());
    std::fs::write(&out, all.file(points)?).with_context(|| format!("writing {}", out.display()))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("train: {e:#}");
            ExitCode::FAILURE
        }
    }
}
