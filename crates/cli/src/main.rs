//! `bartizan`: arguments become calls of the libraries, errors become exit codes.

mod approvals;
mod approve;
mod audit;
mod check;
mod confine;
mod demo;
mod diff;
mod exit;
mod explain;
mod format;
mod grants;
mod labels;
mod log;
mod once;
mod own;
mod paint;
mod policy;
mod quarantine;
mod run;
mod secrets;
mod serve;
mod shell;
mod suspend;
mod target;
mod token;
mod words;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_gateway::config::PlacesArgs;
use bartizan_gateway::secrets::covered;
use clap::Parser as _;
use exit::Exit;

/// A call allocates some two hundred times, and is freed on whichever thread it ends: glibc's arenas make that a quarter of
/// its CPU time, in locks. With guard pages and encrypted free lists (docs/decisions/0033).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The MCP gateway you can leave at its defaults.
///
/// Bartizan stands between AI clients and the MCP servers they call. It sees every call and every
/// answer, and nothing passes that it has not judged.
#[derive(Debug, clap::Parser)]
#[command(
    name = "bartizan",
    version,
    max_term_width = 110,
    after_help = "Start here:\n  bartizan demo                                        a tour, nothing to set up\n  bartizan approve fs -- npx -y PACKAGE@VERSION ARG…     review a server\n  bartizan run --name fs -- npx -y PACKAGE@VERSION ARG…   put it behind the gateway"
)]
struct Cli {
    /// The configuration. Default: bartizan.toml here, if there is one.
    #[arg(long, global = true, value_name = "FILE", env = "BARTIZAN_CONFIG")]
    config: Option<PathBuf>,
    /// Where the journal and the tokens are. Default: the platform's state directory.
    #[arg(long, global = true, value_name = "DIR", env = "BARTIZAN_STATE")]
    state: Option<PathBuf>,
    /// The lock file. Default: bartizan.lock beside the configuration, else in the state directory.
    #[arg(long, global = true, value_name = "FILE", env = "BARTIZAN_LOCK")]
    lock: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Demo(Demo),
    Run(run::Args),
    Serve(serve::Args),
    Approve(approve::Args),
    Approvals(approvals::Args),
    Confine(confine::Args),
    Diff(diff::Args),
    Check(check::Args),
    Token(token::Args),
    Secrets(secrets::Args),
    Suspend(suspend::Suspend),
    Resume(suspend::Resume),
    Once(once::Args),
    Quarantine(quarantine::Args),
    Labels(labels::Args),
    Policy(policy::Args),
    Log(log::Args),
    Audit(audit::Args),
    Explain(explain::Args),
    Completions(shell::Completions),
    Man(shell::Manual),
    #[command(name = "__demo-server", hide = true)]
    DemoServer {
        /// The file that turns the server.
        turned: PathBuf,
    },
}

/// A tour without set-up: a normal call and a handful of attacks against a real gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bartizan demo")]
struct Demo {}

/// Watches over one server. Started by the gateway only, once for each server: no other word is read before.
#[derive(Debug, clap::Parser)]
#[command(name = bartizan_sandbox::GUARD)]
struct Guard {
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    channel: Option<i32>,
    #[arg(long)]
    open_files: Option<u64>,
    #[arg(long)]
    confine: Vec<OsString>,
    #[arg(long)]
    remove: Vec<OsString>,
    #[arg(long)]
    wall_ms: Option<u64>,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Guard {
    fn stand(&self) -> ExitCode {
        let Self { parent, channel, open_files, confine, remove, wall_ms, command } = self;
        let (parent, channel, open_files) = (*parent, *channel, *open_files);
        let wall = wall_ms.map(std::time::Duration::from_millis);
        let orders = bartizan_sandbox::guard::Orders { parent, channel, open_files, confine, remove, wall, command };
        bartizan_sandbox::guard::main(&orders)
    }
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == bartizan_sandbox::GUARD) {
        return Guard::parse_from(std::env::args_os().skip(1)).stand();
    }
    let Cli { config, state, lock, command } = Cli::parse();
    let places = PlacesArgs { state, lock };
    write_diagnostics(&command);
    if let Err(error) = bartizan_sandbox::keep_memory_private() {
        return Exit::environment(&format!("the memory of this process cannot be kept out of core dumps: {error}")).into();
    }
    match command {
        Command::Demo(Demo {}) => demo::main(),
        Command::Run(args) => run::main(&args, &places, config),
        Command::Serve(args) => serve::main(&args, &places, config),
        Command::Approve(args) => approve::main(&args, &places, config),
        Command::Approvals(args) => approvals::main(&args, &places).into(),
        Command::Confine(args) => confine::main(&args, &places, config).into(),
        Command::Diff(args) => diff::main(&args, &places, config),
        Command::Check(args) => check::main(&args, &places, config).into(),
        Command::Token(args) => token::main(&args, &places).into(),
        Command::Secrets(args) => secrets::main(&args, &places, config).into(),
        Command::Suspend(args) => suspend::suspend(&args, &places).into(),
        Command::Resume(args) => suspend::resume(&args, &places).into(),
        Command::Once(args) => once::main(&args, &places, config).into(),
        Command::Quarantine(args) => quarantine::main(&args, &places).into(),
        Command::Labels(args) => labels::main(&args, &places).into(),
        Command::Policy(args) => policy::main(&args, &places, config),
        Command::Log(args) => log::main(&args, &places).into(),
        Command::Audit(args) => audit::main(&args, &places).into(),
        Command::Explain(args) => explain::main(&args).into(),
        Command::Completions(args) => shell::completions(&args).into(),
        Command::Man(args) => shell::manual(&args).into(),
        Command::DemoServer { turned } => {
            demo::server::serve(&turned).map_or_else(|error| Exit::environment(&error), |()| Exit::Done).into()
        }
    }
}

/// Diagnostics go to standard error, in `run` too, where standard output belongs to the protocol.
/// `BARTIZAN_LOG` says how much, as in `info` or `bartizan_gateway::upstream=debug`.
fn write_diagnostics(command: &Command) {
    let usual = match command {
        Command::Run(_) | Command::Serve(_) => "info",
        _ => "error",
    };
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_env_var("BARTIZAN_LOG")
        .with_default_directive(tracing_subscriber::filter::LevelFilter::OFF.into());
    let filter = filter.try_from_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let colour = io::stderr().is_terminal() && paint::colour_is_welcome();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Covered(io::stderr())).with_ansi(colour).with_target(false).init();
}

/// Writes a line without the secrets in it. A line comes in one piece.
struct Covered<W>(W);

impl<W: io::Write> io::Write for Covered<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line).map(covered) {
            Ok(Cow::Owned(covered)) => self.0.write_all(covered.as_bytes())?,
            Ok(Cow::Borrowed(_)) | Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Where the tasks of all commands run; connections of clients have lanes of their own.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Where the tasks of one client and one server run: what wakes what is always on the same thread.
fn one_thread() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn all(command: &clap::Command) -> Vec<&clap::Command> {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
        std::iter::once(command).chain(below.flat_map(all)).collect()
    }

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_description_and_an_example() {
        for command in all(&Cli::command()) {
            assert!(command.get_about().is_some(), "{} has no description", command.get_name());
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || help.contains("bartizan ") || help.contains("\"bartizan\""), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn places_may_stand_after_the_command() {
        let cli = Cli::try_parse_from(["bartizan", "run", "--name", "n", "--config", "c", "--", "x", "--state", "y"]).expect("parsed");
        assert_eq!((cli.config, cli.state), (Some("c".into()), None));
    }
}
