//! What callgrind wrote: how often each function was called, and how many instructions that took with all that it called.

use std::collections::HashMap;

use anyhow::{Context as _, Result};

/// Calls of a function, and the instructions below them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) count: u64,
    pub(crate) instructions: u64,
}

/// One profile.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub(crate) instructions: u64,
    functions: HashMap<String, Calls>,
}

/// What is known while reading.
#[derive(Default)]
struct Reading {
    /// A name is written once; after that its number stands for it.
    names: HashMap<u64, String>,
    from: String,
    to: String,
    /// The next line with numbers is what these calls cost.
    pending: Option<u64>,
}

impl Profile {
    pub(crate) fn read(text: &str) -> Result<Profile> {
        let (mut profile, mut at) = (Profile::default(), Reading::default());
        for line in text.lines() {
            at.line(line, &mut profile).with_context(|| format!("not as callgrind writes it: {line}"))?;
        }
        Ok(profile)
    }

    /// The functions of whose name `pick` makes something.
    pub(crate) fn functions<T>(&self, pick: impl Fn(&str) -> Option<T>) -> impl Iterator<Item = (T, Calls)> {
        self.functions.iter().filter_map(move |(name, calls)| Some((pick(name)?, *calls)))
    }

    /// All calls of the functions that fit.
    pub(crate) fn sum(&self, fits: impl Fn(&str) -> bool) -> Calls {
        let all = self.functions(|name| fits(name).then_some(()));
        all.fold(Calls::default(), |sum, ((), one)| Calls {
            count: sum.count + one.count,
            instructions: sum.instructions + one.instructions,
        })
    }
}

impl Reading {
    fn line(&mut self, line: &str, profile: &mut Profile) -> Result<()> {
        if let Some((key, value)) = line.split_once('=') {
            match key {
                "fn" => self.from = self.name(value)?,
                "cfn" => self.to = self.name(value)?,
                "calls" => self.pending = Some(value.split(' ').next().unwrap_or_default().parse()?),
                _ => {}
            }
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost: u64 = line.split(' ').nth(1).context("no cost")?.parse()?;
            self.cost(cost, profile);
        }
        Ok(())
    }

    fn cost(&mut self, cost: u64, profile: &mut Profile) {
        let Some(count) = self.pending.take() else {
            profile.instructions += cost;
            return;
        };
        // What a function calls itself for is part of the call from outside already.
        if self.from != self.to {
            let calls = profile.functions.entry(self.to.clone()).or_default();
            calls.count += count;
            calls.instructions += cost;
        }
    }

    fn name(&mut self, written: &str) -> Result<String> {
        let (number, name) = written.strip_prefix('(').and_then(|rest| rest.split_once(')')).context("a name without a number")?;
        let (number, name) = (number.parse()?, name.trim());
        if !name.is_empty() {
            self.names.insert(number, name.to_owned());
        }
        self.names.get(&number).cloned().context("a number without a name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_over_callers_and_without_recursion() {
        let text = "events: Ir\nfl=(1) a.rs\nfn=(1) main\n3 10\ncfn=(2) work\ncalls=2 7\n4 100\n+1 5\n\n\
                    fn=(3) other\ncfn=(2)\ncalls=1 7\n* 40\n\nfn=(2)\n7 120\ncfn=(2)\ncalls=9 7\n8 90\nsummary: 135\n";
        let profile = Profile::read(text).unwrap();
        assert_eq!(profile.instructions, 135);
        assert_eq!(profile.sum(|name| name == "work"), Calls { count: 3, instructions: 140 });
        assert_eq!(profile.sum(|name| name == "main"), Calls::default());
        assert!(Profile::read("fn=(9)\n").is_err());
    }
}
