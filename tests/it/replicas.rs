//! Gateways with a state of their own that remember together, in a real PostgreSQL database, which writes were made.

use std::path::Path;
use std::time::Duration;

use bartizan_tests::client::Client;
use bartizan_tests::gateway::Stage;
use bartizan_tests::json::{reason, text};
use bartizan_tests::postgres::{PASSWORD, Postgres};
use bartizan_tests::process::{eventually, signal};
use bartizan_tests::script::{self, Act, Script};
use serde_json::{Value, json};

const EVERYBODY: &str = "[controls.policy]\ntext = \"permit (principal, action, resource);\"\n[controls.confirm]\nwrite = \"never\"\n\
    [limits]\noffences_per_minute = 10000\n[controls.quota]\nwrite_per_minute = 10000\nclient_per_minute = 100000\n";

fn config(postgres: &Postgres, more: &str) -> String {
    let port = postgres.port();
    format!(
        "[postgres]\nurl = \"postgres://127.0.0.1:{port}/postgres?sslmode=disable\"\nusername = \"bartizan\"\npassword = \"${{file:password}}\"\nlease = \"1s\"\n{more}"
    )
}

/// A gateway with a state of its own and these tools, of which `read` reads.
fn stage(postgres: &Postgres, script: &Script, more: &str) -> Stage {
    let stage = Stage::new(EVERYBODY);
    stage.server("files", script);
    stage.approve(&["files"], &["write=write", "read=read"]);
    stage.vouch();
    stage.forget("files");
    std::fs::write(stage.path("password"), format!("{PASSWORD}\n")).expect("writable");
    stage.configure(&config(postgres, more));
    stage
}

fn quick() -> Script {
    Script::with_tools(["write", "read"])
}

/// Takes the call, and answers when it may.
fn slow() -> Script {
    let acts = vec![Act::Touch("taken".to_owned()), Act::Until("go".to_owned()), Act::Answer(script::text("done"))];
    quick().on("tools/call write", acts)
}

fn begun(stage: &Stage) -> Client {
    let mut client = stage.run("files");
    client.initialize();
    client
}

fn keyed(key: &str) -> Value {
    json!({"name": "write", "arguments": {"text": key}, "_meta": {"io.github.bartizan-security/idempotency-key": key}})
}

/// How often a text reached the servers behind these gateways.
fn arrived(stages: &[&Stage], text: &str) -> usize {
    let is = |received: &bartizan_tests::gateway::Received| {
        received.message().pointer("/params/arguments/text").and_then(Value::as_str) == Some(text)
    };
    stages.iter().map(|stage| stage.received("files").iter().filter(|received| is(received)).count()).sum()
}

fn replayed(answer: &Value) -> bool {
    answer.pointer("/result/_meta/io.github.bartizan-security~1replayed-of").is_some()
}

fn write(client: &mut Client, key: &str) -> Option<String> {
    reason(&client.request("tools/call", &keyed(key))).map(str::to_owned)
}

fn ambiguous(stage: &Stage) -> Vec<String> {
    let listed: Value = serde_json::from_str(&stage.done(&["once", "list", "--format", "json"])).expect("json");
    let call = |entry: &Value| entry.get("call").and_then(Value::as_str).expect("a number").to_owned();
    listed.as_array().expect("a list").iter().map(call).collect()
}

fn told(stage: &Stage, outcome: &str) -> usize {
    stage.journal().of("postgres").filter(|line| line["outcome"] == outcome).count()
}

#[test]
fn a_write_that_reaches_two_gateways_at_the_same_moment_is_made_once() {
    let postgres = Postgres::start();
    let stages = [stage(&postgres, &quick(), ""), stage(&postgres, &quick(), "")];
    let [mut one, mut two] = stages.each_ref().map(begun);
    let both = [&stages[0], &stages[1]];
    for round in 0..20 {
        let key = format!("round {round}");
        let asked = [one.ask("tools/call", &keyed(&key)), two.ask("tools/call", &keyed(&key))];
        let answers = [one.answer(&asked[0]), two.answer(&asked[1])];
        assert!(answers.iter().all(|answer| reason(answer).is_none()), "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| replayed(answer)).count(), 1, "{answers:?}");
        assert_eq!(arrived(&both, &key), 1, "{key}");
    }
    // What one gateway did is known to the other, and after a restart; another call under the key is refused.
    let other =
        json!({"name": "write", "arguments": {"text": "other"}, "_meta": {"io.github.bartizan-security/idempotency-key": "round 0"}});
    assert_eq!(reason(&two.request("tools/call", &other)), Some("once.mismatch"));
    assert!(one.leave().success() && two.leave().success());
    let mut again = begun(&stages[0]);
    assert!(replayed(&again.request("tools/call", &keyed("round 7"))));
    // Without a key the same rules hold as at one gateway: what a session sends twice it means, another session retries.
    let plain = json!({"name": "write", "arguments": {"text": "plain"}});
    assert!(!replayed(&again.request("tools/call", &plain)) && !replayed(&again.request("tools/call", &plain)));
    let mut other = begun(&stages[1]);
    assert!(replayed(&other.request("tools/call", &plain)));
    assert_eq!(arrived(&both, "plain"), 2);
    assert!(again.leave().success() && other.leave().success());
    both.iter().for_each(|stage| stage.verify());
    let left = "select (select count(*) from bartizan.gateway), (select count(*) from bartizan.deed where state <> 'done')";
    assert_eq!(postgres.ask(left).as_deref(), Some("0|0"), "who leaves says so, and leaves nothing open");
    // Digests and names: neither a key nor an argument is there, but where an answer repeats it.
    let held = "update bartizan.deed set answer = null where convert_from(answer, 'UTF8') like '%round%'; select * from bartizan.deed";
    let held = postgres.ask(held).expect("readable").replace("\\x", "");
    let hex: String = b"round".iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!held.contains("round") && !held.contains(&hex) && held.contains("files/write"), "{held}");
}

#[test]
fn a_repeat_waits_for_the_first_at_another_gateway_and_a_kill_makes_it_ambiguous() {
    let postgres = Postgres::start();
    let (here, there) = (stage(&postgres, &slow(), ""), stage(&postgres, &quick(), "[controls.once]\nwait_seconds = 8"));
    let (mut near, mut far) = (begun(&here), begun(&there));
    let first = near.ask("tools/call", &keyed("a"));
    eventually("the server has it", || here.path("taken").exists());
    let again = far.ask("tools/call", &keyed("a"));
    std::thread::sleep(Duration::from_millis(150));
    std::fs::write(here.path("go"), "").expect("writable");
    let (first, again) = (near.answer(&first), far.answer(&again));
    assert!(text(&first) == "done" && !replayed(&first), "{first}");
    assert!(text(&again) == "done" && replayed(&again), "{again}");
    for left in ["go", "taken"] {
        std::fs::remove_file(here.path(left)).expect("there");
    }
    // The gateway dies. The other hears it when the lease is over, and does not make the call.
    near.ask("tools/call", &keyed("b"));
    eventually("the server has it", || here.path("taken").exists());
    let again = far.ask("tools/call", &keyed("b"));
    signal(near.pid(), "KILL");
    near.end();
    assert_eq!(reason(&far.answer(&again)), Some("once.ambiguous"));
    assert_eq!((arrived(&[&here], "b"), arrived(&[&there], "b")), (1, 0));
    // The ways out, wherever there is a gateway; and it stays so over restarts.
    here.script("files", &quick());
    let mut near = begun(&here);
    assert_eq!(write(&mut near, "b").as_deref(), Some("once.ambiguous"));
    let listed = ambiguous(&there);
    assert_eq!((listed.len(), ambiguous(&here)), (1, listed.clone()));
    assert!(!here.output(&["once", "forget", "0000000000000000"]).status.success());
    there.done(&["once", "forget", &listed[0]]);
    assert_eq!(write(&mut near, "b"), None);
    assert_eq!(arrived(&[&here, &there], "b"), 2);
    assert!(ambiguous(&here).is_empty());
    assert!(near.leave().success() && far.leave().success());
    here.verify();
    there.verify();
}

#[test]
fn without_the_database_nothing_is_written_and_everything_is_read() {
    let mut postgres = Postgres::start();
    let stage = stage(&postgres, &slow(), "");
    std::fs::write(stage.path("go"), "").expect("writable");
    let mut client = begun(&stage);
    assert_eq!(write(&mut client, "a"), None);
    std::fs::remove_file(stage.path("go")).expect("there");
    std::fs::remove_file(stage.path("taken")).expect("there");
    // One call is out when the database goes.
    let out = client.ask("tools/call", &keyed("b"));
    eventually("the server has it", || stage.path("taken").exists());
    postgres.stop();
    eventually("the loss is in the record", || told(&stage, "lost") == 1);
    assert_eq!(write(&mut client, "c").as_deref(), Some("once.store"));
    assert_eq!(reason(&client.call("read", &json!({}))), None);
    std::fs::write(stage.path("go"), "").expect("writable");
    assert_eq!(text(&client.answer(&out)), "done", "what the server answered is not withheld");
    assert_eq!(arrived(&[&stage], "c"), 0);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(told(&stage, "lost"), 1, "once, not at every attempt");
    postgres.again();
    eventually("it is back", || told(&stage, "back") == 1);
    // Nobody could speak while it was away, so nobody was silent: how the call ended is recorded after all.
    let again = client.request("tools/call", &keyed("b"));
    assert!(text(&again) == "done" && replayed(&again), "{again}");
    assert_eq!(write(&mut client, "c"), None);
    assert!(replayed(&client.request("tools/call", &keyed("a"))), "what was done is still known");
    assert!(client.leave().success());
    // A gateway starts without it, too.
    postgres.stop();
    let mut client = begun(&stage);
    assert_eq!((write(&mut client, "d").as_deref(), reason(&client.call("read", &json!({})))), (Some("once.store"), None));
    postgres.again();
    eventually("writes are made again", || write(&mut client, "d").is_none());
    assert_eq!(arrived(&[&stage], "d"), 1);
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn a_gateway_that_was_silent_does_not_overwrite_what_others_concluded() {
    let postgres = Postgres::start();
    let (here, there) = (stage(&postgres, &slow(), ""), stage(&postgres, &quick(), ""));
    let (mut near, mut far) = (begun(&here), begun(&there));
    let first = near.ask("tools/call", &keyed("a"));
    eventually("the server has it", || here.path("taken").exists());
    signal(near.pid(), "STOP");
    assert_eq!(write(&mut far, "a").as_deref(), Some("once.ambiguous"), "it was silent for longer than its lease");
    std::fs::write(here.path("go"), "").expect("writable");
    signal(near.pid(), "CONT");
    assert_eq!(text(&near.answer(&first)), "done");
    eventually("it is told that others were faster", || told(&here, "fenced") == 1);
    assert_eq!(ambiguous(&here).len(), 1);
    assert_eq!(write(&mut far, "a").as_deref(), Some("once.ambiguous"));
    // It goes on under a new number.
    assert_eq!(write(&mut near, "b"), None);
    assert!(replayed(&far.request("tools/call", &keyed("b"))));
    assert!(near.leave().success() && far.leave().success());
    here.verify();
    there.verify();
}

#[test]
fn what_waited_for_a_person_does_not_leave_when_its_claim_is_lost() {
    let postgres = Postgres::start();
    let asks = "[controls.confirm]\nwrite = \"always\"\n[controls.confirm.minimum]\nwrite = \"local\"";
    let (here, there) = (stage(&postgres, &quick(), asks), stage(&postgres, &quick(), "[controls.once]\nwait_seconds = 0"));
    let (mut near, mut far) = (begun(&here), begun(&there));
    let held = || -> Vec<Value> {
        let listed = here.output(&["approvals", "list", "--format", "json"]);
        let found: Value = serde_json::from_slice(&listed.stdout).expect("json");
        found["held"].as_array().expect("a list").clone()
    };
    let waiting = near.ask("tools/call", &keyed("a"));
    eventually("it waits for a person", || held().len() == 1);
    assert_eq!(write(&mut far, "a").as_deref(), Some("once.in-flight"), "it is claimed while it waits");
    // Its gateway is silent. Nothing has left, so another one may make the call.
    signal(near.pid(), "STOP");
    eventually("the claim is free", || write(&mut far, "a").is_none());
    signal(near.pid(), "CONT");
    let id = held()[0]["id"].as_str().expect("a name").to_owned();
    here.done(&["approvals", "grant", &id, "--yes"]);
    assert_eq!(reason(&near.answer(&waiting)), Some("once.store"));
    assert_eq!((arrived(&[&here], "a"), arrived(&[&there], "a")), (0, 1));
    // The person may be asked again, and then the answer is known.
    assert!(replayed(&near.request("tools/call", &keyed("a"))));
    assert!(near.leave().success() && far.leave().success());
    here.verify();
}

#[test]
fn a_client_is_the_same_one_at_every_endpoint() {
    let postgres = Postgres::start();
    let stages = [stage(&postgres, &quick(), ""), stage(&postgres, &quick(), "")];
    // Each gateway has tokens of its own; what they are called is who they are.
    let tokens = stages.each_ref().map(|stage| [stage.token("ci", &[]).text, stage.token("laptop", &[]).text]);
    let gateways = stages.each_ref().map(Stage::serve);
    let call = |at: usize, who: usize| {
        let mut visitor = gateways[at].visitor(&tokens[at][who]).at("/mcp/files").initialize();
        visitor.request("tools/call", &keyed("a")).json()
    };
    assert!(!replayed(&call(0, 0)) && replayed(&call(1, 0)));
    assert!(!replayed(&call(1, 1)), "a key is its client's");
    assert_eq!(arrived(&[&stages[0], &stages[1]], "a"), 2);
}

/// Why a gateway does not start.
fn why(stage: &Stage) -> String {
    let mut words = vec!["run".to_owned(), "--name".to_owned(), "files".to_owned(), "--".to_owned()];
    words.extend(stage.command("files"));
    let output = stage.output(&words);
    assert!(!output.status.success(), "it starts");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_wrong_with_the_database_is_said_at_the_start() {
    let postgres = Postgres::start();
    let stage = stage(&postgres, &quick(), "");
    std::fs::write(stage.path("password"), "another-password\n").expect("writable");
    let said = why(&stage);
    assert!(said.contains("password authentication failed") && !said.contains("another-password"), "{said}");
    std::fs::write(stage.path("password"), format!("{PASSWORD}\n")).expect("writable");
    let port = postgres.port();
    let url = |url: &str| stage.configure(&format!("[postgres]\nurl = {url:?}"));
    url(&format!("postgres://127.0.0.1:{port}/postgres"));
    let said = why(&stage);
    assert!(said.contains("does not speak TLS") && said.contains("sslmode=disable"), "{said}");
    url(&format!("postgres://127.0.0.1:{port}/nowhere?sslmode=disable"));
    let said = why(&stage);
    assert!(said.contains("\"nowhere\" does not exist"), "{said}");
    // Who may not make the tables is told which ones to have made.
    postgres.ask("create role poor login password 's3cret-for-tests'").expect("made");
    url(&format!("postgres://127.0.0.1:{port}/postgres?sslmode=disable"));
    stage.configure("[postgres]\nusername = \"poor\"");
    let said = why(&stage);
    let schema = said.split_once("-- What several").map(|(_, schema)| format!("-- What several{schema}"));
    let schema = schema.unwrap_or_else(|| panic!("{said}"));
    postgres.ask(schema.trim_end()).expect("what is printed can be run");
    let said = why(&stage);
    assert!(said.contains("permission denied"), "{said}");
    postgres.ask("grant usage on schema bartizan to poor").expect("granted");
    postgres.ask("grant select, insert, update, delete on all tables in schema bartizan to poor").expect("granted");
    let mut client = begun(&stage);
    assert_eq!(write(&mut client, "a"), None, "these grants are enough");
    assert!(client.leave().success());
    let shown = String::from_utf8(stage.output(&["check", "--offline"]).stdout).expect("text");
    assert!(shown.contains("PostgreSQL at 127.0.0.1") && shown.contains("in clear text, as poor"), "{shown}");
    postgres.ask("update bartizan.version set version = 2").expect("changed");
    let said = why(&stage);
    assert!(said.contains("version 2") && said.contains("version 1"), "{said}");
    // An address that is a secret as a whole, and one that is none.
    std::fs::write(stage.path("url"), format!("postgres://poor:wrong%20one@127.0.0.1:{port}/postgres?sslmode=disable")).expect("writable");
    let whole = Stage::new(EVERYBODY);
    whole.server("files", &quick());
    std::fs::copy(stage.path("url"), whole.path("url")).expect("copied");
    whole.configure("[postgres]\nurl = \"${file:url}\"");
    let said = why(&whole);
    assert!(said.contains("password authentication failed") && !said.contains("wrong"), "{said}");
    whole.configure(&format!("[postgres]\nurl = \"postgres://poor:hunter22@127.0.0.1:{port}/postgres\""));
    let said = why(&whole);
    assert!(said.contains("credential") && !said.contains("hunter22"), "{said}");
    whole.configure("[postgres]\nurl = \"postgres://db.example.com/postgres?sslmode=disable\"\nusername = \"a\"");
    let said = why(&whole);
    assert!(said.contains("would travel to this database"), "{said}");
}

#[test]
fn a_database_over_tls_is_believed_when_its_certificate_is() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let keys = |directory: &Path| {
        let files = [("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())];
        let paths = files.map(|(name, pem)| {
            let path = directory.join(name);
            std::fs::write(&path, pem).expect("writable");
            path.display().to_string()
        });
        let [certificate, key] = paths;
        let settings = ["ssl=on".to_owned(), format!("ssl_cert_file={certificate}"), format!("ssl_key_file={key}")];
        settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
    };
    let postgres = Postgres::start_with(keys);
    let stage = stage(&postgres, &quick(), "");
    let port = postgres.port();
    stage.configure(&format!("[postgres]\nurl = \"postgres://localhost:{port}/postgres?sslmode=require\""));
    let said = why(&stage);
    assert!(said.contains("TLS with it"), "{said}");
    std::fs::write(stage.path("ca.pem"), made.cert.pem()).expect("writable");
    let mut client = stage.run_with("files", |command| _ = command.env("SSL_CERT_FILE", stage.path("ca.pem")));
    client.initialize();
    assert_eq!(write(&mut client, "a"), None);
    let secured = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'bartizan'";
    assert_eq!(postgres.ask(secured).as_deref(), Some("t"));
    assert!(client.leave().success());
}
