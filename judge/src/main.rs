//! `cargo xtask judge`: how well the product's detectors do on corpora. What is judged are the functions that
//! the product calls, with what it would hand them.

mod corpus;
mod floor;
mod live;
mod page;
mod phrases;
mod report;
mod slices;
mod speed;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::tally::Tally;

/// What the command line asks for.
struct Wish {
    corpora: PathBuf,
    json: bool,
    check: Option<PathBuf>,
    write: Option<PathBuf>,
    page: Option<PathBuf>,
    misses: Option<String>,
}

fn wish(args: impl Iterator<Item = String>) -> Result<Wish> {
    let mut wish = Wish { corpora: PathBuf::new(), json: false, check: None, write: None, page: None, misses: None };
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--corpora" => wish.corpora = value()?.into(),
            "--format" => wish.json = value()? == "json",
            "--check" => wish.check = Some(value()?.into()),
            "--write" => wish.write = Some(value()?.into()),
            "--page" => wish.page = Some(value()?.into()),
            "--misses" => wish.misses = Some(value()?),
            _ => bail!("unknown option {arg}"),
        }
    }
    Ok(wish)
}

fn run() -> Result<()> {
    let wish = wish(std::env::args().skip(1))?;
    let mut tallies = Vec::new();
    for slice in slices::SLICES {
        let rows = corpus::read(&wish.corpora, slice.file)?;
        // The vocabulary is loaded once per process, not once per definition.
        rows.first().map(slice.judge);
        let begun = Instant::now();
        let items: Vec<slices::Item> = rows.iter().filter_map(slice.judge).collect();
        let took = begun.elapsed();
        if wish.misses.as_deref() == Some(slice.name) {
            report::misses(&items);
        }
        let bytes = rows.iter().map(|row| corpus::text(row, "text").len()).sum();
        tallies.push(Tally { bytes, ..Tally::of(slice.name, &items, took) });
    }
    for slice in slices::MANY {
        let rows = corpus::read(&wish.corpora, slice.file)?;
        rows.first().map(slice.judge);
        let begun = Instant::now();
        let items: Vec<slices::Item> = rows.iter().flat_map(slice.judge).collect();
        let took = begun.elapsed();
        if wish.misses.as_deref() == Some(slice.name) {
            report::misses(&items);
        }
        tallies.push(Tally::of(slice.name, &items, took));
    }
    if wish.misses.is_some() {
        return Ok(());
    }
    let text = report::text(&tallies);
    if let Some(path) = &wish.write {
        floor::write(path, &tallies)?;
        return wish.page.as_deref().map_or(Ok(()), |page| page::write(page, &text));
    }
    match (wish.json, &wish.check) {
        (true, _) => print!("{}", report::json(&tallies)?),
        (false, Some(_)) => println!("{text}\n{}", report::speed(&tallies)),
        (false, None) => println!("{text}\n{}\n{}", report::speed(&tallies), speed::measured(&wish.corpora)?),
    }
    if let Some(path) = &wish.check {
        floor::check(path, &tallies)?;
        println!("{} phrases of the vocabulary were looked for in the corpora, and none is from there", phrases::check(&wish.corpora)?);
    }
    wish.page.as_deref().map_or(Ok(()), |page| page::check(page, &text))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("judge: {e:#}");
            ExitCode::FAILURE
        }
    }
}
