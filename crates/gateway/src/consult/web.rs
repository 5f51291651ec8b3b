//! The page on which people answer what waits: plain forms, no scripts, on an address of its own.
//!
//! START HERE: `Web::answer`. People show a token that is for answering and for nothing else (`identity::Approver`),
//! so no client can answer its own calls here, whatever it has read. Looking never changes anything. What is shown is
//! what is shown everywhere ([`super::shown`]), and its digest comes back with the answer.
//! `docs/decisions/0028-approvals-by-web.md` says why it is as it is.

mod door;
mod html;
mod login;
mod pages;
mod together;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_monitor::wire::json::Json;
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::answer::{self, Done, Said, Side, Unheard, Who};
use super::desk::{Card, Heard};
use super::link::Links;
use super::notices::Notices;
use crate::clock;
use crate::config::Approvals;
use crate::front::http::Stall;
use crate::secrets::Inventory;
use crate::serve::House;
use crate::share::{Shares, household};
use crate::tls::Tls;
use crate::webhook::Hook;
use door::{Door, Form, Page, Refused};
use login::{Attempts, Bound, Session, Sessions};

/// How many connections may be open at once, in all and from one address.
const MOST: usize = 256;
const MOST_EACH: usize = 64;
/// How long a request's head may be.
const MAX_HEAD: usize = 16 * 1024;
const STYLE: &str = include_str!("web/style.css");

/// The page.
#[derive(Debug)]
pub struct Web {
    house: Arc<House>,
    door: Door,
    sessions: Sessions,
    attempts: Attempts,
    tls: Option<Arc<Tls>>,
}

/// An address that is listened on, and nobody is answered yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    web: Arc<Web>,
}

/// Listens where the settings say.
pub async fn bind(house: &Arc<House>, settings: &Approvals, tls: Option<Arc<Tls>>) -> io::Result<Listening> {
    let listener = TcpListener::bind(settings.address).await?;
    let address = listener.local_addr()?;
    let door = Door::new(settings, address.port());
    house.consult.leads_to(notices(house, settings, address)?);
    let web = Web { house: house.clone(), door, sessions: Sessions::default(), attempts: Attempts::default(), tls };
    Ok(Listening { listener, web: Arc::new(web) })
}

/// Who is told of what waits.
fn notices(house: &House, settings: &Approvals, address: SocketAddr) -> io::Result<Notices> {
    let key = Inventory::of(&house.settings.places.state).derived(b"the page for approvals");
    let key = key.ok_or_else(|| io::Error::other("there is no key for links: the state directory cannot be written"))?;
    // It was read once before, when the configuration was judged.
    let slack = settings.slack.as_ref().and_then(|address| Url::parse(address.expose()).ok());
    Ok(Notices {
        address: address_of(settings, address),
        links: Links::new(&key),
        hook: house.consult.hook.clone(),
        slack: slack.map(Hook::start_unsigned),
        arguments: settings.show_arguments.clone(),
        pace: Mutex::default(),
    })
}

/// How people reach the page.
fn address_of(settings: &Approvals, address: SocketAddr) -> String {
    let scheme = if settings.is_secure() { "https" } else { "http" };
    settings.url.as_ref().map_or_else(|| format!("{scheme}://{address}/"), ToString::to_string)
}

impl Listening {
    /// Answers browsers until the house drains.
    pub async fn serve(self) {
        let places = Shares::new(MOST, MOST_EACH);
        loop {
            let (stream, peer) = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                    Err(error) => {
                        tracing::error!(%error, "cannot accept a connection to the page for approvals");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                () = self.web.house.drained() => return,
            };
            let Ok(place) = places.take(&household(peer), 1) else { continue };
            let web = self.web.clone();
            tokio::spawn(async move {
                web.connection(stream, peer).await;
                drop(place);
            });
        }
    }
}

/// Which page of somebody's own is meant.
type Way<'a> = (&'a Parts, &'a Session, &'a [&'a str]);

impl Web {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: IpAddr) {
        let Some(tls) = &self.tls else { return self.converse(stream, peer).await };
        let limit = self.house.settings.limits.header_timeout;
        // Who cannot agree on keys in time is not answered.
        if let Ok(Ok(stream)) = tokio::time::timeout(limit, TlsAcceptor::from(tls.config()).accept(stream)).await {
            self.clone().converse(stream, peer).await;
        }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: Arc<Self>, stream: S, peer: IpAddr) {
        let limits = &self.house.settings.limits;
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(MAX_HEAD);
        let (web, stream) = (self.clone(), Stall::new(TokioIo::new(stream), limits.write_timeout));
        let service = service_fn(move |request| {
            let web = web.clone();
            async move { Ok::<_, std::convert::Infallible>(web.answer(peer, request).await) }
        });
        // A connection that breaks is the browser's business.
        let _ = builder.serve_connection(stream, service).await;
    }

    /// Answers one request: where it comes from, then what it is for, then who asks.
    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let page = match self.door.look(&parts) {
            Ok(host) => self.route((&parts, body), Bound { peer, host }).await,
            Err(refused) => Err(refused),
        };
        self.door.dress(page.unwrap_or_else(refusal))
    }

    async fn route(&self, (parts, body): (&Parts, Incoming), bound: Bound) -> Result<Page, Refused> {
        let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        match (&parts.method, path.as_slice()) {
            (&Method::GET, [""]) => Ok(Page::html(StatusCode::OK, pages::login(None))),
            (&Method::GET, ["style.css"]) => {
                Ok(Page { status: StatusCode::OK, kind: "text/css; charset=utf-8", body: STYLE.as_bytes().to_vec(), more: Vec::new() })
            }
            (&Method::POST, ["login"]) => {
                let form = Form::read(parts, body, &self.house.settings.limits).await?;
                Ok(self.enter(&form, bound).unwrap_or_else(|page| page))
            }
            (&Method::GET, ["link", link]) => {
                Ok(self.linked(link).map_or_else(no_link, |card| Page::html(StatusCode::OK, pages::led(&card, link))))
            }
            (&Method::POST, ["link", link]) => {
                let form = Form::read(parts, body, &self.house.settings.limits).await?;
                Ok(self.follow(link, &form, bound).unwrap_or_else(|page| page))
            }
            (method, ["in", place, rest @ ..]) => match self.session(parts, place, &bound) {
                Some(session) if method == Method::POST => {
                    let form = Form::read(parts, body, &self.house.settings.limits).await?;
                    Ok(self.change((parts, &session, rest), &form))
                }
                Some(session) => Ok(self.show((parts, &session, rest))),
                None if method == Method::GET => Ok(Page::to("/".to_owned())),
                None => Ok(gone_out()),
            },
            _ => Ok(nothing(None)),
        }
    }

    /// The login of a request, if it still holds: so does the token that it was made with.
    fn session(&self, parts: &Parts, place: &str, bound: &Bound) -> Option<Arc<Session>> {
        let now_ms = clock::now_ms();
        let session = self.sessions.find(place, &door::cookies(&parts.headers), bound, now_ms)?;
        if let Err(refusal) = self.house.identity.still(session.approver.caller(), now_ms) {
            tracing::info!(reason = %refusal.reason, detail = %refusal.detail, "an approver is logged out");
            self.sessions.close(&session);
            return None;
        }
        Some(session)
    }

    /// Logs somebody in who shows a token for answering.
    fn enter(&self, form: &Form, bound: Bound) -> Result<Page, Page> {
        let (session, cookie) = self.log_in(form, bound)?;
        Ok(Page::to(format!("/in/{}/", session.place)).with(SET_COOKIE, cookie))
    }

    /// The call that a link leads to.
    fn linked(&self, link: &str) -> Option<Arc<Card>> {
        let consult = &self.house.consult;
        consult.notices.get()?.links.read(link, (&consult.desk, clock::now_ms()))
    }

    /// Leads somebody who logs in to the call of a link. The link is used up for this person then, and not before.
    fn follow(&self, link: &str, form: &Form, bound: Bound) -> Result<Page, Page> {
        let card = self.linked(link).ok_or_else(no_link)?;
        let (session, cookie) = self.log_in(form, bound)?;
        let by = session.approver.caller().principal();
        let is_first = self.house.consult.notices.get().is_some_and(|notices| notices.links.take(&card, by, clock::now_ms()));
        if !is_first {
            self.sessions.close(&session);
            return Err(no_link());
        }
        Ok(Page::to(format!("/in/{}/call/{}", session.place, card.id)).with(SET_COOKIE, cookie))
    }

    /// Opens a login, and its cookie.
    fn log_in(&self, form: &Form, bound: Bound) -> Result<(Arc<Session>, String), Page> {
        let (peer, now_ms) = (bound.peer, clock::now_ms());
        if !self.attempts.may(peer, now_ms) {
            let page = pages::login(Some("Too many attempts failed. Wait a minute."));
            return Err(Page::html(StatusCode::TOO_MANY_REQUESTS, page).with(RETRY_AFTER, "60".to_owned()));
        }
        let approver = self.house.identity.approver(form.get("token").trim(), now_ms).map_err(|refusal| {
            self.attempts.failed(peer, now_ms);
            tracing::warn!(reason = %refusal.reason, detail = %refusal.detail, %peer, "somebody could not log in to answer what waits");
            self.note("approver-refused", &[("reason", refusal.reason.code()), ("peer", &peer.to_string())]);
            Page::html(StatusCode::FORBIDDEN, pages::login(Some("This token lets nobody in here.")))
        })?;
        let by = approver.caller().principal().clone();
        let opened = self.sessions.open(approver, bound, now_ms);
        let (session, cookie) =
            opened.ok_or_else(|| Page::html(StatusCode::SERVICE_UNAVAILABLE, pages::login(Some("The system has no random numbers."))))?;
        self.note("approver-login", &[("by", &by), ("peer", &peer.to_string())]);
        let cookie = self.door.cookie(&cookie, &format!("/in/{}", session.place), login::LASTS.as_secs());
        Ok((session, cookie))
    }

    fn note(&self, event: &str, members: &[(&str, &str)]) {
        let members = members.iter().map(|(key, text)| (*key, Json::string(text)));
        self.house.journal.note(&Json::object(std::iter::once(("event", Json::string(event))).chain(members)));
    }

    /// What somebody has a say in; nothing else is there.
    fn cards(&self, who: &Who) -> Vec<Arc<Card>> {
        let mut cards = self.house.consult.desk.cards(clock::now_ms());
        cards.retain(|card| who.may_answer(&self.house, card));
        cards
    }

    fn card(&self, who: &Who, id: &str) -> Option<Arc<Card>> {
        self.house.consult.desk.card(id, clock::now_ms()).filter(|card| who.may_answer(&self.house, card))
    }

    /// Shows something, and changes nothing.
    fn show(&self, (parts, session, rest): Way<'_>) -> Page {
        let (who, now_ms) = (Who::Approver(session.approver.clone()), clock::now_ms());
        if parts.method != Method::GET {
            return nothing(Some(session));
        }
        let html = match rest {
            [] | [""] => {
                let asked = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
                let page = asked.into_iter().find(|(key, _)| key == "page").and_then(|(_, page)| page.parse().ok()).unwrap_or(1);
                pages::list(session, &self.cards(&who), (page, now_ms))
            }
            ["call", id] => match self.card(&who, id) {
                Some(card) => {
                    let agreed = self.house.consult.desk.agreed(id);
                    let alike = self.alike(&who, &card).len();
                    let given = who.assurance(&self.house, &card);
                    let mine = agreed.iter().any(|word| who.is(&self.house, &word.by));
                    pages::detail(session, &pages::Detailed { card: &card, given, agreed: &agreed, mine, now_ms }, alike)
                }
                None => return unheard(session, &Unheard::Gone),
            },
            ["call", id, "together"] => match self.card(&who, id) {
                Some(card) => return self.together(session, &who, &card),
                None => return unheard(session, &Unheard::Gone),
            },
            ["call", id, "whole"] => match self.card(&who, id) {
                Some(card) => pages::all(session, &card),
                None => return unheard(session, &Unheard::Gone),
            },
            _ => return nothing(Some(session)),
        };
        Page::html(StatusCode::OK, html)
    }

    /// Does what a form says, if it is a form of this login.
    fn change(&self, (_, session, rest): Way<'_>, form: &Form) -> Page {
        if !session.wrote(form.get("form")) {
            return Page::html(
                StatusCode::FORBIDDEN,
                pages::told(None, "Not answered", "This form is of another login. Open the call again."),
            );
        }
        match rest {
            ["logout"] => {
                self.sessions.close(session);
                let cookie = self.door.cookie("", &format!("/in/{}", session.place), 0);
                Page::to("/".to_owned()).with(SET_COOKIE, cookie)
            }
            ["together"] => self.settle(session, form),
            ["call", id, "grant"] => self.decide(session, (id, Side::Grant), form.get("shown")),
            ["call", id, "refuse"] => self.decide(session, (id, Side::Refuse), form.get("shown")),
            _ => nothing(Some(session)),
        }
    }

    fn decide(&self, session: &Session, (id, side): (&str, Side), shown: &str) -> Page {
        let who = Who::Approver(session.approver.clone());
        match answer::answer(&self.house, &who, Said { id, shown, side, channel: "web" }) {
            Ok(done) => {
                let (title, text) = outcome(&done, side);
                Page::html(StatusCode::OK, pages::told(Some(session), title, &text))
            }
            Err(why) => unheard(session, &why),
        }
    }
}

/// What an answer did, in words.
fn outcome(done: &Done, side: Side) -> (&'static str, String) {
    let call = format!("{}/{}", super::shown::inert(&done.card.server, 80), super::shown::inert(&done.card.item.pin.name, 80));
    match (side, done.heard) {
        (Side::Grant, Heard::Done) => {
            ("Granted", format!("{call} is sent once, as shown. Recorded as {} ({}).", done.word.by, done.word.assurance))
        }
        (Side::Grant, Heard::More(number)) => ("Agreed", format!("{call} waits for {number} more.")),
        (Side::Refuse, _) => ("Refused", format!("{call} is not sent.")),
    }
}

/// Why an answer does not count.
fn words_of(why: &Unheard) -> (StatusCode, &'static str) {
    match why {
        Unheard::Gone => (StatusCode::GONE, "This call does not wait any more: it was answered, has expired, or its client has gone."),
        Unheard::Changed => (StatusCode::CONFLICT, "What waits is not what you saw. Open the call again."),
        Unheard::MayNot(_) => (StatusCode::FORBIDDEN, "Your token is not for this tool."),
        Unheard::Weak { .. } => (StatusCode::FORBIDDEN, "Somebody else must agree: you are the one who asks, or count as the same person."),
        Unheard::Answered => (StatusCode::CONFLICT, "Somebody else has answered it before you. Your answer does not count."),
        Unheard::Same => (StatusCode::CONFLICT, "You have agreed already. Somebody else must, too."),
    }
}

fn unheard(session: &Session, why: &Unheard) -> Page {
    let (status, text) = words_of(why);
    Page::html(status, pages::told(Some(session), "Not answered", text))
}

fn no_link() -> Page {
    let text = "This link is not good any more: the call was answered or has expired, you have used it before, or it is not whole.";
    Page::html(StatusCode::GONE, pages::told(None, "Not answered", text))
}

fn gone_out() -> Page {
    Page::html(StatusCode::FORBIDDEN, pages::told(None, "Not logged in", "You are not logged in any more. Nothing was answered."))
}

fn nothing(session: Option<&Session>) -> Page {
    Page::html(StatusCode::NOT_FOUND, pages::told(session, "Nothing here", "There is no such page."))
}

fn refusal(refused: Refused) -> Page {
    let (status, text) = match refused {
        Refused::Foreign => (StatusCode::FORBIDDEN, "This page is called by another name, or by a page that is not ours."),
        Refused::Kind => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not a form."),
        Refused::Size => (StatusCode::PAYLOAD_TOO_LARGE, "The form is too long, or came too slowly."),
    };
    Page::html(status, pages::told(None, "Refused", text))
}
