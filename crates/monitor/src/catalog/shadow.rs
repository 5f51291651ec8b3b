//! Names that shadow another: computed once for a lock file, not per call.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_detect::names::{Disguise, Trick, tricks};

use crate::case::Kind;
use crate::lock::Lock;

/// Which names may not stand beside the others, and what is wrong with each.
#[derive(Debug, Clone, Default)]
pub struct Shadows(HashMap<(String, Kind), HashMap<String, Arc<str>>>);

impl Shadows {
    /// Compares names, each with its server and kind. Only tools and prompts are chosen by name;
    /// resources are addressed, exactly.
    pub fn among<'n>(names: impl IntoIterator<Item = (&'n str, Kind, &'n str)>) -> Self {
        let mut kinds: HashMap<Kind, Vec<(&str, &str)>> = HashMap::new();
        for (server, kind, name) in names {
            if matches!(kind, Kind::Tool | Kind::Prompt) {
                kinds.entry(kind).or_default().push((server, name));
            }
        }
        let mut found = Self::default();
        for (kind, names) in kinds {
            for (trick, (server, name)) in tricks(&names).into_iter().zip(&names) {
                if let Some(trick) = trick {
                    let of_server = found.0.entry(((*server).to_owned(), kind)).or_default();
                    of_server.insert((*name).to_owned(), told(trick, &names).into());
                }
            }
        }
        found
    }

    /// Compares everything that was approved.
    #[must_use]
    pub fn of(lock: &Lock) -> Self {
        Self::among(lock.servers().flat_map(|server| lock.of(server).map(move |pin| (server, pin.kind, pin.name.as_str()))))
    }

    /// What is wrong with a name, if anything is. For the operator.
    #[must_use]
    pub fn get(&self, server: &str, kind: Kind, name: &str) -> Option<&Arc<str>> {
        // Nearly always there is nothing to find: calls pay for this test only.
        if self.0.is_empty() { None } else { self.0.get(&(server.to_owned(), kind))?.get(name) }
    }
}

fn told(trick: Trick, names: &[(&str, &str)]) -> String {
    let at = |at: usize| names.get(at).copied().unwrap_or_default();
    match trick {
        Trick::Resembles(other) => {
            let (server, name) = at(other);
            format!("its name can be mistaken for {server}/{name}")
        }
        Trick::Prefix(other) => format!("its name begins like the names of the server {}", at(other).0),
        Trick::Disguised(Disguise::Invisible) => "its name has characters that do not show".to_owned(),
        Trick::Disguised(Disguise::Space) => "its name has white space that a reader does not see".to_owned(),
        Trick::Disguised(Disguise::Form) => "its name has ASCII characters in another form".to_owned(),
        Trick::Disguised(Disguise::Scripts) => "its name mixes scripts within a word".to_owned(),
    }
}
