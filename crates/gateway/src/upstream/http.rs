//! Servers that are reached over Streamable HTTP.

mod labels;
mod standalone;
mod stream;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_monitor::case::Claim;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::UPSTREAM_TOO_LARGE;
use bartizan_monitor::wire::UNSOLICITED;
use bartizan_monitor::wire::envelope::{self, Message, Outcome};
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::{Era, Version};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method as HttpMethod, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::credentials::Purpose;
use super::desk::Slot;
use super::{Hearing, Link, Outgoing, Pulse, Server, request};
use crate::config::How;
use crate::secrets::Speaker;
use labels::Labels;
use stream::Stream;
pub(super) use stream::chain;

const BOTH: &str = "application/json, text/event-stream";
const STREAM: &str = "text/event-stream";

/// The way to a server over HTTP: its session, where it has one.
#[derive(Debug)]
pub(super) struct Pipe {
    server: Arc<Server>,
    era: Era,
    speaker: Speaker,
    session: Mutex<Option<HeaderValue>>,
    alive: AtomicBool,
    /// Ended by the gateway, and not for what the server did.
    dismissed: AtomicBool,
    /// Cancelled when the conversation is over: nothing of it may wait for the server any more.
    over: CancellationToken,
    /// Who reads the standalone stream.
    ear: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Pipe {
    pub(super) fn new(server: &Arc<Server>, era: Era, speaker: Speaker) -> Self {
        Self {
            server: server.clone(),
            era,
            speaker,
            session: Mutex::new(None),
            alive: AtomicBool::new(true),
            dismissed: AtomicBool::new(false),
            over: CancellationToken::new(),
            ear: Mutex::default(),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Has nothing more to do with a server that misbehaves.
    pub(super) fn cut(&self) {
        self.alive.store(false, Ordering::Release);
        self.over.cancel();
    }

    /// Waits for the server as long as there is a conversation with it.
    async fn unless_over<T>(&self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.over.cancelled() => Err(match self.dismissed.load(Ordering::Acquire) {
                true => self.server.over(),
                false => self.server.unreachable("the conversation with it was cut off"),
            }),
        }
    }

    fn session(&self) -> Option<HeaderValue> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks on the gateway's own account.
    pub(super) async fn ask(&self, method: Method, params: Option<&Json>, slot: Slot) -> Result<Outcome, Refusal> {
        self.unless_over(self.put(method, params, slot)).await
    }

    async fn put(&self, method: Method, params: Option<&Json>, slot: Slot) -> Result<Outcome, Refusal> {
        let spoken = match (self.era, method) {
            (Era::Modern, _) => Some(Version::NEWEST),
            // `initialize` is what negotiates the version; probes after it are within a session.
            (Era::Legacy, Method::Initialize) => None,
            (Era::Legacy, _) => Some(Version::NEWEST_LEGACY),
        };
        let labels =
            Labels { version: spoken, method, params: params.map(Json::view), declared: &[], purpose: Purpose::Other, claim: None };
        let response = self.post(&request(slot.id(), method, params), &labels).await?;
        if method == Method::Initialize {
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = response.headers().get("mcp-session-id").cloned();
        }
        self.outcome(response, slot.id(), spoken.unwrap_or(Version::NEWEST_LEGACY), None).await
    }

    /// Sends a call and hears what comes before its answer.
    pub(super) async fn exchange(&self, outgoing: Outgoing<'_>, slot: Slot, hearing: Hearing<'_>) -> Result<Outcome, Refusal> {
        let version = hearing.link.version();
        let labels = Labels {
            version: Some(version),
            method: outgoing.method,
            params: outgoing.params.map(Json::view),
            declared: outgoing.declared,
            purpose: Purpose::of(hearing.recorded),
            claim: hearing.claim(),
        };
        let text = request(slot.id(), outgoing.method, outgoing.params);
        self.unless_over(async {
            let response = self.post(&text, &labels).await?;
            self.outcome(response, slot.id(), version, Some(&hearing)).await
        })
        .await
    }

    /// Sends a message that has no answer.
    pub(super) async fn pass(&self, link: &Link, text: &Json, message: &Message) -> Result<(), Refusal> {
        let (method, params) = match message {
            Message::Notification { method, params } => (*method, params.as_ref().map(Json::view)),
            Message::Request { .. } | Message::Response { .. } => (Method::Ping, None),
        };
        let labels = Labels { version: Some(link.version()), method, params, declared: &[], purpose: Purpose::Other, claim: None };
        let response = self.unless_over(self.post(text, &labels)).await?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(self.server.unreachable(format_args!("HTTP {}", response.status().as_u16())))
        }
    }

    /// Ends the session at the server, where there is one. Afterwards nothing reads from the server.
    pub(super) async fn end(&self) {
        self.dismissed.store(true, Ordering::Release);
        self.cut();
        let ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ear) = ear {
            // It ends at the next thing that it waits for; one that panicked has ended, too.
            let _ = ear.await;
        }
        let Some(session) = self.session() else { return };
        if let Ok(mut request) = self.request(HttpMethod::DELETE, Bytes::new(), Purpose::Other).await {
            request.headers_mut().insert("mcp-session-id", session);
            // A server that does not end sessions ends them by itself.
            let _ = tokio::time::timeout(Duration::from_secs(2), self.server.http.request(request)).await;
        }
    }

    async fn request(&self, method: HttpMethod, body: Bytes, purpose: Purpose<'_>) -> Result<Request<Full<Bytes>>, Refusal> {
        let How::Http { url, .. } = &self.server.settings.how else { return Err(self.server.unreachable("it has no URL")) };
        let mut request =
            Request::builder().method(method).uri(url.as_str()).body(Full::new(body)).map_err(|error| self.server.unreachable(error))?;
        *request.headers_mut() = self.server.headers(purpose, &self.speaker).await?;
        Ok(request)
    }

    async fn send(&self, request: Request<Full<Bytes>>, claim: Option<&Arc<dyn Claim>>) -> Result<Response<Incoming>, Refusal> {
        claim.into_iter().for_each(|claim| claim.leaves());
        let sent = self.server.http.request(request).await;
        // Nobody was there, or whoever was there did not want it. All else leaves open what became of it.
        let spared = sent.as_ref().map_or_else(hyper_util::client::legacy::Error::is_connect, |response| is_declined(response.status()));
        claim.filter(|_| spared).into_iter().for_each(|claim| claim.spared());
        let response = sent.map_err(|error| self.server.unreachable(chain(&error)))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(self.server.refused(&self.speaker));
        }
        Ok(response)
    }

    async fn post(&self, text: &Json, labels: &Labels<'_>) -> Result<Response<Incoming>, Refusal> {
        let mut request = self.request(HttpMethod::POST, text.bytes().clone(), labels.purpose).await?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(BOTH));
        for (name, value) in labels.headers(self.era) {
            let name = HeaderName::try_from(name).map_err(|error| self.server.unreachable(error))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|error| self.server.unreachable(error))?);
        }
        if let Some(session) = self.session() {
            headers.insert("mcp-session-id", session);
        }
        let response = self.send(request, labels.claim).await?;
        if response.status() == StatusCode::NOT_FOUND && self.session().is_some() {
            self.cut();
            return Err(self.server.unreachable("it ended the session"));
        }
        Ok(response)
    }

    async fn outcome(
        &self,
        response: Response<Incoming>,
        id: u64,
        version: Version,
        hearing: Option<&Hearing<'_>>,
    ) -> Result<Outcome, Refusal> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let status = response.status();
        if kind.starts_with(STREAM) && status.is_success() {
            return self.streamed(response, id, version, hearing).await;
        }
        let body = self.collect(response).await?;
        if !kind.starts_with("application/json") {
            return Err(self.server.invalid(format_args!("HTTP {} without JSON", status.as_u16())));
        }
        let messages = envelope::parse_server(body, version)
            .map_err(|refusal| self.server.invalid(format_args!("{} ({})", refusal.reason, refusal.detail)))?;
        for message in messages {
            if let Some(outcome) = self.mine(message, id, hearing) {
                return Ok(outcome);
            }
        }
        Err(self.server.invalid(format_args!("HTTP {} without an answer to the request", status.as_u16())))
    }

    /// The answer to the call, or nothing; what is said before is passed on.
    fn mine(&self, message: Message, id: u64, hearing: Option<&Hearing<'_>>) -> Option<Outcome> {
        match message {
            Message::Response { id: other, outcome } if other.as_number() == Some(id) => Some(outcome),
            // An error without the request's id cannot be told apart from one; `null` ids do not parse.
            Message::Response { .. } => {
                if let Some(hearing) = hearing {
                    hearing.ear.stray(hearing.link, &Refusal::new(UNSOLICITED, "a response to another request"));
                }
                None
            }
            other => {
                if let Some(hearing) = hearing {
                    hearing.hear(other);
                }
                None
            }
        }
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, Refusal> {
        let mut body = response.into_body();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.server.unreachable(chain(&error)))?;
            let Some(data) = frame.data_ref() else { continue };
            if whole.len().saturating_add(data.len()) > self.server.message_bytes {
                return Err(Refusal::new(
                    UPSTREAM_TOO_LARGE,
                    format!("{}: more than {} bytes", self.server.name(), self.server.message_bytes),
                ));
            }
            whole.extend_from_slice(data);
        }
        Ok(whole.freeze())
    }

    /// Reads the answer from a stream, and resumes the stream when the server hangs up before it.
    async fn streamed(
        &self,
        response: Response<Incoming>,
        id: u64,
        version: Version,
        hearing: Option<&Hearing<'_>>,
    ) -> Result<Outcome, Refusal> {
        let mut stream = Stream::new(response, self.server.message_bytes);
        loop {
            // Once for each stream: more of it says nothing, and would push what the client has not heard yet out of what is kept for it.
            let mut is_primed = false;
            while let Some(event) = stream.next(&self.server).await? {
                if event.data.is_empty() {
                    if let Some(hearing) = hearing.filter(|_| event.id.is_some() && !std::mem::replace(&mut is_primed, true)) {
                        hearing.ear.pulse(Pulse::Primed { retry_ms: event.retry_ms });
                    }
                    continue;
                }
                let messages = envelope::parse_server(event.data, version)
                    .map_err(|refusal| self.server.invalid(format_args!("{} ({})", refusal.reason, refusal.detail)))?;
                for message in messages {
                    if let Some(outcome) = self.mine(message, id, hearing) {
                        return Ok(outcome);
                    }
                }
            }
            let Some(last) = stream.last.take().filter(|_| self.era == Era::Legacy) else {
                return Err(self.server.unreachable("it closed the stream before it answered"));
            };
            if let Some(hearing) = hearing {
                hearing.ear.pulse(Pulse::HungUp);
            }
            tokio::time::sleep(stream.retry).await;
            stream = self.resume(&last, version, stream.retry).await?;
        }
    }

    async fn resume(&self, last: &str, version: Version, retry: Duration) -> Result<Stream, Refusal> {
        let response = self.get(Some(last), version).await?;
        if !response.status().is_success() {
            return Err(self.server.unreachable(format_args!("the stream could not be resumed: HTTP {}", response.status().as_u16())));
        }
        let mut stream = Stream::new(response, self.server.message_bytes);
        stream.retry = retry;
        // A server that hangs up again without an event is resumed at the same place.
        stream.last = Some(last.to_owned());
        Ok(stream)
    }

    async fn get(&self, last: Option<&str>, version: Version) -> Result<Response<Incoming>, Refusal> {
        let mut request = self.request(HttpMethod::GET, Bytes::new(), Purpose::Other).await?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(STREAM));
        headers.insert("mcp-protocol-version", HeaderValue::from_static(version.name()));
        if let Some(session) = self.session() {
            headers.insert("mcp-session-id", session);
        }
        if let Some(last) = last {
            headers.insert("last-event-id", HeaderValue::try_from(last).map_err(|error| self.server.invalid(error))?);
        }
        self.send(request, None).await
    }

    /// Hears what the server says outside of calls, on the standalone stream of a legacy session.
    pub(super) fn listen(&self, link: &Arc<Link>) {
        if self.era == Era::Legacy && self.session().is_some() {
            let (over, weak) = (self.over.clone(), Arc::downgrade(link));
            let reading = async move {
                // Most servers have no such stream, and the task takes its memory as long as somebody may wait for its end.
                let listening = Box::pin(standalone::listen(weak));
                tokio::select! {
                    () = over.cancelled() => {}
                    () = listening => {}
                }
            };
            *self.ear.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(reading));
        }
    }
}

/// Whether a status says that the request was not carried out: it is the client's fault, and not a matter of time.
fn is_declined(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
}

impl Hearing<'_> {
    /// Passes on what is said in the course of the call. Progress must be for this call's token.
    fn hear(&self, message: Message) {
        if !self.link.admits(&message) {
            return;
        }
        if let Message::Notification { method: Method::Progress, params } = &message {
            let said = params.as_ref().and_then(|params| params.get("progressToken"));
            if said.is_none() || said != self.token() {
                return self.ear.stray(self.link, &Refusal::new(UNSOLICITED, "progress for a token that this call does not have"));
            }
        }
        self.ear.hear(self.link, self.recorded, message);
    }

    fn token(&self) -> Option<Json> {
        let Message::Request { params: Some(params), .. } = self.recorded?.case().message() else { return None };
        params.view().at(&["_meta", "progressToken"]).map(|token| params.share(token))
    }
}
