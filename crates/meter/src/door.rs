//! What a client may send at all, and when it is not listened to for a while.
//!
//! Every message counts, whatever it is. Who goes on after being refused is shut out for a pause. Refusals here are
//! cheap, and one in a window is told to the record; the others are only counted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::Key;
use crate::rate::Rate;

/// What holds for every client.
#[derive(Debug, Clone, Copy)]
pub struct DoorRules {
    /// Messages.
    pub messages: Rate,
    /// Refusals by limits within a minute after which a client is shut out.
    pub offences: u32,
    /// For how many microseconds.
    pub pause_us: u64,
}

/// What a message finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knock {
    /// It may come in.
    In,
    /// It may come in again, after so many were refused without a record.
    Again {
        /// How many.
        untold: u32,
    },
    /// It may not.
    Out {
        /// Why.
        why: Why,
        /// For how many microseconds.
        wait_us: u64,
        /// Whether the record hears of it.
        told: Told,
    },
}

/// Why a message may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Too many messages.
    Flood,
    /// The client is shut out.
    Shut,
}

/// Whether the record hears of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It does, and of so many that it did not hear of.
    Line {
        /// How many.
        untold: u32,
    },
    /// It does not.
    Untold,
}

/// How often the record hears of the refusals of one client.
const WINDOW_US: u64 = 60_000_000;

#[derive(Debug, Clone, Copy, Default)]
struct Door {
    due_us: u64,
    offences: u32,
    untold: u32,
    /// When the count of offences began.
    counted_us: u64,
    /// When the record last heard; nothing when it has nothing to hear of.
    told_us: Option<u64>,
    /// When it was shut; nothing when it is not.
    shut_us: Option<u64>,
}

const PARTS: usize = 64;

/// The doors of all clients.
#[derive(Debug)]
pub struct Doors {
    rules: DoorRules,
    parts: Vec<Mutex<Part>>,
}

#[derive(Debug, Default)]
struct Part {
    doors: HashMap<Key, Door>,
    /// How many there may be before those that nobody uses are forgotten.
    enough: usize,
}

/// Whether a time is within a length from a beginning; a clock that went back begins anew.
const fn within(since_us: u64, length_us: u64, now_us: u64) -> bool {
    since_us <= now_us && now_us - since_us < length_us
}

impl Door {
    fn tell(&mut self, now_us: u64) -> Told {
        if self.told_us.is_some_and(|told| within(told, WINDOW_US, now_us)) {
            self.untold = self.untold.saturating_add(1);
            return Told::Untold;
        }
        self.told_us = Some(now_us);
        Told::Line { untold: std::mem::take(&mut self.untold) }
    }

    fn offend(&mut self, rules: &DoorRules, now_us: u64) -> bool {
        if !within(self.counted_us, WINDOW_US, now_us) {
            (self.counted_us, self.offences) = (now_us, 0);
        }
        self.offences = self.offences.saturating_add(1);
        let shuts = self.offences >= rules.offences && self.shut_us.is_none();
        if shuts {
            self.shut_us = Some(now_us);
            self.offences = 0;
            // The record hears of this at once.
            self.told_us = None;
        }
        shuts
    }

    fn knock(&mut self, rules: &DoorRules, now_us: u64) -> Knock {
        if let Some(shut) = self.shut_us {
            if within(shut, rules.pause_us, now_us) {
                let wait_us = shut.saturating_add(rules.pause_us).saturating_sub(now_us);
                return Knock::Out { why: Why::Shut, wait_us, told: self.tell(now_us) };
            }
            self.shut_us = None;
        }
        // As with every rate: a debt from before the clock went back is no more than an empty allowance.
        self.due_us = self.due_us.min(now_us.saturating_add(rules.messages.burst_us()));
        match rules.messages.next(self.due_us, now_us) {
            Ok(due) => {
                self.due_us = due;
                match self.told_us.take_if(|told| !within(*told, WINDOW_US, now_us)) {
                    Some(_) => Knock::Again { untold: std::mem::take(&mut self.untold) },
                    None => Knock::In,
                }
            }
            Err(wait_us) => {
                let told = self.tell(now_us);
                self.offend(rules, now_us);
                Knock::Out { why: Why::Flood, wait_us, told }
            }
        }
    }

    const fn is_idle(&self, now_us: u64) -> bool {
        self.due_us <= now_us && self.shut_us.is_none() && self.told_us.is_none() && !within(self.counted_us, WINDOW_US, now_us)
    }
}

impl Doors {
    /// Doors that are all open.
    #[must_use]
    pub fn new(rules: DoorRules) -> Self {
        Self { rules, parts: (0..PARTS).map(|_| Mutex::new(Part { enough: 256, ..Part::default() })).collect() }
    }

    fn part(&self, key: Key) -> Option<MutexGuard<'_, Part>> {
        self.parts.get(key.part(PARTS)).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with<T>(&self, key: Key, now_us: u64, act: impl FnOnce(&mut Door) -> T) -> Option<T> {
        let mut part = self.part(key)?;
        if part.doors.len() >= part.enough {
            part.doors.retain(|_, door| !door.is_idle(now_us));
            part.enough = (part.doors.len() * 2).max(256);
        }
        Some(act(part.doors.entry(key).or_default()))
    }

    /// A message of a client.
    #[must_use]
    pub fn knock(&self, client: Key, now_us: u64) -> Knock {
        let lost = Knock::Out { why: Why::Flood, wait_us: WINDOW_US, told: Told::Untold };
        self.with(client, now_us, |door| door.knock(&self.rules, now_us)).unwrap_or(lost)
    }

    /// A client's call was refused by a limit; returns whether that was once too often.
    pub fn offend(&self, client: Key, now_us: u64) -> bool {
        self.with(client, now_us, |door| door.offend(&self.rules, now_us)).unwrap_or_default()
    }

    /// How many clients are shut out.
    #[must_use]
    pub fn shut(&self, now_us: u64) -> usize {
        let shut = |door: &&Door| door.shut_us.is_some_and(|shut| within(shut, self.rules.pause_us, now_us));
        let of = |part: &Mutex<Part>| part.lock().unwrap_or_else(PoisonError::into_inner).doors.values().filter(shut).count();
        self.parts.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([1, 2]);
    const SECOND: u64 = 1_000_000;

    fn doors(offences: u32) -> Doors {
        Doors::new(DoorRules { messages: Rate::per_minute(60), offences, pause_us: 30 * SECOND })
    }

    #[test]
    fn a_flood_has_one_line_in_a_window_and_then_the_door_is_shut() {
        let doors = doors(100);
        let out = |why: Why, told: Told| move |knock: Knock| matches!(knock, Knock::Out { why: w, told: t, .. } if w == why && t == told);
        for _ in 0..60 {
            assert_eq!(doors.knock(KEY, 0), Knock::In);
        }
        assert!(out(Why::Flood, Told::Line { untold: 0 })(doors.knock(KEY, 0)));
        for _ in 0..99 {
            assert!(out(Why::Flood, Told::Untold)(doors.knock(KEY, 0)));
        }
        assert!(out(Why::Shut, Told::Line { untold: 99 })(doors.knock(KEY, 0)));
        assert_eq!(doors.shut(0), 1);
        for _ in 0..1000 {
            assert!(out(Why::Shut, Told::Untold)(doors.knock(KEY, 29 * SECOND)));
        }
        assert_eq!(doors.knock(KEY, 30 * SECOND), Knock::In);
        assert_eq!(doors.knock(KEY, 60 * SECOND), Knock::Again { untold: 1000 });
        assert_eq!((doors.knock(KEY, 61 * SECOND), doors.shut(61 * SECOND)), (Knock::In, 0));
    }

    #[test]
    fn now_and_then_an_offence_is_forgiven() {
        let doors = doors(3);
        for minute in 0..10 {
            assert!(!doors.offend(KEY, minute * 31 * SECOND));
        }
        assert!(!doors.offend(KEY, 400 * SECOND) && !doors.offend(KEY, 401 * SECOND) && doors.offend(KEY, 402 * SECOND));
    }

    #[test]
    fn a_clock_that_went_back_opens_the_door() {
        let doors = doors(1);
        assert!(doors.offend(KEY, 1000 * SECOND));
        assert_eq!(doors.knock(KEY, 0), Knock::In);
    }

    #[test]
    fn doors_that_nobody_uses_are_forgotten() {
        let doors = doors(1);
        for number in 0..100_000_u64 {
            let _ = doors.knock(Key([number << 48 | number, number]), number * SECOND);
        }
        let kept: usize = doors.parts.iter().map(|part| part.lock().expect("whole").doors.len()).sum();
        assert!(kept < 64 * 257, "{kept}");
    }
}
