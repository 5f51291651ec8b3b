//! Limits and stops that several gateways share through Redis or Valkey.
//!
//! No call waits for it. Rates are leased in the background ahead of need; budgets and stops are compared with what
//! others say ten times a second. When Redis cannot be reached the configuration says whether every gateway counts
//! for itself or nothing is allowed; stops that are known stay in force.

mod resp;
mod stops;

use std::io;
use std::path::Path;
use std::time::Duration;

use bartizan_meter::{Ask, Entry, Sharing};
use bartizan_monitor::wire::json::Json;

use crate::config::Redis;
use crate::counts::Counts;
use resp::{Connection, Value};
use stops::Board;

/// How often budgets and stops are compared with those of others.
const TICK: Duration = Duration::from_millis(100);
/// After how many ticks leases that nobody uses go back.
const IDLE: u32 = 10;
/// How long to wait before connecting again.
const AGAIN: Duration = Duration::from_millis(500);
/// How many questions are put at once.
const BATCH: usize = 256;

/// Takes from a common rate. The generic cell rate algorithm by the clock of Redis: what is owed is taken whatever is
/// left, what is wanted as far as there is.
const LEASE: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local step, burst, owed, wanted, back = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local due = math.min(tonumber(redis.call('GET', KEYS[1]) or '0'), now + 2 * burst)
due = math.max(now, due - back * step) + owed * step
local granted = math.max(0, math.min(wanted, math.floor((now + burst - due) / step)))
due = due + granted * step
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1000)
local wait = 0
if granted == 0 then wait = math.max(0, due + step - now - burst) end
return {granted, wait}";

/// Adds to a common budget and says what everybody together has spent.
const SPEND: &str = "\
local spent = {}
for at, name in ipairs({'calls', 'bytes', 'cost'}) do spent[at] = redis.call('HINCRBY', KEYS[1], name, ARGV[at]) end
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
return spent";

/// Shares, for ever.
pub async fn share(counts: &Counts, state: &Path, redis: &Redis) {
    let mut board = Board::open(state, &redis.prefix);
    let mut lost = false;
    loop {
        let error = match Connection::open(redis).await {
            Ok(connection) => {
                // Said once, and again only after a loss.
                tell(counts, redis, Ok(()), lost);
                lost = false;
                counts.meter.share(Sharing::Leases);
                match (Exchange { counts, redis, connection }).run(&mut board).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        counts.meter.share(redis.on_loss.sharing());
        if !lost {
            tell(counts, redis, Err(&error), lost);
        }
        lost = true;
        tokio::time::sleep(AGAIN).await;
    }
}

/// What becomes of sharing is in the log and in the record.
fn tell(counts: &Counts, redis: &Redis, outcome: Result<(), &io::Error>, was_lost: bool) {
    let (on_loss, url) = (redis.on_loss.name(), &redis.url);
    let (word, detail) = match outcome {
        Ok(()) if was_lost => ("back", "limits and stops are shared again".to_owned()),
        Ok(()) => ("shared", "limits and stops are shared".to_owned()),
        Err(error) => ("lost", format!("{error}; redis.on_loss = {on_loss:?} holds, and stops that are known stay in force")),
    };
    match outcome {
        Ok(()) => tracing::info!(%url, "{detail}"),
        Err(_) => tracing::error!(%url, "Redis cannot be used: {detail}"),
    }
    counts.journal.note(&Json::object([
        ("event", Json::string("redis")),
        ("outcome", Json::string(word)),
        ("detail", Json::string(&detail)),
    ]));
}

/// One connection, for as long as it lasts.
struct Exchange<'a> {
    counts: &'a Counts,
    redis: &'a Redis,
    connection: Connection,
}

impl Exchange<'_> {
    async fn run(&mut self, board: &mut Board) -> io::Result<()> {
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0_u32;
        loop {
            tokio::select! {
                () = self.counts.wanted.notified() => self.lease(self.counts.meter.asks()).await?,
                _ = ticker.tick() => {
                    ticks = ticks.wrapping_add(1);
                    self.lease(self.counts.meter.asks()).await?;
                    if ticks.is_multiple_of(IDLE) {
                        self.lease(self.counts.meter.idle(self.counts.now())).await?;
                    }
                    self.spend().await?;
                    board.look(&mut self.connection, &self.counts.journal).await?;
                }
            }
        }
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.redis.prefix)
    }

    async fn lease(&mut self, asks: Vec<Ask>) -> io::Result<()> {
        let mut asks = asks.into_iter();
        loop {
            let batch: Vec<Ask> = asks.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let command = |ask: &Ask| {
                let numbers = [ask.rate.step_us(), ask.rate.burst_us(), ask.owed, ask.wanted, ask.back].map(|number| number.to_string());
                script(LEASE, self.key("rate", &ask.key.name()), numbers)
            };
            let commands: Vec<_> = batch.iter().map(command).collect();
            let answers = self.connection.ask(&commands).await;
            if answers.is_err() {
                batch.iter().chain(asks.as_slice()).for_each(|ask| self.counts.meter.forget(ask));
            }
            for (ask, answer) in batch.iter().zip(answers?) {
                match answer.numbers()?.as_slice() {
                    [granted, wait] => self.counts.meter.settle(ask, (positive(*granted), positive(*wait)), self.counts.now()),
                    _ => return Err(io::Error::other("Redis answered something else than two numbers")),
                }
            }
        }
    }

    async fn spend(&mut self) -> io::Result<()> {
        let entries = self.counts.meter.unsaid();
        for batch in entries.chunks(BATCH) {
            let command = |entry: &Entry| {
                let [calls, bytes, cost] = entry.change.map(|number| number.to_string());
                script(
                    SPEND,
                    self.key("budget", &format!("{}:{}", entry.key.name(), entry.begins_ms)),
                    [calls, bytes, cost, entry.ends_ms.to_string()],
                )
            };
            let commands: Vec<_> = batch.iter().map(command).collect();
            let answers = self.connection.ask(&commands).await;
            if answers.is_err() {
                // Told when there is somebody to tell it to.
                batch.iter().for_each(|entry| self.counts.meter.unsay(entry));
            }
            for (entry, answer) in batch.iter().zip(answers?) {
                if let [calls, bytes, cost] = *answer.numbers()?.as_slice() {
                    self.counts.meter.learn(&Entry { change: [calls, bytes, cost], ..*entry }, self.counts.now());
                }
            }
        }
        Ok(())
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn script<const N: usize>(script: &str, key: String, arguments: [String; N]) -> Vec<String> {
    ["EVAL".to_owned(), script.to_owned(), "1".to_owned(), key].into_iter().chain(arguments).collect()
}

impl Value {
    fn numbers(self) -> io::Result<Vec<i64>> {
        match self {
            Self::List(items) => items.into_iter().map(|item| item.number().ok_or_else(|| io::Error::other("not a number"))).collect(),
            Self::Number(_) | Self::Text(_) | Self::Nothing => Err(io::Error::other("Redis answered no list")),
        }
    }
}
