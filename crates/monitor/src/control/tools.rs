//! What the operator chose for some tools, prompts or resources: keys are `server/name`, or `server/*`.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error};

/// A choice for each of some definitions.
#[derive(Debug, Clone)]
pub struct Tools<T>(BTreeMap<String, BTreeMap<String, T>>);

impl<T> Default for Tools<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Tools<T> {
    fn of(chosen: impl IntoIterator<Item = (String, T)>) -> Result<Self, String> {
        let mut all = Self::default();
        for (key, choice) in chosen {
            let parts = key.split_once('/').filter(|(server, name)| !server.is_empty() && !name.is_empty());
            let (server, name) = parts.ok_or_else(|| format!("{key:?} is not of the form \"server/tool\" or \"server/*\""))?;
            all.0.entry(server.to_owned()).or_default().insert(name.to_owned(), choice);
        }
        Ok(all)
    }

    /// Everything that was chosen.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.values().flat_map(BTreeMap::values)
    }

    /// What was chosen for a definition of a server, or for what the server says on its own.
    #[must_use]
    pub fn get(&self, server: &str, name: Option<&str>) -> Option<&T> {
        let of_server = self.0.get(server)?;
        name.and_then(|name| of_server.get(name)).or_else(|| of_server.get("*"))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tools<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(BTreeMap::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Definitions for which something holds.
#[derive(Debug, Clone, Default)]
pub struct Listed(Tools<()>);

impl Listed {
    /// Reads `server/name` and `server/*`.
    pub fn of(keys: impl IntoIterator<Item = String>) -> Result<Self, String> {
        Tools::of(keys.into_iter().map(|key| (key, ()))).map(Self)
    }

    /// Whether a definition of a server is among them.
    #[must_use]
    pub fn has(&self, server: &str, name: Option<&str>) -> bool {
        self.0.get(server, name).is_some()
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(Vec::<String>::deserialize(from)?).map_err(D::Error::custom)
    }
}
