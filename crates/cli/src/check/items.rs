//! What is looked at, each with its evidence.

use std::collections::BTreeSet;

use bartizan_gateway::clock;
use bartizan_gateway::config::{How, Loaded, Secured, ServerSettings};
use bartizan_gateway::review::{self, What};
use bartizan_gateway::upstream::{Confined, Surveyed};
use bartizan_meter::Period;
use bartizan_monitor::case::{Effect, Kind};
use bartizan_monitor::controls::{REGISTRY, output, schema};
use bartizan_monitor::lock::Lock;
use bartizan_monitor::lock::artefact::Artefact;
use bartizan_monitor::reason::Refusal;

mod doors;

/// How an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// As it should be.
    Good,
    /// Good to know.
    Note,
    /// Somebody has to do something.
    Open,
}

impl Standing {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Open => "open",
        }
    }
}

/// One thing that was looked at.
pub(super) struct Item {
    /// Stable, for scripts.
    pub(super) name: &'static str,
    /// The gateway, or a server.
    pub(super) about: String,
    pub(super) standing: Standing,
    pub(super) evidence: String,
    /// What to do; empty when nothing is to be done.
    pub(super) remedy: String,
}

impl Item {
    pub(super) fn new(about: &str, name: &'static str, standing: Standing, evidence: impl Into<String>) -> Self {
        Self { name, about: about.to_owned(), standing, evidence: evidence.into(), remedy: String::new() }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

const GATEWAY: &str = "gateway";

/// What concerns the gateway as a whole.
pub(super) fn gateway(loaded: &Loaded, lock: &Lock) -> Vec<Item> {
    let settings = &loaded.settings;
    let mut items = vec![configuration(loaded)];
    items.extend(loaded.weakenings.iter().map(|weakening| Item::new(GATEWAY, "weakening", Standing::Note, weakening.clone())));
    items.push(controls(loaded));
    items.extend(doors::items(loaded));
    items.extend(limits(loaded));
    items.push(remembered(loaded));
    let pins: usize = settings.servers.iter().map(|server| lock.of(&server.name).count()).sum();
    items.push(Item::new(GATEWAY, "lock", Standing::Good, format!("{}: {pins} approved definitions", settings.places.lock.display())));
    let strays: Vec<String> = lock.servers().filter(|name| settings.server(name).is_none()).map(str::to_owned).collect();
    if !strays.is_empty() {
        items.push(Item::new(GATEWAY, "lock", Standing::Note, format!("approved, and not configured: {}", strays.join(", "))));
    }
    items
}

/// Where it is remembered which writes were made.
fn remembered(loaded: &Loaded) -> Item {
    let settings = &loaded.settings;
    let told = match &settings.postgres {
        None => format!("writes are remembered in {}, for gateways over that directory", settings.places.state.join("once").display()),
        Some(postgres) => {
            let (line, lease) = (if postgres.line == Secured::Tls { "TLS" } else { "in clear text" }, clock::duration(postgres.lease));
            format!("writes are remembered in {postgres} ({line}, as {}), for all gateways over it; lease {lease}", postgres.username)
        }
    };
    Item::new(GATEWAY, "once", Standing::Good, told)
}

/// Names in the policy that nothing approved has. The server may only not have been reviewed yet.
pub(super) fn strange(names: &BTreeSet<(String, String)>) -> Vec<Item> {
    let item = |(name, rule): &(String, String)| {
        let said = format!("{name} in {rule}: nothing approved, and no server, is called that, so the rule says nothing about it");
        Item::new(GATEWAY, "policy", Standing::Note, said)
            .remedy("correct the name, or approve what it means; `bartizan policy coverage` shows what rules are about")
    };
    names.iter().map(item).collect()
}

/// The limits in force.
fn limits(loaded: &Loaded) -> Vec<Item> {
    let (limits, quota) = (&loaded.settings.limits, &loaded.settings.quota);
    let per_minute = [
        ("read tool and session", Some(quota.read_per_minute)),
        ("write tool and session", Some(quota.write_per_minute)),
        ("destructive tool and session", quota.destructive_per_minute.or(Some(quota.write_per_minute))),
        ("session", quota.session_per_minute),
        ("credential", quota.credential_per_minute),
        ("client", Some(quota.client_per_minute)),
        ("tool", quota.tool_per_minute),
        ("server", quota.server_per_minute),
        ("all", quota.total_per_minute),
        ("client (messages)", Some(limits.messages_per_minute)),
    ];
    let rates: Vec<String> = per_minute.into_iter().filter_map(|(of, count)| Some(format!("{} per {of}", count?))).collect();
    let budgets = quota.budgets.iter().map(|budget| {
        let amounts = [("calls", budget.calls), ("bytes", budget.bytes), ("cost", budget.cost)];
        let amounts: Vec<String> = amounts.into_iter().filter_map(|(what, amount)| Some(format!("{} {what}", amount?))).collect();
        let whose =
            if budget.per == Period::Session { String::new() } else { format!(" for each {}", format!("{:?}", budget.of).to_lowercase()) };
        Item::new(GATEWAY, "budget", Standing::Good, format!("{} a {}{whose}", amounts.join(", "), budget.per.name()))
    });
    let shared = loaded.settings.redis.iter().map(|redis| {
        let words = format!("limits and stops are shared through {}; when it is lost: {}", redis.url, redis.on_loss.name());
        Item::new(GATEWAY, "redis", Standing::Good, words)
    });
    let rates = Item::new(GATEWAY, "limits", Standing::Good, format!("a minute: {}", rates.join(", ")));
    [rates].into_iter().chain(budgets).chain(shared).collect()
}

fn configuration(loaded: &Loaded) -> Item {
    let settings = &loaded.settings;
    let path = settings.places.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    if settings.servers.is_empty() {
        return Item::new(GATEWAY, "config", Standing::Open, format!("{path}: no server is configured"))
            .remedy("add one: [servers.NAME] with a `command` or a `url`");
    }
    Item::new(GATEWAY, "config", Standing::Good, format!("{path}: {} servers, policy {}", settings.servers.len(), settings.policy_digest))
}

fn controls(loaded: &Loaded) -> Item {
    let observing: Vec<&str> = loaded.monitor.observing().collect();
    let mode = |name: &str| if observing.contains(&name) { format!("{name} (observes)") } else { name.to_owned() };
    let all: Vec<String> = REGISTRY.iter().map(|entry| mode(entry.name)).collect();
    let standing = if observing.is_empty() { Standing::Good } else { Standing::Open };
    let item = Item::new(GATEWAY, "controls", standing, all.join(", "));
    if observing.is_empty() { item } else { item.remedy("before launch, take them out of `dangerous.observe`") }
}

/// What a server's settings and approved definitions say.
pub(super) fn server(server: &ServerSettings, lock: &Lock) -> Vec<Item> {
    let name = &*server.name;
    let how = match &server.how {
        How::Stdio { command, env, .. } => format!(
            "starts {:?} with {} variables of its own and none of the gateway's",
            command.first().map_or("", String::as_str),
            env.len()
        ),
        How::Http { url, access } => {
            format!("{} at {}, {} headers of its own", url.scheme(), url.host_str().unwrap_or_default(), access.headers.len())
        }
    };
    let times = format!("calls {}, start {}", clock::duration(server.timeout), clock::duration(server.start_timeout));
    let mut items =
        vec![Item::new(name, "reach", Standing::Good, how), Item::new(name, "time limits", Standing::Good, times), approved(name, lock)];
    let broken = lock
        .of(name)
        .filter(|pin| pin.kind == Kind::Tool)
        .filter_map(|pin| schema::compiles(&pin.definition).err().map(|why| format!("{}: {why}", pin.name)));
    let unanswered = lock
        .of(name)
        .filter(|pin| pin.kind == Kind::Tool)
        .filter_map(|pin| output::compiles(&pin.definition).err().map(|why| format!("{}: {why}", pin.name)));
    items.extend(broken.map(|what| {
        Item::new(name, "schema", Standing::Open, what)
            .remedy("no call of it passes; report the schema to the server's author, or override it in [controls.schema]")
    }));
    items.extend(unanswered.map(|what| {
        Item::new(name, "output schema", Standing::Open, what)
            .remedy("no answer of it passes; report the schema to the server's author, or override it in [controls.output]")
    }));
    items
}

fn approved(name: &str, lock: &Lock) -> Item {
    if lock.lacks(name) {
        return Item::new(name, "approval", Standing::Open, "nothing is approved, so nothing is visible")
            .remedy(format!("bartizan approve {name}"));
    }
    let tools: Vec<_> = lock.of(name).filter(|pin| pin.kind == Kind::Tool).collect();
    let count = |effect: Effect| tools.iter().filter(|pin| pin.effect == effect).count();
    let others = lock.of(name).count().saturating_sub(tools.len());
    let classes = [Effect::Read, Effect::Write, Effect::Destructive].map(|effect| format!("{} {effect}", count(effect)));
    Item::new(
        name,
        "approval",
        Standing::Good,
        format!("{} tools approved ({}), {others} other definitions", tools.len(), classes.join(", ")),
    )
}

/// What a server is made of, against what was approved; also that, when the server may be started.
pub(super) fn made(name: &str, lock: &Lock, made: Result<Vec<Artefact>, Refusal>) -> (Item, Option<Vec<Artefact>>) {
    let made = match made {
        Ok(made) => made,
        Err(refusal) => {
            let item = Item::new(name, "artefact", Standing::Open, format!("{} ({})", refusal.detail, refusal.reason));
            return (item.remedy(refusal.reason.page().remedy), None);
        }
    };
    let approved = lock.artefacts(name);
    let told: Vec<String> =
        made.iter().map(|one| format!("{} {} {}", one.source.name(), one.name, one.version).trim_end().to_owned()).collect();
    let told = list(&told, "nothing that is started here, or nothing that is pinned");
    if approved == made {
        return (Item::new(name, "artefact", Standing::Good, told), Some(made));
    }
    let item =
        Item::new(name, "artefact", Standing::Open, format!("it is not made of what was approved, so it is not started; now: {told}"));
    (item.remedy(format!("bartizan diff {name}")), None)
}

/// What the machine actually enforced when the server was started to be looked at.
fn confinement(name: &str, confined: &Confined) -> Item {
    let mut told = vec![format!("{} ({})", confined.level, confined.preset)];
    told.extend(Some(confined.missing()).filter(|missing| !missing.is_empty()));
    told.extend(confined.hint());
    let standing = if confined.level == "native" && told.len() == 1 { Standing::Good } else { Standing::Note };
    Item::new(name, "confinement", standing, told.join("; "))
}

/// What a server offers now, against what was approved.
pub(super) fn offered(name: &str, lock: &Lock, surveyed: Result<Surveyed, Refusal>) -> Vec<Item> {
    let surveyed = match surveyed {
        Ok(surveyed) => surveyed,
        Err(refusal) => {
            let evidence = format!("{} ({})", refusal.detail, refusal.reason);
            return vec![
                Item::new(name, "contact", Standing::Open, evidence)
                    .remedy("BARTIZAN_LOG=info bartizan check shows the server's own words"),
            ];
        }
    };
    let changes = review::compare(lock, name, &surveyed.offer);
    let named = |pick: fn(&What) -> bool| -> Vec<String> {
        changes.iter().filter(|change| pick(&change.what)).map(|change| change.name.clone()).collect()
    };
    let mut items = vec![Item::new(
        name,
        "contact",
        Standing::Good,
        format!("speaks {}, offers {} definitions", surveyed.version, surveyed.offer.all().count()),
    )];
    items.extend(surveyed.confined.iter().map(|confined| confinement(name, confined)));
    let drifted = named(|what| matches!(what, What::Changed(..) | What::Removed(_)));
    items.extend(if lock.lacks(name) {
        None
    } else if drifted.is_empty() {
        Some(Item::new(name, "drift", Standing::Good, "everything that was approved is offered as it was reviewed"))
    } else {
        Some(
            Item::new(name, "drift", Standing::Open, format!("not as it was reviewed: {}", drifted.join(", ")))
                .remedy(format!("bartizan diff {name}")),
        )
    });
    let new = named(|what| matches!(what, What::New(_)));
    if !new.is_empty() && !lock.lacks(name) {
        items.push(Item::new(name, "new", Standing::Note, format!("offered, not approved, not visible: {}", new.join(", "))));
    }
    let rejected = named(|what| matches!(what, What::Rejected(_)));
    if !rejected.is_empty() {
        items.push(Item::new(name, "rejected", Standing::Note, format!("offered, and cannot be approved: {}", rejected.join(", "))));
    }
    items
}

fn list(values: &[String], none: &str) -> String {
    if values.is_empty() { none.to_owned() } else { values.join(", ") }
}
