//! Limits and stops that several gateways share through Redis or Valkey.
//!
//! No call waits for it. Rates are leased in the background ahead of need; budgets and stops are compared with what
//! others say ten times a second. When Redis cannot be reached the configuration says whether every gateway counts
//! for itself or nothing is allowed; stops that are known stay in force.

mod resp;
mod stops;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use bartizan_meter::{Ask, Entry, Meter, Moment, Sharing};
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
    let way = resp::way(redis);
    let mut lost = false;
    loop {
        let opened = match &way {
            Ok(way) => Connection::open(redis, way).await,
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let error = match opened {
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
        let mut asked = Asked { meter: &self.counts.meter, open: asks.into() };
        while !asked.open.is_empty() {
            let command = |ask: &Ask| {
                let numbers = [ask.rate.step_us(), ask.rate.burst_us(), ask.owed, ask.wanted, ask.back].map(|number| number.to_string());
                script(LEASE, self.key("rate", &ask.key.name()), numbers)
            };
            let commands: Vec<_> = asked.open.iter().take(BATCH).map(command).collect();
            asked.answered(self.connection.ask(&commands).await?, self.counts.now())?;
        }
        Ok(())
    }

    async fn spend(&mut self) -> io::Result<()> {
        let mut said = Said { meter: &self.counts.meter, open: self.counts.meter.unsaid().into() };
        while !said.open.is_empty() {
            let command = |entry: &Entry| {
                let [calls, bytes, cost] = entry.change.map(|number| number.to_string());
                script(
                    SPEND,
                    self.key("budget", &format!("{}:{}", entry.key.name(), entry.begins_ms)),
                    [calls, bytes, cost, entry.ends_ms.to_string()],
                )
            };
            let commands: Vec<_> = said.open.iter().take(BATCH).map(command).collect();
            said.answered(self.connection.ask(&commands).await?, self.counts.now())?;
        }
        Ok(())
    }
}

/// Questions that wait for their answers. Whatever happens to the connection, none stays open: its key could not be
/// asked for again.
struct Asked<'a> {
    meter: &'a Meter,
    open: VecDeque<Ask>,
}

impl Asked<'_> {
    fn answered(&mut self, answers: Vec<Value>, now: Moment) -> io::Result<()> {
        for answer in answers {
            let Some(ask) = self.open.front() else { break };
            let [granted, wait] = answer.numbers()?;
            self.meter.settle(ask, (positive(granted), positive(wait)), now);
            self.open.pop_front();
        }
        Ok(())
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.open.iter().for_each(|ask| self.meter.forget(ask));
    }
}

/// What is said of budgets, until it is answered. What is not is said again, when there is somebody to say it to.
struct Said<'a> {
    meter: &'a Meter,
    open: VecDeque<Entry>,
}

impl Said<'_> {
    fn answered(&mut self, answers: Vec<Value>, now: Moment) -> io::Result<()> {
        for answer in answers {
            let Some(entry) = self.open.front() else { break };
            let change = answer.numbers()?;
            self.meter.learn(&Entry { change, ..*entry }, now);
            self.open.pop_front();
        }
        Ok(())
    }
}

impl Drop for Said<'_> {
    fn drop(&mut self) {
        self.open.iter().for_each(|entry| self.meter.unsay(entry));
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn script<const N: usize>(script: &str, key: String, arguments: [String; N]) -> Vec<String> {
    ["EVAL".to_owned(), script.to_owned(), "1".to_owned(), key].into_iter().chain(arguments).collect()
}

impl Value {
    /// A list of so many numbers.
    fn numbers<const N: usize>(self) -> io::Result<[i64; N]> {
        let strange = |what: &str| io::Error::other(format!("Redis answered {what}"));
        let Self::List(items) = self else { return Err(strange("no list")) };
        let numbers: Option<Vec<i64>> = items.iter().map(Self::number).collect();
        let numbers = numbers.ok_or_else(|| strange("something else than numbers"))?;
        numbers.try_into().map_err(|_| strange("too many numbers, or too few"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_meter::{Budget, Call, Class, Of, Period, Rules, Tally};

    use super::*;

    const NOW: Moment = Moment { steady_us: 5, wall_ms: 5 };

    fn call(meter: &Arc<Meter>, name: &str) {
        let of = Call {
            client: "c",
            credential: ["c", ""],
            session: "s",
            server: "files",
            kind: "tool",
            name,
            class: Class::Read,
            per_minute: None,
            cost: 1,
            bytes: 1,
        };
        let budget = Budget { of: Of::Client, per: Period::Day, calls: Some(100), bytes: None, cost: None };
        let tally = Tally::new(meter.clone(), NOW);
        tally.charge(&Rules { budgets: vec![budget], ..Rules::default() }.bill(meter, &of)).expect("within limits");
        tally.keep();
    }

    #[test]
    fn a_malformed_answer_leaves_no_question_open_and_nothing_unsaid() {
        let meter = Arc::new(Meter::default());
        meter.share(Sharing::Leases);
        call(&meter, "a");
        let mut asked = Asked { meter: &meter, open: meter.asks().into() };
        let count = asked.open.len();
        assert!(count > 1, "{count}");
        let good = || Value::List(vec![Value::Number(0), Value::Number(0)]);
        assert!(asked.answered(vec![good(), Value::Number(1), good()], NOW).is_err());
        drop(asked);
        call(&meter, "a");
        assert_eq!(meter.asks().len(), count, "every key can be asked for again");
        let mut said = Said { meter: &meter, open: meter.unsaid().into() };
        assert_eq!(said.open.len(), 1);
        assert!(said.answered(vec![good()], NOW).is_err(), "two numbers are not three");
        drop(said);
        assert_eq!(meter.unsaid().len(), 1, "it is said again");
    }
}
