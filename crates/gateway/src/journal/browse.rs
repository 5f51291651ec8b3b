//! The journals of all processes as one story: in the order of time, each call told once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use bartizan_monitor::wire::json::{Json, View};
use bytes::Bytes;

use super::read::{self, Lines};
use crate::clock;

/// Something that the journal tells: how a call ended, or an event that is not a call.
#[derive(Debug, Clone)]
pub struct Told {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The line; of a call its last one.
    pub line: Json,
    /// What was decided of the call before it left.
    pub decided: Option<Json>,
}

impl Told {
    /// A member of the line, or of the decision.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<View<'_>> {
        let decided = || self.decided.as_ref().and_then(|decided| decided.view().get(key));
        self.line.view().get(key).or_else(decided)
    }

    /// A member that is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(View::as_str).map(std::borrow::Cow::into_owned)
    }

    /// All members of line and decision as one object, without what only the chain needs. What the
    /// controls said of the reply is `reply_trail`, beside the `trail` of the decision.
    #[must_use]
    pub fn whole(&self) -> Json {
        let mut members = BTreeMap::new();
        for json in self.decided.iter().chain([&self.line]) {
            for (key, value) in json.view().members().filter(|(key, _)| !matches!(&**key, "seq" | "prev")) {
                let again = key == "trail" && members.contains_key("trail");
                members.insert(if again { "reply_trail".to_owned() } else { key.into_owned() }, json.share(value));
            }
        }
        Json::object(members.iter().map(|(key, value)| (key.as_str(), value.clone())))
    }
}

/// One file, and its calls that are decided and not closed.
#[derive(Debug)]
struct Page {
    path: PathBuf,
    lines: Option<Lines>,
    next: Option<(u64, Json)>,
    open: BTreeMap<String, Json>,
    number: u64,
    over: bool,
}

/// Reads on, from file to file.
#[derive(Debug)]
pub struct Browser {
    state: PathBuf,
    // By name, which is by the time when they were begun.
    pages: Vec<Page>,
    // Begun files that nobody has looked into: opened when their time comes.
    closed: VecDeque<Page>,
    known: BTreeSet<PathBuf>,
    odd: Vec<String>,
}

impl Browser {
    /// Opens the journals of a state directory.
    pub fn open(state: &Path) -> io::Result<Self> {
        let mut browser =
            Self { state: state.to_owned(), pages: Vec::new(), closed: VecDeque::new(), known: BTreeSet::new(), odd: Vec::new() };
        browser.find()?;
        Ok(browser)
    }

    /// The next thing in the order of time. `None` at the end, where more may come.
    pub fn next_told(&mut self) -> io::Result<Option<Told>> {
        loop {
            let earliest = self.pages.iter().filter_map(|page| page.next.as_ref().map(|(at, _)| *at)).min();
            let unopened = self.closed.front().map(|page| begun_ms(&page.path));
            if let Some(mut page) = unopened.filter(|begun| earliest.is_none_or(|at| *begun <= at)).and_then(|_| self.closed.pop_front()) {
                page.advance(&mut self.odd)?;
                self.pages.push(page);
                continue;
            }
            let Some(page) = self.pages.iter_mut().find(|page| page.next.as_ref().map(|(at, _)| *at) == earliest && earliest.is_some())
            else {
                return Ok(None);
            };
            let told = page.tell();
            page.advance(&mut self.odd)?;
            self.pages.retain(|page| !page.over || page.next.is_some());
            if told.is_some() {
                return Ok(told);
            }
        }
    }

    /// Looks for more: new lines and new files.
    pub fn look(&mut self) -> io::Result<()> {
        for page in &mut self.pages {
            if page.next.is_none() {
                page.advance(&mut self.odd)?;
            }
        }
        self.find()
    }

    /// Calls that were decided and not closed, as far as was read.
    pub fn running(&self) -> impl Iterator<Item = Told> {
        let open = self.pages.iter().flat_map(|page| page.open.values());
        open.map(|decided| Told { at_ms: at(decided), line: decided.clone(), decided: None })
    }

    /// Lines that are none, as `file:line`.
    pub fn odd(&mut self) -> Vec<String> {
        std::mem::take(&mut self.odd)
    }

    fn find(&mut self) -> io::Result<()> {
        for path in read::all(&self.state)? {
            if self.known.insert(path.clone()) {
                self.closed.push_back(Page::new(path));
            }
        }
        Ok(())
    }
}

impl Page {
    fn new(path: PathBuf) -> Self {
        Self { path, lines: None, next: None, open: BTreeMap::new(), number: 0, over: false }
    }

    /// Reads the next line, if there is one.
    fn advance(&mut self, odd: &mut Vec<String>) -> io::Result<()> {
        if self.lines.is_none() && !self.over {
            self.lines = Some(Lines::open(&self.path)?);
        }
        self.next = None;
        let Some(lines) = &mut self.lines else { return Ok(()) };
        while let Some(line) = lines.next_line()? {
            self.number = self.number.saturating_add(1);
            if let Ok(json) = Json::parse(Bytes::from(line)) {
                self.over = json.view().get("event").and_then(View::as_str).as_deref() == Some("end");
                self.next = Some((at(&json), json));
                return Ok(());
            }
            odd.push(format!("{}:{}", self.path.display(), self.number));
        }
        Ok(())
    }

    /// Tells the line that was read; a decision waits for its call to end.
    fn tell(&mut self) -> Option<Told> {
        let (at_ms, line) = self.next.take()?;
        let member = |key: &str| line.view().get(key).and_then(View::as_str);
        let decided = match (member("event").as_deref(), member("call")) {
            (Some("decided"), Some(call)) => {
                self.open.insert(call.into_owned(), line.clone());
                return None;
            }
            (_, Some(call)) => self.open.remove(&*call),
            (_, None) => None,
        };
        Some(Told { at_ms, line, decided })
    }
}

fn at(line: &Json) -> u64 {
    line.view().get("at").and_then(View::as_i64).and_then(|at| u64::try_from(at).ok()).unwrap_or_default()
}

/// When a file was begun, from its name; the beginning of time for a name that does not say it.
fn begun_ms(path: &Path) -> u64 {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let part = |range: std::ops::Range<usize>| name.get(range).unwrap_or_default();
    let text = format!("{}-{}-{}T{}:{}:{}Z", part(0..4), part(4..6), part(6..8), part(9..11), part(11..13), part(13..19));
    clock::read_utc(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::files::{self, Readers};
    use bartizan_monitor::journal::Chain;

    fn write(state: &Path, name: &str, lines: &[(u64, &str)]) {
        files::private_directory(&super::super::directory(state)).expect("directory");
        let mut chain = Chain::default();
        let mut text = Vec::new();
        for (at, members) in lines {
            text.extend(chain.append(*at, None, &Json::parse(Bytes::from((*members).to_owned())).expect("json")));
            text.push(b'\n');
        }
        files::replace(&super::super::directory(state).join(name), &text, Readers::Owner).expect("write");
    }

    fn story(browser: &mut Browser) -> Vec<(u64, String)> {
        std::iter::from_fn(|| browser.next_told().expect("readable")).map(|told| (told.at_ms, told.text("event").expect("event"))).collect()
    }

    #[test]
    fn files_begin_when_their_names_say() {
        assert_eq!(begun_ms(Path::new("/x/20261121T062400.123Z-77.jsonl")), clock::read_utc("2026-11-21T06:24:00.123Z").expect("time"));
        assert_eq!(begun_ms(Path::new("/x/other.jsonl")), 0);
    }

    #[test]
    fn the_story_is_told_in_the_order_of_time_and_calls_once() {
        let dir = tempfile::tempdir().expect("dir");
        let base = clock::read_utc("2026-11-21T00:00:00Z").expect("time");
        write(
            dir.path(),
            "20261121T000000.000Z-1.jsonl",
            &[
                (base, r#"{"event":"begin"}"#),
                (base + 20, r#"{"event":"decided","call":"a","principal":"p"}"#),
                (base + 40, r#"{"event":"closed","call":"a","outcome":"answered"}"#),
                (base + 50, r#"{"event":"decided","call":"b","principal":"q"}"#),
            ],
        );
        write(dir.path(), "20261121T000000.030Z-2.jsonl", &[(base + 30, r#"{"event":"begin"}"#), (base + 60, r#"{"event":"end"}"#)]);
        let mut browser = Browser::open(dir.path()).expect("open");
        let times: Vec<(u64, String)> = story(&mut browser).into_iter().map(|(at, event)| (at - base, event)).collect();
        assert_eq!(times, [(0, "begin".into()), (30, "begin".into()), (40, "closed".into()), (60, "end".into())]);
        assert_eq!(browser.running().map(|told| told.text("principal").expect("q")).collect::<Vec<_>>(), ["q"]);
    }

    #[test]
    fn what_comes_later_is_found() {
        let dir = tempfile::tempdir().expect("dir");
        let journal = super::super::Journal::open(dir.path()).expect("journal");
        let mut browser = Browser::open(dir.path()).expect("open");
        assert_eq!(story(&mut browser).len(), 1);
        journal.note(&Json::object([("event", Json::string("lock"))]));
        browser.look().expect("look");
        assert_eq!(story(&mut browser).len(), 1);
        let other = super::super::Journal::open(dir.path()).expect("other");
        other.finish();
        browser.look().expect("look");
        assert_eq!(story(&mut browser).iter().map(|(_, event)| event.as_str()).collect::<Vec<_>>(), ["begin", "end"]);
        browser.look().expect("look");
        assert_eq!(story(&mut browser), [], "nothing is told twice");
    }

    #[test]
    fn a_call_is_told_whole() {
        let json = |text: &str| Json::parse(Bytes::from(text.to_owned())).expect("json");
        let told = Told {
            at_ms: 1,
            line: json(r#"{"seq":2,"prev":"x","at":2,"us":5,"event":"closed","call":"a","outcome":"answered","trail":{"b":"mask"}}"#),
            decided: Some(json(r#"{"seq":1,"prev":"y","at":1,"event":"decided","call":"a","principal":"p","trail":{"a":"pass"}}"#)),
        };
        assert_eq!(
            told.whole().to_string(),
            r#"{"at":2,"call":"a","event":"closed","outcome":"answered","principal":"p","reply_trail":{"b":"mask"},"trail":{"a":"pass"},"us":5}"#
        );
        assert_eq!(told.text("principal").as_deref(), Some("p"));
    }
}
