//! Servers that are started here and spoken to over their standard input and output.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SERVE_BUSY, SERVE_SHARE, UPSTREAM_TOO_LARGE};
use bartizan_monitor::wire::envelope::{self, Outcome};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::Version;
use bartizan_sandbox::{Launch, Process};
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::credentials::Environment;
use super::desk::{Desk, Frame, Slot};
use super::egress::Egress;
use super::{Hearing, Link, Outgoing, Probe, Server, confine, request};
use crate::clock::Stopwatch;
use crate::config::How;
use crate::share::{Full, Share};

/// Environment variables that a server inherits: what programs need to start, and no secret.
const INHERITED: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM", "SHELL"];
/// A server that ends sooner than this after its start has failed to start.
const SETTLED: Duration = Duration::from_secs(10);
/// The longest pause before a restart.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How long to wait for what a server says when it ends.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long a line of standard error may be in the log.
const LOG_LINE: u64 = 4096;

/// How long a principal waits before the next start: doubles with every start of its that failed. One client's crashes
/// do not delay another's start.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: Mutex<HashMap<Arc<str>, u32>>,
    /// When a start failed last.
    last: Mutex<Option<Stopwatch>>,
}

/// For how many principals failed starts are remembered.
const MAX_FAILING: usize = 1024;

impl Backoff {
    fn failures(&self) -> MutexGuard<'_, HashMap<Arc<str>, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a start failed a moment ago, anybody's.
    pub(super) fn is_failing(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|last| last.elapsed() < MAX_PAUSE)
    }

    /// A start failed, or was refused.
    fn failed(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stopwatch::start());
    }

    fn pause(&self, holder: &Arc<str>) -> Duration {
        match self.failures().get(holder) {
            None => Duration::ZERO,
            Some(failures) => {
                Duration::from_millis(100).saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(MAX_PAUSE)
            }
        }
    }

    fn ended_after(&self, holder: &Arc<str>, lived: Duration) {
        if lived >= SETTLED {
            return self.settled(holder);
        }
        self.failed();
        let mut failures = self.failures();
        if failures.len() >= MAX_FAILING {
            failures.retain(|_, failures| *failures > 1);
        }
        if failures.len() < MAX_FAILING || failures.contains_key(holder) {
            let failures = failures.entry(holder.clone()).or_default();
            *failures = failures.saturating_add(1);
        }
    }

    fn settled(&self, holder: &Arc<str>) {
        self.failures().remove(holder);
    }
}

/// A running server and the way in.
#[derive(Debug)]
pub(super) struct Pipe {
    server: Arc<Server>,
    inlet: mpsc::Sender<Bytes>,
    state: Arc<State>,
    /// What it was started with.
    environment: Environment,
}

#[derive(Debug)]
struct State {
    alive: AtomicBool,
    /// Ended because nobody needs it any more: not a failure.
    dismissed: AtomicBool,
    version: AtomicU8,
    why: Mutex<Option<Refusal>>,
    /// The last line of standard error: mostly the reason when a server ends.
    last_words: Mutex<String>,
    process: Mutex<Option<Process>>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    fn version(&self) -> Version {
        Version::ALL.get(usize::from(self.version.load(Ordering::Relaxed))).copied().unwrap_or(Version::NEWEST)
    }

    fn speak(&self, version: Version) {
        let index = Version::ALL.iter().position(|other| *other == version).and_then(|index| u8::try_from(index).ok());
        self.version.store(index.unwrap_or_default(), Ordering::Relaxed);
    }

    fn end(&self) {
        self.alive.store(false, Ordering::Release);
        if let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            process.end();
        }
    }
}

impl Pipe {
    /// Starts the server, after the pause that its failures ask for.
    pub(super) async fn start(server: &Arc<Server>, desk: &Arc<Desk>, version: Version, holder: &Arc<str>) -> Result<Self, Refusal> {
        let share = server.children.take(holder, 1).map_err(|full| match full {
            Full::All => Refusal::new(SERVE_BUSY, format!("limits.children_per_server: {}", server.name())).retry_after(1000),
            Full::Own => Refusal::new(SERVE_SHARE, format!("limits.children_per_principal: {} for {holder}", server.name())),
        })?;
        tokio::time::sleep(server.backoff.pause(holder)).await;
        // Looked at as late as can be: what is started is what was looked at.
        let environment = server.environment().await?;
        let mut launch = launch(server, &environment)?;
        let ready = server.gate.pass(&server.settings).await?;
        if let Some((_, path)) = launch.environment.iter_mut().rev().find(|(name, _)| name == "PATH")
            && let Some(first) = ready.search_path(path)
        {
            *path = first;
        }
        launch.environment.extend(ready.environment);
        launch.command = ready.command;
        let (mut process, egress) = confine::start(server, launch).await.inspect_err(|_| server.backoff.failed())?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (process.stdin.take(), process.stdout.take(), process.stderr.take()) else {
            return Err(server.unreachable("its pipes could not be opened"));
        };
        let state = Arc::new(State {
            alive: AtomicBool::new(true),
            dismissed: AtomicBool::new(false),
            version: AtomicU8::new(0),
            why: Mutex::default(),
            last_words: Mutex::default(),
            process: Mutex::new(Some(process)),
        });
        state.speak(version);
        let (inlet, lines) = mpsc::channel(64);
        tokio::spawn(write_lines(stdin, lines, state.clone()));
        let log = tokio::spawn(log(server.clone(), stderr, state.clone()));
        tokio::spawn(settle(server.clone(), holder.clone(), Arc::downgrade(&state)));
        let (holder, desk) = (holder.clone(), desk.clone());
        let reader = Reader { server: server.clone(), desk, state: state.clone(), log, holder, _share: share, _egress: egress };
        tokio::spawn(reader.run(stdout));
        Ok(Self { server: server.clone(), inlet, state, environment })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.state.alive.load(Ordering::Acquire)
    }

    /// Whether it would be started with the same environment now.
    pub(super) async fn is_current(&self) -> bool {
        self.server.still_is(&self.environment).await
    }

    /// What the server says from now on is in this version.
    pub(super) fn speak(&self, version: Version) {
        self.state.speak(version);
    }

    /// Ends a server that misbehaves; its restart will be paused.
    pub(super) fn cut(&self) {
        self.state.end();
    }

    pub(super) fn end(&self) {
        self.state.dismissed.store(true, Ordering::Release);
        self.state.end();
    }

    /// Writes one message as one line.
    pub(super) async fn write(&self, message: &Json) -> Result<(), Refusal> {
        let mut line: Vec<u8> = message.bytes().to_vec();
        // Strict JSON has line ends only between tokens, where a space says the same.
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        line.push(b'\n');
        let sent = self.inlet.send(Bytes::from(line)).await;
        sent.map_err(|_| self.gone().unwrap_or_else(|| self.server.unreachable("it does not take any more")))
    }

    fn gone(&self) -> Option<Refusal> {
        self.state.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn ask(&self, method: Method, params: Option<&Json>, slot: Slot) -> Result<Outcome, Refusal> {
        self.run(method, params, slot, |_| ()).await
    }

    pub(super) async fn exchange(&self, outgoing: Outgoing<'_>, slot: Slot, hearing: Hearing<'_>) -> Result<Outcome, Refusal> {
        let mut cancel = CancelOnDrop { link: hearing.link.clone(), id: slot.id(), armed: true };
        // What lies in the pipe may be read by a server that dies before it answers.
        hearing.claim().into_iter().for_each(|claim| claim.leaves());
        let outcome =
            self.run(outgoing.method, outgoing.params, slot, |message| hearing.ear.hear(hearing.link, hearing.recorded, message)).await;
        cancel.armed = false;
        outcome
    }

    async fn run(
        &self,
        method: Method,
        params: Option<&Json>,
        mut slot: Slot,
        hear: impl Fn(envelope::Message),
    ) -> Result<Outcome, Refusal> {
        self.write(&request(slot.id(), method, params)).await?;
        loop {
            match slot.frames.recv().await {
                Some(Frame::Final(outcome)) => return Ok(outcome),
                Some(Frame::Interim(message)) => hear(message),
                None => return Err(self.gone().unwrap_or_else(|| self.server.unreachable("it ended before it answered"))),
            }
        }
    }
}

/// Writes whole lines. A call that is given up in the middle of writing would leave half a line for
/// the next one to complete; the channel makes that impossible.
async fn write_lines(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Bytes>, state: Arc<State>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            break;
        }
    }
    state.end();
}

/// A server that lives for a while has started: its earlier failures count no more.
async fn settle(server: Arc<Server>, holder: Arc<str>, state: Weak<State>) {
    tokio::time::sleep(SETTLED).await;
    if state.upgrade().is_some_and(|state| state.alive.load(Ordering::Acquire)) {
        server.backoff.settled(&holder);
    }
}

/// Tells the server when a call is given up.
struct CancelOnDrop {
    link: Arc<Link>,
    id: u64,
    armed: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.armed {
            let (link, id) = (self.link.clone(), self.id);
            // Best effort by nature: a server that does not listen is not told.
            tokio::spawn(async move { link.tell(&Probe::Cancelled(id)).await });
        }
    }
}

struct Reader {
    server: Arc<Server>,
    desk: Arc<Desk>,
    state: Arc<State>,
    log: tokio::task::JoinHandle<()>,
    holder: Arc<str>,
    _share: Share<Arc<str>>,
    /// Its way to other machines ends with it.
    _egress: Option<Egress>,
}

impl Reader {
    async fn run(mut self, stdout: ChildStdout) {
        let started = Stopwatch::start();
        let mut why = self.read(BufReader::with_capacity(64 * 1024, stdout)).await;
        // Standard error is another pipe: what was said last may still be on its way.
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.log).await;
        let words = std::mem::take(&mut *self.state.last_words.lock().unwrap_or_else(PoisonError::into_inner));
        if !words.is_empty() {
            why.detail = format!("{}; its last words: {words}", why.detail);
        }
        if self.state.dismissed.load(Ordering::Acquire) {
            why = self.server.over();
        } else {
            self.server.backoff.ended_after(&self.holder, started.elapsed());
            tracing::warn!(server = %self.server.name(), detail = %why.detail, "a server ended");
        }
        *self.state.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.state.end();
        self.desk.close();
        let process = self.state.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut process) = process {
            process.end();
            // The guard reaps what it started; waiting here reaps the guard.
            let _ = process.wait().await;
        }
    }

    /// Reads lines until the server is gone or cannot be understood any more.
    async fn read<R: AsyncRead + Unpin>(&self, mut stdout: BufReader<R>) -> Refusal {
        let most = self.server.message_bytes;
        loop {
            // Thousands of lines may be there at once: others have their turn in between.
            tokio::task::consume_budget().await;
            let mut line = Vec::new();
            let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            match (&mut stdout).take(limit).read_until(b'\n', &mut line).await {
                Ok(0) => return self.server.unreachable("it closed its output"),
                Ok(_) if line.len() > most && line.last() != Some(&b'\n') => {
                    return Refusal::new(UPSTREAM_TOO_LARGE, format!("{}: a line of more than {most} bytes", self.server.name()));
                }
                Ok(_) => self.take(Bytes::from(line)),
                Err(error) => return self.server.unreachable(error),
            }
        }
    }

    fn take(&self, line: Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match envelope::parse_server(line, self.state.version()) {
            Ok(messages) => messages.into_iter().for_each(|message| self.desk.deliver(message)),
            Err(refusal) => self.desk.garbage(&refusal),
        }
    }
}

/// Brings standard error into the log, made harmless for terminals, without the secrets that the server was given.
async fn log(server: Arc<Server>, stderr: ChildStderr, state: Arc<State>) {
    let mut lines = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match (&mut lines).take(LOG_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text: String =
                    String::from_utf8_lossy(&line).trim_end().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
                let text = server.blinds.cover(text);
                tracing::info!(server = %server.name(), "{text}");
                *state.last_words.lock().unwrap_or_else(PoisonError::into_inner) = text;
            }
        }
    }
}

fn launch(server: &Server, environment: &Environment) -> Result<Launch, Refusal> {
    let How::Stdio { command, directory, .. } = &server.settings.how else {
        return Err(server.unreachable("it is not started here"));
    };
    // Confined, it has a home and scratch space of its own. The client of a container engine is not, and has its own
    // settings in a home; what is in the container sees none of this.
    let bare = server.settings.confine.is_none() || confine::is_asked(command);
    let inherits = |name: &&&str| bare || !matches!(**name, "HOME" | "TMPDIR" | "SHELL");
    #[expect(clippy::disallowed_methods, reason = "what a server inherits of the environment is decided here, and only here")]
    let inherited = INHERITED.iter().filter(|name| inherits(name)).filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    let own = environment.iter().map(|(name, secret)| (OsString::from(name), OsString::from(secret.expose())));
    Ok(Launch {
        command: command.iter().map(OsString::from).collect(),
        environment: inherited.chain(own).collect(),
        directory: directory.clone(),
        confinement: None,
        contained: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_of_one_client_delay_nobody_else() {
        let (backoff, rogue, other) = (Backoff::default(), Arc::from("rogue"), Arc::from("other"));
        for _ in 0..3 {
            backoff.ended_after(&rogue, Duration::ZERO);
        }
        assert_eq!((backoff.pause(&rogue), backoff.pause(&other)), (Duration::from_millis(400), Duration::ZERO));
        backoff.ended_after(&rogue, SETTLED);
        assert_eq!(backoff.pause(&rogue), Duration::ZERO);
    }
}
