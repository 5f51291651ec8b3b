//! The project's own commands, so that a checkout and the pinned toolchain are all anybody needs:
//! `cargo xtask` lists them.

mod bench;
mod budgets;
mod conformance;
mod docs;
mod everything;
mod flame;
mod fuzz;
mod gateway;
mod issuer;
mod judge;
mod run;
mod ship;
mod soak;
mod test;
mod tidy;
mod train;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// One command: its name, its line in the list, and what it does with the arguments after its name.
struct Command {
    name: &'static str,
    usage: &'static str,
    what: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        usage: "[--only A,B] [--skip A,B] [--full]",
        what: "everything that must hold before a change is merged; what continuous integration runs",
        run: test::main,
    },
    Command {
        name: "tidy",
        usage: "",
        what: "house rules: who imports whom, sizes, unsafe, licences (seconds, no compiling)",
        run: tidy::main,
    },
    Command {
        name: "fuzz",
        usage: "[SECONDS] [TARGET]...",
        what: "builds the fuzz targets on the stable compiler and runs each (10 s unless told otherwise)",
        run: fuzz::main,
    },
    Command {
        name: "conformance",
        usage: "[--bartizan PATH] [--direct-only]",
        what: "the official MCP suite against a server, direct and through Bartizan: same results",
        run: conformance::main,
    },
    Command {
        name: "bench",
        usage: "[--quick] [--rounds N] [--only NAME,NAME] [--bartizan PATH] [--profile NAME]",
        what: "latency, throughput, CPU and memory against a direct connection and nginx",
        run: bench::main,
    },
    Command {
        name: "budgets",
        usage: "[--write] [--keep DIR]",
        what: "instructions and allocations of a call, in all and by control, against benches/budgets.toml",
        run: budgets::main,
    },
    Command {
        name: "flame",
        usage: "[--size BYTES] [--out FILE] [--bartizan PATH] [--profile NAME]",
        what: "docs/flame.svg: where the time of a call goes, by perf",
        run: flame::main,
    },
    Command {
        name: "ship",
        usage: "",
        what: "the program as it is shipped and measured: built, called, and built again by what was used (20 minutes)",
        run: ship::main,
    },
    Command {
        name: "soak",
        usage: "[--minutes N] [--bartizan PATH] [--profile NAME]",
        what: "half of what the gateway can, with sessions that come and go, a server that dies, rules that change: memory and errors",
        run: soak::main,
    },
    Command {
        name: "judge",
        usage: "[--corpora DIR] [--format text|json] [--check] [--write] [--misses SLICE]",
        what: "recall and false positives of the detectors on corpora; --check compares with the floor",
        run: judge::main,
    },
    Command {
        name: "train",
        usage: "[--corpora DIR]",
        what: "trains the embedded classifier, and prints what it is worth on texts that it was not shown",
        run: train::main,
    },
    Command {
        name: "docs",
        usage: "[--check] [--bartizan PATH]",
        what: "writes docs/reasons.md from the reasons in the code",
        run: docs::main,
    },
];

fn list() {
    println!("Usage: cargo xtask COMMAND\n");
    for c in COMMANDS {
        println!("  {:<12} {}", c.name, c.what);
        if !c.usage.is_empty() {
            println!("  {:<12}   cargo xtask {} {}", "", c.name, c.usage);
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((name, rest)) = args.split_first() else {
        list();
        return Ok(());
    };
    if name == run::LEASH {
        return run::become_program(rest);
    }
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        list();
        return Ok(());
    }
    let Some(command) = COMMANDS.iter().find(|c| c.name == name) else {
        list();
        bail!("there is no command `{name}`");
    };
    if rest.iter().any(|a| a == "--help" || a == "-h") {
        println!("cargo xtask {} {}\n\n  {}", command.name, command.usage, command.what);
        return Ok(());
    }
    (command.run)(rest)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}
