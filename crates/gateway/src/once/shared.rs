//! What several gateways remember together, in a PostgreSQL database.
//!
//! A call is claimed there before it is judged ([`Shared::turn`]), because the control that asks cannot wait; it is *out*
//! there before it leaves ([`Shared::recorded`]); and how it ended is told when the database takes it (`shared/tend.rs`).
//! The row of a call is fenced by the number of the gateway that claimed it (`shared/sql.rs`). When the database cannot be
//! asked nothing is claimed, so nothing that changes something is made.

mod line;
mod people;
mod sql;
mod tend;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bartizan_monitor::case::{Answered, Before, Claim, Deed, Deeds};
use bartizan_monitor::controls::once::Config;
use bartizan_monitor::lock::Repeats;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::version::Era;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_postgres::types::ToSql;

use super::turns::{Turn, Turns};
use crate::config::Postgres;
use crate::journal::Journal;
use line::Line;
pub use people::{forget, list};
use tend::{Ended, Told};

/// How long to wait before looking again whether a call still runs at another gateway: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(320));
/// How often something may change while it is looked at.
const RACES: usize = 8;

/// What was done, as all gateways over one database know it.
#[derive(Debug)]
pub struct Shared {
    me: Weak<Self>,
    postgres: Arc<Postgres>,
    rules: Config,
    journal: Arc<Journal>,
    line: Mutex<Option<Arc<Line>>>,
    /// The number of this gateway there; a new one after it was taken for gone.
    owner: AtomicI64,
    /// Its first number, which no other process has.
    first: OnceLock<i64>,
    /// What was asked for calls that are in the house.
    asked: Mutex<HashMap<u64, Weak<Asked>>>,
    /// Calls that may have a row.
    held: Mutex<HashSet<u64>>,
    ends: mpsc::UnboundedSender<Told>,
    told: Mutex<Option<mpsc::UnboundedReceiver<Told>>>,
    /// How a call ended is written down.
    ended: Notify,
    turns: Turns,
}

/// What the database said of a call before it was judged.
#[derive(Debug)]
pub struct Asked {
    shared: Arc<Shared>,
    call: u64,
    who: Arc<str>,
    target: Arc<str>,
    before: Before,
    replay: Option<(u64, Json)>,
    hold: Option<Arc<Hold>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        locked(&self.shared.asked).remove(&self.call);
    }
}

/// The row of a call. It lives as long as the call is in the house, because a call that waited for a person is judged anew.
#[derive(Debug)]
struct Hold {
    shared: Arc<Shared>,
    key: Digest,
    call: u64,
    owner: i64,
    /// Whether the server may have it.
    left: AtomicBool,
    /// Whether it is known what became of it.
    over: AtomicBool,
}

impl Hold {
    fn end(&self, ended: Ended) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.shared.tell(Told::Ended { key: self.key, call: self.call, owner: self.owner, ended });
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end(if self.left.load(Ordering::Acquire) { Ended::Ambiguous } else { Ended::Not });
        locked(&self.shared.held).remove(&self.call);
    }
}

/// What one question brought.
enum Found {
    Known(Before, Option<(u64, Json)>),
    Claimed(Arc<Hold>),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one insertion or removal, so whoever panicked left nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Remembers there, from [`Self::begin`] on.
    #[must_use]
    pub fn new(postgres: Arc<Postgres>, rules: Config, journal: Arc<Journal>) -> Arc<Self> {
        let (ends, told) = mpsc::unbounded_channel();
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            postgres,
            rules,
            journal,
            line: Mutex::default(),
            owner: AtomicI64::new(0),
            first: OnceLock::new(),
            asked: Mutex::default(),
            held: Mutex::default(),
            ends,
            told: Mutex::new(Some(told)),
            ended: Notify::new(),
            turns: Turns::default(),
        })
    }

    fn line(&self) -> Option<Arc<Line>> {
        locked(&self.line).clone().filter(|line| !line.over.is_cancelled())
    }

    fn tell(&self, told: Told) {
        // Whoever hears it is gone only when the gateway has ended; then the row is ambiguous when the lease is over.
        let _ = self.ends.send(told);
    }

    /// Claims a call, or finds out what is known of it; waits while it runs somewhere, no longer than configured.
    pub async fn turn(&self, deed: &Deed) -> Turn {
        let wait = tokio::time::sleep(Duration::from_secs(self.rules.wait_seconds.into()));
        tokio::pin!(wait);
        // Those at this gateway ask one after the other.
        let permit = tokio::select! {
            biased;
            permit = self.turns.of(deed.key).acquire_owned() => permit.ok(),
            () = &mut wait => None,
        };
        let mut pause = AGAIN.0;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Enlisted before it is looked: an end in between is heard.
            ended.as_mut().enable();
            let found = self.ask(deed).await;
            if !matches!(found, Found::Known(Before::Running(_), _)) || wait.is_elapsed() {
                return Turn { permit, asked: self.enter(deed, found) };
            }
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep(pause) => pause = AGAIN.1.min(pause * 2),
                () = &mut wait => {}
            }
        }
    }

    /// What was found stands for the call until its turn is over.
    fn enter(&self, deed: &Deed, found: Found) -> Option<Arc<Asked>> {
        let (before, replay, hold) = match found {
            Found::Known(before, replay) => (before, replay, None),
            Found::Claimed(hold) => (Before::Claimed, None, Some(hold)),
        };
        let (call, who, target) = (deed.call, deed.who.clone(), deed.target.clone());
        let asked = Arc::new(Asked { shared: self.me.upgrade()?, call, who, target, before, replay, hold });
        locked(&self.asked).insert(call, Arc::downgrade(&asked));
        Some(asked)
    }

    async fn ask(&self, deed: &Deed) -> Found {
        let away = Found::Known(Before::Away, None);
        let (Some(line), Some(shared)) = (self.line(), self.me.upgrade()) else { return away };
        locked(&self.held).insert(deed.call);
        let (key, call, owner) = (deed.key, deed.call, self.owner.load(Ordering::Acquire));
        // From here on there may be a row, whatever becomes of the question.
        let hold = Arc::new(Hold { shared, key, call, owner, left: AtomicBool::new(false), over: AtomicBool::new(false) });
        match self.put(&line, deed, owner).await {
            Ok(None) => Found::Claimed(hold),
            Ok(Some((before, replay))) => {
                hold.over.store(true, Ordering::Release);
                Found::Known(before, replay)
            }
            Err(error) => {
                tracing::error!(%error, "a call that changes something cannot be claimed");
                away
            }
        }
    }

    /// Claims; returns what is known of the call where that is not possible.
    async fn put(&self, line: &Line, deed: &Deed, owner: i64) -> Result<Option<(Before, Option<(u64, Json)>)>, String> {
        let (key, print) = (&deed.key.bytes()[..], &deed.print.bytes()[..]);
        let (session, request) = (Digest::of_bytes(self.session(deed).as_bytes()), Digest::of_bytes(deed.request.as_bytes()));
        let (session, request) = (&session.bytes()[..], &request.bytes()[..]);
        let (call, open) = (deed.call.cast_signed(), i64::try_from(self.rules.open_calls).unwrap_or(i64::MAX));
        let (modern, window) = (deed.era == Era::Modern, deed.repeats == Repeats::Window);
        let (who, target) = (text(&deed.who), text(&deed.target));
        for _ in 0..RACES {
            let values: [&(dyn ToSql + Sync); 12] =
                [&key, &print, &call, &owner, &deed.named, &modern, &session, &request, &who, &target, &open, &window];
            if line.ask(line.client.query_opt(&line.claim, &values)).await?.is_some() {
                return Ok(None);
            }
            let values: [&(dyn ToSql + Sync); 8] = [&key, &print, &owner, &modern, &session, &request, &who, &window];
            let row = line.ask(line.client.query_one(&line.look, &values)).await?;
            let seen = Seen::read(&row).map_err(|error| line::words(&error))?;
            if !seen.known {
                return Err("this gateway was silent for longer than its lease, and is not registered again yet".to_owned());
            }
            if let Some(known) = seen.judge(open) {
                return Ok(Some(known));
            }
        }
        Err("what is known of it changes all the time".to_owned())
    }

    /// The session of a call, as it is told apart from those of all gateways. Over HTTP its name is random, or there are
    /// none; over a pipe it is that of a process, and every container may have the same ones.
    fn session(&self, deed: &Deed) -> String {
        let process = deed.session.starts_with("pid ").then(|| self.first.get()).flatten();
        process.map_or_else(|| deed.session.to_string(), |first| format!("{} of {first}", deed.session))
    }

    /// Has it in the database that a claimed call leaves, unless others have concluded something of it meanwhile.
    pub async fn recorded(&self, call: u64) -> Result<(), String> {
        let asked = self.asked(call).ok_or("the call was not claimed")?;
        let hold = asked.hold.as_ref().ok_or("the call was not claimed")?;
        let line = self.line().ok_or("there is no connection to the database")?;
        let (key, number) = (&hold.key.bytes()[..], hold.call.cast_signed());
        match line.ask(line.client.execute(&line.leave, &[&key, &number, &hold.owner])).await? {
            0 => Err("the claim is lost: this gateway was silent for longer than its lease".to_owned()),
            _ => Ok(()),
        }
    }

    fn asked(&self, call: u64) -> Option<Arc<Asked>> {
        locked(&self.asked).get(&call).and_then(Weak::upgrade)
    }
}

/// A row that stands in the way.
struct Seen {
    call: Option<i64>,
    state: Option<String>,
    same: bool,
    era: bool,
    over: bool,
    repeats: bool,
    answer: Option<Vec<u8>>,
    known: bool,
    open: i64,
}

impl Seen {
    fn read(row: &tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
        let flag = |name: &str| row.try_get::<_, Option<bool>>(name).map(Option::unwrap_or_default);
        Ok(Self {
            call: row.try_get("call")?,
            state: row.try_get("state")?,
            same: flag("same")?,
            era: flag("era")?,
            over: flag("over")?,
            repeats: flag("repeats")?,
            answer: row.try_get("answer")?,
            known: flag("known")?,
            open: row.try_get("open")?,
        })
    }

    /// What it says of a call; nothing when the call can be claimed by now.
    fn judge(self, most: i64) -> Option<(Before, Option<(u64, Json)>)> {
        let room = || (self.open >= most).then_some((Before::Full, None));
        let (Some(call), Some(state), false) = (self.call.map(i64::cast_unsigned), self.state.as_deref(), self.over) else { return room() };
        if !self.same {
            return Some((Before::Other(call), None));
        }
        match state {
            "claimed" | "out" => Some((Before::Running(call), None)),
            "done" if !self.repeats => room(),
            "done" => {
                let answer = self.answer.filter(|_| self.era).and_then(|answer| Json::parse(Bytes::from(answer)).ok());
                Some(answer.map_or((Before::Unkept(call), None), |answer| (Before::Claimed, Some((call, answer)))))
            }
            // Also what a later release may write there.
            _ => Some((Before::Ambiguous(call), None)),
        }
    }
}

/// A text as the database can hold it.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl Deeds for Shared {
    fn claim(&self, deed: Deed) -> (Before, Option<Arc<dyn Claim>>) {
        if !deed.named && deed.repeats == Repeats::Key {
            return (Before::Claimed, None);
        }
        // What was approved may have changed between the question and the judgement; then it was asked for something else.
        let asked = self.asked(deed.call).filter(|asked| asked.who == deed.who && asked.target == deed.target);
        let Some(asked) = asked else {
            tracing::error!(target = %deed.target, "a call that changes something was not claimed before it was judged");
            return (Before::Away, None);
        };
        let before = asked.before;
        (before, (before == Before::Claimed).then(|| -> Arc<dyn Claim> { Arc::new(Claimed(asked)) }))
    }
}

/// A claimed call, or one whose answer is known.
#[derive(Debug)]
struct Claimed(Arc<Asked>);

impl Claim for Claimed {
    fn replay(&self) -> Option<(u64, Json)> {
        self.0.replay.clone()
    }

    fn leaves(&self) {
        self.0.hold.iter().for_each(|hold| hold.left.store(true, Ordering::Release));
    }

    fn spared(&self) {
        self.0.hold.iter().for_each(|hold| hold.left.store(false, Ordering::Release));
    }

    fn answered(&self, answer: Answered, body: &Json) {
        let kept = || Some(body.bytes().clone()).filter(|body| body.len() <= self.0.shared.rules.result_bytes);
        self.0.hold.iter().for_each(|hold| {
            hold.end(match answer {
                Answered::Done => Ended::Done(kept()),
                Answered::Not => Ended::Not,
            });
        });
    }
}
