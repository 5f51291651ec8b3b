//! The command line: small and hand-written, so that the tool starts in a millisecond.

use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::http::Target;
use crate::mcp::{MODERN, Plan};

/// Everything a measurement may be told. Fields a mode does not use keep their default.
pub(crate) struct Args {
    pub(crate) mode: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<String>,
    pub(crate) plan: Plan,
    pub(crate) clients: usize,
    pub(crate) secs: f64,
    pub(crate) warmup: f64,
    pub(crate) pids: Vec<i32>,
    pub(crate) upstream_pids: Vec<i32>,
    pub(crate) n: usize,
    pub(crate) count: usize,
    pub(crate) runs: usize,
    pub(crate) inflight: usize,
    pub(crate) rate: f64,
    pub(crate) cmd: String,
    pub(crate) hold: bool,
    pub(crate) get: bool,
    pub(crate) delete: bool,
    pub(crate) label: String,
    pub(crate) settle: f64,
    pub(crate) wait: f64,
    /// Seconds the whole run may take beyond the time it measures.
    pub(crate) limit: f64,
}

impl Default for Args {
    fn default() -> Args {
        Args {
            mode: String::new(),
            url: "http://127.0.0.1:9100/mcp".into(),
            headers: Vec::new(),
            plan: Plan::default(),
            clients: 1,
            secs: 5.0,
            warmup: 1.0,
            pids: Vec::new(),
            upstream_pids: Vec::new(),
            n: 1000,
            count: 50,
            runs: 5,
            inflight: 1,
            rate: 0.0,
            cmd: String::new(),
            hold: false,
            get: false,
            delete: false,
            label: String::new(),
            settle: 2.0,
            wait: 60.0,
            limit: 120.0,
        }
    }
}

impl Args {
    /// Reads the process's own arguments.
    pub(crate) fn parse() -> Result<Args> {
        let mut it = std::env::args().skip(1);
        let mut a = Args { mode: it.next().unwrap_or_default(), ..Args::default() };
        while let Some(key) = it.next() {
            if !a.flag(&key) {
                let value = it.next().ok_or_else(|| anyhow!("{key}: unknown, or it needs a value"))?;
                a.option(&key, value)?;
            }
        }
        // Bounds, so that a slip of the keyboard is not a flood.
        ensure!(
            a.clients <= 2000 && a.n <= 20_000 && a.secs <= 120.0 && a.count <= 100_000 && a.runs <= 100,
            "out of bounds: clients <= 2000, n <= 20000, secs <= 120, count <= 100000, runs <= 100"
        );
        Ok(a)
    }

    /// The URL and the header lines every request carries.
    pub(crate) fn target(&self) -> Result<Target> {
        Target::parse(&self.url, &self.headers).map_err(|e| anyhow!(e))
    }

    /// Options without a value; `false` when `key` is none of them.
    fn flag(&mut self, key: &str) -> bool {
        match key {
            "--modern" => {
                self.plan.modern = true;
                self.plan.version = MODERN.into();
            }
            "--hold" => self.hold = true,
            "--get" => self.get = true,
            "--delete" => self.delete = true,
            _ => return false,
        }
        true
    }

    fn option(&mut self, key: &str, value: String) -> Result<()> {
        match key {
            "--url" => self.url = value,
            "--header" => self.headers.push(value),
            "--protocol-version" => self.plan.version = value,
            "--tool" => self.plan.tool = value,
            "--args" => self.plan.args = value,
            "--cmd" => self.cmd = value,
            "--label" => self.label = value,
            "--run" => self.plan.run = number(key, &value)?,
            "--size" => self.plan.size = number(key, &value)?,
            "--clients" => self.clients = number(key, &value)?,
            "--secs" => self.secs = number(key, &value)?,
            "--warmup" => self.warmup = number(key, &value)?,
            "--pid" => self.pids.push(number(key, &value)?),
            "--upstream-pid" => self.upstream_pids.push(number(key, &value)?),
            "--n" => self.n = number(key, &value)?,
            "--count" => self.count = number(key, &value)?,
            "--runs" => self.runs = number(key, &value)?,
            "--inflight" => self.inflight = number(key, &value)?,
            "--rate" => self.rate = number(key, &value)?,
            "--settle" => self.settle = number(key, &value)?,
            "--limit" => self.limit = number(key, &value)?,
            "--wait" => self.wait = number(key, &value)?,
            other => return Err(anyhow!("unknown option {other}")),
        }
        Ok(())
    }
}

fn number<T>(key: &str, value: &str) -> Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    value.parse::<T>().with_context(|| format!("{key}: `{value}` is not a number it takes"))
}
