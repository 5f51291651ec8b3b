//! Limits, budgets and the stop button with real processes: one gateway, two gateways, a real Redis server.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bartizan_tests::client::Client;
use bartizan_tests::gateway::{Guarded, Stage};
use bartizan_tests::json::{reason, text};
use bartizan_tests::process::{eventually, signal, within};
use bartizan_tests::script::{self, Act, Script};
use serde_json::json;

/// What the issue allows for a stop and for a revocation.
const STOPPED: Duration = Duration::from_secs(1);

/// A Redis server of the test's own. `tests/real/install redis` brings the program.
pub(crate) struct Redis {
    directory: tempfile::TempDir,
    pub(crate) port: u16,
    server: Option<Guarded>,
    /// Certificate and key, where it speaks TLS and nothing else.
    tls: Option<[PathBuf; 2]>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// One that speaks TLS and nothing else, with this certificate and its key.
    pub(crate) fn start_with(tls: Option<[PathBuf; 2]>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let mut redis = Self { directory: tempfile::tempdir().expect("dir"), port, server: None, tls };
        redis.again();
        redis
    }

    /// The same address, and nothing remembered.
    fn again(&mut self) {
        let port = self.port.to_string();
        let options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", "s3cret-for-tests"];
        let mut command = Command::new("redis-server");
        match &self.tls {
            None => command.args(["--port", &port]),
            Some([certificate, key]) => {
                command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no", "--tls-ca-cert-file"]).arg(certificate);
                command.arg("--tls-cert-file").arg(certificate).arg("--tls-key-file").arg(key)
            }
        };
        command.args(options).arg("--dir").arg(self.directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis-server is not installed: run tests/real/install redis");
        self.server = Some(Guarded(child));
        eventually("Redis listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn kill(&mut self) {
        let server = self.server.take().expect("it runs");
        signal(server.0.id(), "KILL");
    }

    /// The part of the configuration that is about it.
    fn config(&self, on_loss: &str) -> String {
        let port = self.port;
        format!("[redis]\nurl = \"redis://127.0.0.1:{port}/1\"\npassword = \"${{file:password}}\"\non_loss = {on_loss:?}\n")
    }
}

/// A gateway with a state of its own that shares through Redis.
fn sharing(redis: &Redis, on_loss: &str, script: &Script, more: &str) -> Stage {
    let stage = Stage::with_server("files", script);
    std::fs::write(stage.path("password"), "s3cret-for-tests\n").expect("writable");
    stage.configure(&redis.config(on_loss));
    stage.configure(more);
    stage
}

/// A client that has begun, at a gateway that shares.
fn begun(stage: &Stage) -> Client {
    let mut client = stage.run("files");
    client.initialize();
    eventually("limits are shared", || stage.journal().of("redis").any(|line| line["outcome"] == "shared"));
    client
}

fn why(client: &mut Client) -> Option<String> {
    let answer = client.call("a", &json!({}));
    reason(&answer).map(str::to_owned)
}

/// Calls for a while, and waits a little after each refusal; returns how many calls were made.
fn use_up(client: &mut Client, limit: Duration) -> usize {
    let begun = Instant::now();
    let mut made = 0;
    while begun.elapsed() < limit {
        match why(client).as_deref() {
            None => made += 1,
            Some(reason) => {
                assert_eq!(reason, "quota.exceeded");
                std::thread::sleep(Duration::from_millis(25));
            }
        }
    }
    made
}

const GENEROUS: &str = "[limits]\noffences_per_minute = 1000000\n[controls.quota]\nread_per_minute = 10000\nclient_per_minute = 80\n";

#[test]
fn two_gateways_share_one_limit_within_the_documented_bound() {
    let redis = Redis::start();
    let stages = [(); 2].map(|()| sharing(&redis, "local", &Script::with_tools(["a"]), GENEROUS));
    let mut clients = stages.each_ref().map(begun);
    let begun = Instant::now();
    let made: Vec<usize> = std::thread::scope(|scope| {
        let running = clients.each_mut().map(|client| scope.spawn(|| use_up(client, Duration::from_secs(4))));
        running.into_iter().map(|running| running.join().expect("no panic")).collect()
    });
    // 80 a minute, what came back meanwhile, and one lease (an eighth) for each gateway.
    let back = usize::try_from(begun.elapsed().as_secs() + 1).expect("small") * 80 / 60 + 1;
    let all: usize = made.iter().sum();
    println!("two gateways made {made:?} calls of 80 a minute in {:?}", begun.elapsed());
    assert!((70..=80 + back + 2 * 10).contains(&all), "{made:?}");
    assert!(made.iter().all(|made| *made > 10), "one of them got nothing: {made:?}");
}

#[test]
fn without_redis_limits_are_local_or_nothing_is_allowed_and_both_is_told() {
    for on_loss in ["local", "refuse"] {
        let mut redis = Redis::start();
        let stage = sharing(&redis, on_loss, &Script::with_tools(["a"]), "[controls.quota]\nclient_per_minute = 40\n");
        let mut client = begun(&stage);
        assert_eq!(why(&mut client), None);
        redis.kill();
        let told = |outcome: &str| stage.journal().of("redis").filter(|line| line["outcome"] == outcome).count();
        eventually("the loss is in the record", || told("lost") == 1);
        let expected = (on_loss == "refuse").then_some("quota.unshared");
        assert_eq!(why(&mut client).as_deref(), expected);
        std::thread::sleep(Duration::from_millis(1200));
        assert_eq!(told("lost"), 1, "once, not at every attempt");
        if on_loss == "local" {
            // This gateway's own count goes on where it was.
            let made = (0..60).filter(|_| why(&mut client).is_none()).count();
            assert!((30..=39).contains(&made), "{made} of the 38 that were left");
        }
        redis.again();
        eventually("sharing is back", || told("back") == 1);
        if on_loss == "refuse" {
            eventually("calls are allowed again", || why(&mut client).is_none());
        }
        assert!(client.leave().success());
        stage.verify();
    }
}

#[test]
fn a_stop_reaches_every_gateway_within_a_second_and_outlives_redis() {
    let mut redis = Redis::start();
    let slow = Script::with_tools(["a", "slow"]).on("tools/call slow", vec![Act::Touch("running".to_owned())]);
    let many = "[limits]\noffences_per_minute = 1000000\n[controls.quota]\nread_per_minute = 100000\nclient_per_minute = 100000\n";
    let stages = [(); 2].map(|()| sharing(&redis, "local", &slow, many));
    let [here, there] = &stages;
    // The button is pressed where one gateway is, and the call runs where the other is.
    let (mut near, mut far) = (begun(here), begun(there));
    assert_eq!((why(&mut near), why(&mut far)), (None, None));
    let id = far.ask("tools/call", &json!({"name": "slow"}));
    eventually("the call runs", || there.path("running").exists());
    let pressed = Instant::now();
    here.done(&["suspend", "--server", "files"]);
    assert_eq!(reason(&far.answer(&id)), Some("serve.suspended"));
    println!("a stop ended a call at another gateway after {:?} (Redis)", pressed.elapsed());
    assert!(pressed.elapsed() < STOPPED, "{:?}", pressed.elapsed());
    assert_eq!(why(&mut far).as_deref(), Some("suspend.stopped"));
    // It holds without Redis, and a Redis that forgot everything ends nothing.
    redis.kill();
    eventually("the loss is known", || there.journal().of("redis").any(|line| line["outcome"] == "lost"));
    assert_eq!(why(&mut far).as_deref(), Some("suspend.stopped"));
    redis.again();
    eventually("sharing is back", || stages.iter().all(|stage| stage.journal().of("redis").any(|line| line["outcome"] == "back")));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!((why(&mut near).as_deref(), why(&mut far).as_deref()), (Some("suspend.stopped"), Some("suspend.stopped")));
    // Whoever has a gateway can end it, wherever it was pressed.
    there.done(&["resume", "--server", "files"]);
    let lifted = within(STOPPED, "the stop is lifted everywhere", || why(&mut near).is_none());
    println!("a stop was lifted at another gateway after {lifted:?} (Redis)");
}

#[test]
fn a_stop_and_a_revocation_work_within_a_second_over_one_state_directory() {
    let script = Script::with_tools(["a", "slow"]).on("tools/call slow", vec![Act::Touch("running".to_owned())]);
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    let id = client.ask("tools/call", &json!({"name": "slow"}));
    eventually("the call runs", || stage.path("running").exists());
    let pressed = Instant::now();
    stage.done(&["suspend", "--all"]);
    let done = pressed.elapsed();
    assert_eq!(why(&mut client).as_deref(), Some("suspend.stopped"));
    println!("a stop refused the next call after {:?}, of which the command took {done:?} (file)", pressed.elapsed());
    assert_eq!(reason(&client.answer(&id)), Some("serve.suspended"));
    println!("a stop ended a running call after {:?} (file)", pressed.elapsed());
    assert!(pressed.elapsed() < STOPPED);
    stage.done(&["resume", "--all"]);
    let token = stage.token("t", &[]).text;
    let gateway = stage.serve();
    let mut visitor = gateway.visitor(&token).at("/mcp/files").initialize();
    assert_eq!(visitor.request("ping", &json!({})).status(), 200);
    let revoked = Instant::now();
    stage.done(&["token", "revoke", "t"]);
    let done = revoked.elapsed();
    assert_eq!(visitor.request("ping", &json!({})).status(), 401);
    println!("a revocation refused the next message after {:?}, of which the command took {done:?}", revoked.elapsed());
    assert!(revoked.elapsed() < STOPPED);
}

#[test]
fn a_budget_survives_a_restart() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.configure("[[controls.quota.budgets]]\nper = \"day\"\ncalls = 3\n");
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!((why(&mut client), why(&mut client)), (None, None));
    assert!(client.leave().success());
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!((why(&mut client), why(&mut client).as_deref()), (None, Some("quota.budget")));
    assert!(client.leave().success());
}

#[test]
fn a_flood_of_anything_cannot_fill_the_journal() {
    let stage = Stage::with_server("files", &Script::with_tools(["a"]));
    stage.configure("[limits]\nmessages_per_minute = 50\noffences_per_minute = 200\noffence_pause = \"500ms\"\n");
    let mut client = stage.run("files");
    client.initialize();
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    for number in 0..1000 {
        let method = ["ping", "tools/list", "no/such", "prompts/list"][number % 4];
        let answer = client.request(method, &json!({}));
        *reasons.entry(reason(&answer).unwrap_or("none").to_owned()).or_default() += 1;
    }
    assert!(reasons["quota.flood"] >= 200 && reasons["quota.breaker"] > 100, "{reasons:?}");
    let size = stage.journal().of("closed").count() + stage.journal().of("decided").count();
    println!("1,000 messages, 50 allowed: {reasons:?}; {size} lines in the journal");
    assert!(size < 130, "{size} lines");
    eventually("it is listened to again", || reason(&client.request("ping", &json!({}))).is_none());
    assert!(client.leave().success());
    stage.verify();
}

#[test]
fn a_server_that_is_mended_is_used_again() {
    let good = Script::with_tools(["a"]);
    let bad = good.clone().on("tools/call a", vec![Act::Exit(1)]);
    let stage = Stage::with_server("files", &bad);
    stage.configure("[limits]\ncircuit_failures = 2\ncircuit_pause = \"400ms\"\noffences_per_minute = 1000000\n[controls.quota]\nread_per_minute = 10000\nclient_per_minute = 10000\n");
    let mut client = stage.run("files");
    client.initialize();
    for expected in ["upstream.unreachable", "upstream.unreachable", "upstream.circuit"] {
        assert_eq!(why(&mut client).as_deref(), Some(expected));
    }
    let reached = stage.reached("files").len();
    for _ in 0..20 {
        assert_eq!(why(&mut client).as_deref(), Some("upstream.circuit"));
    }
    assert_eq!(stage.reached("files").len(), reached, "it was left alone");
    stage.script("files", &good);
    eventually("it is used again", || why(&mut client).is_none());
    assert_eq!((why(&mut client), why(&mut client)), (None, None));
    assert!(client.leave().success());
}

#[test]
fn calls_wait_for_room_where_that_is_configured_and_the_queue_is_bounded() {
    let slow = vec![Act::Touch("running".to_owned()), Act::Until("go".to_owned()), Act::Answer(script::text("done"))];
    let stage = Stage::with_server("files", &Script::with_tools(["a", "slow"]).on("tools/call slow", slow));
    stage.configure("[limits]\nconcurrent_calls = 1\nqueued_calls = 1\nqueue_wait = \"20s\"\n");
    let mut client = stage.run("files");
    client.initialize();
    let running = client.ask("tools/call", &json!({"name": "slow"}));
    eventually("the call runs", || stage.path("running").exists());
    let waiting = client.ask("ping", &json!({}));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(why(&mut client).as_deref(), Some("serve.busy"), "one waits; there is no place for another");
    std::fs::write(stage.path("go"), "").expect("writable");
    assert_eq!(text(&client.answer(&running)), "done");
    assert_eq!(reason(&client.answer(&waiting)), None);
    assert!(client.leave().success());
}

#[test]
fn a_password_that_is_wrong_is_told_and_shown_nowhere() {
    let redis = Redis::start();
    let stage = sharing(&redis, "refuse", &Script::with_tools(["a"]), "");
    std::fs::write(stage.path("password"), "another-password\n").expect("writable");
    let mut client = stage.run("files");
    client.initialize();
    assert_eq!(why(&mut client).as_deref(), Some("quota.unshared"));
    eventually("the loss is told", || stage.journal().of("redis").any(|line| line["outcome"] == "lost"));
    assert!(client.leave().success());
    let journal = read_all(&stage.state().join("journal"));
    assert!(journal.contains("WRONGPASS") && !journal.contains("another-password"), "{journal}");
    let shown = String::from_utf8(stage.output(&["check", "--offline"]).stdout).expect("text");
    assert!(shown.contains("redis") && shown.contains("limits"), "{shown}");
}

fn read_all(directory: &Path) -> String {
    let files = std::fs::read_dir(directory).expect("a directory");
    files.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text")).collect()
}
