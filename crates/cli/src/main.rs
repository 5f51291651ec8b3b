//! `bartizan`: the MCP gateway you can leave at its defaults. One file per subcommand; what they do
//! is in the libraries.

mod approve;
mod demo;
mod diff;
mod exit;
mod format;
mod paint;
mod run;
mod serve;
mod target;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::PlacesArgs;
use clap::Parser;

/// The MCP gateway you can leave at its defaults.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, max_term_width = 100, after_help = "Start with `bartizan demo`, then `bartizan approve`.")]
struct Cli {
    /// Where state lives: journal, tokens.
    #[arg(long, global = true, env = "BARTIZAN_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    /// The lock file with the reviewed definitions.
    #[arg(long, global = true, env = "BARTIZAN_LOCK", value_name = "FILE")]
    lock: Option<PathBuf>,
    /// The configuration.
    #[arg(long, global = true, env = "BARTIZAN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A tour without set-up: a real gateway, a real server, and what is refused.
    #[command(after_help = "Example:\n  bartizan demo")]
    Demo,
    Run(run::Args),
    Serve(serve::Args),
    Approve(approve::Args),
    Diff(diff::Args),
    #[command(name = "__guard", hide = true)]
    Guard {
        #[arg(long)]
        parent: u32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    #[command(name = "__demo-server", hide = true)]
    DemoServer { turned: PathBuf },
}

fn main() -> ExitCode {
    let Cli { state, lock, config, command } = Cli::parse();
    let places = PlacesArgs { state, lock };
    log();
    match command {
        Command::Demo => demo::main(),
        Command::Run(args) => run::main(&args, &places, config),
        Command::Serve(args) => serve::main(&args, &places, config),
        Command::Approve(args) => approve::main(&args, &places, config),
        Command::Diff(args) => diff::main(&args, &places, config),
        Command::Guard { parent, command } => bartizan_sandbox::guard::main(parent, &command),
        Command::DemoServer { turned } => match demo::server::serve(&turned) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}

/// Diagnostics go to standard error: standard output is for answers, and in `run` for the protocol.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BARTIZAN_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

/// The runtime of commands that act.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
