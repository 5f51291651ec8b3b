//! One call that was made, and its lines in the file.

use std::sync::Arc;

use bartizan_monitor::case::Deed;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::version::Era;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is being made.
    Running,
    /// It is being made by another process, as far as its file says.
    Elsewhere,
    /// It was carried out; the answer, where it was kept.
    Done(Option<Json>),
    /// Nobody knows.
    Ambiguous,
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Digest,
    pub(super) print: Digest,
    pub(super) call: u64,
    pub(super) at_ms: u64,
    pub(super) named: bool,
    pub(super) era: Era,
    pub(super) session: Arc<str>,
    pub(super) request: String,
    pub(super) who: Arc<str>,
    pub(super) target: Arc<str>,
    pub(super) state: State,
    /// Whether the file of this process has its first line.
    pub(super) noted: bool,
}

impl Entry {
    /// A call that begins.
    pub(super) fn of(deed: Deed) -> Self {
        let Deed { key, print, named, repeats: _, who, target, call, session, request, era, now_ms } = deed;
        Self { key, print, call, at_ms: now_ms, named, era, session, request, who, target, state: State::Running, noted: false }
    }

    fn head(&self, event: &str) -> [(&'static str, Json); 3] {
        [
            ("event", Json::string(event)),
            ("call", Json::string(&format!("{:016x}", self.call))),
            ("key", Json::string(&self.key.to_string())),
        ]
    }

    /// Its first line.
    pub(super) fn begun(&self) -> Json {
        let text = |text: &str| Json::string(text);
        Json::object(self.head("begun").into_iter().chain([
            ("print", text(&self.print.to_string())),
            ("named", Json::of(&self.named)),
            ("modern", Json::of(&(self.era == Era::Modern))),
            ("since", Json::number(self.at_ms)),
            ("session", text(&self.session)),
            ("request", text(&self.request)),
            ("who", text(&self.who)),
            ("target", text(&self.target)),
        ]))
    }

    /// Its last line; none while it runs.
    pub(super) fn ended(&self) -> Option<Json> {
        let (event, answer) = match &self.state {
            State::Running | State::Elsewhere => return None,
            State::Done(answer) => ("done", answer.clone()),
            State::Ambiguous => ("ambiguous", None),
        };
        let at = ("since", Json::number(self.at_ms));
        Some(Json::object(self.head(event).into_iter().chain([at]).chain(answer.map(|answer| ("answer", answer)))))
    }

    /// The last line of one that did not happen.
    pub(super) fn undone(&self) -> Json {
        Json::object(self.head("undone"))
    }

    /// Reads a first line.
    pub(super) fn read(line: View<'_>) -> Option<Self> {
        let text = |key: &str| line.get(key).and_then(View::as_str);
        let flag = |key: &str| line.get(key).and_then(View::as_bool);
        Some(Self {
            key: Digest::read(&text("key")?)?,
            print: Digest::read(&text("print")?)?,
            call: u64::from_str_radix(&text("call")?, 16).ok()?,
            at_ms: since(line)?,
            named: flag("named")?,
            era: if flag("modern")? { Era::Modern } else { Era::Legacy },
            session: (&*text("session")?).into(),
            request: text("request")?.into_owned(),
            who: (&*text("who")?).into(),
            target: (&*text("target")?).into(),
            state: State::Running,
            noted: true,
        })
    }
}

/// When something began, or ended.
pub(super) fn since(line: View<'_>) -> Option<u64> {
    line.get("since").and_then(View::as_i64).and_then(|at| u64::try_from(at).ok())
}
