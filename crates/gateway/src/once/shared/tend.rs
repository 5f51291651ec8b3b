//! What goes on beside the calls: the connection, the sign of life, and how calls ended, told until the database takes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bartizan_monitor::journal::call_name;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::line::{Broken, Line};
use super::{Shared, locked, sql};

/// How long to wait before connecting again.
const AGAIN: Duration = Duration::from_millis(300);
/// How often what is there is looked after, and a sign of life is given; more often where the lease is short.
const BEAT: Duration = Duration::from_secs(1);
/// After how many beats what is done makes room.
const TRIM: u32 = 300;
/// How many calls of one client are remembered that are done, and how many bytes of their answers.
const MOST: (usize, usize) = (4096, 16 * 1024 * 1024);
/// How many ends are told at once.
const BATCH: usize = 64;
/// How long the end of the gateway waits until everything is told.
const FINISH: Duration = Duration::from_secs(3);

/// What became of a call.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was carried out; the answer, where it is kept.
    Done(Option<Bytes>),
    /// It did not happen, or never left.
    Not,
    /// Nobody knows.
    Ambiguous,
}

/// What is to be told.
#[derive(Debug)]
pub(super) enum Told {
    /// A call ended that this gateway claimed under this number.
    Ended { key: Digest, call: u64, owner: i64, ended: Ended },
    /// The gateway ends. Whoever waits for it hears that all was told.
    Finish(oneshot::Sender<()>),
}

/// Why a connection is not used any more.
enum Left {
    Finished,
    Lost(String),
}

impl Shared {
    /// Connects for the first time. The error is one that does not pass by itself; without the database the gateway
    /// starts all the same, and makes no call that changes something.
    pub async fn begin(&self) -> Result<(), String> {
        match self.open().await {
            Ok(line) => {
                *locked(&self.line) = Some(Arc::new(line));
                Ok(())
            }
            Err(Broken::Wrong(error)) => Err(format!("{}: {error}", self.postgres)),
            Err(Broken::Gone(_)) => Ok(()),
        }
    }

    /// A connection, under the number that this gateway has, or under a new one when it was taken for gone.
    async fn open(&self) -> Result<Line, Broken> {
        let line = Line::open(&self.postgres).await?;
        self.beat(&line).await.map_err(Broken::Gone)?;
        Ok(line)
    }

    /// Keeps the connection, for as long as the gateway runs.
    pub async fn keep(&self) {
        let Some(mut told) = locked(&self.told).take() else { return };
        let (mut untold, mut beats) = (VecDeque::new(), 0_u32);
        // What was said last; the same is not said again.
        let mut said: Option<bool> = None;
        loop {
            let first = self.line();
            let opened = match first {
                Some(line) => Ok(line),
                None => self.open().await.map(Arc::new).map_err(|error| error.to_string()),
            };
            let lost = match opened {
                Ok(line) => {
                    self.announce(Ok(()), &mut said);
                    *locked(&self.line) = Some(line.clone());
                    let left = self.tend(&line, &mut told, (&mut untold, &mut beats)).await;
                    *locked(&self.line) = None;
                    match left {
                        Left::Finished => return,
                        Left::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.announce(Err(&lost), &mut said);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What becomes of the connection is in the log and in the record.
    fn announce(&self, outcome: Result<(), &str>, said: &mut Option<bool>) {
        if *said == Some(outcome.is_ok()) {
            return;
        }
        let (word, detail) = match outcome {
            Ok(()) if said.is_some() => ("back", "what was done is remembered together again".to_owned()),
            Ok(()) => ("shared", "what was done is remembered together with other gateways".to_owned()),
            Err(error) => ("lost", format!("{error}; until it is back no call is made that changes something")),
        };
        match outcome {
            Ok(()) => tracing::info!(database = %self.postgres, "{detail}"),
            Err(_) => tracing::error!(database = %self.postgres, "it cannot be used: {detail}"),
        }
        *said = Some(outcome.is_ok());
        self.journal.note(&Json::object([
            ("event", Json::string("postgres")),
            ("outcome", Json::string(word)),
            ("detail", Json::string(&detail)),
        ]));
    }

    async fn tend(&self, line: &Line, told: &mut mpsc::UnboundedReceiver<Told>, (untold, beats): (&mut VecDeque<Told>, &mut u32)) -> Left {
        let mut ticker = tokio::time::interval(BEAT.min(self.postgres.lease / 4));
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            match self.say(line, untold).await {
                Ok(None) => {}
                Ok(Some(heard)) => {
                    // Nobody waits any more when the sender is gone.
                    let _ = heard.send(());
                    return Left::Finished;
                }
                Err(error) => return Left::Lost(error),
            }
            tokio::select! {
                biased;
                () = line.over.cancelled() => return Left::Lost("the connection ended".to_owned()),
                _ = ticker.tick() => {
                    let beat = *beats;
                    // Also when it comes to nothing: what takes too long is not begun again at once.
                    *beats = beats.wrapping_add(1);
                    if let Err(error) = self.look(line, beat).await {
                        return Left::Lost(error);
                    }
                }
                next = told.recv() => match next {
                    Some(next) => {
                        untold.push_back(next);
                        // Whatever else has ended meanwhile is told together with it.
                        while let Ok(next) = told.try_recv() {
                            untold.push_back(next);
                        }
                    }
                    None => return Left::Finished,
                },
            }
        }
    }

    /// Tells how calls ended. What the database did not take stays, and is told again: that repeats no call.
    async fn say(&self, line: &Line, untold: &mut VecDeque<Told>) -> Result<Option<oneshot::Sender<()>>, String> {
        while let Some(next) = untold.front() {
            if matches!(next, Told::Finish(_)) {
                line.ask(line.client.execute(sql::BYE, &[&self.owner.load(Ordering::Acquire)])).await?;
                let Some(Told::Finish(heard)) = untold.pop_front() else { continue };
                return Ok(Some(heard));
            }
            let batch = untold.iter().take(BATCH).take_while(|told| matches!(told, Told::Ended { .. })).map(|told| self.end(line, told));
            let told = futures_util::future::join_all(batch).await;
            for outcome in told {
                outcome?;
                untold.pop_front();
            }
            self.ended.notify_waiters();
        }
        Ok(None)
    }

    async fn end(&self, line: &Line, told: &Told) -> Result<(), String> {
        let Told::Ended { key, call, owner, ended } = told else { return Ok(()) };
        let (key, number) = (&key.bytes()[..], call.cast_signed());
        let (state, answer) = match ended {
            Ended::Done(answer) => ("done", answer.as_deref()),
            Ended::Ambiguous => ("ambiguous", None),
            Ended::Not => {
                line.ask(line.client.execute(&line.release, &[&key, &number, owner])).await?;
                return Ok(());
            }
        };
        let (keep, window) = (f64::from(self.rules.keep_hours) * 3600.0, f64::from(self.rules.window_seconds));
        let rows = line.ask(line.client.execute(&line.end, &[&key, &number, owner, &state, &answer, &keep, &window])).await?;
        if rows == 0 {
            self.fenced(*call, state);
        }
        Ok(())
    }

    /// Others took this gateway for gone, and what they concluded stands.
    fn fenced(&self, call: u64, state: &str) {
        let detail = format!("it ended here as {state}; it was out of touch for longer than the lease, and stays what others took it for");
        tracing::error!(call = %call_name(call), "{detail}");
        self.journal.note(&Json::object([
            ("event", Json::string("postgres")),
            ("outcome", Json::string("fenced")),
            ("call", Json::string(&call_name(call))),
            ("detail", Json::string(&detail)),
        ]));
    }

    /// A sign of life. Who was taken for gone goes on under a new number.
    async fn beat(&self, line: &Line) -> Result<(), String> {
        let owner = self.owner.load(Ordering::Acquire);
        if owner != 0 && line.ask(line.client.execute(&line.beat, &[&owner])).await? > 0 {
            return Ok(());
        }
        let row = line.ask(line.client.query_one(sql::REGISTER, &[&self.postgres.lease.as_secs_f64()])).await?;
        let fresh = row.try_get(0).map_err(|error| super::line::words(&error))?;
        self.first.get_or_init(|| fresh);
        self.owner.store(fresh, Ordering::Release);
        if owner != 0 {
            tracing::error!("this gateway was silent for longer than its lease: what it was doing is ambiguous for the others");
        }
        Ok(())
    }

    async fn look(&self, line: &Line, beats: u32) -> Result<(), String> {
        self.beat(line).await?;
        let swept = line.ask(line.client.batch_execute(&sql::sweep(self.rules.keep_hours))).await;
        let trimmed = match beats.is_multiple_of(TRIM) {
            true => line.ask(line.client.batch_execute(&sql::trim(MOST.0, MOST.1))).await,
            false => Ok(()),
        };
        for error in [swept, trimmed].into_iter().filter_map(Result::err) {
            // Another gateway may be at it, and the next beat comes.
            tracing::warn!(%error, "what is over was not cleared away");
        }
        let held: Vec<i64> = locked(&self.held).iter().map(|call| call.cast_signed()).collect();
        line.ask(line.client.execute(&line.orphans, &[&self.owner.load(Ordering::Acquire), &held])).await?;
        Ok(())
    }

    /// Tells what is untold, and goes.
    pub async fn finish(&self) {
        let (heard, done) = oneshot::channel();
        self.tell(Told::Finish(heard));
        if !matches!(tokio::time::timeout(FINISH, done).await, Ok(Ok(()))) {
            tracing::error!("how the last calls ended is not in the database: they are ambiguous when the lease is over");
        }
    }
}
