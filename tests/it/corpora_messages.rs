//! Hostile and harmless messages against what the monitor alone can decide about them: the envelope, the
//! catalogue, definitions, and the controls that need no running server.

use std::time::{Duration, Instant};

use bartizan_monitor::case::{Caller, Event, Kind, Means, Reach};
use bartizan_monitor::catalog::Offer;
use bartizan_monitor::control::{Control as _, Verdict};
use bartizan_monitor::controls::schema;
use bartizan_monitor::stages::{Heard, Monitor};
use bartizan_monitor::wire::envelope::{self, Arrival, Message};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::mirror::Mirror;
use bartizan_monitor::wire::version::{Era, Version};
use bartizan_tests::corpora;
use bytes::Bytes;

/// Classes and recipes of which a part, or all, shows only at a running gateway: what is left to show
/// there, and the test that shows it.
const NEEDS_GATEWAY: &[(&str, &str, Option<&str>)] = &[
    (
        "id-confusion",
        "a response with another id, or an id of another type, answers nobody",
        Some("bad_input::an_id_of_another_type_answers_nobody"),
    ),
    ("logging", "a secret in a log notification does not reach the client", None),
    (
        "mrtr",
        "an elicitation inside a result is judged like one that stands alone",
        Some("cases::every_case_holds (request/secret_inside_a_result)"),
    ),
    (
        "server-request",
        "an elicitation for a credential is refused though the client takes elicitations",
        Some("cases::every_case_holds (request/secret)"),
    ),
    (
        "notification-flood",
        "a storm of list changes is coalesced",
        Some("bad_input::a_storm_of_list_changes_is_told_once_until_somebody_looks"),
    ),
    ("slow", "a sender of one byte a second meets a deadline", Some("http_edge::a_sender_without_haste_meets_a_deadline")),
    ("no-newline", "a line without an end meets the size limit before memory does", Some("bad_input::a_line_without_an_end_is_not_kept")),
    (
        "members",
        "two million members meet the size limit of the transport",
        Some("bad_input::arguments_without_measure_meet_the_size_of_a_message"),
    ),
    ("string", "a string of 256 MiB meets the size limit of the transport", Some("bad_input::a_line_without_an_end_is_not_kept")),
];

/// The tools of the corpus's messages.
fn tools() -> Vec<Json> {
    let tool = |name| Json::object([("name", Json::string(name)), ("inputSchema", Json::empty_object())]);
    ["read_file", "delete_all", "t"].map(tool).to_vec()
}

struct Row {
    class: String,
    label: String,
    expected: String,
    raw: Bytes,
}

/// What is wrong with our verdict.
type Judged = Result<(), String>;

fn hold(condition: bool, what: &str) -> Judged {
    if condition { Ok(()) } else { Err(what.to_owned()) }
}

#[test]
fn every_message_is_judged_as_the_corpus_expects() {
    let mut problems = Vec::new();
    let rows = corpora::rows("dev/mcp_messages");
    assert_eq!(rows.len(), 67, "the corpus has other rows than this test was written for");
    for json in rows {
        let raw = corpora::base64(&json, "raw_b64").unwrap_or_else(|| Bytes::from(corpora::text(&json, "raw")));
        let row = Row {
            class: corpora::text(&json, "class"),
            label: corpora::text(&json, "label"),
            expected: corpora::text(&json, "expected"),
            raw,
        };
        if let Err(problem) = judge(&row) {
            problems.push(format!("{} ({}): {problem}", corpora::text(&json, "id"), row.class));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

fn judge(row: &Row) -> Judged {
    match row.class.as_str() {
        "control" => accepted(row),
        "malformed" if row.label == "edge" => accepted(row),
        "malformed" | "duplicate-key" | "key-case" | "key-case-shadow" => refused(row),
        "name-trick" => unknown(row),
        "batch" => batched(row),
        "stdio-newline" => two_lines(row),
        "stdio-noise" => noise(row),
        "schema-hazard" | "schema-ok" => defined(row),
        "server-request" => requested(row),
        "id-confusion" | "logging" | "mrtr" => covered(&row.class).and_then(|()| said(row).map(|_| ())),
        "generated" | "notification-flood" => recipe(row),
        other => Err(format!("a class that this test does not know: {other}")),
    }
}

fn covered(what: &str) -> Judged {
    hold(NEEDS_GATEWAY.iter().any(|(class, ..)| *class == what), "not in the list of what needs a gateway")
}

/// The message, read as a client's in every session that there can be.
fn read(row: &Row) -> Vec<Arrival> {
    let sessions = std::iter::once(None).chain(Version::ALL.into_iter().filter(|version| version.era() == Era::Legacy).map(Some));
    sessions.map(|session| envelope::parse(row.raw.clone(), &Mirror::none(), session)).collect()
}

fn refused(row: &Row) -> Judged {
    let refused = |arrival: &Arrival| match arrival {
        Arrival::One(parsed) => parsed.is_err(),
        Arrival::Batch(items) => items.iter().all(Result::is_err),
    };
    hold(read(row).iter().all(refused), "must be refused")
}

/// Accepted, and every byte of the parameters as it came.
fn accepted(row: &Row) -> Judged {
    let text = String::from_utf8_lossy(&row.raw).into_owned();
    for arrival in read(row) {
        let Arrival::One(parsed) = arrival else { return Err("is no batch".to_owned()) };
        let parsed = parsed.map_err(|misread| misread.refusal.reason.code().to_owned())?;
        if let Message::Request { params: Some(params), .. } = parsed.message() {
            hold(text.contains(params.view().text()), "the parameters were rewritten")?;
        }
    }
    Ok(())
}

fn unknown(row: &Row) -> Judged {
    let refusal = corpora::case(&tools(), row.raw.clone()).err().ok_or("must not reach a tool")?;
    hold(refusal.reason.code() == "catalog.unknown", refusal.reason.code())
}

fn batched(row: &Row) -> Judged {
    for session in Version::ALL {
        match envelope::parse(row.raw.clone(), &Mirror::none(), Some(session)) {
            Arrival::Batch(items) => hold(
                session == Version::V2025_03_26 && items.len() > 1 && items.iter().all(Result::is_ok),
                "each member must be read alone",
            )?,
            Arrival::One(parsed) => hold(session != Version::V2025_03_26 && parsed.is_err(), "only 2025-03-26 has batches")?,
        }
    }
    Ok(())
}

/// As one message it is refused; a transport of lines reads two, and each is a call of its own.
fn two_lines(row: &Row) -> Judged {
    refused(row)?;
    let lines: Vec<_> = row.raw.split(|byte| *byte == b'\n').collect();
    hold(lines.len() == 2, "two lines")?;
    lines.into_iter().try_for_each(|line| {
        corpora::case(&tools(), row.raw.slice_ref(line)).map(|_| ()).map_err(|refusal| refusal.reason.code().to_owned())
    })
}

fn noise(row: &Row) -> Judged {
    let refused = |version| match envelope::parse_server(row.raw.clone(), version) {
        // The detail goes to a log that a person may read in a terminal.
        Err(refusal) => !refusal.detail.chars().any(char::is_control),
        Ok(_) => false,
    };
    hold(Version::ALL.into_iter().all(refused), "must be refused, without an echo")
}

/// What a server said, read in the newest version that knows it.
fn said(row: &Row) -> Result<Message, String> {
    let mut said = Version::ALL.into_iter().rev().filter_map(|version| envelope::parse_server(row.raw.clone(), version).ok());
    said.next().and_then(|mut messages| messages.pop()).ok_or_else(|| "no version understands it".to_owned())
}

/// The definitions in a list's result: offered and checkable, or neither.
fn defined(row: &Row) -> Judged {
    let Message::Response { outcome: envelope::Outcome::Result(result), .. } = said(row)? else { return Err("is no result".to_owned()) };
    let mut offer = Offer::default();
    for tool in result.view().get("tools").into_iter().flat_map(View::items) {
        offer.add(Kind::Tool, &result.share(tool));
    }
    let usable = offer.rejected().is_empty() && offer.all().all(|definition| schema::compiles(&definition.json).is_ok());
    let excluded = ["tool excluded", "tool rejected"].iter().any(|words| row.expected.contains(words));
    hold(usable != excluded, if excluded { "must be excluded" } else { "must be usable" })
}

/// Requests of a server: none that only clients send, none in the modern era, and none that the
/// client did not say it can answer.
fn requested(row: &Row) -> Judged {
    hold(envelope::parse_server(row.raw.clone(), Version::NEWEST).is_err(), "the modern era has no requests of servers")?;
    let Ok(mut messages) = envelope::parse_server(row.raw.clone(), Version::NEWEST_LEGACY) else { return Ok(()) };
    let Some(Message::Request { method, params, .. }) = messages.pop() else { return Err("is no request".to_owned()) };
    let monitor = Monitor::defaults().map_err(|_| "the defaults do not build")?;
    let heard = |capabilities: Json| {
        let caller = Caller::assertion("p", Means::LocalUser, Reach::all());
        let event = Event {
            caller,
            server: "s".into(),
            method,
            params: params.clone(),
            capabilities: Some(capabilities),
            facts: bartizan_monitor::case::Facts {
                id: 0,
                now_ms: 0,
                session: "s".into(),
                transport: "http",
                peer: None,
                labels: Default::default(),
                stops: Default::default(),
                tally: Default::default(),
                agreed: Default::default(),
                once: bartizan_monitor::case::Once::default(),
                wires: None,
                cover: Default::default(),
            },
            read: Default::default(),
        };
        monitor.relay(Heard::new(event)).is_ok()
    };
    hold(!heard(Json::empty_object()), "the client did not offer it")?;
    if method == Method::Elicitation {
        return covered(&row.class);
    }
    hold(!heard(Json::object([("sampling", Json::empty_object())])), "the operator did not allow it")
}

/// Messages that are too large to be stored. Whether so many bytes are taken at all is the transport's
/// decision, and is made before this one; here they must be judged in bounded time, and the
/// arguments must meet the bounds of the `schema` control.
fn recipe(row: &Row) -> Judged {
    let recipe = Json::parse(row.raw.clone()).map_err(|error| error.to_string())?;
    let count = |most: usize| recipe.view().get("n").and_then(View::as_i64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(most);
    let arguments = match corpora::text(&recipe, "gen").as_str() {
        "members" => members((0..count(100_000)).map(|n| format!("k{n}"))),
        "hash-collision-keys" => members((0..count(65_536)).map(colliding)),
        "string" => format!(r#"{{"a":"{}"}}"#, "a".repeat(count(4 << 20))),
        "depth" => format!(r#"{{"a":{}{}}}"#, "[".repeat(count(100_000)), "]".repeat(count(100_000))),
        "repeat" => return covered(&row.class),
        other => return covered(other),
    };
    let message =
        Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#));
    let started = Instant::now();
    let verdict = match corpora::case(&tools(), message) {
        Err(refusal) => refusal.reason.code(),
        Ok(case) => match schema::build(schema::Config::default()).map_err(|error| error.to_string())?.on_call(&case) {
            Ok(Verdict::Deny(refusal)) => refusal.reason.code(),
            other => return Err(format!("must be refused: {}", other.is_ok())),
        },
    };
    hold(["schema.bounds", "wire.depth"].contains(&verdict), verdict)?;
    // Far above what it takes, and far below what a quadratic scan would: the machine may be busy with other tests.
    hold(started.elapsed() < Duration::from_secs(10), "takes too long")
}

fn members(keys: impl Iterator<Item = String>) -> String {
    let members: Vec<_> = keys.map(|key| format!(r#""{key}":1"#)).collect();
    format!("{{{}}}", members.join(","))
}

/// Keys that share one value of the hash that multiplies by 31: each bit is one of two halves that do.
fn colliding(number: usize) -> String {
    (0..16).map(|bit| if number >> bit & 1 == 0 { "Aa" } else { "BB" }).collect()
}
