//! Servers start, die and end with the gateway; approvals and changes reach a gateway that runs.

use std::time::Duration;

use bartizan_tests::gateway::Stage;
use bartizan_tests::process::{self, eventually, runs, within};
use bartizan_tests::script::{Act, Script};

/// How long a server may outlive its gateway.
const SOON: Duration = Duration::from_secs(3);

/// A server with grandchildren that left its process group.
fn parent() -> Script {
    Script::with_tools(["a"]).on("start", vec![Act::Spawn, Act::Spawn, Act::Touch("spawned".to_owned())])
}

#[test]
fn nothing_outlives_a_gateway_that_was_killed() {
    let script = parent();
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    eventually("the server has two children", || stage.pids("files").iter().filter(|pid| runs(**pid)).count() == 3);
    process::signal(client.pid(), "KILL");
    client.end();
    within(SOON, "server and grandchildren are gone", || !stage.pids("files").iter().any(|pid| runs(*pid)));
}

#[test]
fn nothing_outlives_a_client_that_left() {
    let script = parent();
    let stage = Stage::with_server("files", &script);
    let mut client = stage.run("files");
    client.initialize();
    eventually("the server has two children", || stage.pids("files").iter().filter(|pid| runs(**pid)).count() == 3);
    assert!(client.leave().success());
    within(SOON, "server and grandchildren are gone", || !stage.pids("files").iter().any(|pid| runs(*pid)));
    stage.verify();
}
