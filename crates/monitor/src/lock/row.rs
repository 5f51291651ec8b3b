//! One entry of the lock file as it is written.

use std::fmt::{Formatter, Result as Written};

use bytes::Bytes;

use super::contract::{Confirm, Constraint, Contract, Limits, Repeats, Returns};
use super::formats::Named;
use super::text::{one_line, pretty, toml_text};
use super::{LockError, MAX_PREVIOUS, Pin, Version};
use crate::case::{Effect, Kind};
use crate::catalog::Definition;
use crate::wire::canonical::Digest;
use crate::wire::json::{Json, Pointer};

/// What stands in the file: who and what, the operator's part, the reviewed part.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) server: String,
    kind: Kind,
    pub(super) name: String,
    effect: Effect,
    owner: Option<String>,
    environment: Option<String>,
    returns: Option<Returns>,
    egress: Option<bool>,
    confirm: Option<Confirm>,
    preview: Option<String>,
    once: Option<Repeats>,
    #[serde(default)]
    limits: Limits,
    arguments: Option<String>,
    #[serde(default)]
    formats: Vec<Named>,
    #[serde(default)]
    project: Vec<String>,
    binary: Option<Vec<String>>,
    notes: Option<String>,
    digest: String,
    #[serde(default)]
    previous: Vec<Older>,
    definition: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Older {
    effect: Effect,
    digest: String,
    definition: String,
}

impl Row {
    /// Checks everything that does not depend on other entries.
    pub(super) fn pin(self, line: usize) -> Result<Pin, LockError> {
        let (server, name, kind) = (self.server, self.name, self.kind);
        let bad = |what: String| LockError::Definition { line, server: server.clone(), name: name.clone(), what };
        let json = |text: String| Json::parse(Bytes::from(text)).map_err(|error| bad(error.to_string()));
        let reviewed = |text: String, digest: &str| {
            let read = Definition::read(kind, &json(text)?).map_err(|what| bad(what.to_owned()))?;
            if read.name != name {
                return Err(bad("the definition has another name".to_owned()));
            }
            if Digest::read(digest) != Some(read.digest) {
                return Err(LockError::Digest { line, server: server.clone(), name: name.clone() });
            }
            Ok(read)
        };
        let read = reviewed(self.definition, &self.digest)?;
        if self.previous.len() > MAX_PREVIOUS {
            return Err(bad(format!("more than {MAX_PREVIOUS} previous versions")));
        }
        let mut previous = Vec::with_capacity(self.previous.len());
        for older in self.previous {
            let was = reviewed(older.definition, &older.digest)?;
            previous.push(Version { digest: was.digest, effect: older.effect, definition: was.json });
        }
        let arguments = self.arguments.map(&json).transpose()?;
        let arguments = arguments.map(Constraint::read).transpose().map_err(|error| bad(error.to_string()))?;
        let preview = self.preview.map(&json).transpose()?;
        let project = self.project.iter().map(|text| Pointer::read(text)).collect::<Option<Vec<_>>>();
        let contract = Contract {
            owner: self.owner,
            environment: self.environment,
            returns: self.returns,
            egress: self.egress,
            confirm: self.confirm,
            preview,
            once: self.once,
            limits: self.limits,
            arguments,
            formats: self.formats,
            project: project.ok_or_else(|| bad("project: JSON Pointers begin with a slash".to_owned()))?,
            binary: self.binary,
            notes: self.notes,
        };
        contract.check(kind).map_err(|error| bad(error.to_string()))?;
        Ok(Pin { contract, previous, ..Pin::new(read, self.effect) })
    }
}

/// Writes one entry. The digest and what was approved before stand together, so that a change that
/// was approved is one place in a pull request, beside the lines of the definition itself.
pub(super) fn write(f: &mut Formatter<'_>, server: &str, pin: &Pin) -> Written {
    writeln!(f, "\n[[definition]]\nserver = {}", toml_text(server))?;
    writeln!(f, "kind = \"{}\"\nname = {}\neffect = \"{}\"", pin.kind.name(), toml_text(&pin.name), pin.effect)?;
    write_contract(f, &pin.contract)?;
    writeln!(f, "digest = \"{}\"", pin.digest)?;
    if !pin.previous.is_empty() {
        writeln!(f, "previous = [")?;
        for Version { digest, effect, definition } in &pin.previous {
            writeln!(f, "  {{ digest = \"{digest}\", effect = \"{effect}\", definition = '{}' }},", one_line(definition))?;
        }
        writeln!(f, "]")?;
    }
    writeln!(f, "definition = '''\n{}'''", pretty(&pin.definition))
}

/// A pin as it stands in the lock file.
struct Shown<'p>(&'p Pin);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write(f, "", self.0)
    }
}

impl Pin {
    /// The digest of everything that was decided of it, the definition and what the operator wrote: another one means that
    /// somebody has decided anew.
    #[must_use]
    pub fn reviewed(&self) -> Digest {
        Digest::of_bytes(Shown(self).to_string().as_bytes())
    }
}

fn write_contract(f: &mut Formatter<'_>, contract: &Contract) -> Written {
    let Contract { owner, environment, returns, egress, confirm, preview, once, limits, arguments, formats, project, binary, notes } =
        contract;
    let texts = [("owner", owner.as_deref()), ("environment", environment.as_deref())];
    let words = [("returns", returns.map(Returns::name)), ("confirm", confirm.map(Confirm::name)), ("once", once.map(Repeats::name))];
    for (key, text) in texts.into_iter().chain(words) {
        text.map_or(Ok(()), |text| writeln!(f, "{key} = {}", toml_text(text)))?;
    }
    preview.as_ref().map_or(Ok(()), |preview| writeln!(f, "preview = {}", toml_text(&one_line(preview))))?;
    egress.map_or(Ok(()), |egress| writeln!(f, "egress = {egress}"))?;
    let numbers = [
        ("calls_per_minute", limits.calls_per_minute.map(|number| number.to_string())),
        ("timeout_seconds", limits.timeout_seconds.map(|number| number.to_string())),
        ("result_bytes", limits.result_bytes.map(|number| number.to_string())),
        ("cost", limits.cost.map(|number| number.to_string())),
    ];
    let numbers: Vec<String> = numbers.into_iter().filter_map(|(key, number)| Some(format!("{key} = {}", number?))).collect();
    if !numbers.is_empty() {
        writeln!(f, "limits = {{ {} }}", numbers.join(", "))?;
    }
    if let Some(Constraint { schema, .. }) = arguments {
        writeln!(f, "arguments = '''\n{}'''", pretty(schema))?;
    }
    if !formats.is_empty() {
        writeln!(f, "formats = [")?;
        for named in formats {
            writeln!(f, "  {},", toml::Value::try_from(&named.written).map_err(|_| std::fmt::Error)?)?;
        }
        writeln!(f, "]")?;
    }
    if !project.is_empty() {
        let list: Vec<String> = project.iter().map(|pointer| toml_text(pointer.text())).collect();
        writeln!(f, "project = [{}]", list.join(", "))?;
    }
    if let Some(binary) = binary {
        let list: Vec<String> = binary.iter().map(|name| toml_text(name)).collect();
        writeln!(f, "binary = [{}]", list.join(", "))?;
    }
    notes.as_deref().map_or(Ok(()), |notes| writeln!(f, "notes = {}", toml_text(notes)))
}

/// Turns places into lines, in one walk for places that ascend.
pub(super) struct Lines<'t> {
    text: &'t str,
    place: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    pub(super) const fn of(text: &'t str) -> Self {
        Self { text, place: 0, line: 1 }
    }

    pub(super) fn at(&mut self, place: usize) -> usize {
        let passed = self.text.as_bytes().get(self.place..place).unwrap_or_default();
        self.line = self.line.saturating_add(passed.iter().filter(|byte| **byte == b'\n').count());
        self.place = self.place.max(place);
        self.line
    }
}
