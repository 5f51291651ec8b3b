//! Who waits for what: responses and progress find their calls here, and nothing else does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::UNSOLICITED;
use bartizan_monitor::wire::envelope::{Message, Outcome};
use bartizan_monitor::wire::json::{Edits, Json, View};
use bartizan_monitor::wire::method::Method;
use tokio::sync::mpsc;

use super::Link;

/// What a waiting call gets.
#[derive(Debug)]
pub(super) enum Frame {
    /// Its response.
    Final(Outcome),
    /// Something the server says before.
    Interim(Message),
}

/// How many interim messages wait for a slow reader; more are dropped, a response never is.
const BACKLOG: usize = 256;

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// A client: what the server says meanwhile may be for it.
    Client,
    /// The gateway itself, which hears nothing but the answer.
    Gateway,
}

#[derive(Debug)]
struct Waiting {
    who: Waits,
    frames: mpsc::Sender<Frame>,
    token: Option<Json>,
}

/// The calls of one link that wait for the server.
#[derive(Debug, Default)]
pub(super) struct Desk {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    link: Mutex<Weak<Link>>,
    /// What fitted nothing before there was a link, for whoever hears it.
    early: Mutex<Vec<Refusal>>,
}

/// How much of what fits nothing is kept before there is somebody to hear it; what a server prints when it starts is
/// less.
const MAX_EARLY: usize = 100;

/// A place at the desk; leaving it is dropping it.
#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    desk: Arc<Desk>,
    /// What arrives for the call.
    pub(super) frames: mpsc::Receiver<Frame>,
}

impl Slot {
    pub(super) const fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.desk.waiting().remove(&self.id);
    }
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whose desk it is.
    pub(super) fn attend(&self, link: &Arc<Link>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(link);
        let early = std::mem::take(&mut *self.early.lock().unwrap_or_else(PoisonError::into_inner));
        early.iter().for_each(|refusal| link.listener.stray(link, refusal));
    }

    /// Takes a place under a fresh number; `token` is the client's progress token.
    pub(super) fn take(self: &Arc<Self>, who: Waits, token: Option<Json>) -> Slot {
        let id = self.next.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // One place more than the backlog is kept for the response.
        let (sender, frames) = mpsc::channel(BACKLOG.saturating_add(1));
        self.waiting().insert(id, Waiting { who, frames: sender, token });
        Slot { id, desk: self.clone(), frames }
    }

    /// Everybody waits in vain: the server is gone.
    pub(super) fn close(&self) {
        self.waiting().clear();
    }

    /// Brings a message of a pipe that all calls share to whom it concerns.
    pub(super) fn deliver(&self, message: Message) {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if link.as_ref().is_some_and(|link| !link.admits(&message)) {
            return;
        }
        match self.sort(message) {
            Sorted::Delivered => {}
            Sorted::Stray(refusal) => self.garbage(&refusal),
            Sorted::Unsolicited(message) => {
                if let Some(link) = link {
                    link.listener.hear(&link, None, message);
                }
            }
        }
    }

    /// Something that is not a message at all.
    pub(super) fn garbage(&self, refusal: &Refusal) {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        match link {
            Some(link) => link.listener.stray(&link, refusal),
            None => {
                let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
                if early.len() < MAX_EARLY {
                    early.push(refusal.clone());
                }
            }
        }
    }

    fn sort(&self, message: Message) -> Sorted {
        let mut waiting = self.waiting();
        match message {
            Message::Response { id, outcome } => match id.as_number().and_then(|id| waiting.remove(&id)) {
                Some(call) => {
                    // The receiver is gone when the call was given up: then nobody wants it.
                    let _ = call.frames.try_send(Frame::Final(outcome));
                    Sorted::Delivered
                }
                None => Sorted::Stray(Refusal::new(UNSOLICITED, "a response to no running request")),
            },
            Message::Notification { method: Method::Progress, params } => {
                let call = params.as_ref().and_then(token_of).and_then(|id| waiting.get(&id));
                match (call, params) {
                    (Some(Waiting { frames, token: Some(token), .. }), Some(params)) => {
                        interim(frames, Message::Notification { method: Method::Progress, params: Some(with_token(&params, token)) });
                        Sorted::Delivered
                    }
                    _ => Sorted::Stray(Refusal::new(UNSOLICITED, "progress for a token that no running call has")),
                }
            }
            other => {
                // With one call running, what is said is said in its course.
                let mut running = waiting.values().filter(|call| call.who == Waits::Client);
                match (running.next(), running.next()) {
                    (Some(call), None) if !is_about_lists(&other) => {
                        interim(&call.frames, other);
                        Sorted::Delivered
                    }
                    _ => Sorted::Unsolicited(other),
                }
            }
        }
    }
}

enum Sorted {
    Delivered,
    Stray(Refusal),
    Unsolicited(Message),
}

/// A flood of notifications fills the backlog and then goes nowhere; the last place is the response's.
fn interim(frames: &mpsc::Sender<Frame>, message: Message) {
    if frames.capacity() > 1 {
        let _ = frames.try_send(Frame::Interim(message));
    }
}

const fn is_about_lists(message: &Message) -> bool {
    matches!(
        message,
        Message::Notification {
            method: Method::ToolsChanged | Method::PromptsChanged | Method::ResourcesChanged | Method::ResourceUpdated,
            ..
        }
    )
}

fn token_of(params: &Json) -> Option<u64> {
    params.view().get("progressToken").and_then(View::as_i64).and_then(|token| u64::try_from(token).ok())
}

fn with_token(params: &Json, token: &Json) -> Json {
    let mut edits = Edits::of(params);
    edits.set(params.view(), "progressToken", token);
    edits.apply()
}
