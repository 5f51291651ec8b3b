//! The desk: every call that waits for a person, until somebody answers or time is up.
//!
//! It lives in memory only: what waits when the gateway ends is gone, and nothing that is left can be granted. Every
//! channel works on it: list the cards, show one, answer it. The first answer counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_monitor::case::{Effect, Item};
use bartizan_monitor::control::Hold;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{CONFIRM_BUSY, CONFIRM_UNKNOWN};
use bartizan_monitor::stages::{Binding, Word};
use bartizan_monitor::wire::json::Json;
use tokio::sync::oneshot;

use super::shown::{self, Detail, Shown, Tried};
use crate::identity;
use crate::share::{Share, Shares};

/// How many calls may wait, in all and of one principal.
const MOST: usize = 1000;
const MOST_EACH: usize = 100;

/// Where a call comes from: what it must come from again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who calls.
    pub principal: Arc<str>,
    /// In which session.
    pub session: Arc<str>,
    /// At which endpoint.
    pub endpoint: Option<Arc<str>>,
}

/// What is known of a call that waits.
#[derive(Debug)]
pub struct Card {
    /// Its name, which nobody can guess.
    pub id: String,
    /// What a grant for it is bound to.
    pub binding: Binding,
    /// What is wanted of a grant.
    pub hold: Hold,
    /// Where it comes from.
    pub place: Place,
    /// The server.
    pub server: Arc<str>,
    /// The tool, as it was reviewed.
    pub item: Item,
    /// What it does.
    pub effect: Effect,
    /// Since when it waits.
    pub since_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// What a person sees.
    pub shown: Shown,
    /// The arguments, for whoever wants to see all of them.
    pub arguments: Option<Json>,
    /// What the server says that it would do, where it was asked.
    pub tried: Option<Tried>,
    /// What completes it, where a tool does.
    pub resume: Option<Resume>,
}

impl Card {
    /// All that would be sent, and what the server says that comes of it, for whoever wants to see all of it.
    #[must_use]
    pub fn whole(&self, detail: Detail) -> String {
        let tried = self.tried.as_ref().map(|tried| shown::dry_run(tried, detail));
        shown::arguments(self.arguments.as_ref(), detail) + &tried.unwrap_or_default()
    }
}

/// What the tool that completes a call needs.
#[derive(Debug)]
pub struct Resume {
    /// The name of that tool.
    pub tool: String,
    /// The parameters of the call, as the client wrote them.
    pub params: Json,
}

/// What somebody said.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Yes.
    Yes(Word),
    /// No.
    No(Word),
}

#[derive(Debug)]
enum State {
    /// The call itself waits.
    Waiting(oneshot::Sender<Answer>),
    /// The client has gone to ask; it comes again.
    Parked,
    /// It was answered before the client came again.
    Answered(Answer),
}

#[derive(Debug)]
struct Entry {
    card: Arc<Card>,
    state: State,
    /// Who has agreed so far, where several must, and under which names they are known.
    agreed: Vec<(Word, BTreeSet<String>)>,
    _room: Room,
}

/// Room on the desk.
pub(super) type Room = Share<Arc<str>>;

/// Why an answer does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// There is no such call, or none any more.
    Gone,
    /// Somebody was faster.
    Answered,
    /// The same person has agreed already, and others are waited for.
    Same,
}

/// What an answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It decided.
    Done,
    /// It counts, and so many others must agree, too.
    More(u8),
}

/// All calls that wait.
#[derive(Debug)]
pub struct Desk {
    entries: Mutex<HashMap<String, Entry>>,
    room: Arc<Shares<Arc<str>>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { entries: Mutex::default(), room: Shares::new(MOST, MOST_EACH) }
    }
}

/// A call that waits itself. It leaves the desk by being dropped.
#[derive(Debug)]
pub struct Seat<'d> {
    desk: &'d Desk,
    id: String,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.desk.entries().remove(&self.id);
    }
}

/// A name for a call that waits: short enough to be typed or pasted, and not to be guessed.
pub(super) fn fresh_id() -> Result<String, Refusal> {
    let id = identity::random_id().ok_or_else(|| Refusal::new(CONFIRM_BUSY, "the system has no random numbers"))?;
    Ok(id.chars().filter(char::is_ascii_alphanumeric).take(22).collect())
}

impl Desk {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more of somebody, before anything is made for it. Who asks the same again has forgotten the
    /// question before: it makes room, and its answer is void.
    pub(super) fn room(&self, principal: &Arc<str>, binding: &Binding, now_ms: u64) -> Result<Room, Refusal> {
        self.entries().retain(|_, entry| {
            let same = entry.card.binding == *binding && !matches!(entry.state, State::Waiting(_));
            !same && now_ms < entry.card.until_ms
        });
        let busy = |_| Refusal::new(CONFIRM_BUSY, "as many calls wait as may").retry_after(1000);
        self.room.take(principal, 1).map_err(busy)
    }

    fn put(&self, (card, room): (&Arc<Card>, Room), state: State) {
        self.entries().insert(card.id.clone(), Entry { card: card.clone(), state, agreed: Vec::new(), _room: room });
    }

    /// A call that waits for its answer.
    pub(super) fn wait(&self, (card, room): (&Arc<Card>, Room)) -> (Seat<'_>, oneshot::Receiver<Answer>) {
        let (said, heard) = oneshot::channel();
        self.put((card, room), State::Waiting(said));
        (Seat { desk: self, id: card.id.clone() }, heard)
    }

    /// A call whose client comes again.
    pub(super) fn park(&self, card: &Arc<Card>, room: Room) {
        self.put((card, room), State::Parked);
    }

    /// Takes the question that a client brings an answer to: once, from where it was asked, and in time. Whoever else
    /// asks for it is told the same as for one that never was, and it stays.
    pub(super) fn take(&self, id: &str, place: &Place, now_ms: u64) -> Result<(Arc<Card>, Option<Answer>), Refusal> {
        let unknown = |what: &str| Refusal::new(CONFIRM_UNKNOWN, what);
        let mut entries = self.entries();
        let entry = entries.get(id).ok_or_else(|| unknown("used before, expired, or never asked"))?;
        if entry.card.place != *place {
            return Err(unknown("asked of somebody else, or in another session"));
        }
        if matches!(entry.state, State::Waiting(_)) {
            return Err(unknown("the call itself waits for its answer"));
        }
        let entry = entries.remove(id).filter(|entry| now_ms < entry.card.until_ms).ok_or_else(|| unknown("expired"))?;
        let answer = match entry.state {
            State::Answered(answer) => Some(answer),
            State::Parked | State::Waiting(_) => None,
        };
        Ok((entry.card, answer))
    }

    /// Takes a yes that somebody gave to this very call while its client was away.
    pub(super) fn granted(&self, binding: &Binding, now_ms: u64) -> Option<(Arc<Card>, Word)> {
        let mut entries = self.entries();
        let fits = |entry: &Entry| entry.card.binding == *binding && matches!(entry.state, State::Answered(Answer::Yes(_)));
        let id = entries.values().find(|entry| fits(entry) && now_ms < entry.card.until_ms).map(|entry| entry.card.id.clone())?;
        match entries.remove(&id)? {
            Entry { card, state: State::Answered(Answer::Yes(word)), .. } => Some((card, word)),
            Entry { .. } => None,
        }
    }

    /// Everything that waits for an answer, the oldest first.
    #[must_use]
    pub fn cards(&self, now_ms: u64) -> Vec<Arc<Card>> {
        let entries = self.entries();
        let open = entries.values().filter(|entry| !matches!(entry.state, State::Answered(_)) && now_ms < entry.card.until_ms);
        let mut cards: Vec<Arc<Card>> = open.map(|entry| entry.card.clone()).collect();
        cards.sort_by(|a, b| (a.since_ms, &a.id).cmp(&(b.since_ms, &b.id)));
        cards
    }

    /// One of them.
    #[must_use]
    pub fn card(&self, id: &str, now_ms: u64) -> Option<Arc<Card>> {
        self.entries().get(id).filter(|entry| now_ms < entry.card.until_ms).map(|entry| entry.card.clone())
    }

    /// Who has agreed to one of them so far, where several must.
    #[must_use]
    pub fn agreed(&self, id: &str) -> Vec<Word> {
        self.entries().get(id).map(|entry| entry.agreed.iter().map(|(word, _)| word.clone()).collect()).unwrap_or_default()
    }

    /// Answers one of them. The first answer counts; where several people must agree, the first no, or the last yes that
    /// is wanted. Who shares a name with somebody who has agreed is the same person, whichever of the two says so.
    pub(super) fn answer(&self, id: &str, (answer, names): (Answer, BTreeSet<String>), now_ms: u64) -> Result<Heard, Late> {
        let mut entries = self.entries();
        let entry = entries.get_mut(id).filter(|entry| now_ms < entry.card.until_ms).ok_or(Late::Gone)?;
        let answer = match answer {
            Answer::Yes(_) | Answer::No(_) if matches!(entry.state, State::Answered(_)) => return Err(Late::Answered),
            Answer::Yes(_) if entry.agreed.iter().any(|(_, others)| !others.is_disjoint(&names)) => return Err(Late::Same),
            Answer::Yes(word) => {
                let so_far = u8::try_from(entry.agreed.len().saturating_add(1)).unwrap_or(u8::MAX);
                if so_far < entry.card.hold.approvers {
                    entry.agreed.push((word, names));
                    return Ok(Heard::More(entry.card.hold.approvers.saturating_sub(so_far)));
                }
                Answer::Yes(Word { also: std::mem::take(&mut entry.agreed).into_iter().map(|(word, _)| word).collect(), ..word })
            }
            Answer::No(word) => Answer::No(word),
        };
        match std::mem::replace(&mut entry.state, State::Parked) {
            State::Parked => {
                entry.state = State::Answered(answer);
                Ok(Heard::Done)
            }
            State::Answered(before) => {
                entry.state = State::Answered(before);
                Err(Late::Answered)
            }
            // Whoever waited and does not any more has gone in this very moment.
            State::Waiting(said) => {
                entries.remove(id);
                said.send(answer).map(|()| Heard::Done).map_err(|_| Late::Gone)
            }
        }
    }

    /// The tools that complete calls which wait at a place.
    pub(super) fn tools(&self, place: &Place, now_ms: u64) -> Vec<(String, String)> {
        let entries = self.entries();
        let mine = entries.values().filter(|entry| entry.card.place == *place && now_ms < entry.card.until_ms);
        let mut tools: Vec<_> =
            mine.filter_map(|entry| Some((entry.card.resume.as_ref()?.tool.clone(), entry.card.item.pin.name.clone()))).collect();
        tools.sort();
        tools.dedup();
        tools
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
pub(super) mod tests;
