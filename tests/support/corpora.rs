//! The shared corpora: data that is read where it lies and never copied into the repository.
//!
//! Much of it is adversarial text. It is counted and judged here, and a failing test names a row by its
//! id, never by what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_monitor::case::{Caller, Case, Effect, Facts, Kind, Means, Reach};
use bartizan_monitor::catalog::{Catalog, Definition, Menu, Naming, Offer, Place};
use bartizan_monitor::lock::{Lock, Pin};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::envelope::{self, Arrival};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::mirror::Mirror;
use bytes::Bytes;

/// The environment variable that says where the corpora are.
pub const VARIABLE: &str = "BARTIZAN_CORPORA";

/// Where they are when it does not: beside the repository.
const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");

const EXCEPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpora-exceptions.toml");

fn directory() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(BESIDE), PathBuf::from)
}

/// The lines of one file, for example `public/json_parsing`.
///
/// # Panics
///
/// When the corpora are not there: a test that needs them must not pass without them.
#[must_use]
pub fn lines(name: &str) -> Vec<Bytes> {
    let path = directory().join(format!("{name}.jsonl.gz"));
    let file = std::fs::File::open(&path).unwrap_or_else(|error| {
        panic!("{}: {error}. This test needs the shared corpora: put them beside the repository (../shared/corpora) or set {VARIABLE} to their directory", path.display())
    });
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = Bytes::from(text);
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| text.slice_ref(line)).collect()
}

/// The rows of one file, read with the strict parser.
///
/// # Panics
///
/// When the corpora are not there, or a row is not strict JSON.
#[must_use]
pub fn rows(name: &str) -> Vec<Json> {
    let row = |(index, line)| Json::parse(line).unwrap_or_else(|error| panic!("{name}, line {}: {error}", index + 1));
    lines(name).into_iter().enumerate().map(row).collect()
}

/// The text of a member; empty when there is none.
#[must_use]
pub fn text(row: &Json, key: &str) -> String {
    row.view().get(key).and_then(|value| value.as_str().map(std::borrow::Cow::into_owned)).unwrap_or_default()
}

/// The bytes that a member holds in base64.
///
/// # Panics
///
/// When it is not base64.
#[must_use]
pub fn base64(row: &Json, key: &str) -> Option<Bytes> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = row.view().get(key)?.as_str()?.into_owned();
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    for symbol in text.trim_end_matches('=').bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == symbol).expect("base64");
        bits = (bits << 6) | u32::try_from(digit).expect("below 64");
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).expect("masked"));
        }
    }
    Some(Bytes::from(out))
}

/// Compares where we differ from a corpus with the table of `corpora-exceptions.toml` that says where
/// we mean to. A difference that is not listed fails, and so does one that is listed and gone.
///
/// # Panics
///
/// When they are not the same.
pub fn settle(table: &str, differing: &BTreeSet<String>) {
    let text = std::fs::read_to_string(EXCEPTIONS).unwrap_or_else(|error| panic!("{EXCEPTIONS}: {error}"));
    let tables: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(&text).unwrap_or_else(|error| panic!("{EXCEPTIONS}: {error}"));
    let listed: BTreeSet<String> = tables.get(table).into_iter().flatten().map(|(name, _reason)| name.clone()).collect();
    let mut report = String::new();
    for name in differing.difference(&listed) {
        let _ = writeln!(report, "  differs, and is not listed: {name:?}");
    }
    for name in listed.difference(differing) {
        let _ = writeln!(report, "  is listed, and does not differ any more: {name:?}");
    }
    assert!(report.is_empty(), "[{table}] in tests/corpora-exceptions.toml:\n{report}");
}

/// The server that offers the tools of a test.
pub const SERVER: &str = "files";

/// Makes the case of a message, in a world where one server offers these tools and all are approved.
///
/// # Errors
///
/// What refuses the message before any control is asked.
///
/// # Panics
///
/// When a definition is none, or the message is a batch.
pub fn case(tools: &[Json], message: Bytes) -> Result<Case, Refusal> {
    let (mut lock, mut offer) = (Lock::default(), Offer::default());
    for tool in tools {
        let definition = Definition::read(Kind::Tool, tool).expect("a definition");
        offer.add(Kind::Tool, tool);
        lock.put(SERVER, Pin::new(definition, Effect::Read));
    }
    let parsed = match envelope::parse(message, &Mirror::none(), None) {
        Arrival::One(parsed) => parsed.map_err(|misread| misread.refusal)?,
        Arrival::Batch(_) => panic!("a batch"),
    };
    let menus = [Menu { server: SERVER.into(), offer: Ok(Arc::new(offer)) }];
    let place = Place { naming: Naming::Plain, menus: &menus, owner: None };
    let facts = Facts {
        id: 1,
        now_ms: 0,
        session: "s".into(),
        transport: "stdio",
        peer: None,
        labels: Default::default(),
        stops: Arc::default(),
        tally: Arc::default(),
        agreed: Arc::default(),
        once: bartizan_monitor::case::Once::default(),
        wires: None,
        cover: Default::default(),
    };
    Catalog::new(Arc::new(lock), "__").case(parsed, &Caller::assertion("p", Means::LocalUser, Reach::all()), place, facts)
}

/// A call of a tool.
#[must_use]
pub fn call(tool: &str, arguments: Json) -> Bytes {
    let params = Json::object([("name", Json::string(tool)), ("arguments", arguments)]);
    Json::object([("jsonrpc", Json::string("2.0")), ("id", Json::number(1)), ("method", Json::string("tools/call")), ("params", params)])
        .bytes()
        .clone()
}
