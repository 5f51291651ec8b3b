//! Lists as clients get them, made once and kept while nothing changes.
//!
//! What a list holds follows from the snapshot, from what the servers offer, and from who asks. Each of these is one
//! immutable value; while all are the same ones, so is the list. The servers are still asked, and drift is still
//! found: what changes there is another offer. Only how it is put together is kept: each page is judged, recorded and
//! released every time that it is asked for.
//!
//! Callers who see the same share one list. How much is kept is bounded, for all and for each principal, so that one
//! with many credentials takes little from the others.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bartizan_monitor::case::{Caller, Kept, Kind};
use bartizan_monitor::catalog::{Menu, Offer};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::version::Era;

use super::local::PAGE;
use crate::snapshot::Snapshot;

/// How many bytes of lists are kept, and of the lists of one principal. A list that is longer is made each time.
const MOST: usize = 32 * 1024 * 1024;
const MOST_OF_ONE: usize = MOST / 4;
/// How many views of lists are remembered, and how many of one principal.
const VIEWS: usize = 4096;
const VIEWS_OF_ONE: usize = 256;

/// Whose list it is: of this kind, at this endpoint. By the whole caller: another token of the same principal may be
/// good for less, or for more.
type Key = (Caller, Option<Arc<str>>, Kind);

/// All that is on offer at an endpoint, in order, and which of it the caller sees.
pub(super) struct Choice {
    pub(super) seen: Box<[bool]>,
    pub(super) items: Vec<Json>,
}

/// All lists that are kept.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<Views>);

#[derive(Debug, Default)]
struct Views {
    kept: HashMap<Key, View>,
    /// Grows with every use.
    now: u64,
}

#[derive(Debug)]
struct View {
    from: Sources,
    list: Arc<List>,
    used: u64,
}

/// What a list was made of.
#[derive(Debug, Clone)]
struct Sources {
    snapshot: Weak<Snapshot>,
    offers: Vec<Offered>,
}

/// What one server offers.
#[derive(Debug, Clone)]
struct Offered {
    server: Arc<str>,
    offer: Weak<Offer>,
}

impl Sources {
    /// None with a server that does not answer: such a list is one of this time only.
    fn of(snapshot: &Arc<Snapshot>, menus: &[Menu]) -> Option<Self> {
        let offer = |menu: &Menu| Some(Offered { server: menu.server.clone(), offer: Arc::downgrade(menu.offer.as_ref().ok()?) });
        Some(Self { snapshot: Arc::downgrade(snapshot), offers: menus.iter().map(offer).collect::<Option<_>>()? })
    }

    /// Whether nothing of it is gone. What is gone never comes back.
    fn last(&self) -> bool {
        self.snapshot.strong_count() > 0 && self.offers.iter().all(|offered| offered.offer.strong_count() > 0)
    }
}

// A weak pointer keeps its place from being used again, so equal places are equal values.
impl PartialEq for Offered {
    fn eq(&self, other: &Self) -> bool {
        self.server == other.server && self.offer.ptr_eq(&other.offer)
    }
}

impl PartialEq for Sources {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot.ptr_eq(&other.snapshot) && self.offers == other.offers
    }
}

/// One list.
#[derive(Debug)]
pub(super) struct List {
    seen: Box<[bool]>,
    pub(super) items: Vec<Json>,
    /// The pages as they are answered with, one for each era.
    pages: Vec<[OnceLock<Arc<Kept>>; 2]>,
    bytes: AtomicUsize,
}

impl List {
    fn of(Choice { seen, items }: Choice) -> Arc<Self> {
        let bytes = AtomicUsize::new(items.iter().map(|item| item.bytes().len()).sum::<usize>().saturating_add(seen.len()));
        let pages = std::iter::repeat_with(Default::default).take(items.len().div_ceil(PAGE).max(1)).collect();
        Arc::new(Self { seen, items, pages, bytes })
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Where the page is kept that begins here. Clients may write cursors of their own; those pages are not kept.
    fn place(&self, start: usize, era: Era) -> Option<&OnceLock<Arc<Kept>>> {
        let [legacy, modern] = self.pages.get(start / PAGE).filter(|_| start.is_multiple_of(PAGE))?;
        Some(if era == Era::Modern { modern } else { legacy })
    }
}

impl Lists {
    fn views(&self) -> MutexGuard<'_, Views> {
        // Whole after every statement that can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list that was made of the same things, or a new one.
    pub(super) fn get(&self, key: Key, (snapshot, menus): (&Arc<Snapshot>, &[Menu]), make: impl FnOnce() -> Choice) -> Arc<List> {
        let Some(from) = Sources::of(snapshot, menus) else { return List::of(make()) };
        if let Some(list) = self.views().find(&key, &from) {
            return list;
        }
        let choice = make();
        let mut views = self.views();
        let list = views.shared((&key.1, key.2), &from, &choice.seen).unwrap_or_else(|| List::of(choice));
        views.keep(key, from, list.clone());
        list
    }

    /// A page as it was answered with before, or made now.
    pub(super) fn page(&self, caller: &Caller, list: &List, (start, era): (usize, Era), make: impl FnOnce() -> Json) -> Arc<Kept> {
        let Some(place) = list.place(start, era) else { return Kept::new(make()) };
        let mut made = 0;
        let page = place.get_or_init(|| {
            let page = Kept::new(make());
            made = page.body().bytes().len();
            page
        });
        if made > 0 {
            list.bytes.fetch_add(made, Ordering::Relaxed);
            self.views().make_room(caller.principal());
        }
        page.clone()
    }
}

impl Views {
    fn find(&mut self, key: &Key, from: &Sources) -> Option<Arc<List>> {
        self.now = self.now.saturating_add(1);
        let view = self.kept.get_mut(key).filter(|view| view.from == *from)?;
        view.used = self.now;
        Some(view.list.clone())
    }

    /// The list of somebody else who sees the same at the same place.
    fn shared(&self, (endpoint, kind): (&Option<Arc<str>>, Kind), from: &Sources, seen: &[bool]) -> Option<Arc<List>> {
        let same = |(key, view): &(&Key, &View)| key.2 == kind && key.1 == *endpoint && view.from == *from && *view.list.seen == *seen;
        self.kept.iter().find(same).map(|(_, view)| view.list.clone())
    }

    fn keep(&mut self, key: Key, from: Sources, list: Arc<List>) {
        let principal = key.0.principal().clone();
        let used = self.now;
        self.kept.insert(key, View { from, list, used });
        self.make_room(&principal);
    }

    /// Forgets what was made of something that is gone; then the oldest of a principal who has more than its share, and
    /// then the oldest of all.
    fn make_room(&mut self, principal: &Arc<str>) {
        self.kept.retain(|_, view| view.from.last());
        self.shrink((MOST_OF_ONE, VIEWS_OF_ONE), |key| key.0.principal() == principal);
        self.shrink((MOST, VIEWS), |_| true);
    }

    fn shrink(&mut self, (bytes, views): (usize, usize), counts: impl Fn(&Key) -> bool) {
        let ours = || self.kept.iter().filter(|(key, _)| counts(key));
        let mut lists = HashSet::new();
        let sum: usize = ours().filter(|(_, view)| lists.insert(Arc::as_ptr(&view.list))).map(|(_, view)| view.list.bytes()).sum();
        if sum <= bytes && ours().count() <= views {
            return;
        }
        let mut newest: Vec<(u64, Key)> = ours().map(|(key, view)| (view.used, key.clone())).collect();
        newest.sort_unstable_by_key(|(used, _)| std::cmp::Reverse(*used));
        let (mut lists, mut sum) = (HashSet::new(), 0_usize);
        for (rank, (_, key)) in newest.into_iter().enumerate() {
            let Some(list) = self.kept.get(&key).map(|view| view.list.clone()) else { continue };
            // A list that several see is counted once, and stays as long as the newest view of it.
            let more = if lists.contains(&Arc::as_ptr(&list)) { 0 } else { list.bytes() };
            if rank >= views || sum.saturating_add(more) > bytes {
                self.kept.remove(&key);
            } else {
                lists.insert(Arc::as_ptr(&list));
                sum = sum.saturating_add(more);
            }
        }
    }
}

#[cfg(test)]
mod tests;
