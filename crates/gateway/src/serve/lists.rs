//! Lists as clients get them, made once and kept while nothing changes.
//!
//! What a list holds follows from the snapshot, from what the servers offer, and from who asks. Each of these is one
//! immutable value; while all are the same ones, so is the list. The servers are still asked, and drift is still
//! found: what changes there is another offer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_monitor::case::{Caller, Kind};
use bartizan_monitor::catalog::{Menu, Offer};
use bartizan_monitor::wire::json::Json;

use super::local::PAGE;
use crate::snapshot::Snapshot;

/// How many lists are kept, and how large one may be to be kept.
const MOST: usize = 64;
const LARGEST: usize = 2 * 1024 * 1024;

/// Whose list it is: of this kind, at this endpoint. By the whole caller: another token of the same principal may be
/// good for less, or for more.
type Key = (Caller, Option<Arc<str>>, Kind);

/// All lists that are kept.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<HashMap<Key, Kept>>);

#[derive(Debug)]
struct Kept {
    snapshot: Weak<Snapshot>,
    offers: Vec<Weak<Offer>>,
    list: Arc<List>,
}

/// One list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Json>,
    /// The first page, put together.
    pub(super) first: Json,
}

impl List {
    fn of(items: Vec<Json>) -> Arc<Self> {
        let first = Json::array(items.iter().take(PAGE).cloned());
        Arc::new(Self { items, first })
    }
}

impl Lists {
    /// The list that was made of the same things, or a new one.
    pub(super) fn get(&self, key: Key, (snapshot, menus): (&Arc<Snapshot>, &[Menu]), make: impl FnOnce() -> Vec<Json>) -> Arc<List> {
        let offers: Option<Vec<&Arc<Offer>>> = menus.iter().map(|menu| menu.offer.as_ref().ok()).collect();
        // With a server that does not answer, the list says so only this time.
        let Some(offers) = offers else { return List::of(make()) };
        let same = |kept: &Kept| {
            let holds = |(kept, now): (&Weak<Offer>, &&Arc<Offer>)| std::ptr::eq(kept.as_ptr(), Arc::as_ptr(now));
            // A weak pointer keeps its place from being used again, so equal places are equal values.
            std::ptr::eq(kept.snapshot.as_ptr(), Arc::as_ptr(snapshot))
                && kept.offers.len() == offers.len()
                && kept.offers.iter().zip(&offers).all(holds)
        };
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = kept().get(&key).filter(|kept| same(kept)).map(|kept| kept.list.clone()) {
            return list;
        }
        let list = List::of(make());
        if list.first.bytes().len() <= LARGEST {
            let mut kept = kept();
            if kept.len() >= MOST {
                kept.clear();
            }
            let offers = offers.into_iter().map(Arc::downgrade).collect();
            kept.insert(key, Kept { snapshot: Arc::downgrade(snapshot), offers, list: list.clone() });
        }
        list
    }
}
