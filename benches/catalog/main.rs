//! What a catalogue costs inside the gateway: made of what a server says, scanned, listed, compared on a call.
//!
//! `bench-catalog N` prints one JSON object: milliseconds for all `N` tools, nanoseconds for one comparison, and how
//! much memory the catalogue holds.

#[path = "../upstream/tools.rs"]
mod tools;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bartizan_gateway::review::{self, Advice};
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::catalog::{Catalog, Menu, Naming, Offer};
use bartizan_monitor::lock::{Lock, Pin};
use bartizan_monitor::wire::json::{Json, View};

/// The best of so many: what else the machine does is no cost of ours.
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let count = std::env::args().nth(1).map_or(Ok(1000), |word| word.parse()).context("how many tools")?;
    let page = Json::parse(tools::json(count).into_bytes().into()).ok().context("the tools are JSON")?;
    let before = resident_kib()?;
    let offer = Arc::new(offered(&page));
    let lock = locked(&offer);
    let catalog = Catalog::new(Arc::new(lock), "__");
    let held = resident_kib()? - before;
    let menus = [Menu { server: "s".into(), offer: Ok(offer.clone()) }];
    let made = best(|| offered(&page));
    let scanned = best(|| {
        let changes = review::compare(&Lock::default(), "s", &offer);
        Advice::on(&Lock::default(), "s", &changes)
    });
    let listed = best(|| Json::array(catalog.listed(Kind::Tool, Naming::Plain, &menus).into_iter().map(|(_, shown)| shown)));
    let name = offer.of(Kind::Tool).nth(count / 2).context("a tool in the middle")?.name.clone();
    let checks = 1_000_000_u32;
    let compared = best(|| (0..checks).filter(|_| is_pinned(&catalog, &offer, black_box(&name))).count());
    let ms = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
    let all = made + scanned + listed;
    println!(
        "{}",
        serde_json::json!({
            "tools": count, "bytes": page.bytes().len(), "read_and_hash_ms": ms(made), "scan_ms": ms(scanned), "list_ms": ms(listed),
            "all_ms": ms(all), "pin_check_ns": (compared.as_secs_f64() * 1e9 / f64::from(checks)).round(), "memory_kib": held,
        })
    );
    Ok(())
}

fn offered(page: &Json) -> Offer {
    let mut offer = Offer::default();
    page.view().items().for_each(|tool: View<'_>| offer.add(Kind::Tool, &page.share(tool)));
    offer
}

fn locked(offer: &Offer) -> Lock {
    let mut lock = Lock::default();
    offer.all().for_each(|definition| drop(lock.put("s", Pin::new(definition.clone(), Effect::Read))));
    lock
}

/// What a call's comparison with the lock file does.
fn is_pinned(catalog: &Catalog, offer: &Offer, name: &str) -> bool {
    let pin = catalog.lock().get("s", Kind::Tool, name);
    pin.is_some_and(|pin| offer.get(Kind::Tool, &pin.name).is_some_and(|offered| offered.digest == pin.digest))
}

fn best<T>(work: impl Fn() -> T) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

fn resident_kib() -> Result<i64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.split_whitespace().next().context("no number")?.parse().context("VmRSS")
}
