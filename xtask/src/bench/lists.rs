//! A catalogue of 1,000 tools: what it costs inside, and what asking for all of it costs through the gateway.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Programs;
use super::measure::{Loadgen, median};
use crate::gateway::{Gateway, NO_LIMITS};
use crate::run::{Server, capture, free_port, root};

pub(crate) const NAME: &str = "lists";
const TOOLS: &str = "1000";
/// How many lists one client asks for, one after the other, and how often the two are measured in turns.
const COUNT: &str = "200";
const TURNS: usize = 5;

/// How many lists are asked of a server that makes each of them anew.
const REAL_COUNT: &str = "50";

/// How it was measured, for the page.
pub(crate) const METHOD: &str = "\
One client asks for the whole list again and again, 200 times over one connection, in turns from the server and through
the gateway, five times each; numbers are medians of the five. The server sends a text that it made before. The gateway reads its
lists again when the last reading is older than a second, as for any client; all else that it answers with was made
before, and is judged and recorded each time. Latency is from just before the request is written until the answer is complete.
No real server sends a text that it made before: the last rows are the same with one written with the TypeScript SDK
(`benches/upstream/real.mjs`), 50 times in each turn.
";

/// What was measured.
pub(crate) struct Lists {
    inside: Value,
    direct: Vec<Value>,
    through: Vec<Value>,
    /// The same of a server written with an SDK.
    real: Vec<Value>,
    through_real: Vec<Value>,
}

/// Measures. The server behind the gateway sends a text that it made before; no real one is faster.
pub(crate) fn measure(programs: &Programs, loadgen: &Loadgen) -> Result<Lists> {
    let dir = tempfile::Builder::new().prefix("bench-lists-").tempdir()?;
    let inside = capture(Command::new(&programs.catalog).arg(TOOLS))?;
    let inside: Value = serde_json::from_str(inside.trim()).context("bench-catalog")?;
    let (behind, port) = (free_port()?, free_port()?);
    let mut c = Command::new(&programs.upstream);
    c.args(["http", "--addr", &format!("127.0.0.1:{behind}"), "--tools", TOOLS]);
    let mut upstream = Server::start("bench-upstream", &c, &dir.path().join("upstream.log"))?;
    upstream.wait_for(behind, Duration::from_secs(10))?;
    let sdk = free_port()?;
    let real_dir = std::env::var_os("BARTIZAN_REAL").map_or_else(|| root().join("target/real"), PathBuf::from);
    let node = real_dir.join("npm/node_modules/.bin/node");
    let mut c = Command::new(node);
    c.arg(root().join("benches/upstream/real.mjs")).args([format!("http://127.0.0.1:{behind}/mcp"), sdk.to_string()]);
    c.env("BARTIZAN_REAL", &real_dir);
    let mut server = Server::start("real.mjs (after `tests/real/install npm`)", &c, &dir.path().join("real.log"))?;
    server.wait_for(sdk, Duration::from_secs(20))?;
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n\n[servers.bench]\nurl = \"http://127.0.0.1:{behind}/mcp\"\n\n[servers.real]\nurl = \"http://127.0.0.1:{sdk}/mcp\"\n{NO_LIMITS}"
    );
    let gateway = Gateway::new(&programs.bartizan, &config)?;
    gateway.approve("bench", &[], &[])?;
    gateway.approve("real", &[], &[])?;
    let header = format!("Authorization: Bearer {}", gateway.token()?);
    let serving = gateway.serve(port)?;
    let (near, far) = (format!("http://127.0.0.1:{behind}/mcp"), format!("http://127.0.0.1:{port}/mcp/bench"));
    let (near_real, far_real) = (format!("http://127.0.0.1:{sdk}/mcp"), format!("http://127.0.0.1:{port}/mcp/real"));
    let pid = serving.pid().to_string();
    let (mut direct, mut through, mut real, mut through_real) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        direct.push(loadgen.run("list", &["--url", &near, "--count", COUNT])?);
        through.push(loadgen.run("list", &["--url", &far, "--count", COUNT, "--header", &header, "--pid", &pid])?);
        real.push(loadgen.run("list", &["--url", &near_real, "--count", REAL_COUNT])?);
        through_real.push(loadgen.run("list", &["--url", &far_real, "--count", REAL_COUNT, "--header", &header])?);
    }
    Ok(Lists { inside, direct, through, real, through_real })
}

impl Lists {
    /// How often as long as from the server itself a list takes through the gateway: one for which the gateway reads its
    /// lists again, which is the slowest of a turn, and the others.
    pub(crate) fn to_direct(&self) -> Result<(f64, f64)> {
        let of = |values: &[Value], at: &str| {
            let numbers = values.iter().map(|value| value.pointer(at).and_then(Value::as_f64));
            numbers.collect::<Option<Vec<f64>>>().and_then(median).with_context(|| format!("no {at}"))
        };
        let near = of(&self.direct, "/latency_us/p50")?;
        Ok((of(&self.through, "/latency_us/max")? / near, of(&self.through, "/latency_us/p50")? / near))
    }

    /// What the definitions hold of memory.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        Ok(self.inside.pointer("/memory_kib").and_then(Value::as_f64).context("no memory_kib")? / 1024.0)
    }

    /// The rows of a table of two columns.
    pub(crate) fn rows(&self) -> Result<Vec<(String, String)>> {
        let number = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_f64).with_context(|| format!("no {at} in {value}"));
        let inside = |at: &str| number(&self.inside, at);
        let of = |values: &[Value], at: &str| {
            let numbers = values.iter().map(|value| number(value, at)).collect::<Result<Vec<f64>>>()?;
            median(numbers).context("nothing was measured")
        };
        let (near, far) = (of(&self.direct, "/latency_us/p50")?, of(&self.through, "/latency_us/p50")?);
        let (own, behind) = (of(&self.real, "/latency_us/p50")?, of(&self.through_real, "/latency_us/p50")?);
        let ms = |at: &str| Ok::<_, anyhow::Error>(format!("{:.1} ms", inside(at)?));
        Ok([
            ("read and hash all", ms("/read_and_hash_ms")?),
            ("scan all, as a review does", ms("/scan_ms")?),
            ("put the list together", ms("/list_ms")?),
            ("these three, on one core", ms("/all_ms")?),
            ("compare a called tool with the lock file", format!("{:.0} ns", inside("/pin_check_ns")?)),
            ("memory of the definitions as offered and as pinned", format!("{:.0} KiB", inside("/memory_kib")?)),
            ("`tools/list` from the server, p50", format!("{near:.0} µs")),
            ("`tools/list` through Bartizan, p50", format!("{far:.0} µs ({:.2} times)", far / near)),
            ("`tools/list` from a server with the TypeScript SDK, p50", format!("{own:.0} µs")),
            ("the same through Bartizan, p50", format!("{behind:.0} µs ({:.2} times)", behind / own)),
            ("CPU of the gateway for one such list", format!("{:.0} µs", of(&self.through, "/gateway/cpu_us_per_call")?)),
            ("memory of the gateway after them", format!("{:.1} MiB", of(&self.through, "/gateway/rss_kib")? / 1024.0)),
        ]
        .map(|(what, value)| (what.to_owned(), value))
        .to_vec())
    }
}
