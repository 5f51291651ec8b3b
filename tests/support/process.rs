//! Processes of a test: started here, ended here, and looked at through the kernel's own files.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen. Far more than it needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds.
///
/// # Panics
///
/// When it does not within the time that a test waits at most.
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(PATIENCE, what, holds);
}

/// Waits until something holds, and says how long that took.
///
/// # Panics
///
/// When it does not within this time.
pub fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    started.elapsed()
}

/// Whether a process runs: it exists, and is not merely waiting to be noticed as dead.
#[must_use]
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// The most memory that a process ever had, in bytes.
///
/// # Panics
///
/// When it does not run.
#[must_use]
pub fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Whether a connection between two ports of this machine stands, as seen from the first.
///
/// # Panics
///
/// When the kernel does not show its connections.
#[must_use]
pub fn connected(here: u16, there: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel shows connections");
    let port = |address: &str| address.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 01 is ESTABLISHED (include/net/tcp_states.h).
        fields.len() > 3 && port(fields[1]) == Some(here) && port(fields[2]) == Some(there) && fields[3] == "01"
    })
}

/// Sends a signal.
///
/// # Panics
///
/// When there is no `kill`.
pub fn signal(pid: u32, name: &str) {
    let done = std::process::Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("kill");
    assert!(done.success(), "the process {pid} is not there");
}

/// What a process said on standard error so far.
#[derive(Debug, Clone, Default)]
pub struct Said(Arc<(Mutex<String>, Condvar)>);

impl Said {
    /// Listens until the process is silent for ever.
    #[must_use]
    pub fn listen(stderr: ChildStderr) -> Self {
        let said = Self::default();
        let ear = said.clone();
        std::thread::spawn(move || {
            let (mut input, mut line) = (BufReader::new(stderr), Vec::new());
            while input.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                ear.0.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
                ear.0.1.notify_all();
                line.clear();
            }
        });
        said
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line that has these words, and returns it.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn line_with(&self, words: &str) -> String {
        let started = Instant::now();
        let mut text = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = text.lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            let left = PATIENCE.checked_sub(started.elapsed()).unwrap_or_else(|| panic!("never said {words:?}:\n{text}"));
            text = self.0.1.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Waits for the end of a process.
///
/// # Panics
///
/// When it does not end.
pub fn end_of(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return status;
        }
        assert!(started.elapsed() < PATIENCE, "the process {} does not end", child.id());
        std::thread::sleep(Duration::from_millis(5));
    }
}
