//! The cases: one file per thing that a control does, readable without reading Rust.
//!
//! A case sets up a scripted server and a gateway, sends lines, and says what the client must see, what
//! must have reached the server, and what must stand in the journal. `tests/cases/README.md` has the
//! format. The registry tests below hold the cases and the controls together.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bartizan_monitor::controls::REGISTRY;
use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::http::{Served, Visitor};
use bartizan_tests::json::difference;
use bartizan_tests::process::eventually;
use bartizan_tests::script::{Act, Era, Script};
use bartizan_tests::standin::{Says, StandIn};
use serde::Deserialize;
use serde_json::{Value, json};

const SERVER: &str = "files";
const LOCK: &str = "bartizan.lock";
const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":$CAPABILITIES}"#;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows, in one sentence.
    what: String,
    /// Put over the configuration.
    #[serde(default)]
    config: String,
    /// What an external judge answers, where there is one; `$JUDGE` in the configuration is its address.
    judge: Option<Value>,
    /// `stdio` or `http`.
    #[serde(default)]
    transport: Transport,
    /// The version of the session; `2026-07-28` has none.
    #[serde(default = "newest_legacy")]
    version: String,
    /// Which introductions the server understands; that of the client's version when it does not say.
    era: Option<Era>,
    /// What the client declares that it can do.
    #[serde(default)]
    capabilities: BTreeMap<String, Value>,
    /// Options of the client's token, where it has one.
    #[serde(default)]
    token: Vec<String>,
    /// What the server offers.
    #[serde(default)]
    tool: Vec<Tool>,
    /// Prompts, resources and resource templates, all of them approved.
    #[serde(default)]
    prompt: Vec<Value>,
    #[serde(default)]
    resource: Vec<Value>,
    #[serde(default)]
    template: Vec<Value>,
    /// What the server does instead of the usual, by method.
    #[serde(default)]
    on: BTreeMap<String, Vec<Act>>,
    /// Other files beside the configuration.
    #[serde(default)]
    file: BTreeMap<String, String>,
    step: Vec<Step>,
}

fn newest_legacy() -> String {
    "2025-11-25".to_owned()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transport {
    #[default]
    Stdio,
    Http,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default = "any_path")]
    schema: Value,
    /// The schema of its structured content, where it has one.
    output: Option<Value>,
    #[serde(default = "read")]
    effect: String,
    #[serde(default = "yes")]
    approve: bool,
    /// Lines that the operator adds to the tool's entry in the lock file (TOML).
    #[serde(default)]
    contract: String,
    /// What the server does when it is called, instead of answering with the arguments.
    #[serde(default)]
    on: Vec<Act>,
}

fn any_path() -> Value {
    json!({"type": "object", "properties": {"path": {"type": "string"}}})
}

fn read() -> String {
    "read".to_owned()
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The server offers this in the place of the tool of the same name, or beside the others.
    offers: Option<Tool>,
    /// The server does not offer this tool any more.
    withdraws: Option<String>,
    /// What the operator suspends or resumes first: options of the command.
    suspend: Option<Vec<String>>,
    resume: Option<Vec<String>>,
    /// A line for the gateway, exactly. `$META` stands for what every modern request carries, `$N` for the count.
    send: Option<String>,
    /// How often it is sent; only the last time is judged.
    #[serde(default = "once")]
    times: usize,
    /// Headers and path, over HTTP.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    path: Option<String>,
    /// Over HTTP: the status.
    status: Option<u16>,
    /// What the answer must hold (JSON); `none` when there must be none, `later` when a later step hears it.
    expect: Option<String>,
    /// A mark that is made after the answer, for a server that waits for it.
    touches: Option<String>,
    /// What the client must hear beside the answer (JSON).
    hears: Option<String>,
    /// The methods that must have reached the server in this step, beside what the gateway asks itself.
    upstream: Option<Vec<String>>,
    /// What the record that was closed in this step must hold.
    journal: Option<Value>,
    /// What a line of the journal that is no call must hold.
    note: Option<Value>,
}

const fn once() -> usize {
    1
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// All cases: the control they belong to, their path below `tests/cases`, and what they say.
fn cases() -> Vec<(String, String, Case)> {
    let mut found = Vec::new();
    let entries = |path: &Path| {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(path).expect("cases").flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    for folder in entries(&directory()).into_iter().filter(|path| path.is_dir()) {
        let control = folder.file_name().expect("a name").to_string_lossy().into_owned();
        for file in entries(&folder) {
            let name = format!("{control}/{}", file.file_name().expect("a name").to_string_lossy());
            let text = std::fs::read_to_string(&file).expect("a case");
            let case = toml::from_str(&text).unwrap_or_else(|error| panic!("tests/cases/{name}: {error}"));
            found.push((control.clone(), name, case));
        }
    }
    found
}

#[test]
fn every_case_holds() {
    let cases = cases();
    let (next, failures) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some((_, name, case)) = next.lock().expect("no panic inside").next() else { return };
            let played = catch_unwind(AssertUnwindSafe(|| play(case)));
            if let Err(panic) = played {
                let why = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()));
                let why = why.unwrap_or_default();
                failures.lock().expect("no panic inside").push(format!("tests/cases/{name}: {}\n{why}", case.what));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().expect("no panic inside");
    assert!(failures.is_empty(), "{} of {} cases fail:\n\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

fn play(case: &Case) {
    let judge = case.judge.clone().map(|answer| StandIn::start(move |_| Says::Json(200, answer.clone())));
    let address = judge.as_ref().map(|judge| format!("http://{}/", judge.address)).unwrap_or_default();
    let stage = Stage::new(&case.config.replace("$JUDGE", &address));
    for (name, text) in &case.file {
        let path = stage.path(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text)).expect("writable");
    }
    let mut script = script(case);
    stage.server(SERVER, &script);
    if let Some(text) = case.file.get(LOCK) {
        std::fs::write(stage.path(LOCK), made_of(&stage, text)).expect("writable");
    }
    let mut targets: Vec<String> = case.tool.iter().filter(|tool| tool.approve).map(|tool| format!("{SERVER}/{}", tool.name)).collect();
    let others = [(&case.prompt, "name"), (&case.resource, "uri"), (&case.template, "uriTemplate")];
    let named = others.iter().flat_map(|(all, key)| all.iter().filter_map(|one| one.get(*key)?.as_str()));
    targets.extend(named.map(|name| format!("{SERVER}/{name}")));
    if !targets.is_empty() {
        let effects: Vec<String> =
            case.tool.iter().filter(|tool| tool.approve).map(|tool| format!("{}={}", tool.name, tool.effect)).collect();
        stage.approve(&texts(&targets), &texts(&effects));
    }
    for tool in case.tool.iter().filter(|tool| !tool.contract.is_empty()) {
        let (path, entry) = (stage.path("bartizan.lock"), format!("name = {:?}\n", tool.name));
        let text = std::fs::read_to_string(&path).expect("the lock file");
        assert!(text.contains(&entry), "{} is in the lock file", tool.name);
        std::fs::write(&path, text.replace(&entry, &format!("{entry}{}\n", tool.contract))).expect("writable");
    }
    stage.forget(SERVER);
    let mut gateway = Gateway::open(case, &stage);
    for (number, step) in case.step.iter().enumerate() {
        let judged = catch_unwind(AssertUnwindSafe(|| take(case, step, &stage, &mut script, &mut gateway)));
        if let Err(why) = judged.unwrap_or_else(|panic| Err(panic.downcast_ref::<String>().cloned().unwrap_or_default())) {
            panic!("step {}: {why}\n{}", number + 1, gateway.transcript());
        }
    }
    drop(gateway);
    stage.verify();
}

/// A lock file by other hands than the gateway's, completed by what the server is made of on this machine.
fn made_of(stage: &Stage, text: &str) -> String {
    std::fs::remove_file(stage.path(LOCK)).expect("it was written");
    // What is left to review does not matter here.
    stage.output(&["approve", SERVER, "--all", "--yes"]);
    let written = std::fs::read_to_string(stage.path(LOCK)).expect("a lock file");
    let artefacts: String =
        written.split("\n\n").filter(|part| part.starts_with("[[artefact]]")).map(|part| format!("\n{part}\n")).collect();
    text.replacen("version = 1\n", &format!("version = 1\n{artefacts}"), 1)
}

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn definition(tool: &Tool) -> Value {
    let mut definition = json!({"name": tool.name, "description": tool.description, "inputSchema": tool.schema});
    if let (Some(output), Some(members)) = (&tool.output, definition.as_object_mut()) {
        members.insert("outputSchema".to_owned(), output.clone());
    }
    definition
}

fn script(case: &Case) -> Script {
    let mut on = case.on.clone();
    for tool in case.tool.iter().filter(|tool| !tool.on.is_empty()) {
        on.insert(format!("tools/call {}", tool.name), tool.on.clone());
    }
    // A server that changes what it offers says so; the steps make the marks that it waits for.
    let changes = case.step.iter().filter(|step| step.offers.is_some() || step.withdraws.is_some()).count();
    let told = |number: usize| {
        [Act::Until(format!("change-{number}")), Act::Line(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned())]
    };
    if changes > 0 {
        on.insert("notifications/initialized".to_owned(), (1..=changes).flat_map(told).collect());
    }
    let usual = if case.version == "2026-07-28" { Era::Modern } else { Era::Legacy };
    let era = case.era.unwrap_or(usual);
    let (prompts, resources, templates) = (case.prompt.clone(), case.resource.clone(), case.template.clone());
    Script { era, tools: case.tool.iter().map(definition).collect(), prompts, resources, templates, on, ..Script::default() }
}

/// The gateway of a case, whatever lies between.
enum Gateway {
    Stdio(Box<Client>),
    Http { served: Served, token: String, session: Option<String>, transcript: String },
}

impl Gateway {
    fn open(case: &Case, stage: &Stage) -> Self {
        let legacy = case.version != "2026-07-28";
        match case.transport {
            Transport::Stdio => {
                let mut client = stage.run(SERVER);
                if legacy {
                    client.initialize_as(&case.version, &json!(case.capabilities));
                }
                Self::Stdio(Box::new(client))
            }
            Transport::Http => {
                let token = stage.token("case", &texts(&case.token)).text;
                let served = stage.serve();
                let session = legacy.then(|| served.visitor(&token).initialize().session().to_owned());
                Self::Http { served, token, session, transcript: String::new() }
            }
        }
    }

    fn transcript(&self) -> String {
        match self {
            Self::Stdio(client) => format!("{}\n{}", client.transcript(), client.said.text()),
            Self::Http { served, transcript, .. } => format!("{transcript}\n{}", served.said.text()),
        }
    }

    /// Sends a line and returns the answer, if one comes.
    fn send(&mut self, step: &Step, line: &str) -> Result<Option<Value>, String> {
        match self {
            Self::Stdio(client) => {
                client.send(line);
                if matches!(step.expect.as_deref(), Some("none" | "later")) {
                    return Ok(None);
                }
                let id = bartizan_tests::json::read(line).get("id").cloned().unwrap_or_default();
                Ok(Some(client.expect(|message| {
                    message.get("method").is_none()
                        && (message.get("id") == Some(&id) || message.get("id") == Some(&Value::Null) || message.is_array())
                })))
            }
            Self::Http { served, token, session, transcript } => {
                let mut visitor: Visitor<'_> = served.visitor(token).at(step.path.as_deref().unwrap_or("/mcp/files"));
                if let Some(session) = session {
                    visitor = visitor.with("Mcp-Session-Id", session).with("MCP-Protocol-Version", "2025-11-25");
                }
                for (name, value) in &step.headers {
                    visitor = visitor.with(name, value);
                }
                let answer = visitor.send("POST", line);
                let text = String::from_utf8_lossy(&answer.body);
                transcript.push_str(&format!("--> {line}\n<-- {} {text}\n", answer.status()));
                if step.status.is_some_and(|status| status != answer.status()) {
                    return Err(format!("HTTP {}", answer.status()));
                }
                Ok(Some(answer.json()).filter(|answer| !answer.is_null()))
            }
        }
    }
}

fn take(case: &Case, step: &Step, stage: &Stage, script: &mut Script, gateway: &mut Gateway) -> Result<(), String> {
    let (reached, mut noted) = (stage.reached(SERVER).len(), stage.journal().0.len());
    if step.offers.is_some() || step.withdraws.is_some() {
        change(step, stage, script, gateway);
    }
    for (command, words) in [("suspend", &step.suspend), ("resume", &step.resume)] {
        if let Some(words) = words {
            stage.done(&[&[command], texts(words).as_slice()].concat());
        }
    }
    if let Some(send) = &step.send {
        let meta = META.replace("$CAPABILITIES", &json!(case.capabilities).to_string());
        let line = |count: usize| send.replace("$META", &meta).replace("$N", &count.to_string());
        for count in 1..step.times {
            gateway.send(step, &line(count))?;
            noted = stage.journal().0.len();
        }
        let answer = gateway.send(step, &line(step.times))?;
        judge_answer(step, answer, gateway)?;
    }
    if let Some(mark) = &step.touches {
        std::fs::write(stage.path(mark), "").expect("writable");
    }
    if let (Some(hears), Gateway::Stdio(client)) = (&step.hears, &mut *gateway) {
        let wanted: Value = serde_json::from_str(hears).map_err(|error| format!("hears: {error}"))?;
        client.expect(|message| difference(&wanted, message).is_none());
    }
    if let Some(upstream) = &step.upstream {
        // What is sent to the server before the answer comes back is there by now; what is not waited for may
        // take a moment.
        let found = || stage.reached(SERVER).split_off(reached);
        if found().len() < upstream.len() {
            eventually("what the server must receive", || found().len() >= upstream.len());
        }
        if found() != *upstream {
            return Err(format!("the server received {:?}, expected {upstream:?}", found()));
        }
    }
    if let Some(journal) = &step.journal {
        judge_record(journal, stage, noted)?;
    }
    if let Some(note) = &step.note {
        eventually(&format!("a note of {note}"), || stage.journal().0.iter().skip(noted).any(|line| difference(note, line).is_none()));
    }
    Ok(())
}

/// A record that was closed in this step is as expected. There is one, unless something else ended, too: a
/// cancelled call, or the question by which this test knows that nothing more comes.
fn judge_record(expected: &Value, stage: &Stage, noted: usize) -> Result<(), String> {
    let journal = stage.journal();
    let lines = journal.0.iter().skip(noted).filter(|line| line.get("event").is_some_and(|event| event == "closed"));
    let closed: Vec<Value> = lines.map(|line| journal.whole(line)).collect();
    if closed.iter().any(|found| difference(expected, found).is_none()) {
        return Ok(());
    }
    let found: Vec<String> = closed.iter().map(|found| format!("{}\n{found}", difference(expected, found).unwrap_or_default())).collect();
    Err(format!("no record of this step is as expected: {}", found.join("\n")))
}

fn change(step: &Step, stage: &Stage, script: &mut Script, gateway: &mut Gateway) {
    if let Gateway::Stdio(client) = gateway {
        // Who has looked is told of the next change; who has not is told once.
        client.tools();
    }
    let named = |tool: &Value, name: &str| tool.get("name").and_then(Value::as_str) == Some(name);
    if let Some(name) = &step.withdraws {
        script.tools.retain(|tool| !named(tool, name));
    }
    if let Some(tool) = &step.offers {
        match script.tools.iter_mut().find(|other| named(other, &tool.name)) {
            Some(other) => *other = definition(tool),
            None => script.tools.push(definition(tool)),
        }
    }
    stage.script(SERVER, script);
    let number = (1..).find(|number| !stage.path(&format!("change-{number}")).exists()).expect("an end");
    std::fs::write(stage.path(&format!("change-{number}")), "").expect("writable");
    if let Gateway::Stdio(client) = gateway {
        // The client hears of it when the gateway knows of it.
        client.heard("notifications/tools/list_changed");
    }
}

fn judge_answer(step: &Step, answer: Option<Value>, gateway: &mut Gateway) -> Result<(), String> {
    match (step.expect.as_deref(), answer) {
        (Some("none"), None) => match gateway {
            Gateway::Stdio(client) => {
                let before = client.so_far();
                if before.iter().all(|message| message.get("method").is_some()) {
                    Ok(())
                } else {
                    Err(format!("an answer came: {before:?}"))
                }
            }
            Gateway::Http { .. } => Ok(()),
        },
        (Some("later"), None) => Ok(()),
        (Some("none"), Some(answer)) => Err(format!("an answer came: {answer}")),
        (Some(expect), Some(answer)) => {
            let expected: Value = serde_json::from_str(expect).map_err(|error| format!("expect: {error}"))?;
            difference(&expected, &answer).map_or(Ok(()), |what| Err(format!("answer{what}\n{answer}")))
        }
        (Some(_), None) => Err("no answer".to_owned()),
        (None, _) => Ok(()),
    }
}

/// What the steps of the cases of an area say of the journal, as `member`.
fn shown(cases: &[(String, String, Case)], area: &str, member: &str) -> BTreeSet<String> {
    let steps = cases.iter().filter(|(control, ..)| control == area).flat_map(|(_, _, case)| &case.step);
    let said = steps.flat_map(|step| [step.journal.as_ref(), step.note.as_ref()]).flatten();
    said.filter_map(|said| said.get(member)?.as_str().map(str::to_owned)).collect()
}

#[test]
fn every_reason_of_every_control_has_a_case_that_produces_it() {
    let cases = cases();
    let controls = REGISTRY.iter().flat_map(|entry| entry.reasons);
    let mut missing = Vec::new();
    for reason in bartizan_monitor::catalog::REASONS.iter().chain(controls) {
        // A refused event is a note, which holds its reason as the detail.
        let mut produced = shown(&cases, reason.area(), "reason");
        produced.extend(shown(&cases, reason.area(), "detail"));
        if !produced.contains(reason.code()) {
            missing.push(reason.code());
        }
    }
    assert!(missing.is_empty(), "no case in tests/cases/AREA/ produces these: {missing:?}");
}

/// Reasons that no case can produce, because it takes more than lines: the test that does.
const ELSEWHERE: &[(&str, &str)] = &[
    ("artefact.changed", "an_upgrade_is_drift_until_it_is_reviewed"),
    ("artefact.floating", "a_version_that_floats_is_not_fetched_and_says_how_to_pin_it"),
    ("artefact.unclear", "what_cannot_be_read_or_fetched_is_not_started"),
    ("artefact.unknown", "a_lock_file_without_artefacts_starts_nothing_that_was_approved"),
    ("confirm.assurance", "more_assurance_than_a_client_has_comes_from_the_command_line"),
    ("confirm.busy", "calls_that_nobody_answers_hurt_nobody_else"),
    ("confirm.mismatch", "a_modern_client_brings_its_persons_answer_back_once_and_unaltered"),
    ("confirm.preview", "what_the_schema_does_not_declare_is_not_sent"),
    ("confirm.refused", "what_destroys_is_listed_and_asked_about_each_time"),
    ("confirm.stale", "definition_policy_and_stops_count_as_they_are_after_the_yes"),
    ("identity.algorithm", "tokens_for_somebody_else_and_from_somebody_else_stay_out"),
    ("identity.audience", "tokens_for_somebody_else_and_from_somebody_else_stay_out"),
    ("identity.binding", "a_bound_token_is_worth_nothing_without_its_certificate"),
    ("identity.certificate", "certificates_let_in_whom_they_name_and_nobody_else"),
    ("identity.cleartext", "only_configured_proxies_say_where_a_request_comes_from"),
    ("identity.expired", "nobody_is_anonymous_whatever_they_ask"),
    ("identity.invalid", "nobody_is_anonymous_whatever_they_ask"),
    ("identity.issuer", "tokens_for_somebody_else_and_from_somebody_else_stay_out"),
    ("identity.login", "what_a_login_would_allow_is_challenged_for"),
    ("identity.missing", "nobody_is_anonymous_whatever_they_ask"),
    ("identity.revoked", "a_revoked_token_is_out_on_the_next_message"),
    ("identity.scope", "scopes_open_servers_and_effects_and_a_challenge_names_them"),
    ("identity.unavailable", "who_cannot_be_asked_lets_nobody_in"),
    ("kept.dropped", "texts_that_read_like_orders_wait_for_a_person_and_for_nobody_else"),
    ("kept.evicted", "what_is_kept_goes_when_it_is_late_or_others_need_room"),
    ("kept.expired", "what_is_kept_goes_when_it_is_late_or_others_need_room"),
    ("kept.waits", "texts_that_read_like_orders_wait_for_a_person_and_for_nobody_else"),
    ("monitor.fault", "i3_a_control_that_fails_denies"),
    ("monitor.journal", "i4_a_dead_journal_stops_every_call"),
    ("confine.unavailable", "a_server_whose_minimum_cannot_be_given_does_not_start"),
    ("secret.missing", "a_missing_secret_stops_its_server_and_no_other"),
    ("secret.refused", "a_server_that_refuses_the_credential_is_shown_a_new_one_the_next_time"),
    ("secret.token", "callers_tokens_are_exchanged_and_never_passed_on"),
    ("secret.unavailable", "a_store_that_misbehaves_is_a_refusal_and_holds_up_nobody_else"),
    ("serve.suspended", "what_runs_is_cancelled_within_a_second_when_it_is_suspended"),
    ("serve.draining", "a_served_gateway_drains_too_and_takes_nothing_new"),
    ("session.limit", "sessions_are_counted"),
    ("session.unknown", "a_session_belongs_to_its_principal_and_endpoint"),
    ("upstream.not-allowed", "an_organisation_says_which_servers_may_be_used"),
    ("upstream.invalid", "what_a_server_says_badly_over_http_fails_its_call_only"),
    ("judge.changed", "a_call_leaves_by_what_holds_when_its_judges_have_answered"),
    ("wire.http", "every_request_is_judged_as_the_corpus_expects"),
    ("wire.http-method", "what_is_not_post_json_is_told_so"),
];

#[test]
fn every_reason_has_a_case_or_a_test_that_produces_it() {
    let cases = cases();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    let sources: String =
        std::fs::read_dir(folder).expect("tests").flatten().map(|file| std::fs::read_to_string(file.path()).expect("a test")).collect();
    let mut missing = Vec::new();
    for reason in bartizan_monitor::reasons() {
        let mut produced = shown(&cases, reason.area(), "reason");
        produced.extend(shown(&cases, reason.area(), "detail"));
        let test = ELSEWHERE.iter().find(|(code, _)| *code == reason.code()).map(|(_, test)| *test);
        match (produced.contains(reason.code()), test) {
            (true, None) => {}
            (false, Some(test)) if sources.contains(&format!("fn {test}()")) => {}
            (produced, test) => missing.push((reason.code(), produced, test)),
        }
    }
    assert!(missing.is_empty(), "neither a case nor a test, or both, or a test that is not there: {missing:?}");
}

#[test]
fn every_control_has_a_case_that_passes() {
    let cases = cases();
    for entry in REGISTRY {
        let passes = |case: &Case| {
            let journals = case.step.iter().filter_map(|step| step.journal.as_ref());
            let mark = |journal: &Value| journal.get("trail")?.get(entry.name)?.as_str().map(str::to_owned);
            journals.into_iter().any(|journal| {
                journal.get("outcome").is_some_and(|outcome| outcome == "answered") && mark(journal).as_deref() == Some("pass")
            })
        };
        let found = cases.iter().any(|(control, _, case)| control == entry.name && passes(case));
        assert!(found, "no case in tests/cases/{0}/ is answered with `trail.{0}` = \"pass\"", entry.name);
    }
}

#[test]
fn every_folder_of_cases_is_an_area_of_reasons_or_a_control() {
    let areas: BTreeSet<&str> =
        bartizan_monitor::reasons().map(|reason| reason.area()).chain(REGISTRY.iter().map(|entry| entry.name)).collect();
    for (area, name, case) in cases() {
        assert!(areas.contains(area.as_str()), "tests/cases/{name}: there is no control and no area {area:?}");
        assert!(case.what.ends_with('.') && case.what.len() > 20, "tests/cases/{name}: `what` is a sentence");
    }
}

#[test]
fn reason_codes_are_for_ever() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.lock");
    let text = std::fs::read_to_string(&path).expect("docs/reasons.lock");
    let listed: Vec<&str> = text.lines().collect();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(listed, sorted, "docs/reasons.lock has one code a line, sorted");
    let given: BTreeSet<&str> = bartizan_monitor::reasons().map(|reason| reason.code()).collect();
    let listed: BTreeSet<&str> = listed.into_iter().collect();
    let gone: Vec<_> = listed.difference(&given).collect();
    assert!(gone.is_empty(), "these codes are API and may not disappear or change, because users script against them: {gone:?}");
    let new: Vec<_> = given.difference(&listed).collect();
    assert!(new.is_empty(), "new codes. Add a line for each to docs/reasons.lock, in order: {new:?}");
}
