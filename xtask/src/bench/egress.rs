//! What a confined server's way out costs its connections, next to connecting directly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::measure::median;
use crate::gateway::{Gateway, NO_LIMITS};
use crate::run::{capture, root};

pub(crate) const NAME: &str = "egress";

/// How often each way is measured, in turns.
const TURNS: usize = 15;
/// Connections of one turn, and bytes of the one that follows them.
const COUNT: usize = 40;
const BYTES: u64 = 256 << 20;
/// Where TLS is caught by name.
const TLS: u16 = 443;

/// How it was measured.
const METHOD: &str = "\
A server in Python (`benches/upstream/egress.py`) connects to a listener of this machine, unconfined (`dangerous.unconfined`) and therefore directly,
and confined: by CONNECT, by SOCKS5, and caught by name and port (transparent). Latency is from before the connection until the first byte of the answer,
the median of 40 connections; throughput that of 256 MiB received over one more. Each way 15 times in turns; numbers are medians.
Every connection begins as TLS does, so that what is looked at is looked at. Client, gateway and listener share the machine.
";

/// A way to the listener.
struct Way {
    name: &'static str,
    /// A name, or an address as text.
    host: String,
    port: u16,
    figures: Vec<(f64, f64)>,
}

/// Measures, and prints a table.
pub(crate) fn measure(bartizan: &Path) -> Result<()> {
    let (host, address) = own_name()?;
    let (any, tls) = (TcpListener::bind((address, 0))?, TcpListener::bind((address, TLS)));
    let port = any.local_addr()?.port();
    std::thread::spawn(move || serve(&any));
    let by_address = |name| Way { name, host: shown(address), port, figures: Vec::new() };
    let mut ways = vec![by_address("direct"), by_address("connect"), by_address("socks")];
    match tls {
        Ok(listener) => {
            std::thread::spawn(move || serve(&listener));
            ways.extend(["direct", "transparent"].map(|name| Way { name, host: host.clone(), port: TLS, figures: Vec::new() }));
        }
        Err(error) => println!("transparent: not measured, port {TLS} cannot be listened at: {error}"),
    }
    let grants = [port, TLS].map(|port| format!("\"{host}:{port}\", \"{}:{port}\"", shown(address)));
    let confine = format!("[servers.egress.confine]\nhosts = [{}]\n", grants.join(", "));
    let (confined, open) = (gateway(bartizan, &confine)?, gateway(bartizan, "[dangerous]\nunconfined = [\"*\"]\n")?);
    let (mut inside, mut outside) = (Session::open(&confined)?, Session::open(&open)?);
    for _ in 0..TURNS {
        for way in &mut ways {
            let session = if way.name == "direct" { &mut outside } else { &mut inside };
            let asked = json!({"way": way.name, "host": way.host, "port": way.port, "count": COUNT, "bytes": BYTES});
            way.figures.push(session.measure(&asked).with_context(|| way.name)?);
        }
    }
    print!("\n{METHOD}\n{}", table(&ways)?);
    Ok(())
}

/// A name of this machine that is not `localhost`, which means the server's own network inside of it.
fn own_name() -> Result<(String, IpAddr)> {
    let name = capture(&mut Command::new("hostname"))?.trim().to_ascii_lowercase();
    let found: Vec<IpAddr> =
        (name.as_str(), TLS).to_socket_addrs().with_context(|| format!("looking up {name}"))?.map(|at| at.ip()).collect();
    // Every address of a listed name has to be listed, so there is to be one.
    let address = *found.first().with_context(|| format!("{name} has no address"))?;
    if found.iter().any(|other| *other != address) {
        bail!("{name} has several addresses: {found:?}");
    }
    Ok((name, address))
}

fn shown(address: IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}

/// Answers each connection with as many bytes as it asks for behind its first record.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut kind, mut size) = ([0; 3], [0; 2]);
    stream.read_exact(&mut kind)?;
    stream.read_exact(&mut size)?;
    let mut record = vec![0; usize::from(u16::from_be_bytes(size))];
    stream.read_exact(&mut record)?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let mut left = usize::try_from(u64::from_be_bytes(length)).unwrap_or_default();
    let part = vec![0; 256 * 1024];
    while left > 0 {
        let now = left.min(part.len());
        stream.write_all(part.get(..now).unwrap_or_default())?;
        left -= now;
    }
    Ok(())
}

fn command() -> Result<[String; 2]> {
    let script = root().join("benches/upstream/egress.py");
    Ok(["/usr/bin/python3".to_owned(), script.to_str().context("no text")?.to_owned()])
}

fn gateway(bartizan: &Path, more: &str) -> Result<Gateway> {
    let [python, script] = command()?;
    let config = format!("{NO_LIMITS}\n[servers.egress]\ncommand = [{python:?}, {script:?}]\n{more}");
    let gateway = Gateway::new(bartizan, &config)?;
    gateway.approve("egress", &["measure=read".to_owned()], &[])?;
    gateway.vouch()?;
    Ok(gateway)
}

/// A conversation with the server through the gateway.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    asked: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Session {
    fn open(gateway: &Gateway) -> Result<Self> {
        let mut run = gateway.command(&["run"], &["--config", "--state", "--lock"]);
        run.args(["--name", "egress", "--"]).args(command()?).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = run.spawn().context("bartizan run")?;
        let (input, output) = (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
        let mut session = Self { child, input, output: BufReader::new(output), asked: 0 };
        let client = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}});
        session.request("initialize", &client)?;
        writeln!(session.input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(session)
    }

    fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.asked += 1;
        writeln!(self.input, "{}", json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}))?;
        self.input.flush()?;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                bail!("the gateway closed its output");
            }
            let said: Value = serde_json::from_str(&line)?;
            if said.get("id").and_then(Value::as_u64) == Some(self.asked) {
                return Ok(said.get("result").cloned().unwrap_or_default());
            }
        }
    }

    /// Microseconds of a connection, and megabytes in a second.
    fn measure(&mut self, asked: &Value) -> Result<(f64, f64)> {
        let result = self.request("tools/call", &json!({"name": "measure", "arguments": asked}))?;
        let text = result.pointer("/content/0/text").and_then(Value::as_str).with_context(|| format!("no answer: {result}"))?;
        let figures = text.strip_suffix(" MB/s").and_then(|text| text.split_once(" us, "));
        let (waited, rate) = figures.with_context(|| format!("no figures: {text}"))?;
        Ok((waited.parse()?, rate.parse()?))
    }
}

impl Way {
    fn medians(&self) -> Result<(f64, f64)> {
        let of = |values: Vec<f64>| median(values).context("nothing was measured");
        Ok((of(self.figures.iter().map(|one| one.0).collect())?, of(self.figures.iter().map(|one| one.1).collect())?))
    }
}

/// What each way adds to a connection and keeps of the throughput, next to the direct one above it.
fn table(ways: &[Way]) -> Result<String> {
    let mut text = String::from("| | latency | added | throughput | kept |\n|---|--:|--:|--:|--:|\n");
    let (mut base, mut most) = (0.0, 0.0);
    for way in ways {
        let (waited, rate) = way.medians()?;
        if way.name == "direct" {
            (base, most) = (waited, rate);
        }
        let (added, kept) = (waited - base, rate / most * 100.0);
        text.push_str(&format!(
            "| {}, {}:{} | {waited:.0} µs | {added:.0} µs | {rate:.0} MB/s | {kept:.0} % |\n",
            way.name, way.host, way.port
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_and_kept_is_next_to_the_direct_way() {
        let way = |name, figures: &[(f64, f64)]| Way { name, host: "h".to_owned(), port: 1, figures: figures.to_vec() };
        let text = table(&[way("direct", &[(100.0, 1000.0), (120.0, 900.0), (90.0, 1100.0)]), way("connect", &[(400.0, 850.0)])]).unwrap();
        assert!(text.contains("| direct, h:1 | 100 µs | 0 µs | 1000 MB/s | 100 % |"), "{text}");
        assert!(text.contains("| connect, h:1 | 400 µs | 300 µs | 850 MB/s | 85 % |"), "{text}");
    }
}
