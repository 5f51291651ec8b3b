//! What must not get worse: counts for each line of the table, kept in a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::tally::{Count, Tally};

/// One line: rows with a wanted finding must not become fewer, with an unwanted one not more.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Floor {
    wanted: bool,
    rows: usize,
    block: usize,
    warn: usize,
}

type Floors = BTreeMap<String, BTreeMap<String, Floor>>;

const HEAD: &str = "# What the detectors reach on the corpora, in rows. `cargo xtask judge --check` fails when a line with wanted\n\
    # findings has fewer of them, or one with unwanted findings more. Written by `cargo xtask judge --write`.\n\n";

fn measured(tallies: &[Tally]) -> Floors {
    let line = |line: &crate::tally::Line| {
        let Count { rows, block, warn } = line.tuned.and(line.held);
        Floor { wanted: line.attack, rows, block, warn }
    };
    let slice = |tally: &Tally| (tally.slice.to_owned(), tally.lines.iter().map(|(name, l)| (name.clone(), line(l))).collect());
    tallies.iter().map(slice).collect()
}

/// Writes what was measured as the new floor.
pub(crate) fn write(path: &Path, tallies: &[Tally]) -> Result<()> {
    let text = toml::to_string(&measured(tallies))?;
    std::fs::write(path, format!("{HEAD}{text}")).with_context(|| format!("writing {}", path.display()))
}

/// Compares with the floor.
pub(crate) fn check(path: &Path, tallies: &[Tally]) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let floors: Floors = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let worse = compare(&floors, &measured(tallies));
    if !worse.is_empty() {
        bail!("worse than {}:\n{}", path.display(), worse.join("\n"));
    }
    eprintln!("nothing is worse than {}", path.display());
    Ok(())
}

/// What is worse, in words.
fn compare(floors: &Floors, now: &Floors) -> Vec<String> {
    let mut worse = Vec::new();
    for (slice, lines) in floors {
        for (name, floor) in lines {
            let Some(got) = now.get(slice).and_then(|lines| lines.get(name)) else {
                worse.push(format!("  {slice}, {name}: is not measured any more"));
                continue;
            };
            if got.rows != floor.rows {
                worse.push(format!(
                    "  {slice}, {name}: {} rows, the floor is for {}: other corpora, or a new floor is due",
                    got.rows, floor.rows
                ));
            }
            for (point, got, floor_at) in [("block", got.block, floor.block), ("warn", got.warn, floor.warn)] {
                if floor.wanted && got < floor_at {
                    worse.push(format!("  {slice}, {name}: {got} found at {point}, at least {floor_at} wanted"));
                }
                if !floor.wanted && got > floor_at {
                    worse.push(format!("  {slice}, {name}: {got} false at {point}, at most {floor_at} allowed"));
                }
            }
        }
    }
    worse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floors(wanted: bool, block: usize) -> Floors {
        let line = Floor { wanted, rows: 10, block, warn: 9 };
        [("slice".to_owned(), [("line".to_owned(), line)].into())].into()
    }

    #[test]
    fn only_worse_is_told() {
        assert!(compare(&floors(true, 5), &floors(true, 6)).is_empty());
        assert_eq!(compare(&floors(true, 5), &floors(true, 4)).len(), 1);
        assert!(compare(&floors(false, 5), &floors(false, 4)).is_empty());
        assert_eq!(compare(&floors(false, 5), &floors(false, 6)).len(), 1);
        assert_eq!(compare(&floors(true, 5), &Floors::new()).len(), 1);
    }
}
