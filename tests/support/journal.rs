//! What the gateways of a test wrote down.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// The lines of all files of a state directory, in the order in which they were written.
#[derive(Debug, Clone)]
pub struct Journal(pub Vec<Value>);

/// A call: what was decided before it left, if it left, and how it ended.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The decision.
    pub decided: Vec<Value>,
    /// The end. There must be exactly one.
    pub closed: Vec<Value>,
}

impl Journal {
    /// Reads what is there now.
    ///
    /// # Panics
    ///
    /// When a whole line is not JSON.
    #[must_use]
    pub fn read(state: &Path) -> Self {
        let directory = state.join("journal");
        let mut files: Vec<_> = std::fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        let mut lines = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a journal file");
            // A gateway may be in the middle of its last line.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            lines.extend(whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))));
        }
        Self(lines)
    }

    /// The lines of one kind.
    pub fn of<'a>(&'a self, event: &'a str) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.0.iter().filter(move |line| line.get("event").and_then(Value::as_str) == Some(event))
    }

    /// The calls, by number.
    #[must_use]
    pub fn records(&self) -> BTreeMap<String, Record> {
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        for line in &self.0 {
            let Some(call) = line.get("call").and_then(Value::as_str) else { continue };
            let record = records.entry(call.to_owned()).or_default();
            match line.get("event").and_then(Value::as_str) {
                Some("decided") => record.decided.push(line.clone()),
                Some("closed") => record.closed.push(line.clone()),
                _ => {}
            }
        }
        records
    }

    /// The record of a call that ends with this line, as one object: what was decided, over it how it ended.
    /// The verdicts on the call and on its answer stand together in `trail`.
    #[must_use]
    pub fn whole(&self, closed: &Value) -> Value {
        let decided = self.of("decided").find(|line| line.get("call") == closed.get("call"));
        let mut merged = decided.and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, value) in closed.as_object().into_iter().flatten() {
            match (merged.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
                (Some(old), Some(new)) => old.extend(new.clone()),
                _ => drop(merged.insert(key.clone(), value.clone())),
            }
        }
        Value::Object(merged)
    }

    /// The record that was closed last.
    #[must_use]
    pub fn last_closed(&self) -> Option<Value> {
        self.of("closed").next_back().map(|closed| self.whole(closed))
    }

    /// Every call has exactly one end, and at most one decision before it.
    ///
    /// # Panics
    ///
    /// When one has not.
    pub fn assert_closed_once(&self) {
        for (call, record) in self.records() {
            assert!(record.closed.len() == 1 && record.decided.len() <= 1, "call {call}: {record:?}");
        }
    }
}
