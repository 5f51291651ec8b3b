//! The official Rust SDK as a third, independent client and server: it shares no code with the gateway.

use std::path::PathBuf;

use bartizan_tests::gateway::{Stage, program};
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::TokioChildProcess;
use serde_json::json;

fn server() -> PathBuf {
    program("rmcp-server")
}

/// What the SDK's client sees of a server: its tools and the answer to one call, as JSON.
async fn seen(command: std::process::Command) -> serde_json::Value {
    let transport = TokioChildProcess::new(tokio::process::Command::from(command)).expect("it starts");
    let client = ().serve(transport).await.expect("it connects");
    let tools = client.list_all_tools().await.expect("tools");
    let arguments = json!({"a": 2, "b": 40}).as_object().cloned().expect("an object");
    let answer = client.call_tool(CallToolRequestParams::new("get_sum").with_arguments(arguments)).await.expect("an answer");
    client.cancel().await.expect("it ends");
    json!({"tools": tools, "answer": answer})
}

#[tokio::test]
async fn sdk_client_sees_the_sdk_server_as_it_is() {
    let direct = seen(std::process::Command::new(server())).await;
    assert_eq!(direct.pointer("/answer/content/0/text"), Some(&json!("42")));

    let stage = Stage::new("");
    let command = server().to_string_lossy().into_owned();
    stage.done(&["approve", "calculator", "--all", "--yes", "--", &command]);
    let through = seen(stage.bartizan(&["run", "--name", "calculator", "--", &command])).await;
    assert_eq!(through, direct);
    stage.verify();
}
