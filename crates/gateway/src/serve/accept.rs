//! Connections: who gets one, and what it costs before anybody is known.
//!
//! Threat: strangers who connect and then do nothing, or anything. Every step is counted and has an end: connections in
//! all and by address, handshakes in all and by address, the time of a handshake, the time until headers are there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::IDENTITY_CERTIFICATE;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::House;
use crate::clock;
use crate::config::OpenTo;
use crate::front::http::{Front, Line, Stall};
use crate::identity::Certificate;
use crate::lanes::{Lanes, Seat};
use crate::share::{Full, Share, Shares, household};
use crate::tls::Tls;

/// How many handshakes may be under way at once, and how many from one address: each costs a signature.
const MAX_HANDSHAKES: usize = 1024;
const MAX_HANDSHAKES_EACH: usize = 128;
/// How often a client certificate is looked at again while its connection lasts.
const AGAIN: Duration = Duration::from_secs(15);

/// Where connections come in.
pub(super) struct Gate {
    house: Arc<House>,
    front: Arc<Front>,
    tls: Option<Arc<Tls>>,
    connections: Arc<Shares<IpAddr>>,
    /// Connections of proxies: these have many clients, and only a common end.
    relayed: Arc<Shares<()>>,
    /// What the clients behind proxies have running.
    behind: Arc<Shares<IpAddr>>,
    handshakes: Arc<Shares<IpAddr>>,
}

/// What a connection takes as long as it lasts.
struct Room {
    _own: Option<Share<IpAddr>>,
    _relayed: Option<Share<()>>,
}

impl Gate {
    pub(super) fn new(house: &Arc<House>, front: &Arc<Front>, tls: Option<Arc<Tls>>) -> Arc<Self> {
        let limits = &house.settings.limits;
        let (all, each) = (limits.connections, limits.connections_per_address);
        Arc::new(Self {
            house: house.clone(),
            front: front.clone(),
            tls,
            connections: Shares::new(all, each),
            relayed: Shares::new(all, all),
            // A request has a connection, and connections are counted.
            behind: Shares::new(usize::MAX, each),
            handshakes: Shares::new(MAX_HANDSHAKES, MAX_HANDSHAKES_EACH),
        })
    }

    /// Accepts connections until the house drains. Each is served on one lane as long as it lasts.
    pub(super) async fn accept(self: &Arc<Self>, listener: &TcpListener, lanes: &Lanes) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        // Ends with this function.
        let mut watching = JoinSet::new();
        watching.spawn(self.clone().watch());
        loop {
            while connections.try_join_next().is_some() {}
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                    Err(error) => {
                        // Out of descriptors, mostly: wait for some to come back instead of spinning.
                        tracing::error!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                () = self.house.drained() => return connections,
            };
            let room = match self.room(peer) {
                Ok(room) => room,
                Err(what) => {
                    tracing::warn!(address = %peer, "{what}: a connection was closed unread");
                    continue;
                }
            };
            // Answers are small and written whole; waiting to fill a segment only adds latency.
            let _ = stream.set_nodelay(true);
            let Ok(stream) = stream.into_std() else { continue };
            let (lane, seat) = lanes.seat();
            let own = self.clone();
            let served = async move {
                // It is known to the lane from here on, and to nobody else.
                match TcpStream::from_std(stream) {
                    Ok(stream) => own.connection(stream, peer, Arc::new(seat)).await,
                    Err(error) => tracing::error!(%error, "cannot serve a connection"),
                }
                drop(room);
            };
            connections.spawn_on(served, lane);
        }
    }

    /// Room for a connection, for those who may have one at all.
    fn room(&self, peer: IpAddr) -> Result<Room, &'static str> {
        let listen = &self.house.settings.listen;
        let is_proxy = listen.proxies.iter().any(|proxy| proxy.holds(peer));
        match listen.open_to {
            OpenTo::Proxies if !is_proxy => return Err("without TLS only `listen.proxies` may connect"),
            OpenTo::Proxies | OpenTo::Everybody => {}
        }
        let full = |full| match full {
            Full::All => "limits.connections",
            Full::Own => "limits.connections_per_address",
        };
        Ok(if is_proxy {
            Room { _own: None, _relayed: Some(self.relayed.take(&(), 1).map_err(full)?) }
        } else {
            Room { _own: Some(self.connections.take(&household(peer), 1).map_err(full)?), _relayed: None }
        })
    }

    async fn connection(&self, stream: TcpStream, peer: IpAddr, seat: Arc<Seat>) {
        let Some(tls) = &self.tls else {
            return self.serve(stream, self.line(peer, None), seat).await;
        };
        Box::pin(self.secured(tls, stream, peer, seat)).await;
    }

    async fn secured(&self, tls: &Tls, stream: TcpStream, peer: IpAddr, seat: Arc<Seat>) {
        let Some(stream) = self.handshake(tls, stream, peer).await else { return };
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let Some(certificate) = Certificate::of(shown.iter().map(|one| one.clone().into_owned()).collect()).map(Arc::new) else {
            return self.serve(stream, self.line(peer, None), seat).await;
        };
        let served = self.serve(stream, self.line(peer, Some(certificate.clone())), seat);
        tokio::select! {
            () = served => {}
            what = lapsed(tls, certificate.chain()) => {
                // Whatever runs on the connection ends with what it was let in for.
                self.lapse(&certificate, &what).await;
            }
        }
    }

    async fn lapse(&self, certificate: &Certificate, what: &str) {
        self.front.turn_away(&Refusal::new(IDENTITY_CERTIFICATE, format!("{}: {what}", certificate.shown())));
        self.front.lapse(certificate).await;
    }

    /// Ends sessions whose client's certificate is not good any more: they may have no connection that would be cut.
    async fn watch(self: Arc<Self>) {
        let Some(tls) = &self.tls else { return };
        let mut changes = tls.changes();
        loop {
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(AGAIN) => {}
            }
            for certificate in self.front.certificates() {
                if let Err(what) = tls.stands(certificate.chain(), clock::now_ms()) {
                    self.lapse(&certificate, &what).await;
                }
            }
        }
    }

    fn line(&self, peer: IpAddr, certificate: Option<Arc<Certificate>>) -> Line {
        Line { peer, certificate, behind: self.behind.clone() }
    }

    /// Agrees on keys with a client, within bounds.
    async fn handshake(&self, tls: &Tls, stream: TcpStream, peer: IpAddr) -> Option<TlsStream<TcpStream>> {
        let Ok(_share) = self.handshakes.take(&household(peer), 1) else {
            tracing::warn!(address = %peer, "too many handshakes: a connection was closed unread");
            return None;
        };
        let limit = self.house.settings.limits.header_timeout;
        match tokio::time::timeout(limit, TlsAcceptor::from(tls.config()).accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                self.failed(&error, peer);
                None
            }
            Err(_) => {
                tracing::info!(address = %peer, "a TLS handshake took too long");
                None
            }
        }
    }

    /// A certificate that is not good is a credential that is not good, and is recorded like one.
    fn failed(&self, error: &std::io::Error, peer: IpAddr) {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(
                error @ (rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented
                | rustls::Error::InvalidCertRevocationList(_)),
            ) => {
                self.front.turn_away(&Refusal::new(IDENTITY_CERTIFICATE, format!("{peer}: {error}")));
            }
            _ => tracing::info!(address = %peer, %error, "a TLS handshake failed"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S, line: Line, seat: Arc<Seat>) {
        let limits = &self.house.settings.limits;
        let (front, line) = (self.front.clone(), Arc::new(line));
        let service = service_fn(move |request: Request<Incoming>| {
            if request.method() == Method::POST {
                seat.calls();
            }
            let (front, line) = (front.clone(), line.clone());
            async move { Ok::<_, std::convert::Infallible>(front.answer(&line, request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(64 * 1024);
        // A connection that breaks is the client's business.
        let _ = builder.serve_connection(Stall::new(TokioIo::new(stream), limits.write_timeout), service).await;
    }
}

/// Resolves when a client's certificates are not good any more, with the reason.
async fn lapsed(tls: &Tls, chain: &[CertificateDer<'_>]) -> String {
    let mut changes = tls.changes();
    loop {
        if let Err(what) = tls.stands(chain, clock::now_ms()) {
            return what;
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
