//! What was compiled is kept: a lock file has few schemas, and they are asked often.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, RwLock};

/// How many are kept. One lock file rarely has more tools; beyond it they are compiled again, so that memory has an end.
const MOST: usize = 4096;

/// Compiled things, by what they were compiled from.
#[derive(Debug)]
pub struct Kept<K, V>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    /// What was made for a key, made now if it was not. Made outside the lock: a slow schema delays its own tool only,
    /// and two at once agree. None after a panic while something was put here.
    pub fn get(&self, key: K, make: impl FnOnce() -> V) -> Option<Arc<V>> {
        let kept = self.0.read().ok()?.get(&key).cloned();
        if kept.is_some() {
            return kept;
        }
        let made = Arc::new(make());
        let mut all = self.0.write().ok()?;
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, made.clone());
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_made_once_and_memory_has_an_end() {
        let kept = Kept::default();
        let first = kept.get(1_usize, || "one").expect("no panic");
        assert!(Arc::ptr_eq(&first, &kept.get(1, || unreachable!("it is kept")).expect("no panic")));
        (0..=MOST).for_each(|key| drop(kept.get(key, || "another")));
        assert!(kept.0.read().expect("no panic").len() <= MOST);
    }

    #[test]
    fn after_a_panic_there_is_nothing() {
        let kept = Kept::default();
        assert!(kept.get(1_usize, || 1).is_some());
        let poison = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = kept.0.write().expect("lock");
            panic!("on purpose");
        }));
        assert!(poison.is_err());
        assert!(kept.get(1, || 1).is_none() && kept.get(2, || 2).is_none());
    }
}
