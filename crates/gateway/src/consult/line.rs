//! The line between `bartizan approvals` and the gateways of this machine: a socket in the state directory.
//!
//! Whoever may open it is the user that the gateway runs as, and the kernel says so; who shows a credential of its own
//! besides is a person. What waits is never on a disk, and when a gateway ends nothing answers any more. One line of
//! JSON asks, one answers.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as Stream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::wire::json::{Json, View};
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::answer::{self, Said, Side, Unheard, Who};
use super::desk::{Card, Heard, fresh_id};
use super::quarantine;
use super::shown::Detail;
use super::standing::{Standing, Wish};
use crate::clock;
use crate::config::files;
use crate::identity::local_user;
use crate::serve::House;

/// Where the sockets are, below the state directory, and how their names end.
const DIRECTORY: &str = "held";
const ENDING: &str = ".sock";
/// How long a question and an answer may be, and how long either may take.
const MAX_QUESTION: u64 = 64 * 1024;
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// How many ask at the same time.
const MAX_ASKERS: usize = 16;
/// How long the path of a socket may be on this system, without the zero at its end.
const MAX_PATH: usize = 100;

/// A path that a socket can have: where the real one is too long, the way through an open directory.
struct Way {
    path: PathBuf,
    _directory: Option<std::fs::File>,
}

impl Way {
    fn to(socket: &Path) -> io::Result<Self> {
        let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else { return Err(io::ErrorKind::InvalidInput.into()) };
        if socket.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path: socket.to_owned(), _directory: None });
        }
        #[expect(clippy::disallowed_methods, reason = "the directory of our own sockets")]
        let open = std::fs::File::open(directory)?;
        let path = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _directory: Some(open) })
    }
}

/// A gateway's end of the line. Dropped, its socket is removed.
#[derive(Debug)]
pub struct Post {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Post {
    fn drop(&mut self) {
        // One that stays answers nobody, and is removed by the next who looks.
        let _ = files::remove(&self.path);
    }
}

impl Post {
    /// Opens a line in a state directory.
    pub fn open(state: &Path) -> io::Result<Self> {
        let directory = state.join(DIRECTORY);
        files::private_directory(&directory)?;
        // What gateways left that were killed.
        drop(lines(state)?);
        let name = fresh_id().map_err(|refusal| io::Error::other(refusal.detail))?;
        let path = directory.join(format!("{name}{ENDING}"));
        let listener = UnixListener::bind(&Way::to(&path)?.path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// What it is called in the state directory.
    #[must_use]
    pub fn name(&self) -> String {
        called(&self.path)
    }

    /// Answers for as long as the gateway runs.
    pub async fn serve(self, house: Arc<House>) {
        let askers = Arc::new(Semaphore::new(MAX_ASKERS));
        loop {
            let Ok(place) = askers.clone().acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a line to `bartizan approvals` was not opened");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let house = house.clone();
            tokio::spawn(async move {
                let _place = place;
                // Who takes longer than that asks again.
                let _ = tokio::time::timeout(PATIENCE, talk(&house, stream)).await;
            });
        }
    }
}

async fn talk(house: &Arc<House>, mut stream: UnixStream) -> io::Result<()> {
    let us = rustix::process::geteuid().as_raw();
    if stream.peer_cred()?.uid() != us {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    BufReader::new(read.take(MAX_QUESTION)).read_until(b'\n', &mut line).await?;
    let answer = match Json::parse(Bytes::from(line)) {
        Ok(question) => reply(house, question.view()).await,
        Err(_) => error("not a question"),
    };
    write.write_all(answer.bytes()).await?;
    write.shutdown().await
}

fn error(what: &str) -> Json {
    Json::object([("error", Json::string(what))])
}

async fn reply(house: &Arc<House>, question: View<'_>) -> Json {
    let text = |key: &str| question.get(key).and_then(View::as_str).unwrap_or_default();
    let now_ms = clock::now_ms();
    let desk = &house.consult.desk;
    match &*text("ask") {
        "list" => Json::object([("held", Json::array(desk.cards(now_ms).iter().map(|card| brief(card))))]),
        "show" => match desk.card(&text("id"), now_ms) {
            Some(card) => {
                let detail = if text("detail") == "full" { Detail::Full } else { Detail::Folded };
                let arguments = card.whole(detail);
                Json::object([("call", brief(&card)), ("text", Json::string(&card.shown.text)), ("arguments", Json::string(&arguments))])
            }
            None => error(&Unheard::Gone.to_string()),
        },
        "web" => match house.consult.page() {
            Some(address) => Json::object([("address", Json::string(address))]),
            None => error("this gateway has no page; `[approvals] listen` opens one"),
        },
        "allow" => allow(house, question).await,
        "allowed" => Json::object([("allowed", Json::array(house.consult.patterns.list(now_ms).iter().map(Standing::json)))]),
        "quarantine" => quarantine::heard(house, question).await.unwrap_or_else(|why| error(&why)),
        "withdraw" => withdraw(house, &text("id")),
        "grant" => decide(house, question, Side::Grant).await,
        "refuse" => decide(house, question, Side::Refuse).await,
        _ => error("not a question"),
    }
}

fn brief(card: &Card) -> Json {
    let Card { id, hold, place, server, item, effect, since_ms, until_ms, shown, .. } = card;
    Json::object([
        ("id", Json::string(id)),
        ("server", Json::string(server)),
        ("tool", Json::string(&item.pin.name)),
        ("effect", Json::string(effect.name())),
        ("principal", Json::string(&place.principal)),
        ("session", Json::string(&place.session)),
        ("minimum", Json::string(hold.minimum.name())),
        ("approvers", Json::number(hold.approvers.into())),
        ("since_ms", Json::number(*since_ms)),
        ("until_ms", Json::number(*until_ms)),
        ("shown", Json::string(&shown.digest.to_string())),
    ])
}

/// Somebody answers.
async fn decide(house: &Arc<House>, question: View<'_>, side: Side) -> Json {
    let text = |key: &str| question.get(key).and_then(View::as_str).map(std::borrow::Cow::into_owned).unwrap_or_default();
    let who = match Who::of(house, &text("token")).await {
        Ok(who) => who,
        Err(refusal) => return error(&format!("{}: {}", refusal.reason, refusal.detail)),
    };
    match answer::answer(house, &who, Said { id: &text("id"), shown: &text("shown"), side, channel: "approvals" }) {
        Ok(done) => {
            let more = match done.heard {
                Heard::Done => None,
                Heard::More(number) => Some(("more", Json::number(number.into()))),
            };
            let members = [
                ("done", Json::string(side.name())),
                ("by", Json::string(&done.word.by)),
                ("assurance", Json::string(done.word.assurance.name())),
            ];
            Json::object(members.into_iter().chain(more))
        }
        Err(why) => error(&why.to_string()),
    }
}

/// Somebody agrees in advance; `try` only says to what.
async fn allow(house: &Arc<House>, question: View<'_>) -> Json {
    let text = |key: &str| question.get(key).and_then(View::as_str).map(std::borrow::Cow::into_owned).unwrap_or_default();
    let number = |key: &str| question.get(key).and_then(View::as_i64).and_then(|value| u64::try_from(value).ok()).unwrap_or_default();
    let bounds =
        question.get("where").into_iter().flat_map(View::items).filter_map(|bound| bound.as_str().map(std::borrow::Cow::into_owned));
    let (server, tool, client) = (text("server"), text("tool"), text("client"));
    let wish = Wish { server, tool, client, bounds: bounds.collect(), for_ms: number("for_ms"), times: number("times") };
    let now_ms = clock::now_ms();
    let who = match Who::of(house, &text("token")).await {
        Ok(who) => who,
        Err(refusal) => return error(&format!("{}: {}", refusal.reason, refusal.detail)),
    };
    let standing = match wish.judge(house, who, now_ms) {
        Ok(standing) => standing,
        Err(why) => return error(&why),
    };
    let said = standing.json();
    if question.get("try").and_then(View::as_bool) == Some(true) {
        return said;
    }
    // Written down before it is good for anything, or good for nothing.
    let noted = house.journal.must_note(&Json::object([
        ("event", Json::string("approval-pattern")),
        ("shown", Json::string(&standing.digest.to_string())),
        ("pattern", said.clone()),
    ]));
    if let Err(why) = noted {
        return error(&format!("it cannot be written down, so it is good for nothing: {why}"));
    }
    match house.consult.patterns.add(standing, now_ms) {
        Ok(()) => said,
        Err(why) => error(why),
    }
}

/// Somebody on this machine takes back what was agreed to in advance.
fn withdraw(house: &Arc<House>, id: &str) -> Json {
    if !house.consult.patterns.withdraw(id, clock::now_ms()) {
        return error("nothing of that name is agreed to in advance (any more)");
    }
    house.journal.note(&Json::object([
        ("event", Json::string("approval-pattern-withdrawn")),
        ("id", Json::string(id)),
        ("by", Json::string(local_user().principal())),
    ]));
    Json::object([("done", Json::string("withdraw"))])
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Line(PathBuf);

fn called(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Line {
    /// What it is called in the state directory.
    #[must_use]
    pub fn name(&self) -> String {
        called(&self.0)
    }
}

/// The gateways over a state directory that run. What is left of others is removed.
pub fn lines(state: &Path) -> io::Result<Vec<Line>> {
    let directory = state.join(DIRECTORY);
    let sockets = files::list(&directory, ENDING)?;
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    files::check_private(&directory)?;
    let (mut alive, mut dead) = (Vec::new(), Vec::new());
    for path in sockets {
        match connect(&path) {
            Ok(_) => alive.push(Line(path)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => dead.push(path),
            // It is about to come or to go.
            Err(_) => {}
        }
    }
    dead.iter().for_each(|path| drop(files::remove(path)));
    Ok(alive)
}

fn connect(path: &Path) -> io::Result<Stream> {
    #[expect(clippy::disallowed_methods, reason = "the one line to a gateway of this machine")]
    let stream = Stream::connect(Way::to(path)?.path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl Line {
    /// Asks a gateway.
    pub fn ask(&self, question: &Json) -> io::Result<Json> {
        let mut stream = connect(&self.0)?;
        stream.write_all(question.bytes())?;
        stream.write_all(b"\n")?;
        let mut answer = Vec::new();
        io::BufReader::new(stream).take(MAX_ANSWER).read_until(b'\n', &mut answer)?;
        Json::parse(Bytes::from(answer)).map_err(io::Error::other)
    }
}
