//! Clients over Streamable HTTP: both eras on one endpoint.

mod answer;
mod body;
mod challenge;
mod door;
mod flood;
mod onward;
mod proxy;
mod sessions;
mod stall;
mod tape;

use std::sync::Arc;

use bartizan_monitor::case::Caller;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SESSION_LIMIT, SESSION_UNKNOWN};
use bartizan_monitor::wire::envelope::{self, Arrival, Misread, Parsed};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::refusal::{self, Refused};
use bartizan_monitor::wire::{HTTP, HTTP_METHOD, NOT_ACCEPTABLE};
use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, Method as HttpMethod, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use super::{Reply, Text, UNREAD, scope, stdio};
use crate::clock::{self, Stopwatch};
use crate::identity::{self, Certificate, Shown};
use crate::serve::{House, handle};
use crate::session::{Endpoint, Interim, Talk};
use crate::share::Share;
use answer::{Answer, json, plain, plain_status, stream};
use body::{Body, Kept};
use flood::{Entry, Flood};
use onward::Onward;
pub use proxy::Line;
use proxy::{Origin, Through};
use sessions::{Session, Sessions};
pub use stall::Stall;

const SESSION: &str = "mcp-session-id";
/// Ours are shorter.
const MAX_SESSION_ID: usize = 256;
const LAST_EVENT: &str = "last-event-id";
/// How many interim messages of one request wait for a slow client.
const BACKLOG: usize = 256;

/// The HTTP front of a house.
#[derive(Debug)]
pub struct Front {
    house: Arc<House>,
    merged: Arc<Endpoint>,
    single: Vec<Arc<Endpoint>>,
    sessions: Sessions,
    flood: Flood,
}

/// Room for the body that a message was read from.
type Room = Share<Arc<str>>;
/// A message, and the room that it takes.
type Held = (Result<Parsed, Misread>, Room);

/// Who asks, at which endpoint, from where.
#[derive(Clone, Copy)]
struct Asker<'a> {
    caller: &'a Caller,
    endpoint: &'a Arc<Endpoint>,
    whence: door::Whence,
    certificate: Option<&'a Arc<Certificate>>,
}

impl Front {
    /// A front for these endpoints.
    #[must_use]
    pub fn new(house: Arc<House>, merged: Arc<Endpoint>, single: Vec<Arc<Endpoint>>) -> Arc<Self> {
        let sessions = Sessions::new(&house.settings.limits);
        Arc::new(Self { house, merged, single, sessions, flood: Flood::default() })
    }

    /// Ends sessions that nobody uses, and in the end all of them.
    pub async fn sweep(&self) {
        // A stream that is merely read sends no message whose credential could be looked at.
        self.sessions.sweep(|caller| self.house.identity.still(caller, clock::now_ms()).is_ok()).await;
    }

    /// The client certificates that sessions were last used with.
    pub fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.sessions.certificates()
    }

    /// Ends the sessions that were last used with a certificate: what runs in them goes on without its connection.
    pub async fn lapse(&self, certificate: &Certificate) {
        self.sessions.lapse(certificate).await;
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// Tells all sessions something.
    pub fn announce(&self, message: &Bytes) {
        self.sessions.announce(message);
    }

    /// Ends all sessions.
    pub async fn close(&self) {
        self.sessions.close().await;
    }

    /// Answers one HTTP request. Step 1 of the life of a call.
    pub async fn answer(self: &Arc<Self>, line: &Line, request: Request<Incoming>) -> Response<Kept> {
        let arrived = Stopwatch::start();
        let (parts, body) = request.into_parts();
        let mut share = None;
        let answered = async {
            let listen = &self.house.settings.listen;
            let Origin { peer, through, host, place } = proxy::origin(listen, line.peer, &parts.headers)?;
            if through == Through::Proxy {
                // Its connection is the proxy's; what is counted is what it has running there.
                share = Some(line.share(peer)?);
            }
            door::place(listen, &parts, host.as_deref())?;
            identity::misplaced(parts.uri.query())?;
            if let Some(metadata) = self.metadata(&parts) {
                return Ok(metadata);
            }
            let identity = &self.house.identity;
            let (authorization, certificate) = (door::credentials(&parts.headers), line.certificate(through));
            let shown = Shown { authorization: &authorization, certificate: certificate.map(AsRef::as_ref), place };
            let caller = identity.admit(shown, clock::now_ms()).await?;
            let endpoint = door::endpoint(parts.uri.path(), (&self.merged, &self.single), &caller, identity)?;
            let whence = door::Whence { peer, arrived, parent: door::parent(&parts.headers) };
            let asker = Asker { caller: &caller, endpoint: &endpoint, whence, certificate };
            match parts.method {
                HttpMethod::POST => {
                    door::postable(&parts.headers)?;
                    // Held until the message is dealt with: as long as that, the body may be in memory.
                    let mut room = door::room(&self.house, &caller, &body)?;
                    let body = door::collect(body, &self.house.settings.limits, &mut room).await?;
                    self.post(asker, &parts.headers, (body, room)).await
                }
                HttpMethod::GET => self.get(asker, &parts.headers),
                HttpMethod::DELETE => Box::pin(self.delete(asker, &parts.headers)).await,
                _ => Err(Refusal::new(HTTP_METHOD, parts.method.to_string())),
            }
        };
        let answer = answered.await.unwrap_or_else(|refusal| self.refuse(&refusal));
        challenge::add(answer, self.house.identity.oauth()).map(|body| Kept::new(body, share))
    }

    /// Records that somebody was turned away before there was a request.
    pub fn turn_away(&self, refusal: &Refusal) {
        tracing::info!(reason = %refusal.reason, detail = %refusal.detail, "turned away");
        self.record(refusal);
    }

    /// How to get a credential: said to everybody, because nobody has one before.
    fn metadata(&self, parts: &http::request::Parts) -> Option<Answer> {
        let document = self.house.identity.oauth()?.metadata(parts.uri.path())?;
        (parts.method == HttpMethod::GET).then(|| json(200, document.bytes().clone()))
    }

    /// Answers what did not become a message, and records it.
    fn refuse(&self, refusal: &Refusal) -> Answer {
        let refused = Refused { id: None, method: None, era: UNREAD, call: self.record(refusal) };
        let encoded = refusal::encode(refusal, refused);
        self.house.metrics.refused(refusal.reason);
        tracing::info!(reason = %refusal.reason, detail = %refusal.detail, "refused");
        let mut answer = json(encoded.status, encoded.message.bytes().clone());
        challenge::label(&mut answer, (refusal.reason, scope(refusal)));
        answer
    }

    /// Records a refusal, or counts it when there are too many; returns the number of the record.
    fn record(&self, refusal: &Refusal) -> u64 {
        match self.flood.one_more(clock::now_ms()) {
            Entry::Counted => return 0,
            Entry::OwnAfter(count) => {
                self.house.journal.note(&Json::object([("event", Json::string("flood")), ("refused", Json::number(count))]));
            }
            Entry::Own => {}
        }
        let mut ticket = self.house.journal.ticket();
        ticket.about().string("transport", "http");
        let id = ticket.id();
        ticket.refuse(refusal);
        id
    }

    async fn post(self: &Arc<Self>, asker: Asker<'_>, headers: &HeaderMap, (body, room): (Bytes, Room)) -> Result<Answer, Refusal> {
        let mirror = door::mirror(headers);
        let Asker { caller, endpoint, whence, .. } = asker;
        let named = self.session(asker, headers)?;
        let negotiated = named.as_ref().and_then(|session| session.talk.negotiated()).map(|settled| settled.version);
        // What is rare has a place of its own: whatever may be waited for here takes room in every connection.
        match envelope::parse(body, &mirror, negotiated) {
            Arrival::Batch(messages) => Ok(Box::pin(self.batch(asker, named, messages)).await),
            Arrival::One(message) if opens_session(&message) && named.is_none() => Box::pin(self.initialize(asker, *message)).await,
            Arrival::One(message) => Ok(match named.filter(|_| is_legacy(&message)) {
                Some(session) => self.within(session, whence, (*message, room)).await,
                None => self.alone(self.sessions.standing(caller, endpoint), whence, (*message, room)).await,
            }),
        }
    }

    /// The session that a request names: the caller's own, at this endpoint, or none at all.
    fn session(&self, asker: Asker<'_>, headers: &HeaderMap) -> Result<Option<Arc<Session>>, Refusal> {
        let Some(id) = door::once(headers, SESSION).map_err(|what| Refusal::new(SESSION_UNKNOWN, what))? else { return Ok(None) };
        if id.len() > MAX_SESSION_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::new(HTTP, "not a session id"));
        }
        // A modern request has no session; a session id that it carries is ignored (2026-07-28, transports).
        if door::is_modern(headers) {
            return Ok(None);
        }
        let session = self
            .sessions
            .find(id)
            // Equal in the servers that the credential is good for, too: one that was changed needs a new session.
            .filter(|session| session.talk.caller == *asker.caller && Arc::ptr_eq(&session.talk.endpoint, asker.endpoint))
            .inspect(|session| session.used_by(asker.certificate));
        session.map(Some).ok_or_else(|| Refusal::new(SESSION_UNKNOWN, "not a session of this caller at this endpoint"))
    }

    async fn initialize(
        self: &Arc<Self>,
        Asker { caller, endpoint, whence, certificate }: Asker<'_>,
        message: Result<Parsed, Misread>,
    ) -> Result<Answer, Refusal> {
        let (id, session) = self.sessions.open(caller, endpoint).ok_or_else(|| Refusal::new(SESSION_LIMIT, "").retry_after(1000))?;
        session.used_by(certificate);
        let (interim, _early) = mpsc::channel(1);
        let reply = handle(&self.house, whence.visit(&session.talk, interim), message).await;
        let reply = match reply {
            Some(reply) if reply.succeeded => reply,
            refused => {
                self.sessions.end(&id).await;
                return Ok(plain(refused));
            }
        };
        let mut answer = json(reply.status, reply.message);
        if let Ok(value) = HeaderValue::try_from(id.as_str()) {
            answer.headers_mut().insert(SESSION, value);
        }
        Ok(answer)
    }

    /// A request that stands alone: it lives as long as its connection.
    async fn alone(self: &Arc<Self>, talk: Arc<Talk>, whence: door::Whence, (message, room): Held) -> Answer {
        let house = self.house.clone();
        let (interim, early) = mpsc::channel(BACKLOG);
        let work = Box::pin(async move {
            let _held = room;
            handle(&house, whence.visit(&talk, interim), message).await
        });
        match body::first(work, early).await {
            body::First::Reply(reply) => plain(reply),
            body::First::Stream(live) => stream(Body::Live(Box::new(live))),
        }
    }

    /// A request of a session: it goes on when the connection breaks, and its stream can be resumed.
    async fn within(self: &Arc<Self>, session: Arc<Session>, whence: door::Whence, (message, room): Held) -> Answer {
        let (decided, mut decision) = oneshot::channel();
        let house = self.house.clone();
        let work = Onward::new(async move {
            let _held = room;
            run_within(&house, &session, (whence, message), decided).await;
        });
        let decision = tokio::select! {
            biased;
            // A stream's beginning: the rest of the work goes on while the stream is read.
            decided = &mut decision => decided.map_err(drop),
            () = work => decision.try_recv().map_err(drop),
        };
        match decision {
            Ok(Decision::Reply(reply)) => plain(reply),
            // The call has a place of its own, as long as it runs.
            Ok(Decision::Stream(events)) => stream(Body::Tape { events, _room: None }),
            // The work panicked; its ticket has closed the record.
            Err(()) => plain_status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    async fn batch(
        self: &Arc<Self>,
        Asker { caller, endpoint, whence, .. }: Asker<'_>,
        named: Option<Arc<Session>>,
        messages: Vec<Result<Parsed, Misread>>,
    ) -> Answer {
        let talk = named.map_or_else(|| self.sessions.standing(caller, endpoint), |session| session.talk.clone());
        let (interim, mut early) = mpsc::channel(BACKLOG);
        let handled = async {
            let visit = || whence.visit(&talk, interim.clone());
            let visits = messages.into_iter().map(|message| handle(&self.house, visit(), message));
            let replies = futures_util::future::join_all(visits).await;
            drop(interim);
            replies
        };
        // What comes early in a batch has no stream of its own: it goes where unsolicited messages go.
        let forward = async {
            while let Some(item) = early.recv().await {
                match item {
                    Interim::Message(message) => drop(talk.post(message)),
                    Interim::Ask(own, message) => {
                        if !talk.post(message) {
                            drop(talk.asks.take(own));
                        }
                    }
                    Interim::Pulse(_) => {}
                }
            }
        };
        let (replies, ()) = tokio::join!(handled, forward);
        stdio::array(replies).map_or_else(|| plain(None), |array| json(200, array))
    }

    fn get(&self, asker: Asker<'_>, headers: &HeaderMap) -> Result<Answer, Refusal> {
        let Some(session) = self.session(asker, headers)? else {
            return Err(Refusal::new(HTTP_METHOD, "GET without a session"));
        };
        if !door::accepts(headers, "text/event-stream") {
            return Err(Refusal::new(NOT_ACCEPTABLE, "GET without text/event-stream"));
        }
        session.talk.touch();
        let last = door::once(headers, LAST_EVENT).map_err(|what| Refusal::new(SESSION_UNKNOWN, what))?;
        let share = self.house.places.stream(asker.caller.principal())?;
        Ok(stream(Body::Tape { events: session.resume(last), _room: Some(share) }))
    }

    async fn delete(&self, asker: Asker<'_>, headers: &HeaderMap) -> Result<Answer, Refusal> {
        if self.session(asker, headers)?.is_none() {
            return Err(Refusal::new(HTTP_METHOD, "DELETE without a session"));
        }
        if let Some(id) = headers.get(SESSION).and_then(|id| id.to_str().ok()) {
            self.sessions.end(id).await;
        }
        Ok(plain_status(StatusCode::OK))
    }
}

fn opens_session(message: &Result<Parsed, Misread>) -> bool {
    message.as_ref().is_ok_and(|parsed| parsed.method() == Some(Method::Initialize))
}

fn is_legacy(message: &Result<Parsed, Misread>) -> bool {
    let era = message.as_ref().map_or_else(|misread| misread.era, |parsed| parsed.version().era());
    era == bartizan_monitor::wire::version::Era::Legacy
}

enum Decision {
    Reply(Option<Reply>),
    Stream(mpsc::Receiver<Bytes>),
}

/// Handles a message of a session. The answer is plain JSON when nothing comes before it, and a
/// stream otherwise.
async fn run_within(
    house: &Arc<House>,
    session: &Arc<Session>,
    (whence, message): (door::Whence, Result<Parsed, Misread>),
    decided: oneshot::Sender<Decision>,
) {
    let (interim, early) = mpsc::channel(BACKLOG);
    let house = house.clone();
    let talk = session.talk.clone();
    let work = Box::pin(async move { handle(&house, whence.visit(&talk, interim), message).await });
    match body::first(work, early).await {
        body::First::Reply(reply) => {
            // The connection broke before anything was said: there is no stream to resume.
            let _ = decided.send(Decision::Reply(reply));
        }
        body::First::Stream(mut live) => {
            let tape = session.tape();
            let _ = decided.send(Decision::Stream(tape.attach(None)));
            while let Some(item) = live.next_item().await {
                tape.record(item);
            }
            tape.end();
        }
    }
}
