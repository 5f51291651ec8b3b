//! Texts that a person must look at before anybody is given them: one private file each, in the state directory.
//!
//! They were masked before they came here. Only somebody on this machine lets them go (`bartizan quarantine`): no message of a
//! client leads to [`decide`]. Who asks for them waits until then; they go after a time, or when there is no room, the oldest
//! first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::{Labels, Quarantined, Reading, Reads};
use bartizan_monitor::journal::call_name;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::kept::{KEPT_DROPPED, KEPT_EVICTED, KEPT_EXPIRED, KEPT_UNKNOWN, KEPT_WAITS};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

mod word;
pub use word::{Unheard, Word, decide};

use super::{Found, Origin};
use crate::config::files;
use crate::consult::desk::Place;

const DIRECTORY: &str = "quarantine";
const LOCK: &str = "quarantine.lock";
const ENDING: &str = ".json";
/// How long to wait for another gateway that writes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many there may be, and how many bytes; one principal has a quarter of each.
const MOST: usize = 1000;
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// How large one may be.
const MAX_FILE: u64 = MOST_BYTES / 4;
/// How long the arguments of a call may be, which stay in memory.
const MAX_ARGUMENTS: usize = 64 * 1024;
/// What a writer that was killed leaves.
const LEFT: &str = ".tmp";

/// What a person said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing yet.
    Waits,
    /// Whoever called may read it.
    Released,
    /// Nobody may.
    Dropped,
}

impl State {
    /// The name in files, records and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Released => "released",
            Self::Dropped => "dropped",
        }
    }
}

/// One answer's texts.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name, which nobody can guess.
    pub handle: String,
    /// What a person said of it.
    pub state: State,
    /// Who said it.
    pub by: Option<String>,
    /// When it came.
    pub at_ms: u64,
    /// How long it is kept.
    pub until_ms: u64,
    /// Who called.
    pub principal: String,
    /// In which session.
    pub session: String,
    /// At which endpoint.
    pub endpoint: Option<String>,
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// Everything that was reviewed of it.
    pub reviewed: String,
    /// The arguments of the call, as they were judged.
    pub arguments: Option<serde_json::Value>,
    /// The call, as the journal has it.
    pub call: String,
    /// The gateway that wrote it, where people can reach it.
    pub gateway: Option<String>,
    /// What was found.
    pub classes: String,
    /// The texts.
    pub texts: Vec<String>,
}

impl Item {
    fn new(place: &Place, (origin, gateway): (&Origin, Option<&String>), taken: Quarantined, (at_ms, until_ms): (u64, u64)) -> Self {
        let Quarantined { handle, texts, classes } = taken;
        Self {
            handle,
            state: State::Waits,
            by: None,
            at_ms,
            until_ms,
            principal: place.principal.to_string(),
            session: place.session.to_string(),
            endpoint: place.endpoint.as_ref().map(ToString::to_string),
            server: origin.server.to_string(),
            tool: origin.tool.to_string(),
            reviewed: origin.reviewed.to_string(),
            arguments: origin.arguments.as_ref().map(|arguments| arguments.view().to_value()),
            call: call_name(origin.call),
            gateway: gateway.cloned(),
            classes,
            texts,
        }
    }

    fn is_of(&self, place: &Place) -> bool {
        let Self { principal, session, endpoint, .. } = self;
        *principal == *place.principal && *session == *place.session && endpoint.as_deref() == place.endpoint.as_deref()
    }

    /// The digest of what a person sees, so that what is let go is what was seen.
    #[must_use]
    pub fn shown(&self) -> Digest {
        Digest::of_json(&Json::array(self.texts.iter().map(|text| Json::string(text))))
    }

    fn known(&self) -> Option<Known> {
        let Self { principal, session, endpoint, .. } = self;
        let place =
            Place { principal: principal.as_str().into(), session: session.as_str().into(), endpoint: endpoint.as_deref().map(Into::into) };
        Some(Known { place, handle: self.handle.clone(), until_ms: self.until_ms, origin: self.origin()? })
    }

    fn origin(&self) -> Option<Origin> {
        let (reviewed, call) = (Digest::read(&self.reviewed)?, u64::from_str_radix(&self.call, 16).ok()?);
        let labels = Labels { untrusted: true, ..Labels::default() };
        let (server, tool, arguments) = (self.server.as_str().into(), self.tool.as_str().into(), self.arguments.as_ref().map(Json::of));
        Some(Origin { server, tool, reviewed, call, labels, released: true, arguments, quarantined: Some(self.handle.clone()) })
    }

    fn found(self) -> Option<Found> {
        let block = |text: &String| Json::object([("type", Json::string("text")), ("text", Json::string(text))]);
        let body = Json::object([("content", Json::array(self.texts.iter().map(block)))]);
        Some(Found { body: Some(body), ..whole(self.origin()?) })
    }
}

/// What reads all of it. What that is, is in the file.
fn whole(origin: Origin) -> Found {
    let Origin { call, labels, arguments, .. } = origin.clone();
    Found { origin, body: None, reads: Reads { first: call, what: Reading::All, released: true, labels, arguments } }
}

/// What this process knows of one: enough to judge who asks for it.
#[derive(Debug)]
struct Known {
    place: Place,
    handle: String,
    until_ms: u64,
    origin: Origin,
}

/// What waits for a person.
#[derive(Debug)]
pub struct Quarantine {
    state: PathBuf,
    lives_ms: u64,
    known: Mutex<Vec<Known>>,
    /// How people reach this gateway.
    gateway: OnceLock<String>,
}

impl Quarantine {
    pub(super) fn open(state: &Path, lives_ms: u64, now_ms: u64) -> Self {
        let quarantine = Self { state: state.to_owned(), lives_ms, known: Mutex::default(), gateway: OnceLock::new() };
        // What waits outlives the gateway that it waits at.
        let items = list(state, now_ms).inspect_err(|error| tracing::error!(%error, "what is quarantined cannot be read"));
        items.unwrap_or_default().iter().filter_map(Item::known).for_each(|known| quarantine.learn(known));
        quarantine
    }

    /// People reach this gateway under a name.
    pub fn reached_by(&self, name: &str) {
        let _ = self.gateway.set(name.to_owned());
    }

    /// The oldest goes, of whoever has their share.
    fn learn(&self, one: Known) {
        let mut known = self.known();
        known.retain(|other| other.handle != one.handle);
        let own = |other: &Known| other.place.principal == one.place.principal;
        if known.iter().filter(|other| own(other)).count() >= MOST / 4 {
            let oldest = known.iter().position(own);
            oldest.map(|at| known.remove(at));
        } else if known.len() >= MOST {
            known.remove(0);
        }
        known.push(one);
    }

    /// Looks for what another gateway over this state directory wrote.
    pub fn look(&self, place: &Place, handle: &str) {
        let found = look(&self.state, handle).ok().flatten().filter(|item| item.is_of(place));
        found.as_ref().and_then(Item::known).into_iter().for_each(|known| self.learn(known));
    }

    /// Removes what nobody let go in time, and what a writer left that was killed.
    pub fn sweep(&self, now_ms: u64) -> io::Result<()> {
        self.known().retain(|known| now_ms < known.until_ms.saturating_add(self.lives_ms));
        let directory = self.state.join(DIRECTORY);
        if !directory.exists() {
            return Ok(());
        }
        files::check_private(&directory)?;
        // Who writes holds it.
        let _held = files::hold_within(&self.state.join(LOCK), PATIENCE)?;
        let left = files::list(&directory, LEFT)?;
        let late = all(&directory)?.into_iter().filter(|file| now_ms >= file.until_ms).map(|file| file.path);
        left.into_iter().chain(late).try_for_each(|path| files::remove(&path))
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was taken out of an answer.
    pub fn put(&self, place: &Place, origin: &Origin, taken: Quarantined, now_ms: u64) -> io::Result<()> {
        let until_ms = now_ms.saturating_add(self.lives_ms);
        if origin.arguments.as_ref().is_some_and(|arguments| arguments.bytes().len() > MAX_ARGUMENTS) {
            return Err(io::Error::other(format!("the arguments of the call have more than {MAX_ARGUMENTS} bytes")));
        }
        let item = Item::new(place, (origin, self.gateway.get()), taken, (now_ms, until_ms));
        let directory = directory(&self.state)?;
        let _held = files::hold_within(&self.state.join(LOCK), PATIENCE)?;
        let text = Json::of(&item);
        let size = u64::try_from(text.bytes().len()).unwrap_or(u64::MAX);
        if size > MAX_FILE {
            return Err(io::Error::other(format!("{size} bytes are more than one client may have")));
        }
        make_room(&directory, &who(&item.principal), (size, now_ms))?;
        files::replace(&directory.join(name(&item)), text.bytes(), files::Readers::Owner)?;
        item.known().into_iter().for_each(|known| self.learn(known));
        Ok(())
    }

    /// What a handle stands for at a place, as far as it is known without its file.
    pub(super) fn known_as(&self, place: &Place, handle: &str) -> Option<Found> {
        let known = self.known();
        let one = known.iter().find(|known| known.place == *place && known.handle == handle)?;
        Some(whole(one.origin.clone()))
    }

    pub(super) fn find(&self, place: &Place, handle: &str, now_ms: u64) -> Result<Found, Refusal> {
        let unknown = |what: &str| Refusal::new(KEPT_UNKNOWN, what);
        let until = self.known().iter().find(|known| known.place == *place && known.handle == handle).map(|known| known.until_ms);
        let read = look(&self.state, handle).map_err(|error| unknown(&error.to_string()))?;
        let item = match (read, until) {
            (Some(item), _) if !item.is_of(place) => return Err(unknown("it belongs to somebody else, or to another session")),
            (Some(item), _) if now_ms < item.until_ms => item,
            (Some(_), _) => return Err(Refusal::new(KEPT_EXPIRED, "nobody let it go in time")),
            (None, Some(until)) if now_ms >= until => return Err(Refusal::new(KEPT_EXPIRED, "nobody let it go in time")),
            (None, Some(_)) => return Err(Refusal::new(KEPT_EVICTED, "it made room")),
            (None, None) => return Err(unknown("nothing is kept under it")),
        };
        match item.state {
            State::Waits => Err(Refusal::new(KEPT_WAITS, "no person has let it go")),
            State::Dropped => Err(Refusal::new(KEPT_DROPPED, format!("{} threw it away", item.by.as_deref().unwrap_or("somebody")))),
            State::Released => item.found().ok_or_else(|| unknown("its file is not what was written")),
        }
    }

    pub(super) fn has(&self, place: &Place, now_ms: u64) -> bool {
        self.known().iter().any(|known| known.place == *place && now_ms < known.until_ms)
    }

    pub(super) fn knows(&self, place: &Place, handle: &str) -> bool {
        self.known().iter().any(|known| known.place == *place && known.handle == handle)
    }
}

fn directory(state: &Path) -> io::Result<PathBuf> {
    let directory = state.join(DIRECTORY);
    files::private_directory(&directory)?;
    Ok(directory)
}

fn who(principal: &str) -> String {
    Digest::of_bytes(principal.as_bytes()).to_string().get(7..23).unwrap_or_default().to_owned()
}

/// Sorted by age, and it can be told without reading it how long it stays and whose it is.
fn name(item: &Item) -> String {
    format!("{:013x}-{:013x}-{}-{}{ENDING}", item.at_ms, item.until_ms, who(&item.principal), item.handle)
}

struct File {
    path: PathBuf,
    until_ms: u64,
    who: String,
    bytes: u64,
}

fn all(directory: &Path) -> io::Result<Vec<File>> {
    let named = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let mut parts = name.split('-');
        let until_ms = u64::from_str_radix(parts.nth(1)?, 16).ok()?;
        let (who, bytes) = (parts.next()?.to_owned(), path.metadata().ok()?.len());
        Some(File { path, until_ms, who, bytes })
    };
    Ok(files::list(directory, ENDING)?.into_iter().filter_map(named).collect())
}

/// Removes what is too old, and the oldest until one more has room: of the same principal, and of all.
fn make_room(directory: &Path, who: &str, (size, now_ms): (u64, u64)) -> io::Result<()> {
    let (late, mut files): (Vec<File>, Vec<File>) = all(directory)?.into_iter().partition(|file| now_ms >= file.until_ms);
    late.iter().try_for_each(|file| files::remove(&file.path))?;
    for (own, most, most_bytes) in [(Some(who), MOST / 4, MOST_BYTES / 4), (None, MOST, MOST_BYTES)] {
        let fits = |file: &File| own.is_none_or(|own| file.who == own);
        loop {
            let (count, bytes) = files
                .iter()
                .filter(|file| fits(file))
                .fold((0_usize, size), |(count, bytes), file| (count.saturating_add(1), bytes.saturating_add(file.bytes)));
            if count < most && bytes <= most_bytes {
                break;
            }
            let Some(oldest) = files.iter().position(fits) else { break };
            files::remove(&files.remove(oldest).path)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Item> {
    let broken = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let json = Json::parse(Bytes::from(files::read(path, MAX_FILE)?)).map_err(|error| broken(&error))?;
    serde_json::from_value(json.view().to_value()).map_err(|error| broken(&error))
}

/// The file of a handle, or none. A handle is letters and digits, so it is no path.
fn look(state: &Path, handle: &str) -> io::Result<Option<Item>> {
    if handle.is_empty() || !handle.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let found = files::list(&state.join(DIRECTORY), &format!("-{handle}{ENDING}"))?;
    found.first().map(|path| read(path)).transpose()
}

/// All that waits or was decided and is not too old, the oldest first.
pub fn list(state: &Path, now_ms: u64) -> io::Result<Vec<Item>> {
    let directory = state.join(DIRECTORY);
    let files = files::list(&directory, ENDING)?;
    if !files.is_empty() {
        files::check_private(&directory)?;
    }
    let items = files.iter().filter_map(|path| {
        // One that is broken hides none of the others.
        read(path).inspect_err(|error| tracing::warn!(%error, "a quarantined answer cannot be read")).ok()
    });
    Ok(items.filter(|item| now_ms < item.until_ms).collect())
}

#[cfg(test)]
mod tests;
