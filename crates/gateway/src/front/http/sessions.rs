//! Legacy sessions, and the standing talks of requests that stand alone.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::Caller;
use bartizan_monitor::wire::canonical::Digest;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::tape::Tape;
use crate::config::Limits;
use crate::identity::{self, Certificate};
use crate::session::{Endpoint, Ids, Opening, Outbox, Talk};

/// How many streams of a session can be resumed.
const MAX_TAPES: usize = 32;

/// One legacy session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) talk: Arc<Talk>,
    standalone: Arc<Tape>,
    tapes: Mutex<VecDeque<Arc<Tape>>>,
    next: AtomicU64,
    /// The client certificate of the connection that used it last.
    certificate: Mutex<Option<Arc<Certificate>>>,
}

struct ToTape(Arc<Tape>);

impl Outbox for ToTape {
    fn post(&self, message: Bytes) -> bool {
        self.0.push(message);
        true
    }

    fn is_read(&self) -> bool {
        self.0.is_read()
    }
}

struct Nowhere;

impl Outbox for Nowhere {
    fn post(&self, _: Bytes) -> bool {
        false
    }

    fn is_read(&self) -> bool {
        false
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps here are whole after every statement, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn begin(caller: &Caller, endpoint: &Arc<Endpoint>, label: Arc<str>, calls: usize) -> Arc<Self> {
        let standalone = Arc::new(Tape::new(0));
        let opening = Opening {
            caller: caller.clone(),
            endpoint: endpoint.clone(),
            transport: "http",
            label,
            ids: Ids::Own,
            outbox: Box::new(ToTape(standalone.clone())),
            calls,
        };
        let (talk, next) = (Talk::begin(opening), AtomicU64::new(1));
        Arc::new(Self { talk, standalone, tapes: Mutex::default(), next, certificate: Mutex::default() })
    }

    /// Notes over whose connection it is used.
    pub(super) fn used_by(&self, certificate: Option<&Arc<Certificate>>) {
        *held(&self.certificate) = certificate.cloned();
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        held(&self.certificate).clone()
    }

    /// A new stream that can be resumed.
    pub(super) fn tape(&self) -> Arc<Tape> {
        let tape = Arc::new(Tape::new(self.next.fetch_add(1, Ordering::Relaxed)));
        let mut tapes = held(&self.tapes);
        tapes.push_back(tape.clone());
        if tapes.len() > MAX_TAPES {
            tapes.pop_front();
        }
        tape
    }

    /// Resumes the stream of an event id; without one, the standalone stream.
    pub(super) fn resume(&self, last: Option<&str>) -> mpsc::Receiver<Bytes> {
        let place = last
            .and_then(|last| last.split_once('-'))
            .and_then(|(tape, count)| Some((tape.parse::<u64>().ok()?, count.parse::<u64>().ok()?)));
        let Some((number, count)) = place else { return self.standalone.attach(None) };
        let tape = held(&self.tapes).iter().find(|tape| tape.number() == number).cloned();
        tape.unwrap_or_else(|| self.standalone.clone()).attach(Some(count))
    }
}

// By the whole caller: another token of the same principal may be good for less, or for more.
type Standing = HashMap<(Caller, Option<Arc<str>>), Arc<Talk>>;

/// All conversations of the HTTP front.
#[derive(Debug)]
pub(super) struct Sessions {
    most: usize,
    most_each: usize,
    calls: usize,
    idle: Duration,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    standing: Mutex<Standing>,
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.sessions,
            most_each: limits.sessions_per_principal,
            calls: limits.calls_per_session,
            idle: limits.session_idle,
            sessions: Mutex::default(),
            standing: Mutex::default(),
        }
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        held(&self.sessions).len()
    }

    /// Opens a session under an id that nobody can guess; none when there are too many.
    pub(super) fn open(&self, caller: &Caller, endpoint: &Arc<Endpoint>) -> Option<(String, Arc<Session>)> {
        let id = identity::random_id()?;
        let mut sessions = held(&self.sessions);
        let own = sessions.values().filter(|session| session.talk.caller.principal() == caller.principal()).count();
        if sessions.len() >= self.most || own >= self.most_each {
            return None;
        }
        // The record must not hold what would let its reader take part in the session.
        let digest = Digest::of_bytes(id.as_bytes()).to_string();
        let label: Arc<str> = digest.get(7..23).unwrap_or_default().into();
        let session = Session::begin(caller, endpoint, label, self.calls);
        sessions.insert(id.clone(), session.clone());
        Some((id, session))
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Session>> {
        held(&self.sessions).get(id).cloned()
    }

    /// Ends a session.
    pub(super) async fn end(&self, id: &str) {
        let session = held(&self.sessions).remove(id);
        if let Some(session) = session {
            session.talk.end().await;
            session.standalone.end();
        }
    }

    /// The client certificates that sessions were last used with.
    pub(super) fn certificates(&self) -> Vec<Arc<Certificate>> {
        let all = held(&self.sessions).values().filter_map(|session| session.certificate()).collect::<Vec<_>>();
        all.into_iter().map(|certificate| (*certificate.print(), certificate)).collect::<HashMap<_, _>>().into_values().collect()
    }

    /// Ends the sessions that were last used with a certificate, and with them what goes on without its connection.
    pub(super) async fn lapse(&self, certificate: &Certificate) {
        let is_its = |session: &Session| session.certificate().is_some_and(|own| own.print() == certificate.print());
        let ids: Vec<String> = held(&self.sessions).iter().filter(|(_, session)| is_its(session)).map(|(id, _)| id.clone()).collect();
        futures_util::future::join_all(ids.iter().map(|id| self.end(id))).await;
    }

    /// The talk of everything that a principal says at an endpoint outside of sessions.
    pub(super) fn standing(&self, caller: &Caller, endpoint: &Arc<Endpoint>) -> Arc<Talk> {
        let key = (caller.clone(), endpoint.name.clone());
        let begin = || {
            Talk::begin(Opening {
                caller: caller.clone(),
                endpoint: endpoint.clone(),
                transport: "http",
                label: "-".into(),
                ids: Ids::Shared,
                outbox: Box::new(Nowhere),
                // Requests that stand alone are of no session: what one principal may run is their limit.
                calls: usize::MAX,
            })
        };
        let mut standing = held(&self.standing);
        let known = standing.get(&key).filter(|talk| talk.caller == *caller);
        if let Some(talk) = known {
            return talk.clone();
        }
        let fresh = begin();
        if let Some(old) = standing.insert(key, fresh.clone()) {
            // The credential is good for other servers now than when that talk began.
            tokio::spawn(async move { old.end().await });
        }
        fresh
    }

    /// Tells all sessions something.
    pub(super) fn announce(&self, message: &Bytes) {
        let sessions: Vec<Arc<Session>> = held(&self.sessions).values().cloned().collect();
        sessions.iter().for_each(|session| _ = session.talk.post(message.clone()));
    }

    /// Ends what nobody has used for long.
    pub(super) async fn sweep(&self, stands: impl Fn(&Caller) -> bool) {
        let over = |talk: &Talk| talk.idle() > self.idle || !stands(&talk.caller);
        let ids: Vec<String> = held(&self.sessions).iter().filter(|(_, session)| over(&session.talk)).map(|(id, _)| id.clone()).collect();
        // All at once: a server that is slow to let go of one session does not prolong the others.
        futures_util::future::join_all(ids.iter().map(|id| self.end(id))).await;
        let talks: Vec<Arc<Talk>> = {
            let mut standing = held(&self.standing);
            let old: Vec<_> = standing.iter().filter(|(_, talk)| over(talk)).map(|(key, _)| key.clone()).collect();
            old.iter().filter_map(|key| standing.remove(key)).collect()
        };
        futures_util::future::join_all(talks.iter().map(|talk| talk.end())).await;
    }

    /// Ends everything.
    pub(super) async fn close(&self) {
        let sessions: Vec<Arc<Session>> = held(&self.sessions).drain().map(|(_, session)| session).collect();
        let standing: Vec<Arc<Talk>> = held(&self.standing).drain().map(|(_, talk)| talk).collect();
        let talks = sessions.iter().map(|session| session.talk.clone()).chain(standing);
        futures_util::future::join_all(talks.map(|talk| async move { talk.end().await })).await;
        sessions.iter().for_each(|session| session.standalone.end());
    }
}
