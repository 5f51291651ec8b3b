//! What of answers was not handed out and is kept for whoever called: the rest of long ones, in memory, and what a person
//! must look at first, on disk (`quarantine`).
//!
//! START HERE: [`Kept::find`]. What is kept belongs to a [`Place`]: principal, session, endpoint. From anywhere else
//! a handle is answered like one that never was. It was judged as a whole before it came here, and nothing leaves without being
//! judged again. It goes when it was read to its end, after a time, or when there is no room: the oldest first. A restart
//! forgets what is in memory. `docs/decisions/0031-what-is-kept-of-answers.md` says why it is as it is.

pub mod quarantine;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::{Case, Item, Labels, READ_ON, Reading, Reads, Rest, Spot, Whole};
use bartizan_monitor::controls::paging::WHOLE;
use bartizan_monitor::reason::kept::{KEPT_EVICTED, KEPT_EXPIRED, KEPT_UNKNOWN};
use bartizan_monitor::reason::{Reason, Refusal};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use crate::clock;
use crate::config::Limits;
use crate::consult::desk::Place;
use crate::identity;
use quarantine::Quarantine;

/// What an entry takes beside its texts.
const ENTRY: usize = 1024;
/// How often what is too old is looked for.
const SWEEP: Duration = Duration::from_secs(600);
/// How many handles are remembered of what is gone, to say why.
const MOST_GONE: usize = 4096;

/// The argument of our tool.
pub const HANDLE: &str = "handle";

/// A call of which something may be kept, at no cost to those of which nothing is.
#[derive(Debug)]
pub struct Source {
    item: Item,
    call: u64,
    labels: Labels,
    released: bool,
    arguments: Option<Json>,
    /// What it reads, where that was quarantined.
    quarantined: Option<String>,
}

/// What was answered when something was kept.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The server.
    pub server: Arc<str>,
    /// The tool.
    pub tool: Arc<str>,
    /// Everything that was reviewed of it.
    pub reviewed: Digest,
    /// The call.
    pub call: u64,
    /// The labels of the answer.
    pub labels: Labels,
    /// Whether a person let it go.
    pub released: bool,
    /// The arguments of the call, as they were judged.
    pub arguments: Option<Json>,
    /// Under which handle it was quarantined, where it was: who throws it away there, throws this away.
    pub quarantined: Option<String>,
}

impl Source {
    /// What a call is about; none where it is about no tool.
    #[must_use]
    pub fn of(case: &Case) -> Option<Self> {
        let item = case.item()?;
        let reads = case.reads();
        Some(Self {
            item: item.clone(),
            // What is read on is of the call that began it.
            call: reads.map_or(case.facts().id, |reads| reads.first),
            labels: reads.map(|reads| reads.labels).unwrap_or_default(),
            released: reads.is_some_and(|reads| reads.released),
            arguments: case.arguments_json().cloned(),
            quarantined: None,
        })
    }

    /// The same, where what it reads was quarantined.
    #[must_use]
    pub fn read_from(self, quarantined: Option<String>) -> Self {
        Self { quarantined, ..self }
    }

    /// What is kept of the call beside its answer.
    #[must_use]
    pub fn origin(self, labels: Labels) -> Origin {
        // In memory of their own: the message that they stood in is not kept.
        let own = |json: Json| Json::parse(Bytes::copy_from_slice(json.bytes())).ok();
        Origin {
            server: self.item.server.clone(),
            tool: self.item.pin.name.as_str().into(),
            reviewed: self.item.pin.reviewed(),
            call: self.call,
            labels: self.labels.and(labels),
            released: self.released,
            arguments: self.arguments.and_then(own),
            quarantined: self.quarantined,
        }
    }
}

/// What a handle stands for.
#[derive(Debug)]
pub struct Found {
    /// What was answered.
    pub origin: Origin,
    /// What is handed out, once it was judged; none while it is in a file.
    pub body: Option<Json>,
    /// What that is.
    pub reads: Reads,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    origin: Origin,
    whole: Arc<Whole>,
    /// The handles that were given out, which part each stands for, and where that begins.
    given: Vec<(String, usize, Spot)>,
    until_ms: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Table {
    /// The oldest first.
    entries: BTreeMap<u64, Entry>,
    handles: HashMap<String, u64>,
    next: u64,
    /// Why something is gone, for whom it was.
    gone: VecDeque<(String, Place, Reason)>,
}

/// All that is kept.
#[derive(Debug)]
pub struct Kept {
    table: Mutex<Table>,
    most: usize,
    lives_ms: u64,
    /// What waits for a person.
    pub quarantine: Arc<Quarantine>,
}

fn unknown(what: &str) -> Refusal {
    Refusal::new(KEPT_UNKNOWN, what)
}

impl Kept {
    /// Nothing yet in memory, and what is quarantined over a state directory.
    #[must_use]
    pub fn open(state: &Path, limits: &Limits) -> Self {
        let quarantine = Quarantine::open(state, clock::millis(limits.quarantined_for), clock::now_ms()).into();
        Self { table: Mutex::default(), most: limits.kept_bytes, lives_ms: clock::millis(limits.kept_for), quarantine }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // It is whole after every statement that can panic, so a panic elsewhere does not spoil it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the rest of an answer. What is older makes room, of the same principal first; for what would not fit if it were
    /// alone nothing does, because a handle for it would be good for nothing.
    pub fn put(&self, place: &Place, origin: Origin, rest: Rest, now_ms: u64) -> Result<(), Refusal> {
        let Rest { whole, next, handle, .. } = rest;
        let arguments = origin.arguments.as_ref().map_or(0, |arguments| arguments.bytes().len());
        let bytes = whole.bytes().saturating_add(ENTRY).saturating_add(arguments);
        if bytes > self.most / 4 {
            return Err(Refusal::new(WHOLE, format!("{bytes} bytes are more than is kept for one client")));
        }
        let until_ms = now_ms.saturating_add(self.lives_ms);
        let entry = Entry { place: place.clone(), origin, whole: Arc::new(whole), given: vec![(handle.clone(), 2, next)], until_ms, bytes };
        let mut table = self.table();
        table.sweep(now_ms);
        let id = table.next;
        table.next = id.saturating_add(1);
        table.handles.insert(handle, id);
        table.entries.insert(id, entry);
        table.make_room(self.most / 4, |entry| entry.place.principal == place.principal);
        table.make_room(self.most, |_| true);
        Ok(())
    }

    /// What a handle stands for, at a place: enough to judge who asks. [`take`] has the rest.
    pub fn find(&self, place: &Place, handle: &str, now_ms: u64) -> Result<Found, Refusal> {
        if let Some(found) = self.part(place, handle, now_ms)? {
            return Ok(found);
        }
        self.quarantine.known_as(place, handle).ok_or_else(|| unknown("nothing is kept under it for whoever asks"))
    }

    /// Removes for ever what nobody let go in time.
    pub async fn tend(&self) {
        loop {
            let quarantine = self.quarantine.clone();
            let swept = tokio::task::spawn_blocking(move || quarantine.sweep(clock::now_ms())).await;
            if let Err(error) = swept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                tracing::warn!(%error, "what was quarantined too long ago was not removed");
            }
            tokio::time::sleep(SWEEP).await;
        }
    }

    fn part(&self, place: &Place, handle: &str, now_ms: u64) -> Result<Option<Found>, Refusal> {
        let mut table = self.table();
        table.sweep(now_ms);
        let Some(id) = table.handles.get(handle).copied() else {
            let gone = table.gone.iter().find(|(other, of, _)| other == handle && of == place);
            return gone.map_or(Ok(None), |(.., reason)| Err(Refusal::new(*reason, "it was kept and is not any more")));
        };
        let entry = table.entries.get(&id).ok_or_else(|| unknown("nothing is kept under it"))?;
        if entry.place != *place {
            return Err(unknown("it belongs to somebody else, or to another session"));
        }
        let given = entry.given.iter().find(|(other, ..)| other == handle).cloned();
        let (_, number, spot) = given.ok_or_else(|| unknown("nothing is kept under it"))?;
        let whole = entry.whole.clone();
        drop(table);
        let piece = whole.piece(spot);
        let next = piece.next.map(|next| self.give(id, number.saturating_add(1), next)).transpose()?;
        let table = self.table();
        // It may have gone in this very moment.
        let origin = table.entries.get(&id).map(|entry| entry.origin.clone()).ok_or_else(|| unknown("it has just gone"))?;
        let what = Reading::Part { number, next, left: piece.left };
        let reads =
            Reads { first: origin.call, what, released: origin.released, labels: origin.labels, arguments: origin.arguments.clone() };
        Ok(Some(Found { origin, body: Some(piece.body), reads }))
    }

    /// The handle of a part: who reads a part again gets the same as before.
    fn give(&self, id: u64, number: usize, spot: Spot) -> Result<String, Refusal> {
        let mut table = self.table();
        let entry = table.entries.get_mut(&id).ok_or_else(|| unknown("it has just gone"))?;
        if let Some((handle, ..)) = entry.given.iter().find(|(_, other, _)| *other == number) {
            return Ok(handle.clone());
        }
        let handle = identity::random_id().ok_or_else(|| unknown("the system has no random numbers"))?;
        entry.given.push((handle.clone(), number, spot));
        entry.bytes = entry.bytes.saturating_add(handle.len().saturating_mul(4));
        table.handles.insert(handle.clone(), id);
        Ok(handle)
    }

    /// Forgets what was read to its end.
    pub fn read_out(&self, handle: &str) {
        let mut table = self.table();
        if let Some(id) = table.handles.get(handle).copied() {
            table.remove(id, None);
        }
    }

    /// Whether a place has something to read on.
    #[must_use]
    pub fn has(&self, place: &Place, now_ms: u64) -> bool {
        let has = |table: &Table| table.entries.values().any(|entry| entry.place == *place && now_ms < entry.until_ms);
        has(&self.table()) || self.quarantine.has(place, now_ms)
    }

    /// Whether a handle was given out at a place.
    #[must_use]
    pub fn knows(&self, place: &Place, handle: &str) -> bool {
        let table = self.table();
        let entry = table.handles.get(handle).and_then(|id| table.entries.get(id));
        let is_gone = || table.gone.iter().any(|(other, of, _)| other == handle && of == place);
        entry.is_some_and(|entry| entry.place == *place) || is_gone() || self.quarantine.knows(place, handle)
    }

    /// How many bytes are kept in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table().bytes(|_| true)
    }
}

impl Table {
    fn bytes(&self, of: impl Fn(&Entry) -> bool) -> usize {
        self.entries.values().filter(|entry| of(entry)).fold(0, |all, entry| all.saturating_add(entry.bytes))
    }

    fn sweep(&mut self, now_ms: u64) {
        let late: Vec<u64> = self.entries.iter().filter(|(_, entry)| now_ms >= entry.until_ms).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.remove(id, Some(KEPT_EXPIRED)));
    }

    fn make_room(&mut self, most: usize, of: impl Fn(&Entry) -> bool) {
        let mut bytes = self.bytes(&of);
        while bytes > most {
            let Some((id, taken)) = self.entries.iter().find(|(_, entry)| of(entry)).map(|(id, entry)| (*id, entry.bytes)) else { return };
            self.remove(id, Some(KEPT_EVICTED));
            bytes = bytes.saturating_sub(taken);
        }
    }

    fn remove(&mut self, id: u64, why: Option<Reason>) {
        let Some(entry) = self.entries.remove(&id) else { return };
        for (handle, ..) in entry.given {
            self.handles.remove(&handle);
            if let Some(why) = why {
                self.gone.push_back((handle, entry.place.clone(), why));
            }
        }
        while self.gone.len() > MOST_GONE {
            self.gone.pop_front();
        }
    }
}

/// What was found, as it may be handed out. Reads a file, where it was quarantined: what was let go, and is thrown away
/// since, is not read to its end.
pub fn take(quarantine: &Quarantine, place: &Place, (origin, body): (&Origin, Option<Json>), now_ms: u64) -> Result<Json, Refusal> {
    let filed = origin.quarantined.as_ref().map(|handle| quarantine.find(place, handle, now_ms)).transpose()?;
    body.or(filed.and_then(|filed| filed.body)).ok_or_else(|| unknown("there is nothing in it"))
}

/// Our tool, as it is listed.
#[must_use]
pub fn tool() -> Json {
    let text = "Reads the next part of an answer that was too long to be handed out at once, or texts that a person has let go. Takes the handle that such an answer ends with.";
    let handle = Json::object([("type", Json::string("string")), ("description", Json::string("The handle from the answer."))]);
    let schema = Json::object([
        ("type", Json::string("object")),
        ("properties", Json::object([(HANDLE, handle)])),
        ("required", Json::array([Json::string(HANDLE)])),
        ("additionalProperties", Json::of(&false)),
    ]);
    Json::object([("name", Json::string(READ_ON)), ("description", Json::string(text)), ("inputSchema", schema)])
}

#[cfg(test)]
mod tests;
