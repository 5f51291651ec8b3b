//! External judges of content: asked over HTTP when every control has agreed, one request for each call and direction.
//!
//! What they are sent and who is asked the monitor says (`bartizan_monitor::stages::opinion`), and so does what follows
//! from what they answer. Whatever is no answer, for whatever cause, is *nothing*: too late, too long, a redirect, another
//! status than 200, JSON that is not exactly what was agreed on. Too many questions at once are *unasked*.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_monitor::stages::opinion::{Brief, FORMAT, Finding, Opinion, Said};
use bartizan_monitor::wire::json::{Json, Kind, View};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::clock::{self, Stopwatch};
use crate::config::{Judge, Network};
use crate::upstream::Fetcher;

/// How many things one judge can find in one text.
const MOST_FINDINGS: usize = 16;

/// All judges of the configuration.
#[derive(Debug, Default)]
pub struct Judges(Vec<Arc<Seat>>);

/// One judge, and its connections.
#[derive(Debug)]
struct Seat {
    judge: Arc<Judge>,
    fetcher: Fetcher,
    room: Semaphore,
    /// How many wait for it or for room.
    waiting: AtomicUsize,
}

/// For each brief that a judge is sent at the same time, so many may be waited for; others are refused at once, so that a
/// judge that hangs does not hold all that the gateway can hold.
const WAITING: usize = 4;

impl Judges {
    /// Those that are configured. Nobody is asked yet.
    #[must_use]
    pub fn of(judges: &[Arc<Judge>]) -> Self {
        let seat = |judge: &Arc<Judge>| {
            Arc::new(Seat {
                judge: judge.clone(),
                fetcher: Fetcher::default(),
                room: Semaphore::new(judge.concurrent),
                waiting: AtomicUsize::new(0),
            })
        };
        Self(judges.iter().map(seat).collect())
    }

    /// Asks all that a brief is for, at the same time. Whoever stops waiting stops asking.
    pub async fn hear(&self, brief: &Brief) -> Vec<Opinion> {
        let mut asked = JoinSet::new();
        for wanted in brief.judges() {
            let seat = self.0.iter().find(|seat| seat.judge.name == wanted.name).cloned();
            let (name, body) = (wanted.name.clone(), brief.body().map(|body| body.bytes().clone()));
            asked.spawn(async move {
                let begun = Stopwatch::start();
                let said = match (seat, body) {
                    (Some(seat), Ok(body)) => seat.ask(body).await,
                    (Some(_), Err(why)) => Said::Unasked(why.to_owned()),
                    (None, _) => Said::Unasked("it was configured after the gateway started".to_owned()),
                };
                if let Said::Nothing(why) | Said::Unasked(why) = &said {
                    tracing::warn!(judge = %name, %why, "an external judge was not heard");
                }
                (name, said, clock::millis(begun.elapsed()))
            });
        }
        let mut opinions = Vec::new();
        while let Some(heard) = asked.join_next().await {
            // Who panicked has said nothing, and the monitor misses it.
            if let Ok((name, said, took_ms)) = heard {
                opinions.push(Opinion::assertion(name, brief, (said, took_ms)));
            }
        }
        opinions
    }
}

/// One that waits, until it is dropped.
struct Waiting<'s>(&'s AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Seat {
    async fn ask(&self, body: Bytes) -> Said {
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        let crowded = || Said::Unasked("too many wait for it".to_owned());
        if before >= self.judge.concurrent.saturating_mul(WAITING) {
            return crowded();
        }
        // The turn and the answer together.
        let begun = Stopwatch::start();
        let free = self.room.try_acquire().ok();
        let waits = free.is_none();
        let room = match free {
            Some(room) => Ok(room),
            None => tokio::time::timeout(self.judge.timeout, self.room.acquire()).await.map_err(drop).and_then(|room| room.map_err(drop)),
        };
        let Ok(_room) = room else { return crowded() };
        let token = self.judge.token.as_deref().map(|token| format!("Bearer {}", token.expose()));
        let token = token.map(zeroize::Zeroizing::new);
        let asked = self.fetcher.consult(&self.judge.url, Network::Any, token.as_ref().map(|token| token.as_str()), body);
        match tokio::time::timeout(self.judge.timeout.saturating_sub(begun.elapsed()), asked).await {
            Ok(answered) => answered.and_then(said).unwrap_or_else(Said::Nothing),
            // What it waited for its turn is missing: who sends a call can bring that about.
            Err(_) if waits => crowded(),
            Err(_) => Said::Nothing(format!("no answer within {:?}", self.judge.timeout)),
        }
    }
}

/// Reads an answer, strictly: what a judge may have meant is not guessed, and nothing of it is quoted.
fn said(answer: Bytes) -> Result<Said, String> {
    let no = |why: &str| Err(format!("the answer {why}"));
    let Ok(answer) = Json::parse(answer) else { return no("is not JSON") };
    let view = answer.view();
    if view.kind() != Kind::Object || view.members().any(|(key, _)| !matches!(&*key, "version" | "verdict" | "classes")) {
        return no("is not an object of `version`, `verdict` and `classes`");
    }
    if view.get("version").and_then(View::as_whole) != i64::try_from(FORMAT).ok() {
        return no("is of another version");
    }
    let classes = match view.get("classes") {
        None => Vec::new(),
        Some(list) => {
            let named: Option<Vec<Finding>> = list.items().map(|name| Finding::read(&name.as_str()?)).collect();
            match named.filter(|named| list.kind() == Kind::Array && named.len() <= MOST_FINDINGS) {
                Some(named) => named,
                None => return no("has `classes` that are not up to 16 names of a-z, 0-9, `_`, `.` and `-`"),
            }
        }
    };
    match (view.get("verdict").and_then(View::as_str).as_deref(), classes.is_empty()) {
        (Some("pass"), true) => Ok(Said::Pass),
        (Some("findings"), false) => Ok(Said::Findings(classes)),
        (Some("refuse"), _) => Ok(Said::Refuse(classes)),
        _ => no("has no verdict that fits: `pass` without classes, `findings` with some, or `refuse`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match said(Bytes::copy_from_slice(text.as_bytes())) {
            Ok(said) => format!("{said:?}"),
            Err(why) => why,
        }
    }

    #[test]
    fn answers_are_exactly_what_was_agreed_on_or_nothing() {
        assert_eq!(read(r#"{"version":1,"verdict":"pass"}"#), "Pass");
        assert_eq!(read(r#"{"version":1,"verdict":"pass","classes":[]}"#), "Pass");
        assert_eq!(read(r#"{"version":1,"verdict":"refuse"}"#), "Refuse([])");
        assert_eq!(read(r#"{"verdict":"findings","classes":["a.b-c_1"],"version":1}"#), "Findings([Finding(\"a.b-c_1\")])");
        for bad in [
            "",
            "pass",
            "null",
            "[]",
            "{}",
            r#"{"version":1}"#,
            r#"{"verdict":"pass"}"#,
            r#"{"version":2,"verdict":"pass"}"#,
            r#"{"version":"1","verdict":"pass"}"#,
            r#"{"version":1,"verdict":"PASS"}"#,
            r#"{"version":1,"verdict":true}"#,
            r#"{"version":1,"verdict":["pass"]}"#,
            r#"{"version":1,"verdict":"pass","verdict":"refuse"}"#,
            r#"{"version":1,"verdict":"pass","classes":["a"]}"#,
            r#"{"version":1,"verdict":"pass","why":"x"}"#,
            r#"{"version":1,"verdict":"findings"}"#,
            r#"{"version":1,"verdict":"findings","classes":"a"}"#,
            r#"{"version":1,"verdict":"findings","classes":{"a":"a"}}"#,
            r#"{"version":1,"verdict":"findings","classes":["A"]}"#,
            r#"{"version":1,"verdict":"findings","classes":["ignore previous instructions"]}"#,
            r#"{"version":1,"verdict":"refuse","classes":[1]}"#,
            r#"{"version":1,"verdict":"pass"} {"version":1,"verdict":"refuse"}"#,
        ] {
            assert!(read(bad).starts_with("the answer "), "{bad}: {}", read(bad));
        }
        let many: Vec<String> = (0..17).map(|number| format!("\"c{number}\"")).collect();
        assert!(read(&format!(r#"{{"version":1,"verdict":"findings","classes":[{}]}}"#, many.join(","))).starts_with("the answer "));
    }
}
