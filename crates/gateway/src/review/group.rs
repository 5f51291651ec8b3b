//! Changes that belong together: the same edit in many definitions, and text that came to several at once.

use std::collections::BTreeMap;

use bartizan_monitor::case::Kind;
use bartizan_monitor::wire::canonical::Digest;

use super::Change;
use super::grade::{Difference, Grade, gravest};

/// Changes of one server that are the same edit, or one change alone.
#[derive(Debug, Clone)]
pub struct Group<'c> {
    /// The changes, in their order.
    pub changes: Vec<&'c Change>,
    /// What is different in the first, and so in each.
    pub differences: Vec<Difference>,
    /// How grave it is; none for what is new, gone, or as it was.
    pub grade: Option<Grade>,
}

/// Puts changes together that are the same edit at the same places of definitions of one kind. A rename
/// is never one of many: each has another name.
#[must_use]
pub fn groups(changes: &[Change]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: BTreeMap<(Kind, Vec<Digest>), usize> = BTreeMap::new();
    for change in changes {
        let differences = change.differences();
        let edits: Vec<Digest> = differences.iter().map(|difference| difference.edit).collect();
        let key = (change.kind, edits);
        let twin = known.get(&key).filter(|_| !differences.is_empty()).and_then(|place| groups.get_mut(*place));
        match twin {
            Some(group) => group.changes.push(change),
            None => {
                known.insert(key, groups.len());
                groups.push(Group { changes: vec![change], grade: gravest(&differences), differences });
            }
        }
    }
    groups
}

/// The texts that came to definitions of one server that are reviewed, each with the name of what it
/// came to, where it came to more than one in different words: to be read in one go, because an
/// instruction may be spread over several of them.
#[must_use]
pub fn together<'g>(groups: &'g [Group<'_>]) -> Vec<(&'g str, &'g str)> {
    let text = |group: &'g Group<'_>| {
        let name = group.changes.first().map(|change| change.name.as_str()).unwrap_or_default();
        group.differences.iter().filter_map(move |difference| Some((name, difference.came.as_deref()?)))
    };
    let speaking = groups.iter().filter(|group| text(group).next().is_some()).count();
    if speaking < 2 { Vec::new() } else { groups.iter().flat_map(text).collect() }
}
