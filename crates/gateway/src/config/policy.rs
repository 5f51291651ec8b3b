//! Policy: read when the gateway starts, and again when its files change.

use std::ops::Range;
use std::path::PathBuf;

use bartizan_monitor::control::{Control, Section};
use bartizan_monitor::controls::REGISTRY;
use bartizan_monitor::controls::policy::{DEFAULT, Rules, Source};
use bartizan_monitor::stages::Monitor;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::files::{self, Mark};

/// How large a policy file may be.
const MAX_POLICY: u64 = 4 * 1024 * 1024;

/// The control's name.
pub(super) const NAME: &str = "policy";

/// The policy as it was loaded, and what it takes to load it again.
#[derive(Debug, Clone)]
pub struct PolicyFiles {
    /// The texts that are in force.
    pub sources: Vec<Source>,
    /// The gateway's environment, as rules see it.
    pub environment: String,
    /// The files; none when the policy stands elsewhere.
    pub(super) files: Vec<PolicyFile>,
    /// What the digest of the controls is made of.
    pub(super) tables: Vec<(&'static str, Json)>,
}

/// Why the policy is not taken anew.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// A file cannot be read now; perhaps it can a moment later.
    #[error("{0}")]
    Unread(String),
    /// What it says cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl PolicyFiles {
    /// How the files looked before they were read for the first time.
    #[must_use]
    pub fn first(&self) -> Vec<Mark> {
        self.files.iter().map(|file| file.first).collect()
    }

    /// How the files look now.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.files.iter().map(|file| Mark::of(&file.path)).collect()
    }

    /// The rules that are in force.
    pub fn rules(&self) -> Result<Rules, String> {
        Rules::load(&self.sources)
    }

    /// A monitor with the policy as it stands in the files now, and with everything else of this one.
    pub fn renew(&self, monitor: &Monitor) -> Result<Monitor, RenewError> {
        let sources = self.files.iter().map(PolicyFile::read).collect::<Result<Vec<_>, _>>().map_err(RenewError::Unread)?;
        let section = section(&sources, &self.environment, 0..0);
        let table = table(&section);
        let control = build(section).map_err(|error| RenewError::Unusable(error.message().to_owned()))?;
        let tables = self.tables.iter().map(|(name, old)| (*name, if *name == NAME { replaced(old, &table) } else { old.clone() }));
        Ok(monitor.with(NAME, control, Digest::of_json(&Json::object(tables))))
    }
}

fn replaced(old: &Json, table: &Json) -> Json {
    Json::object([("mode", old.get("mode").unwrap_or_else(Json::null)), ("table", table.clone())])
}

/// One file of the policy.
#[derive(Debug, Clone)]
pub(super) struct PolicyFile {
    /// Its name in the configuration.
    name: String,
    path: PathBuf,
    /// Taken before it is read, so that no change in between is missed.
    first: Mark,
}

impl PolicyFile {
    pub(super) fn of(name: String, path: PathBuf) -> Self {
        Self { name, first: Mark::of(&path), path }
    }

    /// Reads it as it is now.
    pub(super) fn read(&self) -> Result<Source, String> {
        let text = files::read(&self.path, MAX_POLICY).map_err(|error| format!("{}: it cannot be read: {error}", self.path.display()))?;
        Ok(Source { name: self.name.clone(), text })
    }
}

/// Builds the control from its table.
pub(super) fn build(section: Section<'_>) -> Result<Box<dyn Control>, toml::de::Error> {
    let entry = REGISTRY.iter().find(|entry| entry.name == NAME);
    entry.map_or_else(|| Err(serde::de::Error::custom("there is no such control")), |entry| (entry.build)(Some(section)))
}

/// A table as the digest sees it.
pub(super) fn table(section: &Section<'_>) -> Json {
    let value = toml::Value::deserialize(section.clone().into_deserializer());
    value.map_or_else(|_| Json::null(), |value| Json::of(&value))
}

fn key(name: &'static str) -> Spanned<DeString<'static>> {
    Spanned::new(0..0, DeString::Borrowed(name))
}

fn string(text: &str, at: &Range<usize>) -> Spanned<DeValue<'static>> {
    Spanned::new(at.clone(), DeValue::String(DeString::Owned(text.to_owned())))
}

/// The control's table for these files.
pub(super) fn section(sources: &[Source], environment: &str, at: Range<usize>) -> Section<'static> {
    let mut list = DeArray::new();
    for source in sources {
        let file = DeTable::from_iter([(key("name"), string(&source.name, &at)), (key("text"), string(&source.text, &at))]);
        list.push(Spanned::new(at.clone(), DeValue::Table(file)));
    }
    let mut table = DeTable::default();
    if !sources.is_empty() {
        table.insert(key("files"), Spanned::new(at.clone(), DeValue::Array(list)));
    }
    let mut section = Spanned::new(at, DeValue::Table(table));
    add_environment(&mut section, environment);
    section
}

/// Tells the control the gateway's environment.
pub(super) fn add_environment(section: &mut Section<'_>, environment: &str) {
    let at = section.span();
    if let DeValue::Table(table) = section.get_mut()
        && !environment.is_empty()
    {
        table.insert(key("environment"), string(environment, &at));
    }
}

/// The texts of a table that was not made of files.
pub(super) fn written(section: Option<&Section<'_>>) -> Vec<Source> {
    let text = section.and_then(|section| section.get_ref().as_table()?.get("text")?.get_ref().as_str().map(str::to_owned));
    vec![match text {
        Some(text) => Source { name: "controls.policy.text".to_owned(), text },
        None => Source { name: "built-in".to_owned(), text: DEFAULT.to_owned() },
    }]
}
