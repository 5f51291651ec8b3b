//! The road of live traffic: a call of a tool and its answer, judged by every control as the gateway seats them. What the
//! other lines say of detectors is true of the product only while these lines are.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bartizan_gateway::identity::Imagined;
use bartizan_monitor::case::{Caller, Cover, Effect, Facts, Kind, Labels, Lent, Once};
use bartizan_monitor::catalog::{Catalog, Definition, Menu, Naming, Offer, Place};
use bartizan_monitor::journal::{Ledger, Receipt, Ticket};
use bartizan_monitor::lock::{Lock, Pin};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::{Mode, Monitor, Recorded, Ruling};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::envelope::{Arrival, Outcome, parse};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::mirror::Mirror;
use bytes::Bytes;
use toml::de::{DeTable, DeValue};

/// Reads, and takes anything.
pub(crate) const LOOK: &str = "look";
/// Takes a URL of any public host.
pub(crate) const URL: &str = "url";
/// Takes one word for a shell.
pub(crate) const WORD: &str = "word";

/// As controls come, but for two: nothing else covers personal data, and the words around a text are not part of it.
const CONFIG: &str = r#"
[personal.results]
email = "mask"
phone = "mask"
iban = "mask"
card = "mask"
us-ssn = "mask"
ip = "mask"
[provenance]
results = "off"
"#;

/// What came of an answer.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// The text that the client gets; nothing when it was withheld.
    pub(crate) text: String,
    /// Whether something is announced that weighs enough to block, and anything at all.
    pub(crate) announced: (bool, bool),
    /// What the record says that the controls did: `NAME:mark`.
    marks: Vec<String>,
}

impl Came {
    /// Whether a control masked something.
    pub(crate) fn masked_by(&self, control: &str) -> bool {
        self.marks.iter().any(|mark| *mark == format!("{control}:mask"))
    }
}

/// One gateway's worth of decisions.
pub(crate) struct Road {
    monitor: Monitor,
    catalog: Catalog,
    menu: Menu,
    caller: Caller,
    lent: Arc<Lent>,
}

/// What a call's record says in the end.
#[derive(Clone, Default)]
struct Closed(Arc<Mutex<Option<Json>>>);

impl Ledger for Closed {
    fn close(&self, members: &Json) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(members.clone());
    }
}

impl Closed {
    fn marks(&self) -> Vec<String> {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trail = closed.as_ref().and_then(|closed| closed.get("trail"));
        let marks =
            |trail: &Json| trail.view().members().map(|(name, mark)| format!("{name}:{}", mark.as_str().unwrap_or_default())).collect();
        trail.as_ref().map(marks).unwrap_or_default()
    }
}

static ROAD: LazyLock<Option<Road>> = LazyLock::new(Road::build);

/// The road; none when a control cannot be built, which shows as nothing being found.
pub(crate) fn road() -> Option<&'static Road> {
    ROAD.as_ref()
}

fn definition(name: &str) -> Option<Json> {
    let text = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object","properties":{{"value":{{}}}}}}}}"#);
    Json::parse(Bytes::from(text)).ok()
}

fn pinned(name: &str, format: &str) -> Option<Pin> {
    let mut pin = Pin::new(Definition::read(Kind::Tool, &definition(name)?).ok()?, Effect::Read);
    if !format.is_empty() {
        pin.contract.formats = vec![toml::from_str(format).ok()?];
    }
    Some(pin)
}

impl Road {
    fn build() -> Option<Self> {
        let written = DeTable::parse(CONFIG).ok()?.into_inner();
        let section = |name: &str| {
            let section = written.get(name)?;
            Some(toml::Spanned::new(section.span(), DeValue::clone(section.get_ref())))
        };
        let monitor = Monitor::new(Digest::of_bytes(CONFIG.as_bytes()), |entry| {
            Ok::<_, toml::de::Error>(((entry.build)(section(entry.name))?, Mode::Enforce))
        });
        let (mut lock, mut offer) = (Lock::default(), Offer::default());
        for (name, format) in [
            (LOOK, ""),
            (URL, "at = \"/value\"\nformat = \"url\"\nschemes = [\"http\", \"https\"]"),
            (WORD, "at = \"/value\"\nformat = \"shell-word\""),
        ] {
            lock.put("corpus", pinned(name, format)?);
            offer.add(Kind::Tool, &definition(name)?);
        }
        Some(Self {
            monitor: monitor.ok()?,
            catalog: Catalog::new(Arc::new(lock), "__"),
            menu: Menu { server: "corpus".into(), offer: Ok(Arc::new(offer)) },
            caller: Imagined { principal: "judge".to_owned(), ..Imagined::default() }.caller(),
            lent: Arc::new(Lent::new(&[1; 32], &[])),
        })
    }

    fn facts(&self) -> Facts {
        Facts {
            id: 1,
            now_ms: 0,
            session: "".into(),
            transport: "stdio",
            peer: None,
            labels: Labels::default(),
            stops: Arc::default(),
            tally: Arc::default(),
            agreed: Arc::default(),
            once: Once::default(),
            wires: None,
            cover: Cover::new(self.lent.clone(), [7; 12], [[7; 16]; 2]),
        }
    }

    fn recorded(&self, tool: &str, value: &str, closed: &Closed) -> Result<Recorded, Refusal> {
        let arguments = Json::object([("value", Json::string(value))]);
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#);
        let lost = || Refusal::new(bartizan_monitor::reason::gateway::MONITOR_FAULT, "the judge's own call");
        let Arrival::One(parsed) = parse(Bytes::from(text), &Mirror::none(), None) else { return Err(lost()) };
        let parsed = parsed.map_err(|misread| misread.refusal)?;
        let place = Place { naming: Naming::Plain, menus: std::slice::from_ref(&self.menu), owner: None };
        let case = self.catalog.case(parsed, &self.caller, place, self.facts())?;
        match self.monitor.admit(case, Ticket::open(1, Box::new(closed.clone())))? {
            Ruling::Admitted(admitted) => {
                let receipt = Receipt::assertion(Digest::of_bytes(admitted.decision().bytes()));
                admitted.record(Ok(receipt))
            }
            Ruling::Held(_) => Err(lost()),
        }
    }

    /// What becomes of a text that a tool returns; none when the call itself was refused, which no row wants.
    pub(crate) fn answer(&self, text: &str) -> Option<Came> {
        let closed = Closed::default();
        let recorded = self.recorded(LOOK, "", &closed).ok()?;
        let block = Json::object([("type", Json::string("text")), ("text", Json::string(text))]);
        let released = self.monitor.release(recorded.answered(Outcome::Result(Json::object([("content", Json::array([block]))]))));
        let marks = closed.marks();
        let Ok(released) = released else { return Some(Came { marks, ..Came::default() }) };
        let view = released.body().view();
        let text = view.get("content").and_then(|content| content.items().next()?.get("text")?.as_str());
        let found = |weight: &str| {
            let list = view.at(&["_meta", "io.github.bartizan-security/findings", weight]);
            list.is_some_and(|list| View::items(list).next().is_some())
        };
        let block = found("block");
        Some(Came { text: text.unwrap_or_default().into_owned(), announced: (block, block || found("warn")), marks })
    }

    /// Whether a value of the format that a tool names is refused for it.
    pub(crate) fn refuses(&self, tool: &str, value: &str) -> bool {
        let refused = self.recorded(tool, value, &Closed::default()).err();
        refused.is_some_and(|refusal| refusal.reason.code() == "argument.format")
    }
}
