//! What a server offers, read when it is needed and kept while it holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::Kind;
use bartizan_monitor::catalog::Offer;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::envelope::Outcome;
use bartizan_monitor::wire::json::{Edits, Json, View};
use tokio::sync::Mutex;

use super::{Link, Probe};
use crate::clock::Stopwatch;

/// How much time lies between two readings of what is said to have changed. A server that says so without end is not
/// asked without end: who asks meanwhile waits, and all of them share one reading.
const SPACING: Duration = Duration::from_millis(200);
/// How many pages one list may have. A server that pages for ever is cut off.
const MAX_PAGES: usize = 1000;
/// How many definitions one server may offer.
const MAX_DEFINITIONS: usize = 20_000;

#[derive(Default)]
pub(super) struct Shelf {
    stale: AtomicBool,
    stock: Mutex<Option<Stock>>,
}

/// What links to one server read last, kept once for all of them and for those to come: most servers say the same to
/// everybody, and the next client finds what the last one left.
#[derive(Debug, Default)]
pub(super) struct Common(std::sync::Mutex<Option<Shared>>);

#[derive(Debug)]
struct Shared {
    hello: Json,
    pages: Pages,
    offer: Arc<Offer>,
}

type Pages = Arc<[Page]>;

/// One page of a list, and what was found in it.
#[derive(Debug, Clone)]
struct Page {
    kind: Kind,
    json: Json,
    definitions: usize,
    next: Option<Json>,
}

// The rest follows from these.
impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.json == other.json
    }
}

impl Page {
    /// The page that stood at the same place when it is the same text, which need not be walked again.
    fn of(kind: Kind, json: Json, before: Option<&Self>) -> Self {
        if let Some(before) = before.filter(|before| before.kind == kind && before.json == json) {
            return before.clone();
        }
        let definitions = json.view().get(kind.plural()).map_or(0, |list| list.items().count());
        let next = json.get("nextCursor").filter(|next| next.view().as_str().is_some());
        Self { kind, json, definitions, next }
    }
}

impl Common {
    fn last(&self) -> MutexGuard<'_, Option<Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pages that were read last.
    fn pages(&self) -> Option<Pages> {
        self.last().as_ref().map(|shared| shared.pages.clone())
    }

    /// The offer that another link made of the same words, or a new one.
    fn share(&self, link: &Link, pages: Vec<Page>) -> (Pages, Arc<Offer>) {
        let same = |shared: &&Shared| shared.hello == *link.hello() && *shared.pages == *pages;
        if let Some(shared) = self.last().as_ref().filter(same) {
            return (shared.pages.clone(), shared.offer.clone());
        }
        let (offer, pages) = (Arc::new(compose(link, &pages)), Pages::from(pages));
        *self.last() = Some(Shared { hello: link.hello().clone(), pages: pages.clone(), offer: offer.clone() });
        (pages, offer)
    }
}

struct Stock {
    pages: Pages,
    offer: Arc<Offer>,
    read: Stopwatch,
}

impl Shelf {
    pub(super) fn stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    pub(super) async fn offer(&self, link: &Link, age: Duration) -> Result<Arc<Offer>, Refusal> {
        let asked = Stopwatch::start();
        let mut stock = self.stock.lock().await;
        if let Some(stock) = stock.as_ref() {
            // In this order: what was read before it was asked for must not seem to be read after it.
            let waited = asked.elapsed();
            let old = stock.read.elapsed();
            let stale = self.stale.load(Ordering::Acquire);
            // What was read after it was asked for is as good as read anew, whatever is said to change meanwhile.
            if old <= waited || (!stale && old < age) {
                return Ok(stock.offer.clone());
            }
            if stale {
                tokio::time::sleep(SPACING.saturating_sub(old)).await;
            }
        }
        // Before reading: what changes from now on may be missing in what is read.
        self.stale.store(false, Ordering::Release);
        let read = Stopwatch::start();
        // Taken before waiting: when reading fails or is given up, what was known is not known to hold any more.
        let old = stock.take();
        let before = old.as_ref().map(|stock| stock.pages.clone()).or_else(|| link.server().common.pages());
        let pages = pages(link, before.as_deref().unwrap_or_default()).await?;
        let (pages, offer) = match old.as_ref() {
            Some(stock) if *stock.pages == *pages => (stock.pages.clone(), stock.offer.clone()),
            _ => link.server().common.share(link, pages),
        };
        link.listener.offered(link, &offer);
        *stock = Some(Stock { pages, offer: offer.clone(), read });
        Ok(offer)
    }
}

async fn pages(link: &Link, before: &[Page]) -> Result<Vec<Page>, Refusal> {
    let mut pages = Vec::new();
    for kind in Kind::LISTED {
        let capability = match kind {
            Kind::Resource | Kind::Template => "resources",
            Kind::Tool | Kind::Prompt | Kind::Instructions | Kind::Server => kind.plural(),
        };
        if link.hello().view().at(&["capabilities", capability]).is_some() {
            list(link, kind, (&mut pages, before)).await?;
        }
    }
    Ok(pages)
}

async fn list(link: &Link, kind: Kind, (pages, before): (&mut Vec<Page>, &[Page])) -> Result<(), Refusal> {
    let mut cursor = None;
    let (mut definitions, mut bytes) = (0_usize, 0_usize);
    for _ in 0..MAX_PAGES {
        let page = match link.probe(&Probe::List(kind, cursor.clone())).await? {
            Outcome::Result(page) => page,
            // Some servers offer resources and do not know templates: that is an empty list.
            Outcome::Error(_) if cursor.is_none() => return Ok(()),
            Outcome::Error(_) => return Err(link.server().invalid(format_args!("the list of {} breaks off", kind.plural()))),
        };
        let page = Page::of(kind, page, before.get(pages.len()));
        definitions = definitions.saturating_add(page.definitions);
        bytes = bytes.saturating_add(page.json.bytes().len());
        let next = page.next.clone();
        pages.push(page);
        if definitions > MAX_DEFINITIONS || bytes > link.server().message_bytes || (next.is_some() && next == cursor) {
            break;
        }
        match next {
            None => return Ok(()),
            next => cursor = next,
        }
    }
    Err(link.server().invalid(format_args!("the list of {} does not end", kind.plural())))
}

fn compose(link: &Link, pages: &[Page]) -> Offer {
    let mut offer = Offer::default();
    if let Some(identity) = identity(link.hello()) {
        offer.add(Kind::Server, &identity);
    }
    if let Some(instructions) = link.hello().view().get("instructions").filter(|text| text.as_str().is_some_and(|text| !text.is_empty())) {
        offer.add(Kind::Instructions, &Json::object([("instructions", link.hello().share(instructions))]));
    }
    for Page { kind, json, .. } in pages {
        let list = json.view().get(kind.plural());
        for definition in list.into_iter().flat_map(View::items) {
            offer.add(*kind, &json.share(definition));
        }
    }
    offer
}

/// What a server says that it is and can do, as one definition: what stands in `serverInfo` (2026-07-28: in
/// `_meta`), and its capabilities.
fn identity(hello: &Json) -> Option<Json> {
    let view = hello.view();
    let info = view.get("serverInfo").or_else(|| view.at(&["_meta", "io.modelcontextprotocol/serverInfo"]))?;
    info.get("name").filter(|name| name.as_str().is_some())?;
    let info = hello.share(info);
    let mut edits = Edits::of(&info);
    if let Some(capabilities) = view.get("capabilities") {
        edits.set(info.view(), "capabilities", &hello.share(capabilities));
    }
    Some(edits.apply())
}
