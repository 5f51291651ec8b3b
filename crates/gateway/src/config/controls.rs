//! From the controls' tables to a monitor.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_meter::Rules;
use bartizan_monitor::control::{Control, Entry, Section};
use bartizan_monitor::controls::policy::Source;
use bartizan_monitor::controls::{REGISTRY, confirm, flow};
use bartizan_monitor::lock::Confirm;
use bartizan_monitor::stages::{Mode, Monitor};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use serde::de::IntoDeserializer as _;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::file::{self, remove};
use super::notices::Canaries;
use super::policy::{self, PolicyFile, PolicyFiles};
use super::problem::Problems;
use super::settings::Effects;

/// Everything that controls are built from.
#[derive(Default)]
pub(super) struct Material<'i> {
    sections: BTreeMap<&'static str, (Section<'i>, Range<usize>)>,
    observe: BTreeSet<&'static str>,
    files: Vec<PolicyFile>,
    sources: Vec<Source>,
    /// Where the files are named.
    places: Vec<Range<usize>>,
    /// Who is heard beside the controls.
    pub(super) judges: Option<Json>,
}

fn entry(name: &str) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.name == name)
}

fn known() -> String {
    let names: Vec<&str> = REGISTRY.iter().map(|entry| entry.name).collect();
    format!("the controls are: {}", names.join(", "))
}

impl<'i> Material<'i> {
    /// Takes the `[controls]` table apart.
    pub(super) fn new(table: Option<Spanned<DeValue<'i>>>, problems: &mut Problems) -> Self {
        let mut sections = BTreeMap::new();
        let at = table.as_ref().map(Spanned::span);
        let table = match table.map(Spanned::into_inner) {
            None => DeTable::default(),
            Some(DeValue::Table(table)) => table,
            Some(_) => {
                problems.add(at, "`controls` is a table with one table per control", "[controls.quota]");
                DeTable::default()
            }
        };
        for (name, section) in table {
            match entry(name.get_ref()) {
                Some(entry) => drop(sections.insert(entry.name, (section, name.span()))),
                None => problems.add(Some(name.span()), format!("there is no control {:?}", name.get_ref()), &known()),
            }
        }
        Self { sections, ..Self::default() }
    }

    /// Takes what `dangerous` says of controls, and which servers may use the client's model.
    pub(super) fn weaken(&mut self, dangerous: &file::Dangerous, sampling: BTreeSet<String>, problems: &mut Problems) {
        self.allow_sampling(sampling);
        self.observe(&dangerous.observe, problems);
        self.allow_destructive(dangerous.destructive_calls.as_ref(), problems);
    }

    /// Notes which controls only observe.
    fn observe(&mut self, names: &[Spanned<String>], problems: &mut Problems) {
        for name in names {
            match entry(name.get_ref()) {
                Some(entry) => drop(self.observe.insert(entry.name)),
                None => problems.add(Some(name.span()), format!("there is no control {:?}", name.get_ref()), &known()),
            }
        }
    }

    /// Lets servers use the client's model.
    fn allow_sampling(&mut self, servers: BTreeSet<String>) {
        if servers.is_empty() {
            return;
        }
        let (section, _) = self.sections.entry("request").or_insert_with(|| (Spanned::new(0..0, DeValue::Table(DeTable::default())), 0..0));
        // Anything but a table or a list is the control's own to complain about.
        let DeValue::Table(table) = section.get_mut() else { return };
        let list = table.entry(key("sampling")).or_insert_with(|| Spanned::new(0..0, DeValue::Array(DeArray::new())));
        let DeValue::Array(list) = list.get_mut() else { return };
        for server in servers {
            list.push(Spanned::new(0..0, DeValue::String(DeString::Owned(server))));
        }
    }

    /// Lets what destroys happen with less than a yes each time. Only `dangerous` can say so.
    fn allow_destructive(&mut self, less: Option<&Spanned<Confirm>>, problems: &mut Problems) {
        const KEY: &str = "destructive";
        let written = self.sections.get("confirm").and_then(|(section, _)| match section.get_ref() {
            DeValue::Table(table) => {
                table.get_key_value(KEY).map(|(_, value)| (value.get_ref().as_str().map(ToOwned::to_owned), value.span()))
            }
            _ => None,
        });
        if let Some((Some(word), at)) = written.filter(|(word, _)| word.as_deref() != Some(Confirm::Always.name())) {
            let help = "what destroys is asked about each time; `dangerous.destructive_calls` accepts less";
            problems.add(Some(at), format!("{word:?} is not to be had here"), help);
        }
        let Some(less) = less else { return };
        let (section, _) = self.sections.entry("confirm").or_insert_with(|| (Spanned::new(0..0, DeValue::Table(DeTable::default())), 0..0));
        let DeValue::Table(table) = section.get_mut() else { return };
        table.insert(key(KEY), Spanned::new(less.span(), DeValue::String(DeString::Borrowed(less.get_ref().name()))));
    }

    /// How long a question stays open. What is wrong with it the control says.
    pub(super) fn confirm_timeout(&self) -> Duration {
        let section = self.sections.get("confirm").map(|(section, _)| section.clone());
        let config = section
            .and_then(|section| <confirm::Config as serde::Deserialize>::deserialize(section.into_deserializer()).ok())
            .unwrap_or_default();
        Duration::from_secs(config.timeout_seconds)
    }

    /// Reads the policy files and hands them to the `policy` control.
    pub(super) fn policy(&mut self, written: file::Policy, base: &Path, problems: &mut Problems) {
        let Some(list) = written.files else { return };
        if let Some((_, at)) = self.sections.get("policy") {
            problems.add(Some(at.clone()), "the policy stands in `policy.files` and here too", "keep one of them");
            return;
        }
        let at = list.span();
        if list.get_ref().is_empty() {
            problems.add(
                Some(at),
                "a list of no policy files denies everything",
                "name a file, or leave `policy` out for the built-in policy",
            );
            return;
        }
        let read = |file: Spanned<PathBuf>| {
            let (at, name, path) = (file.span(), file.get_ref().display().to_string(), base.join(file.get_ref()));
            let file = PolicyFile::of(name, path);
            let source = file.read().map_err(|what| problems.add(Some(at.clone()), what, "")).ok()?;
            self.files.push(file);
            Some((at, source))
        };
        (self.places, self.sources) = list.into_inner().into_iter().filter_map(read).unzip();
        self.sections.insert(policy::NAME, (policy::section(&self.sources, "", at.clone()), at));
    }

    /// Builds the `policy` control from its files.
    fn rules(&mut self, problems: &mut Problems) -> Option<Box<dyn Control>> {
        let (section, at) = self.sections.remove(policy::NAME)?;
        let error = match policy::build(section) {
            Ok(control) => return Some(control),
            Err(error) => error,
        };
        // Alone, so that an error stands at the file that it is in.
        let alone = |(at, source): (&Range<usize>, &Source)| {
            let error = policy::build(policy::section(std::slice::from_ref(source), "", at.clone())).err()?;
            problems.add(Some(at.clone()), error.message().to_owned(), "");
            Some(())
        };
        if self.places.iter().zip(&self.sources).filter_map(alone).count() == 0 {
            problems.add(Some(at), error.message().to_owned(), "");
        }
        None
    }

    /// Tells the policy the gateway's environment, and says what it takes to load it again.
    pub(super) fn environment(&mut self, environment: Option<&str>) -> PolicyFiles {
        let environment = environment.unwrap_or_default();
        let sources = if self.files.is_empty() {
            policy::written(self.sections.get(policy::NAME).map(|(section, _)| section))
        } else {
            self.sources.clone()
        };
        if !environment.is_empty() {
            let empty = || (policy::section(&[], "", 0..0), 0..0);
            policy::add_environment(&mut self.sections.entry(policy::NAME).or_insert_with(empty).0, environment);
        }
        PolicyFiles { sources, environment: environment.to_owned(), files: self.files.clone(), tables: self.tables() }
    }

    /// The digest of all of it: equal for equal meaning, whatever the spelling.
    fn digest(&self) -> Digest {
        Digest::of_json(&Json::object(self.tables()))
    }

    fn tables(&self) -> Vec<(&'static str, Json)> {
        let table = |entry: &Entry| {
            let written = self.sections.get(entry.name).map_or_else(Json::null, |(section, _)| policy::table(section));
            let mode = if self.mode(entry) == Mode::Observe { "observe" } else { "enforce" };
            (entry.name, Json::object([("mode", Json::string(mode)), ("table", written)]))
        };
        REGISTRY.iter().map(table).chain(self.judges.clone().map(|judges| ("judges", judges))).collect()
    }

    /// The quotas, for those who show and keep them. What is wrong with them the control says.
    pub(super) fn quota(&self) -> Rules {
        self.table("quota")
    }

    /// What is remembered of calls. What is wrong with it the controls say.
    pub(super) fn effects(&self, canaries: Option<Canaries>) -> Effects {
        let flow: flow::Config = self.table("flow");
        let labels_kept = Duration::from_secs(u64::from(flow.label_hours).saturating_mul(3600));
        Effects { labels_kept, once: self.table("once"), canaries: canaries.map(Arc::new) }
    }

    fn table<T: serde::de::DeserializeOwned + Default>(&self, name: &str) -> T {
        let section = self.sections.get(name).map(|(section, _)| section.clone());
        section.and_then(|section| T::deserialize(section.into_deserializer()).ok()).unwrap_or_default()
    }

    fn mode(&self, entry: &Entry) -> Mode {
        if self.observe.contains(entry.name) { Mode::Observe } else { Mode::Enforce }
    }

    /// Builds every control. `None` when one cannot be built; the problems say why.
    pub(super) fn monitor(mut self, problems: &mut Problems) -> Option<Monitor> {
        let digest = self.digest();
        Monitor::new(digest, |entry| {
            let mode = self.mode(entry);
            let from_files = entry.name == policy::NAME && !self.places.is_empty();
            let control = if from_files { self.rules(problems) } else { build(entry, self.sections.remove(entry.name), problems) };
            let control = control.ok_or(())?;
            Ok::<_, ()>((control, mode))
        })
        .ok()
    }
}

fn key(name: &'static str) -> Spanned<DeString<'static>> {
    Spanned::new(0..0, DeString::Borrowed(name))
}

/// Builds a control, again and again without what was wrong, to find all that is wrong.
fn build(entry: &Entry, section: Option<(Section<'_>, Range<usize>)>, problems: &mut Problems) -> Option<Box<dyn Control>> {
    let (mut section, at) = section.map_or((None, None), |(section, at)| (Some(section), Some(at)));
    let mut clean = true;
    loop {
        let error = match (entry.build)(section.clone()) {
            Ok(control) => return clean.then_some(control),
            Err(error) => error,
        };
        clean = false;
        let place = error.span().filter(|span| !span.is_empty());
        problems.add_error_at(&error, place.clone().or_else(|| at.clone()));
        let removed = match (section.as_mut().map(Spanned::get_mut), place) {
            (Some(DeValue::Table(table)), Some(place)) => remove(table, &place),
            _ => false,
        };
        if !removed {
            return None;
        }
    }
}
