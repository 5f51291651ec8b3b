//! What it costs that a server is confined: its start, and the processes that stand around it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Programs;
use super::measure::median;
use crate::gateway::{Gateway, NO_LIMITS};
use crate::run::root;

pub(crate) const NAME: &str = "confined";

/// How often each is started, in turns.
const TURNS: usize = 20;

/// How it was measured, for the page.
pub(crate) const METHOD: &str = "\
`bartizan run` before a server of a few lines (`benches/upstream/small.py`, `small.mjs`), from starting the gateway to the answer of a call; the
server confined, as by default, and named in `dangerous.unconfined`, 20 times each in turns; numbers are medians. Memory is what the
processes that guard one idle server share with nobody (`Private_*` of their `smaps_rollup`).
";

/// One run-time, by what its server is called with.
struct Runtime {
    name: &'static str,
    command: [PathBuf; 2],
}

/// What was measured of one run-time: medians.
struct Figures {
    name: &'static str,
    confined: Duration,
    open: Duration,
    guards_kib: f64,
}

/// What was measured.
pub(crate) struct Confined(Vec<Figures>);

/// Measures Python as the system has it, and the Node that `tests/real/install npm` fetched.
pub(crate) fn measure(programs: &Programs) -> Result<Confined> {
    let real = std::env::var_os("BARTIZAN_REAL").map_or_else(|| root().join("target/real"), PathBuf::from);
    let server = |name: &str| root().join("benches/upstream").join(name);
    let runtimes = [
        Runtime { name: "python3", command: ["/usr/bin/python3".into(), server("small.py")] },
        Runtime { name: "node", command: [real.join("npm/node_modules/.bin/node"), server("small.mjs")] },
    ];
    let figures = runtimes.iter().map(|runtime| starts(&programs.bartizan, runtime));
    Ok(Confined(figures.collect::<Result<_>>()?))
}

fn starts(bartizan: &Path, runtime: &Runtime) -> Result<Figures> {
    let command: Vec<&str> = runtime.command.iter().filter_map(|word| word.to_str()).collect();
    let gateway = |config: &str| -> Result<Gateway> {
        let gateway = Gateway::new(bartizan, config)?;
        gateway.approve("small", &["echo=read".to_owned()], &command)?;
        Ok(gateway)
    };
    let (confined, open) = (gateway(NO_LIMITS)?, gateway(&format!("{NO_LIMITS}\n[dangerous]\nunconfined = [\"*\"]\n"))?);
    let (mut with, mut without, mut guards) = (Vec::new(), Vec::new(), Vec::new());
    // The first start finds nothing in the caches.
    start(&confined, &command)?;
    for _ in 0..TURNS {
        without.push(start(&open, &command)?.0);
        let (took, kib) = start(&confined, &command)?;
        with.push(took);
        guards.push(kib);
    }
    let of = |values: Vec<f64>| median(values).context("nothing was measured");
    Ok(Figures {
        name: runtime.name,
        confined: Duration::from_secs_f64(of(with)?),
        open: Duration::from_secs_f64(of(without)?),
        guards_kib: of(guards)?,
    })
}

/// Starts the gateway and the server behind it, calls once, and ends them: seconds until the answer, and the KiB that
/// the guards have for themselves then.
fn start(gateway: &Gateway, command: &[&str]) -> Result<(f64, f64)> {
    let mut run = gateway.command(&["run"], &["--config", "--state", "--lock"]);
    run.args(["--name", "small", "--"]).args(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = run.spawn().context("bartizan run")?;
    let called = call(&mut child);
    let took = begun.elapsed().as_secs_f64();
    let guards = guards_kib(child.id());
    // Its input ends, and with it the gateway.
    drop(child.stdin.take());
    child.wait()?;
    called?;
    Ok((took, guards))
}

fn call(child: &mut Child) -> Result<()> {
    let (input, output) = (child.stdin.as_mut().context("no pipe")?, child.stdout.take().context("no pipe")?);
    for message in [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}"#,
    ] {
        writeln!(input, "{message}")?;
    }
    input.flush()?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line.contains("\"id\":2") {
            if !line.contains("hello") {
                bail!("it did not answer: {line}");
            }
            return Ok(());
        }
    }
    bail!("the gateway closed its output")
}

/// What the processes of this program below `gateway` share with nobody. The server's own are not counted.
fn guards_kib(gateway: u32) -> f64 {
    let children = |pid: u32| -> Vec<u32> {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    let is_ours = |pid: &u32| {
        let exe = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        exe(*pid).is_some() && exe(*pid) == exe(gateway)
    };
    let guards: Vec<u32> = all_children(gateway).into_iter().filter(is_ours).collect();
    let below: Vec<u32> = guards.iter().flat_map(|guard| children(*guard)).filter(is_ours).collect();
    guards.iter().chain(&below).map(|pid| private_kib(*pid)).sum()
}

/// The children of all threads.
fn all_children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

fn private_kib(pid: u32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let of = |line: &str| line.strip_prefix("Private_")?.split_whitespace().nth(1)?.parse::<f64>().ok();
    rollup.lines().filter_map(of).sum()
}

impl Confined {
    /// The rows of a table of two columns.
    pub(crate) fn rows(&self) -> Vec<(String, String)> {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let rows = self.0.iter().flat_map(|one| {
            let (with, without) = (ms(one.confined), ms(one.open));
            [
                (format!("{}: from starting `bartizan run` to the first answer", one.name), format!("{with:.1} ms")),
                (format!("{}: the same, unconfined", one.name), format!("{without:.1} ms (confining adds {:.1} ms)", with - without)),
                (format!("{}: memory of what guards it", one.name), format!("{:.0} KiB", one.guards_kib)),
            ]
        });
        rows.collect()
    }
}
