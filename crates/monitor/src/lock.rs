//! The lock file: the definitions that a person reviewed, and what that person decided of each.
//!
//! One TOML text, sorted, one `[[definition]]` per thing, so that a pull request shows one hunk per
//! change. Invisible characters in a definition are written as escapes: what a reviewer cannot see
//! is what an attacker would use. `docs/decisions/0011-the-lock-file.md` says why it is as it is.

mod contract;
mod formats;
mod row;
mod text;
pub use contract::{Confirm, Constraint, Contract, ContractError, Limits, Repeats, Returns};
pub use formats::Named;
pub use text::pretty;

pub mod artefact;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::case::{Effect, Kind};
use crate::catalog::{Definition, reaches_out};
use crate::wire::canonical::Digest;
use crate::wire::json::Json;
use crate::wire::mirror::mirrored;
use artefact::Artefact;

/// The version of the format.
const FORMAT: u32 = 1;

/// The last line. A file without it was cut off, even if what is left reads well.
const END: &str = "# end of reviewed definitions";

/// How many older versions of one definition are kept.
pub const MAX_PREVIOUS: usize = 5;

/// One reviewed definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What it is.
    pub kind: Kind,
    /// Its name (tools, prompts), URI or URI template at its server.
    pub name: String,
    /// What a call of it can do, as the operator decided.
    pub effect: Effect,
    /// What else the operator decided.
    pub contract: Contract,
    /// SHA-256 of the definition's canonical form.
    pub digest: Digest,
    /// The definition as it was reviewed.
    pub definition: Json,
    /// What was approved before, newest first, at most [`MAX_PREVIOUS`].
    pub previous: Vec<Version>,
    /// Whether the definition shows that data can leave through it.
    pub reaches_out: bool,
    /// What the definition promises of structured content.
    pub promised: Option<Json>,
    /// The arguments that HTTP headers mirror: header name and property name.
    pub mirrored: Vec<(String, String)>,
}

/// An approved version of a definition that another has replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// SHA-256 of the definition's canonical form.
    pub digest: Digest,
    /// The effect class that it had.
    pub effect: Effect,
    /// The definition as it was reviewed.
    pub definition: Json,
}

impl Pin {
    /// A definition that is approved for the first time.
    #[must_use]
    pub fn new(definition: Definition, effect: Effect) -> Self {
        let Definition { kind, name, json, digest } = definition;
        Self {
            reaches_out: reaches_out(json.view()),
            promised: json.get("outputSchema"),
            // One that breaks the rules is not called: the control `schema` says so.
            mirrored: mirrored(&json).unwrap_or_default(),
            kind,
            name,
            effect,
            contract: Contract::default(),
            digest,
            definition: json,
            previous: Vec::new(),
        }
    }

    /// The pin after another definition was approved in its place: what the operator wrote stays, and
    /// what was approved until now is remembered.
    #[must_use]
    pub fn replaced(&self, definition: Definition, effect: Effect) -> Self {
        let mut previous = self.previous.clone();
        previous.insert(0, Version { digest: self.digest, effect: self.effect, definition: self.definition.clone() });
        previous.retain(|version| version.digest != definition.digest);
        previous.truncate(MAX_PREVIOUS);
        Self { contract: self.contract.clone(), previous, ..Self::new(definition, effect) }
    }

    /// The pin after an older version was approved again: that version is the only one accepted, with
    /// the effect class that it had. None when it is not among those that are kept.
    #[must_use]
    pub fn restored(&self, digest: &Digest) -> Option<Self> {
        let version = self.previous.iter().find(|version| version.digest == *digest)?;
        let definition = Definition { kind: self.kind, name: self.name.clone(), json: version.definition.clone(), digest: version.digest };
        Some(self.replaced(definition, version.effect))
    }

    /// Which arguments make the tool only say what it would do. None when the reviewed schema does not declare each of
    /// them, as after an update: a server that does not know an argument may pass over it, and do the thing.
    #[must_use]
    pub fn preview(&self) -> Option<&Json> {
        let preview = self.contract.preview.as_ref()?;
        let declared = self.definition.view().at(&["inputSchema", "properties"])?;
        preview.view().members().all(|(key, _)| declared.get(&key).is_some()).then_some(preview)
    }

    /// When a person is asked. `never` is no answer for what destroys.
    #[must_use]
    pub fn confirm(&self) -> Option<Confirm> {
        self.contract.confirm.filter(|confirm| !(*confirm == Confirm::Never && self.effect == Effect::Destructive))
    }

    /// Whether data can leave through it: as the operator says, else what changes something may send it, and what its
    /// definition shows to reach out does.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.contract.egress.unwrap_or(self.effect != Effect::Read || self.reaches_out)
    }
}

/// The reviewed definitions of all servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    pins: BTreeMap<String, Pins>,
    artefacts: BTreeMap<String, Vec<Artefact>>,
}

type Pins = BTreeMap<Kind, BTreeMap<String, Arc<Pin>>>;

/// A lock file that cannot be used, and where. Lines count from 1.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LockError {
    /// Not TOML of the expected shape. The text shows the place.
    #[error("{0}")]
    Format(String),
    /// Written by a newer version.
    #[error("the lock file has format {0}; this program reads format {FORMAT}. Use a newer bartizan")]
    Newer(u32),
    /// The last line is not the last line.
    #[error(
        "line {line}: the last line is not `{END}`: the file was cut off, or something was added after it. Restore it from version control, or run `bartizan approve` on a new one"
    )]
    Cut {
        /// The last line that is there.
        line: usize,
    },
    /// A definition that is not what its digest says: edited by hand.
    #[error(
        "line {line}: {server}/{name}: the definition does not have the digest beside it; run `bartizan approve {server}` instead of editing"
    )]
    Digest {
        /// Where its entry begins.
        line: usize,
        /// The server.
        server: String,
        /// The definition's name.
        name: String,
    },
    /// A definition that is not a definition, or a contract that is none.
    #[error("line {line}: {server}/{name}: {what}")]
    Definition {
        /// Where its entry begins.
        line: usize,
        /// The server.
        server: String,
        /// The definition's name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// Twice the same.
    #[error("line {line}: {server}/{name}: stands twice; keep the entry that was reviewed")]
    Twice {
        /// Where the second entry begins.
        line: usize,
        /// The server.
        server: String,
        /// The definition's name.
        name: String,
    },
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    definition: Vec<toml::Spanned<row::Row>>,
    #[serde(default)]
    artefact: Vec<toml::Spanned<artefact::Row>>,
}

impl Lock {
    /// Reads a lock file's text. `judge` is asked of every definition beside, and says what is wrong
    /// with one that cannot be used.
    pub fn read_with(text: &str, judge: impl Fn(&Pin) -> Result<(), String>) -> Result<Self, LockError> {
        #[derive(serde::Deserialize)]
        struct Head {
            version: u32,
        }
        let format = |error: toml::de::Error| LockError::Format(error.to_string());
        let head: Head = toml::from_str(text).map_err(format)?;
        if head.version > FORMAT {
            return Err(LockError::Newer(head.version));
        }
        let file: File = toml::from_str(text).map_err(format)?;
        debug_assert_eq!(file.version, head.version, "the same member of the same text");
        let mut lock = Self::default();
        let mut lines = row::Lines::of(text);
        for row in file.artefact {
            let line = lines.at(row.span().start);
            let row = row.into_inner();
            let server = row.server.clone();
            lock.artefacts.entry(server).or_default().push(row.read(line)?);
        }
        let mut lines = row::Lines::of(text);
        for row in file.definition {
            let line = lines.at(row.span().start);
            let row = row.into_inner();
            let (server, name) = (row.server.clone(), row.name.clone());
            let pin = row.pin(line)?;
            judge(&pin).map_err(|what| LockError::Definition { line, server: server.clone(), name: name.clone(), what })?;
            if lock.put(&server, pin).is_some() {
                return Err(LockError::Twice { line, server, name });
            }
        }
        if text.trim_end().lines().next_back() != Some(END) {
            return Err(LockError::Cut { line: text.lines().count() });
        }
        Ok(lock)
    }

    /// Reads a lock file's text.
    pub fn read(text: &str) -> Result<Self, LockError> {
        Self::read_with(text, |_| Ok(()))
    }

    /// What a server is made of, as it was reviewed; nothing when nobody did.
    #[must_use]
    pub fn artefacts(&self, server: &str) -> &[Artefact] {
        self.artefacts.get(server).map_or(&[], Vec::as_slice)
    }

    /// Remembers what a server is made of.
    pub fn set_artefacts(&mut self, server: &str, artefacts: Vec<Artefact>) {
        if artefacts.is_empty() {
            self.artefacts.remove(server);
        } else {
            self.artefacts.insert(server.to_owned(), artefacts);
        }
    }

    /// Adds or replaces one definition; returns what stood there.
    pub fn put(&mut self, server: &str, pin: Pin) -> Option<Arc<Pin>> {
        self.pins.entry(server.to_owned()).or_default().entry(pin.kind).or_default().insert(pin.name.clone(), Arc::new(pin))
    }

    /// Removes one definition.
    pub fn remove(&mut self, server: &str, kind: Kind, name: &str) -> Option<Arc<Pin>> {
        let pins = self.pins.get_mut(server)?;
        let removed = pins.get_mut(&kind)?.remove(name);
        pins.retain(|_, pins| !pins.is_empty());
        if pins.is_empty() {
            self.pins.remove(server);
        }
        removed
    }

    /// One definition.
    #[must_use]
    pub fn get(&self, server: &str, kind: Kind, name: &str) -> Option<&Arc<Pin>> {
        self.pins.get(server)?.get(&kind)?.get(name)
    }

    /// All definitions of a server, sorted.
    pub fn of(&self, server: &str) -> impl Iterator<Item = &Arc<Pin>> {
        self.pins.get(server).into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values)
    }

    /// Whether nothing of a server was approved.
    #[must_use]
    pub fn lacks(&self, server: &str) -> bool {
        !self.pins.contains_key(server)
    }

    /// The servers that have approved definitions.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.pins.keys().map(String::as_str)
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("# Definitions that were reviewed. Written by `bartizan approve`; review it like code.\n")?;
        writeln!(f, "version = {FORMAT}")?;
        self.artefacts.iter().try_for_each(|(server, artefacts)| artefact::write(server, artefacts, f))?;
        for server in self.pins.keys() {
            for pin in self.of(server) {
                row::write(f, server, pin)?;
            }
        }
        writeln!(f, "\n{END}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(source: &str) -> Definition {
        let json = Json::parse(Bytes::copy_from_slice(source.as_bytes())).expect("json");
        Definition::read(Kind::Tool, &json).expect("definition")
    }

    fn lock() -> Lock {
        let mut lock = Lock::default();
        for name in ["b", "a\\\"'''\u{202e}\u{1f600}é"] {
            let definition =
                Json::object([("name", Json::string(name)), ("inputSchema", Json::empty_object()), ("x", Json::array([Json::number(1)]))]);
            lock.put("files", Pin::new(read(definition.view().text()), Effect::Write));
        }
        lock
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = lock().to_string();
        let again = Lock::read(&text).expect(&text);
        assert_eq!(again.to_string(), text);
        assert_eq!(
            again.of("files").map(|pin| pin.digest).collect::<Vec<_>>(),
            lock().of("files").map(|pin| pin.digest).collect::<Vec<_>>()
        );
        assert!(!text.contains('\u{202e}'), "invisible characters are escaped");
    }

    /// What reading says, in one line.
    fn refused(text: &str) -> String {
        Lock::read(text).expect_err("an error").to_string().replace('\n', " ")
    }

    #[test]
    fn edited_truncated_and_foreign_files_are_refused_with_the_place() {
        let text = lock().to_string();
        assert_eq!(
            refused(&text.replacen("\"x\"", "\"y\"", 1)),
            "line 4: files/a\\\"'''\u{202e}\u{1f600}é: the definition does not have the digest beside it; run `bartizan approve files` instead of editing"
        );
        assert!(matches!(Lock::read(&text.replace("version = 1", "version = 2\nnew = 1")), Err(LockError::Newer(2))));
        assert!(matches!(Lock::read(text.split_at(text.len() / 2).0), Err(LockError::Format(_))));
        let rows = text.split_once("\n[[").expect("rows").1;
        let twice = text.replace(END, "") + "[[" + rows;
        assert!(matches!(Lock::read(&twice), Err(LockError::Twice { line, .. }) if line > 20), "{}", refused(&twice));
        let misspelt = refused(&text.replacen("effect", "efect", 1));
        assert!(misspelt.contains("line 8") && misspelt.contains("efect"), "{misspelt}");
        assert!(refused(&text.replacen("write", "wirte", 1)).contains("line 8"));
    }

    #[test]
    fn a_file_that_was_cut_between_two_entries_is_refused() {
        let text = lock().to_string();
        for place in text.match_indices("\n[[definition]]").map(|(place, _)| place).chain([text.len() - END.len() - 1]) {
            let error = Lock::read(text.split_at(place).0).expect_err("cut");
            assert!(matches!(error, LockError::Cut { line } if line > 1), "{error}");
        }
        assert!(matches!(Lock::read(&format!("{text}\n# more\n")), Err(LockError::Cut { .. })));
        assert!(Lock::read(&format!("{text}\n \n")).is_ok(), "blank lines hide nothing");
    }

    const CONTRACT: &str = "effect = \"destructive\"\nowner = \"a \\\"team\\\"\"\nenvironment = \"production\"\nreturns = \"private\"\nconfirm = \"never\"\npreview = \"{\\\"dryRun\\\":true}\"\nlimits = { calls_per_minute = 5, timeout_seconds = 20, result_bytes = 1000, cost = 3 }\narguments = '''\n{\n  \"required\": [\n    \"x\"\n  ]\n}\n'''\nformats = [\n  { at = \"/p/*\", format = \"path\", roots = [\"/srv/a\"] },\n  { at = \"/d\", at_most = \"/e\", format = \"date\", not_future = true },\n]\nproject = [\"/users/*/name\"]\nbinary = [\"image/png\"]\nnotes = \"one\\ntwo\"\n";

    #[test]
    fn what_the_operator_writes_stays_as_it_is() {
        let text = lock().to_string().replacen("effect = \"write\"\n", CONTRACT, 1);
        let lock = Lock::read(&text).expect(&text);
        assert_eq!(lock.to_string(), text);
        let pin = lock.of("files").next().expect("a pin");
        assert_eq!((pin.contract.returns(), pin.contract.limits.timeout_seconds), (Returns::Private, Some(20)));
        assert_eq!(pin.confirm(), None, "never is no answer for what destroys");
        let changed = pin.replaced(read(r#"{"name":"b","inputSchema":{"type":"object"}}"#), Effect::Destructive);
        assert_eq!(changed.contract, pin.contract);
        assert_eq!((pin.preview(), changed.preview()), (None, None), "no schema declares it");
        let declares = read(r#"{"name":"b","inputSchema":{"type":"object","properties":{"dryRun":{"type":"boolean"}}}}"#);
        assert!(pin.replaced(declares, Effect::Write).preview().is_some());
    }

    #[test]
    fn contracts_that_could_not_be_kept_are_refused_with_the_place() {
        let text = lock().to_string();
        let with = |line: &str| refused(&text.replacen("digest =", &format!("{line}\ndigest ="), 1));
        assert!(with("limits = { calls_per_minute = 0 }").starts_with("line 4: "));
        assert!(with("limits = { timeout_seconds = 3601 }").contains("1 to 3600"));
        assert!(with("limits = { result_bytes = 0 }").contains("at least 1"));
        assert!(with("limits = { bytes = 1 }").contains("line 9"));
        assert!(with("arguments = '[]'").contains("JSON object"));
        assert!(with("arguments = '{'").starts_with("line 4: "));
        assert!(with("preview = '{}'").contains("only say what it would do"));
        assert!(with(r#"preview = '{"options":{"dryRun":true}}'"#).contains("truth values"));
        assert!(with("preview = '[1]'").contains("JSON object"));
        assert!(with("confirm = \"sometimes\"").contains("line 9"));
        assert!(with("returns = \"secret\"").contains("line 9"));
        let prompt = text.replacen("kind = \"tool\"", "kind = \"prompt\"\nconfirm = \"always\"", 1);
        assert!(refused(&prompt).contains("for tools"), "{}", refused(&prompt));
    }

    #[test]
    fn older_versions_are_kept_in_order_and_one_of_them_can_be_restored() {
        let version = |number: usize| read(&format!(r#"{{"name":"t","inputSchema":{{}},"description":"it's {number}"}}"#));
        let mut pin = Pin::new(version(0), Effect::Read);
        for number in 1..=MAX_PREVIOUS + 2 {
            pin = pin.replaced(version(number), Effect::Write);
        }
        let digests = |pin: &Pin| pin.previous.iter().map(|version| version.digest).collect::<Vec<_>>();
        assert_eq!(digests(&pin), (2..MAX_PREVIOUS + 2).rev().map(|number| version(number).digest).collect::<Vec<_>>());
        let mut lock = Lock::default();
        lock.put("s", pin.clone());
        let text = lock.to_string();
        assert_eq!(Lock::read(&text).expect(&text).to_string(), text);
        assert!(matches!(Lock::read(&text.replacen("s 6", "s 7", 1)), Err(LockError::Digest { line: 4, .. })), "{text}");
        let restored = pin.restored(&version(3).digest).expect("kept");
        assert_eq!((restored.digest, restored.previous.len()), (version(3).digest, MAX_PREVIOUS));
        assert_eq!(restored.previous.first().expect("one").digest, pin.digest);
        assert!(!digests(&restored).contains(&restored.digest), "each version stands once");
        assert_eq!(restored.restored(&pin.digest).expect("kept").digest, pin.digest);
        assert_eq!(pin.restored(&version(0).digest), None);
    }
}
