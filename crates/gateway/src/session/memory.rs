//! What a conversation remembers of what its person agreed to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bartizan_monitor::case::{Agreed, Agreement, Item};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;

use super::held;

/// How many tools' last arguments are kept, and how large ones.
const MAX_LAST: usize = 16;
const MAX_ARGUMENTS: usize = 4096;

/// The memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// With the policy under which it was agreed: under another, nothing was.
    agreed: Mutex<Option<(Digest, Arc<Agreed>)>>,
    last: Mutex<VecDeque<(Digest, Json)>>,
}

impl Memory {
    /// The tools that were agreed to under this policy.
    #[must_use]
    pub fn agreed(&self, policy: Digest) -> Arc<Agreed> {
        match &*held(&self.agreed) {
            Some((under, agreed)) if *under == policy => agreed.clone(),
            Some(_) | None => Arc::default(),
        }
    }

    /// Remembers that a tool was agreed to.
    pub fn agree(&self, policy: Digest, item: &Item, agreement: Agreement) {
        let mut agreed = held(&self.agreed);
        let before = agreed.take().filter(|(under, _)| *under == policy).map(|(_, agreed)| agreed).unwrap_or_default();
        *agreed = Some((policy, Arc::new(before.with(item, agreement))));
    }

    /// The arguments of the last call of a tool that somebody agreed to.
    #[must_use]
    pub fn last(&self, tool: &Digest) -> Option<Json> {
        held(&self.last).iter().find(|(other, _)| other == tool).map(|(_, arguments)| arguments.clone())
    }

    /// Keeps a call's arguments to compare the next one with.
    pub fn keep(&self, tool: Digest, arguments: Option<&Json>) {
        let mut last = held(&self.last);
        last.retain(|(other, _)| *other != tool);
        // A copy: a part of the message would keep all of it in memory.
        let small = arguments.filter(|arguments| arguments.bytes().len() <= MAX_ARGUMENTS);
        last.extend(small.map(|arguments| (tool, Json::of(&arguments.view().to_value()))));
        if last.len() > MAX_LAST {
            last.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kept_for_the_last_tools_only() {
        let memory = Memory::default();
        let of = |number: u64| (Digest::of_bytes(&number.to_le_bytes()), Json::object([("n", Json::number(number))]));
        for number in 0..=MAX_LAST as u64 {
            let (tool, arguments) = of(number);
            memory.keep(tool, Some(&arguments));
        }
        assert!(memory.last(&of(0).0).is_none());
        assert_eq!(memory.last(&of(1).0).expect("kept").to_string(), r#"{"n":1}"#);
        memory.keep(of(1).0, None);
        assert!(memory.last(&of(1).0).is_none());
    }
}
