//! A million rates in little memory and without one lock for all.
//!
//! A cell is 24 bytes: its key, and when its allowance is whole again. One that is whole again is the same as
//! none, so its place is free without anybody clearing it away: there is no sweep. Each key has two groups of
//! eight places; where both are full of others the part doubles, and beyond its bound the cell that is nearest
//! to being whole again gives way.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::Key;
use crate::rate::Rate;

const PARTS: usize = 256;
const GROUP: usize = 8;
/// 2^22 places in all, which are 96 MiB.
const MAX_GROUPS: usize = 2048;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: Key,
    due_us: u64,
}

type Group = [Slot; GROUP];

#[derive(Debug, Default)]
struct Part {
    groups: Vec<Group>,
}

#[derive(Debug)]
pub(crate) struct Cells(Vec<Mutex<Part>>);

impl Default for Cells {
    fn default() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }
}

impl Part {
    /// The two groups in which a key may be.
    fn homes(&self, key: Key) -> [usize; 2] {
        let mask = self.groups.len().wrapping_sub(1);
        let Key([high, low]) = key;
        // The upper bits chose the part.
        [high as usize & mask, low as usize & mask]
    }

    fn find(&mut self, key: Key) -> Option<&mut Slot> {
        let [one, other] = self.homes(key);
        let at = |group: &Group| group.iter().position(|slot| slot.key == key && slot.due_us > 0);
        let found = [one, other].into_iter().find_map(|home| Some((home, at(self.groups.get(home)?)?)));
        let (home, at) = found?;
        self.groups.get_mut(home)?.get_mut(at)
    }

    /// The place that costs least to use: one that is free, in the group that has more of those.
    fn freest(&mut self, key: Key, now_us: u64) -> Option<&mut Slot> {
        let places = self.homes(key).into_iter().filter_map(|home| {
            let group = self.groups.get(home)?;
            let used = group.iter().filter(|slot| slot.due_us > now_us).count();
            let (at, slot) = group.iter().enumerate().min_by_key(|(_, slot)| slot.due_us)?;
            Some((slot.due_us.saturating_sub(now_us), used, home, at))
        });
        let (.., home, at) = places.min()?;
        self.groups.get_mut(home)?.get_mut(at)
    }

    fn put(&mut self, key: Key, due_us: u64, now_us: u64) {
        if let Some(slot) = self.find(key) {
            slot.due_us = due_us;
            return;
        }
        if self.freest(key, now_us).is_none_or(|slot| slot.due_us > now_us) && self.groups.len() < MAX_GROUPS {
            self.grow(now_us);
        }
        if let Some(slot) = self.freest(key, now_us) {
            *slot = Slot { key, due_us };
        }
    }

    fn grow(&mut self, now_us: u64) {
        let groups = (self.groups.len() * 2).max(1);
        let old = std::mem::replace(&mut self.groups, vec![Group::default(); groups]);
        for slot in old.into_iter().flatten().filter(|slot| slot.due_us > now_us) {
            if let Some(place) = self.freest(slot.key, now_us) {
                *place = slot;
            }
        }
    }
}

impl Cells {
    fn part(&self, key: Key) -> Option<MutexGuard<'_, Part>> {
        // Every slot is whole after every statement.
        self.0.get(key.part(PARTS)).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes one, or says how many microseconds to wait for it.
    pub(crate) fn take(&self, key: Key, rate: Rate, now_us: u64) -> Result<(), u64> {
        let Some(mut part) = self.part(key) else { return Err(rate.burst_us()) };
        if let Some(slot) = part.find(key) {
            // Kept even when it is refused: after the clock went back, time works off what is left of a debt.
            slot.due_us = slot.due_us.min(now_us.saturating_add(rate.burst_us()));
            slot.due_us = rate.next(slot.due_us, now_us)?;
            return Ok(());
        }
        let due = rate.next(0, now_us)?;
        part.put(key, due, now_us);
        Ok(())
    }

    /// How long to wait for one, without taking it.
    pub(crate) fn wait(&self, key: Key, rate: Rate, now_us: u64) -> u64 {
        let due = self.part(key).and_then(|mut part| part.find(key).map(|slot| slot.due_us)).unwrap_or_default();
        rate.next(due, now_us).err().unwrap_or_default()
    }

    /// Gives one back.
    pub(crate) fn give_back(&self, key: Key, rate: Rate) {
        if let Some(mut part) = self.part(key)
            && let Some(slot) = part.find(key)
        {
            slot.due_us = slot.due_us.saturating_sub(rate.step_us());
        }
    }

    /// Bytes that the cells take.
    pub(crate) fn bytes(&self) -> usize {
        let of = |part: &Mutex<Part>| part.lock().unwrap_or_else(PoisonError::into_inner).groups.capacity() * size_of::<Group>();
        self.0.iter().map(of).sum::<usize>() + self.0.capacity() * size_of::<Mutex<Part>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Scope, Seed};

    fn key(number: u32) -> Key {
        Seed::default().key(Scope::Client, &[&number.to_string()])
    }

    #[test]
    fn cells_that_are_whole_again_make_room() {
        let cells = Cells::default();
        let rate = Rate::per_minute(60);
        for minute in 0..20_u64 {
            for number in 0..2000 {
                assert_eq!(cells.take(key(number + u32::try_from(minute).expect("small") * 2000), rate, minute * 61_000_000 + 1), Ok(()));
            }
        }
        // 40,000 keys came by, never more than 2,000 at a time.
        assert!(cells.bytes() < 40_000 * 24 / 4, "{} bytes", cells.bytes());
    }

    #[test]
    fn a_part_that_is_full_gives_up_the_cheapest() {
        let mut part = Part::default();
        for number in 0..40_000 {
            part.put(key(number), 1000 + u64::from(number), 1);
        }
        assert_eq!(part.groups.len(), MAX_GROUPS);
        assert!(part.find(key(39_999)).is_some());
    }
}
