//! So much in an hour, a day or a session: calls, bytes and cost. The hours and days are those of UTC.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::Key;

/// How long a budget lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// An hour of the clock.
    Hour,
    /// A day of UTC.
    Day,
    /// A session, until nobody has used it for a day.
    Session,
}

const HOUR_MS: u64 = 3_600_000;

impl Period {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Session => "session",
        }
    }

    const fn length_ms(self) -> u64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day | Self::Session => 24 * HOUR_MS,
        }
    }
}

/// How much of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Calls.
    pub calls: u64,
    /// Bytes of arguments and answers.
    pub bytes: u64,
    /// Units of what the lock file says that calls cost.
    pub cost: u64,
}

/// What a page of the book says to others: who, of which period, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Of whom.
    pub key: Key,
    /// When the period began, in milliseconds since the Unix epoch.
    pub begins_ms: u64,
    /// When it ends, or is forgotten.
    pub ends_ms: u64,
    /// How much more, or less, than was said before: calls, bytes, cost.
    pub change: [i64; 3],
}

#[derive(Debug, Clone, Copy, Default)]
struct Page {
    begins_ms: u64,
    ends_ms: u64,
    spent: [u64; 3],
    /// What was spent here. Whatever others say, or forget, it is no less than that.
    own: [u64; 3],
    unsaid: [i64; 3],
    /// Of what period; nothing when it is only known from others.
    of: Option<Period>,
}

const PARTS: usize = 64;
/// How many pages one part may have: 2^20 in all.
const MAX_PAGES: usize = 16_384;
/// How many pages of sessions give way at once.
const GIVE_WAY: usize = 1024;

type Pages = HashMap<Key, Page>;

/// The page that something was taken from: when it began, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun(u64);

#[derive(Debug)]
pub(crate) struct Book(Vec<Mutex<Pages>>);

impl Default for Book {
    fn default() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }
}

impl Page {
    /// Turns the page when its time is over. A clock that goes back a little does not turn it back, and one that
    /// goes back far locks nobody out for longer than the period and a tenth of it.
    fn turn(&mut self, period: Period, now_ms: u64) {
        self.begin(period, now_ms);
        self.of = Some(period);
    }

    fn begin(&mut self, period: Period, now_ms: u64) {
        let length = period.length_ms();
        if period == Period::Session {
            if now_ms >= self.ends_ms {
                *self = Self { begins_ms: now_ms, ..Self::default() };
            }
            self.ends_ms = now_ms.saturating_add(length);
            return;
        }
        let begins = now_ms - now_ms % length;
        if now_ms >= self.ends_ms {
            *self = Self { begins_ms: begins, ends_ms: begins.saturating_add(length), ..Self::default() };
        } else if self.begins_ms.saturating_sub(now_ms) > length / 10 {
            (self.begins_ms, self.ends_ms) = (begins, begins.saturating_add(length));
        }
    }

    fn add(&mut self, change: [i64; 3]) {
        let counts = self.spent.iter_mut().zip(&mut self.own).zip(&mut self.unsaid);
        for (((spent, own), unsaid), change) in counts.zip(change) {
            *spent = spent.saturating_add_signed(change);
            *own = own.saturating_add_signed(change);
            *unsaid = unsaid.saturating_add(change);
        }
    }

    fn is_of_session(&self) -> bool {
        self.of == Some(Period::Session)
    }

    /// Whether it says no more than a page that was never written.
    fn is_blank(&self) -> bool {
        self.spent == [0; 3] && self.own == [0; 3] && (self.unsaid == [0; 3] || self.is_of_session())
    }
}

/// Whether there is room for another page. What is over goes first, then the pages of sessions that spent least: one
/// client can begin any number of sessions. Hours and days are never forgotten.
fn has_room(pages: &mut Pages, now_ms: u64) -> bool {
    if pages.len() < MAX_PAGES {
        return true;
    }
    pages.retain(|_, page| page.ends_ms > now_ms);
    if pages.len() < MAX_PAGES {
        return true;
    }
    let sessions = pages.iter().filter(|(_, page)| page.is_of_session());
    let mut sessions: Vec<_> = sessions.map(|(key, page)| (page.spent, page.ends_ms, *key)).collect();
    sessions.sort_unstable();
    for (.., key) in sessions.into_iter().take(GIVE_WAY) {
        pages.remove(&key);
    }
    pages.len() < MAX_PAGES
}

impl Book {
    fn part(&self, key: Key) -> Option<MutexGuard<'_, Pages>> {
        self.0.get(key.part(PARTS)).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Spends, unless that would be more than `cap` allows; then says in how many milliseconds the period ends.
    /// Bytes come after the call: they are refused only when none are left. Returns the page.
    pub(crate) fn spend(&self, key: Key, (period, cap): (Period, Spent), price: Spent, now_ms: u64) -> Result<Begun, u64> {
        let Some(mut pages) = self.part(key) else { return Err(HOUR_MS) };
        if !pages.contains_key(&key) && !has_room(&mut pages, now_ms) {
            return Err(60_000);
        }
        let page = pages.entry(key).or_default();
        page.turn(period, now_ms);
        let [calls, bytes, cost] = page.spent;
        let within = |spent: u64, more: u64, cap: u64| spent.saturating_add(more) <= cap;
        if within(calls, price.calls, cap.calls) && within(bytes, price.bytes.max(1), cap.bytes) && within(cost, price.cost, cap.cost) {
            page.add(signed(price));
            return Ok(Begun(page.begins_ms));
        }
        Err(page.ends_ms.saturating_sub(now_ms))
    }

    /// Adds to what was spent, or takes back, whatever the cap says. A page that was turned meanwhile is another's, and
    /// one that is blank again needs no place.
    pub(crate) fn change(&self, key: Key, begun: Begun, change: [i64; 3]) {
        let Some(mut pages) = self.part(key) else { return };
        let Some(page) = pages.get_mut(&key).filter(|page| page.begins_ms == begun.0) else { return };
        page.add(change);
        if page.is_blank() {
            pages.remove(&key);
        }
    }

    /// What was spent and not said to others yet; from now on it counts as said. What is of a session concerns nobody
    /// else: it is with one gateway, for as long as that runs.
    pub(crate) fn unsaid(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for part in &self.0 {
            for (key, page) in &mut *part.lock().unwrap_or_else(PoisonError::into_inner) {
                if page.unsaid != [0; 3] && !page.is_of_session() {
                    let change = std::mem::take(&mut page.unsaid);
                    entries.push(Entry { key: *key, begins_ms: page.begins_ms, ends_ms: page.ends_ms, change });
                }
            }
        }
        entries
    }

    /// Takes back that something was said: it reached nobody.
    pub(crate) fn unsay(&self, entry: &Entry) {
        if let Some(mut pages) = self.part(entry.key)
            && let Some(page) = pages.get_mut(&entry.key).filter(|page| page.begins_ms == entry.begins_ms)
        {
            page.unsaid.iter_mut().zip(entry.change).for_each(|(unsaid, change)| *unsaid = unsaid.saturating_add(change));
        }
    }

    /// Learns what everybody together has spent, in the `change` of an entry.
    pub(crate) fn learn(&self, entry: &Entry, now_ms: u64) {
        if entry.ends_ms <= now_ms {
            return;
        }
        let Some(mut pages) = self.part(entry.key) else { return };
        if !pages.contains_key(&entry.key) && !has_room(&mut pages, now_ms) {
            return;
        }
        let page = pages.entry(entry.key).or_default();
        if page.begins_ms > entry.begins_ms {
            return;
        }
        if page.begins_ms < entry.begins_ms {
            *page = Page { begins_ms: entry.begins_ms, ends_ms: entry.ends_ms, ..Page::default() };
        }
        // Who keeps the common count may have lost it.
        let known = page.unsaid.iter().zip(page.own).zip(entry.change);
        for (spent, ((unsaid, own), all)) in page.spent.iter_mut().zip(known) {
            *spent = u64::try_from(all.saturating_add(*unsaid)).unwrap_or_default().max(own);
        }
    }
}

/// As a change.
pub(crate) fn signed(spent: Spent) -> [i64; 3] {
    [spent.calls, spent.bytes, spent.cost].map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([1, 2]);
    const DAY: u64 = 24 * HOUR_MS;
    const CAP: (Period, Spent) = (Period::Day, Spent { calls: 2, bytes: 100, cost: 10 });

    fn call(book: &Book, now_ms: u64) -> Result<(), u64> {
        book.spend(KEY, CAP, Spent { calls: 1, bytes: 0, cost: 3 }, now_ms).map(|_| ())
    }

    /// A key of the same part as any other of these.
    fn key(number: usize) -> Key {
        Key([u64::try_from(number).expect("small"), 9])
    }

    fn pages(book: &Book) -> usize {
        book.0.iter().map(|part| part.lock().expect("whole").len()).sum()
    }

    #[test]
    fn what_is_given_back_goes_to_the_page_that_it_was_taken_from() {
        let (book, one) = (Book::default(), Spent { calls: 1, bytes: 0, cost: 3 });
        let begun = book.spend(KEY, CAP, one, DAY - 1).expect("within");
        assert_eq!((call(&book, DAY), call(&book, DAY)), (Ok(()), Ok(())));
        book.change(KEY, begun, signed(one).map(i64::wrapping_neg));
        assert!(call(&book, DAY + 1).is_err(), "yesterday's call gives nothing back today");
    }

    #[test]
    fn a_common_count_that_was_lost_gives_nothing_back_of_what_was_spent_here() {
        let book = Book::default();
        assert_eq!((call(&book, 5), call(&book, 5)), (Ok(()), Ok(())));
        for entry in book.unsaid() {
            for change in [[0; 3], [1, 0, 3], [-9, -9, -9]] {
                book.learn(&Entry { change, ..entry }, 6);
                assert!(call(&book, 7).is_err(), "{change:?}");
            }
        }
    }

    #[test]
    fn sessions_without_end_shut_nobody_out() {
        let book = Book::default();
        let session = (Period::Session, Spent { calls: 5, bytes: 100, cost: 10 });
        let one = Spent { calls: 1, bytes: 0, cost: 0 };
        let begun = book.spend(key(0), session, one, 5).expect("within");
        book.change(key(0), begun, [-1, 0, 0]);
        assert_eq!(pages(&book), 0, "a page that is blank again");
        for _ in 0..5 {
            book.spend(key(0), session, one, 5).expect("within");
        }
        for number in 1..2 * MAX_PAGES {
            book.spend(key(number), session, one, 6).expect("there is room for who is new");
        }
        assert!(pages(&book) <= MAX_PAGES);
        assert!(book.spend(key(0), session, one, 7).is_err(), "who spent more is not forgotten");
        assert!(book.unsaid().is_empty(), "sessions concern nobody else");
    }

    #[test]
    fn what_is_learnt_is_bounded_and_displaces_no_day() {
        let book = Book::default();
        for number in 0..MAX_PAGES + 9 {
            book.learn(&Entry { key: key(number), begins_ms: DAY, ends_ms: 2 * DAY, change: [2, 0, 0] }, DAY + 5);
        }
        assert_eq!(pages(&book), MAX_PAGES);
        assert!(book.spend(key(0), CAP, Spent { calls: 1, bytes: 0, cost: 0 }, DAY + 5).is_err());
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let book = Book::default();
        assert_eq!((call(&book, DAY + 5), call(&book, DAY + 6)), (Ok(()), Ok(())));
        assert_eq!(call(&book, DAY + 7), Err(DAY - 7));
        assert_eq!(call(&book, 2 * DAY), Ok(()));
    }

    #[test]
    fn bytes_and_cost_count_and_come_back() {
        let book = Book::default();
        let cost = |cost: u64| book.spend(KEY, CAP, Spent { calls: 0, bytes: 0, cost }, 5).map(|_| ());
        assert_eq!((cost(11), cost(10), cost(1)), (Err(DAY - 5), Ok(()), Err(DAY - 5)));
        book.change(KEY, Begun(0), [0, 0, -1]);
        assert_eq!(cost(1), Ok(()));
        book.change(KEY, Begun(0), [0, 100, -10]);
        assert_eq!(cost(0), Err(DAY - 5), "no byte is left");
    }

    #[test]
    fn a_clock_that_goes_back_neither_locks_out_nor_gives_away() {
        let book = Book::default();
        let at = 10 * DAY + 5;
        assert_eq!((call(&book, at), call(&book, at)), (Ok(()), Ok(())));
        // A little: it is still the same day. Far: it is that day, with what was spent.
        for back in [1000, DAY / 20, 5 * DAY] {
            let wait = call(&book, at - back).expect_err("spent");
            assert!(wait <= DAY + DAY / 10 + 5, "{wait}");
        }
    }

    #[test]
    fn what_was_said_and_what_others_spent_add_up() {
        let (one, other) = (Book::default(), Book::default());
        assert_eq!((call(&one, 5), call(&other, 5)), (Ok(()), Ok(())));
        let said = one.unsaid();
        assert_eq!(said.iter().map(|entry| entry.change).collect::<Vec<_>>(), [[1, 0, 3]]);
        assert!(one.unsaid().is_empty());
        one.unsay(&said[0]);
        assert_eq!(one.unsaid(), said);
        other.learn(&said[0], 6);
        assert!(call(&other, 7).is_err(), "one of its own and one of another");
    }
}
