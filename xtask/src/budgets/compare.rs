//! What was measured against what is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// By kind of call and row.
pub(super) type Measured = BTreeMap<String, BTreeMap<String, u64>>;

/// More than this many hundredths above its budget, and a row fails; so many below, and the budget is worth lowering.
/// Maps are seeded at random, and the gateway looks at its files from time to time: two runs of a whole call on one machine differ by less than a hundredth,
/// and machines differ in what they copy memory with.
const ABOVE: u64 = 8;
const BELOW: u64 = 15;
/// The same for what hands work to other threads: whether one of them has to be woken is a matter of luck.
const LUCK: u64 = 20;
const LUCKY: [&str; 4] = ["whole", "allocations", "record", "release"];

/// What a row may differ by in any case: less than a thousandth of a call.
const SLACK: u64 = 4000;
const SLACK_OF_ALLOCATIONS: u64 = 2;

const HEADER: &str = "\
# What a call may take: instructions, and for `allocations` how often memory is asked for. `cargo xtask budgets` compares,
# and fails where a row grew by more than 8 % (20 %, where other threads are woken); docs/decisions/0039 says how it counts. Whoever makes something
# dearer on purpose writes this file anew with `cargo xtask budgets --write`, and says in the commit what it buys.
# Counts are of a debug build: they compare with each other, and with nothing else.

";

#[derive(Serialize, Deserialize)]
struct Written {
    rows: Measured,
}

/// The file that allows what was measured.
pub(super) fn written(measured: &Measured) -> Result<String> {
    Ok(format!("{HEADER}{}", toml::to_string(&Written { rows: measured.clone() })?))
}

/// Prints all rows; fails where one is above its budget, has none, or is not measured any more.
pub(super) fn against(measured: &Measured, budgets: &str) -> Result<()> {
    let Written { rows } = toml::from_str(budgets).context("the budgets are not as they should be")?;
    let (table, wrong) = verdict(measured, &rows)?;
    println!("{table}");
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\nFind what costs more (`cargo xtask budgets --keep DIR` keeps the profiles, which `callgrind_annotate --inclusive=yes` shows), \
         or allow it: `cargo xtask budgets --write`",
        wrong.join("\n")
    )
}

fn verdict(measured: &Measured, budgets: &Measured) -> Result<(String, Vec<String>)> {
    let (mut table, mut wrong) = (String::new(), Vec::new());
    let names: BTreeSet<&String> = measured.keys().chain(budgets.keys()).collect();
    for case in names {
        let empty = BTreeMap::new();
        let (now, allowed) = (measured.get(case).unwrap_or(&empty), budgets.get(case).unwrap_or(&empty));
        let rows: BTreeSet<&String> = now.keys().chain(allowed.keys()).collect();
        writeln!(table, "{case}: {:<28} {:>12} {:>12}", "", "measured", "budget")?;
        for row in rows {
            let (now, allowed) = (now.get(row).copied(), allowed.get(row).copied());
            let said = judge(row, now, allowed);
            let number = |value: Option<u64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
            writeln!(table, "  {row:<36} {:>12} {:>12}  {}", number(now), number(allowed), said.word())?;
            if let Said::Wrong(why) = said {
                wrong.push(format!("{case}, {row}: {why}"));
            }
        }
    }
    Ok((table, wrong))
}

enum Said {
    Good,
    Lower,
    Wrong(String),
}

impl Said {
    fn word(&self) -> &str {
        match self {
            Said::Good => "",
            Said::Lower => "much less: lower its budget (--write)",
            Said::Wrong(why) => why,
        }
    }
}

fn judge(row: &str, now: Option<u64>, allowed: Option<u64>) -> Said {
    let above = if LUCKY.contains(&row) { LUCK } else { ABOVE };
    let slack = if row == "allocations" { SLACK_OF_ALLOCATIONS } else { SLACK };
    match (now, allowed) {
        // A control that no call reaches any more is a finding, too.
        (None, _) => Said::Wrong("it has a budget and was not measured".to_owned()),
        (Some(_), None) => Said::Wrong("it has no budget".to_owned()),
        (Some(now), Some(allowed)) if now > allowed + (allowed * above / 100).max(slack) => {
            let grown = (now - allowed) as f64 * 100.0 / allowed.max(1) as f64;
            Said::Wrong(format!("{now} is {grown:.1} % above {allowed}"))
        }
        (Some(now), Some(allowed)) if now + (allowed * BELOW / 100).max(slack) < allowed => Said::Lower,
        _ => Said::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, u64)]) -> Measured {
        [("read".to_owned(), rows.iter().map(|(row, value)| ((*row).to_owned(), *value)).collect())].into()
    }

    #[test]
    fn only_growth_and_surprises_fail() {
        let budgets = rows(&[("whole", 100_000), ("call.policy", 100), ("allocations", 200)]);
        let wrong = |measured: &[(&str, u64)]| verdict(&rows(measured), &budgets).unwrap().1;
        assert!(wrong(&[("whole", 119_000), ("call.policy", 4000), ("allocations", 239)]).is_empty());
        assert!(wrong(&[("whole", 50_000), ("call.policy", 100), ("allocations", 200)]).is_empty());
        assert_eq!(wrong(&[("whole", 121_000), ("call.policy", 100), ("allocations", 241)]).len(), 2);
        assert_eq!(wrong(&[("whole", 100_000), ("call.new", 100), ("allocations", 200)]).len(), 2, "one is new, one is gone");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let measured = rows(&[("whole", 7), ("call.policy", 9)]);
        assert!(against(&measured, &written(&measured).unwrap()).is_ok());
    }
}
