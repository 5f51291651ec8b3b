//! Budgets survive a restart: what was spent is in a file of the state directory, which all gateways over it share.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_meter::{Entry, Key, Meter, Moment, Seed};
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use crate::config::files::{self, Mark};

const FILE: &str = "budgets.json";
const LOCK: &str = "budgets.lock";
const MAX_FILE: u64 = 256 * 1024 * 1024;
/// How long to wait for another gateway to let go of the file.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same before anything is served: what was spent before is worth waiting for.
const AT_FIRST: Duration = Duration::from_secs(10);

/// What is in the file.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The secret under which names became keys, so that they are the same after a restart.
    seed: String,
    /// Beginning and end of the period, in milliseconds since the Unix epoch; calls, bytes, cost.
    spent: BTreeMap<String, [i64; 5]>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Budgets {
    state: PathBuf,
    seed: Key,
    seen: std::sync::Mutex<Mark>,
}

impl Budgets {
    /// The file of a state directory. One that cannot be read is begun anew, and the log says so.
    pub(super) fn open(state: &Path) -> Self {
        let mut budgets = Self { state: state.to_owned(), seed: Key::default(), seen: std::sync::Mutex::new(Mark::Missing) };
        let known = budgets.locked(AT_FIRST, |content| Ok(Key::read(&content.seed)));
        // What is in it was not heard yet.
        *budgets.seen() = Mark::Missing;
        match known {
            Ok(Some(seed)) => budgets.seed = seed,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "budgets that were spent before are not known, and none will survive a restart"),
        }
        budgets
    }

    /// The secret of the keys.
    pub(super) fn seed(&self) -> Seed {
        let mut bytes = [0; 16];
        let name = self.seed.name();
        let pairs = name.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        bytes.iter_mut().zip(pairs).for_each(|(byte, read)| *byte = read);
        Seed::new(bytes)
    }

    /// Adds what was spent since the last time, and learns what everybody has spent.
    pub(super) fn exchange(&self, meter: &Meter, now: Moment) {
        let unsaid = meter.unsaid();
        // Nothing to say, and nothing new to hear.
        if unsaid.is_empty() && Mark::of(&self.path()) == *self.seen() {
            return;
        }
        let merged = self.locked(PATIENCE, |content| {
            content.spent.retain(|_, [_, ends, ..]| u64::try_from(*ends).is_ok_and(|ends| ends > now.wall_ms));
            unsaid.iter().for_each(|entry| add(content, entry));
            Ok(content.spent.iter().filter_map(|(key, row)| entry(key, *row)).collect::<Vec<_>>())
        });
        match merged {
            Ok(all) => all.iter().for_each(|entry| meter.learn(entry, now)),
            Err(error) => {
                tracing::error!(%error, "budgets cannot be written down: what is spent now is forgotten at the next start");
                unsaid.iter().for_each(|entry| meter.unsay(entry));
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.state.join(FILE)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Mark> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What takes the place of a file that cannot be read, which is moved aside. Under the same secret everybody goes on
    /// counting what is known.
    fn anew(&self, error: &io::Error) -> Content {
        let legible = files::read(&self.path(), MAX_FILE).ok().and_then(|text| legible_seed(&text));
        let aside = files::set_aside(&self.path()).map_or_else(|error| error.to_string(), |path| path.display().to_string());
        tracing::error!(%error, %aside, "the file of budgets cannot be read: it was moved aside, and is begun anew");
        Content { seed: legible.map(Key::name).unwrap_or_default(), spent: BTreeMap::new() }
    }

    /// Reads, changes and writes the file, while no other gateway does.
    fn locked<T>(&self, patience: Duration, change: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        files::private_directory(&self.state)?;
        let _held = files::hold_within(&self.state.join(LOCK), patience)?;
        let mut content = read(&self.path()).unwrap_or_else(|error| self.anew(&error));
        if Key::read(&content.seed).is_none() {
            let known = Some(self.seed).filter(|seed| *seed != Key::default()).map(Key::name);
            let fresh = || Some(random()?.iter().map(|byte| format!("{byte:02x}")).collect());
            let seed = known.or_else(fresh).ok_or_else(|| io::Error::other("no random numbers"))?;
            content = Content { seed, spent: BTreeMap::new() };
        }
        let changed = change(&mut content)?;
        files::replace(&self.path(), Json::of(&content).bytes(), files::Readers::Owner)?;
        *self.seen() = Mark::of(&self.path());
        Ok(changed)
    }
}

/// What nobody can guess.
pub(super) fn random() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The secret in what is left of a file.
fn legible_seed(text: &str) -> Option<Key> {
    let (_, rest) = text.split_once("\"seed\":\"")?;
    let (seed, _) = rest.split_once('"')?;
    Key::read(seed)
}

fn read(path: &Path) -> io::Result<Content> {
    if Mark::of(path) == Mark::Missing {
        return Ok(Content::default());
    }
    let json = Json::parse(Bytes::from(files::read(path, MAX_FILE)?)).map_err(|error| io::Error::other(error.to_string()))?;
    serde_json::from_value(json.view().to_value()).map_err(io::Error::other)
}

fn add(content: &mut Content, entry: &Entry) {
    let whole = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let fresh = [whole(entry.begins_ms), whole(entry.ends_ms), 0, 0, 0];
    let row = content.spent.entry(entry.key.name()).or_insert(fresh);
    let ([begins, ..], [own, ends, ..]) = (*row, fresh);
    if begins > own {
        return;
    }
    if begins < own {
        *row = fresh;
    }
    let [_, end, spent @ ..] = row;
    *end = ends.max(*end);
    spent.iter_mut().zip(entry.change).for_each(|(spent, change)| *spent = spent.saturating_add(change).max(0));
}

fn entry(key: &str, [begins, ends, change @ ..]: [i64; 5]) -> Option<Entry> {
    let time = |ms: i64| u64::try_from(ms).unwrap_or_default();
    Some(Entry { key: Key::read(key)?, begins_ms: time(begins), ends_ms: time(ends), change })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bartizan_meter::{Budget, Call, Class, Of, Period, Rules, Tally};

    use super::*;

    const CALL: Call<'static> = Call {
        client: "c",
        credential: ["c", ""],
        session: "s",
        server: "files",
        kind: "tool",
        name: "read",
        class: Class::Read,
        per_minute: None,
        cost: 1,
        bytes: 10,
    };

    fn call(meter: &Arc<Meter>, now: Moment) -> bool {
        let budget = Budget { of: Of::Client, per: Period::Day, calls: Some(3), bytes: None, cost: None };
        let rules = Rules { budgets: vec![budget], ..Rules::default() };
        let tally = Tally::new(meter.clone(), now);
        let charged = tally.charge(&rules.bill(meter, &CALL)).is_ok();
        tally.keep();
        charged
    }

    #[test]
    fn what_was_spent_is_known_after_a_restart_and_next_door() {
        let dir = tempfile::tempdir().expect("dir");
        let now = Moment { steady_us: 1, wall_ms: 1_795_242_240_123 };
        let start = || {
            let budgets = Budgets::open(dir.path());
            let meter = Arc::new(Meter::new(budgets.seed()));
            budgets.exchange(&meter, now);
            (budgets, meter)
        };
        let (one, meter) = start();
        assert!(call(&meter, now) && call(&meter, now));
        one.exchange(&meter, now);
        let (other, second) = start();
        assert!(call(&second, now) && !call(&second, now), "two were spent before");
        other.exchange(&second, now);
        one.exchange(&meter, now);
        assert!(!call(&meter, now), "the third was spent next door");
        let tomorrow = Moment { wall_ms: now.wall_ms + 86_400_000, ..now };
        assert!(call(&meter, tomorrow));
    }

    #[test]
    fn a_broken_file_is_kept_aside_and_begun_anew_under_the_same_secret() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join(FILE);
        let breaks = |text: &str| files::replace(&path, text.as_bytes(), files::Readers::Owner).expect("written");
        let read = |name: &str| files::read(&dir.path().join(name), MAX_FILE).expect("read");
        breaks("{");
        let budgets = Budgets::open(dir.path());
        assert_ne!(budgets.seed, Key::default());
        assert_eq!((Budgets::open(dir.path()).seed, read("budgets.json.broken").as_str()), (budgets.seed, "{"));
        let half = read(FILE).replace("\"spent\"", "");
        breaks(&half);
        assert_eq!((Budgets::open(dir.path()).seed, read("budgets.json.broken")), (budgets.seed, half));
        breaks("");
        budgets.locked(PATIENCE, |_| Ok(())).expect("begun anew");
        assert_eq!(Budgets::open(dir.path()).seed, budgets.seed, "who runs knows it");
    }

    #[test]
    fn a_lock_that_somebody_keeps_holds_nobody_up_for_long_and_nothing_is_lost() {
        let dir = tempfile::tempdir().expect("dir");
        let now = Moment { steady_us: 1, wall_ms: 1_795_242_240_123 };
        let budgets = Budgets::open(dir.path());
        let meter = Arc::new(Meter::new(budgets.seed()));
        assert!(call(&meter, now));
        let held = files::hold(&dir.path().join(LOCK)).expect("held");
        budgets.exchange(&meter, now);
        drop(held);
        assert_eq!(meter.unsaid().len(), 1, "it is said later");
    }
}
