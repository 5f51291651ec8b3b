//! From the controls' tables to a monitor.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bartizan_meter::Rules;
use bartizan_monitor::control::{Control, Entry, Section};
use bartizan_monitor::controls::REGISTRY;
use bartizan_monitor::stages::{Mode, Monitor};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::file::{self, remove};
use super::files;
use super::problem::Problems;

/// How large a policy file may be.
const MAX_POLICY: u64 = 4 * 1024 * 1024;

/// Everything that controls are built from.
#[derive(Default)]
pub(super) struct Material<'i> {
    sections: BTreeMap<&'static str, (Section<'i>, Range<usize>)>,
    observe: BTreeSet<&'static str>,
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
        Self { sections, observe: BTreeSet::new() }
    }

    /// Notes which controls only observe.
    pub(super) fn observe(&mut self, names: &[Spanned<String>], problems: &mut Problems) {
        for name in names {
            match entry(name.get_ref()) {
                Some(entry) => drop(self.observe.insert(entry.name)),
                None => problems.add(Some(name.span()), format!("there is no control {:?}", name.get_ref()), &known()),
            }
        }
    }

    /// Lets servers use the client's model.
    pub(super) fn allow_sampling(&mut self, servers: BTreeSet<String>) {
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
        let texts: Vec<String> = list.into_inner().iter().filter_map(|file| policy_file(file, base, problems)).collect();
        self.sections.insert("policy", (policy_section(texts.join("\n"), at.clone()), at));
    }

    /// The digest of all of it: equal for equal meaning, whatever the spelling.
    fn digest(&self) -> Digest {
        let table = |section: &Section<'i>| {
            let value = toml::Value::deserialize(section.clone().into_deserializer());
            value.map_or_else(|_| Json::null(), |value| Json::of(&value))
        };
        let controls = REGISTRY.iter().map(|entry| {
            let written = self.sections.get(entry.name).map_or_else(Json::null, |(section, _)| table(section));
            let mode = if self.mode(entry) == Mode::Observe { "observe" } else { "enforce" };
            (entry.name, Json::object([("mode", Json::string(mode)), ("table", written)]))
        });
        Digest::of_json(&Json::object(controls))
    }

    /// The quotas, for those who show and keep them. What is wrong with them the control says.
    pub(super) fn quota(&self) -> Rules {
        let section = self.sections.get("quota").map(|(section, _)| section.clone());
        section.and_then(|section| Rules::deserialize(section.into_deserializer()).ok()).unwrap_or_default()
    }

    fn mode(&self, entry: &Entry) -> Mode {
        if self.observe.contains(entry.name) { Mode::Observe } else { Mode::Enforce }
    }

    /// Builds every control. `None` when one cannot be built; the problems say why.
    pub(super) fn monitor(mut self, problems: &mut Problems) -> Option<Monitor> {
        let digest = self.digest();
        Monitor::new(digest, |entry| {
            let mode = self.mode(entry);
            let control = build(entry, self.sections.remove(entry.name), problems).ok_or(())?;
            Ok::<_, ()>((control, mode))
        })
        .ok()
    }
}

fn key(name: &'static str) -> Spanned<DeString<'static>> {
    Spanned::new(0..0, DeString::Borrowed(name))
}

fn policy_section(text: String, at: Range<usize>) -> Section<'static> {
    let mut table = DeTable::default();
    table.insert(key("text"), Spanned::new(at.clone(), DeValue::String(DeString::Owned(text))));
    Spanned::new(at, DeValue::Table(table))
}

fn policy_file(file: &Spanned<PathBuf>, base: &Path, problems: &mut Problems) -> Option<String> {
    let path = base.join(file.get_ref());
    let mut no = |what: String| {
        problems.add(Some(file.span()), format!("{}: {what}", path.display()), "");
        None
    };
    let text = match files::read(&path, MAX_POLICY) {
        Ok(text) => text,
        Err(error) => return no(format!("it cannot be read: {error}")),
    };
    // Alone first, so that an error names the file that it is in.
    match entry("policy").map(|entry| (entry.build)(Some(policy_section(text.clone(), file.span())))) {
        Some(Err(error)) => no(error.message().to_owned()),
        Some(Ok(_)) | None => Some(text),
    }
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
