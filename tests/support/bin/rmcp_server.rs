//! A server made with the official Rust SDK, to stand behind the gateway in tests.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::stdio;
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};

/// Two numbers.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Pair {
    /// The first.
    a: i64,
    /// The second.
    b: i64,
}

#[derive(Clone)]
struct Calculator {
    tool_router: ToolRouter<Self>,
}

#[tool_router(router = tool_router)]
impl Calculator {
    #[tool(name = "get_sum", description = "Adds two numbers.")]
    async fn sum(&self, Parameters(Pair { a, b }): Parameters<Pair>) -> String {
        a.saturating_add(b).to_string()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Calculator {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let calculator = Calculator { tool_router: Calculator::tool_router() };
    calculator.serve(stdio()).await?.waiting().await?;
    Ok(())
}
