//! Where the numbers are read: an address of this machine alone, apart from the one that clients use.
//!
//! Whoever may open a connection on this machine may read them: they hold no secret. A web page may not: it can make a
//! browser ask (DNS rebinding), and the `Host` tells.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Metrics;
use super::encode::{self, Look};

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How many may read at the same time; more are closed unread.
const READERS: usize = 16;
/// How long one connection may last. A reader asks and leaves.
const LONGEST: Duration = Duration::from_secs(10);

/// An address that is listened on, and nobody is answered yet.
#[derive(Debug)]
pub struct Bound(TcpListener);

/// Listens on an address.
pub async fn bind(address: SocketAddr) -> io::Result<Bound> {
    TcpListener::bind(address).await.map(Bound)
}

impl Bound {
    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers whoever asks, for as long as the process lives.
    pub fn serve(self, metrics: Arc<Metrics>, look: Look) -> JoinHandle<()> {
        let registry = Arc::new(encode::registry(metrics, look));
        tokio::spawn(async move {
            let readers = Arc::new(Semaphore::new(READERS));
            loop {
                let Ok((stream, _)) = self.0.accept().await else {
                    // Out of descriptors, mostly: wait for some to come back instead of spinning.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let Ok(place) = readers.clone().try_acquire_owned() else { continue };
                let registry = registry.clone();
                tokio::spawn(async move {
                    // A reader that is slow or gone is its own problem.
                    let _ = tokio::time::timeout(LONGEST, converse(stream, &registry)).await;
                    drop(place);
                });
            }
        })
    }
}

async fn converse(stream: TcpStream, registry: &Registry) -> Result<(), hyper::Error> {
    let service = service_fn(|request| {
        let answer = answer(&request, registry);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(LONGEST).max_buf_size(16 * 1024);
    builder.serve_connection(TokioIo::new(stream), service).await
}

fn answer<B>(request: &Request<B>, registry: &Registry) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_this_machine) || request.headers().contains_key(ORIGIN) {
        return plain(StatusCode::FORBIDDEN);
    }
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::GET {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED);
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let Ok(text) = encode::encode(registry) else { return plain(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut shown = Response::new(Full::new(Bytes::from(text)));
    shown.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FORMAT));
    shown
}

/// Whether an authority is this machine by a name that nobody else can give.
fn is_this_machine(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
