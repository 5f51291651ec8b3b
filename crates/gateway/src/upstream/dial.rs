//! The only dialer: every connection that the gateway opens is opened here.
//!
//! Redirects are never followed. TLS by rustls with the platform's roots; there is no way to switch
//! its verification off.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_format::address;
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::ResponseFuture;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::{BuilderVerifierExt as _, Verifier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Network;
use crate::lanes;

/// The gateway's HTTP client: keeps connections and reuses them, those of each lane for itself.
#[derive(Debug, Clone)]
pub(super) struct Client {
    lanes: Arc<[Pool]>,
    /// That of all other threads.
    outside: Pool,
}

type Pool = hyper_util::client::legacy::Client<Dialer, Full<Bytes>>;

impl Client {
    /// Sends a request over a connection of the lane that asks.
    pub(super) fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        lanes::here().and_then(|lane| self.lanes.get(lane)).unwrap_or(&self.outside).request(request)
    }
}

/// How long a connection may take to come about.
const DIAL: Duration = Duration::from_secs(10);

/// Makes a client that reaches these addresses and no others.
pub(super) fn client(network: Network) -> Client {
    build(Dialer { network, tls: None })
}

/// The same for an address whose certificate these may have signed, too.
pub(super) fn trusting(network: Network, ca: &[CertificateDer<'static>]) -> io::Result<Client> {
    Ok(build(Dialer { network, tls: Some(trust(ca)?) }))
}

/// How servers are recognised whose certificates these may have signed, beside those whom the system trusts.
fn trust(ca: &[CertificateDer<'static>]) -> io::Result<Arc<rustls::ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(ca.iter().cloned(), provider.clone()).map_err(io::Error::other)?;
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(io::Error::other)?;
    // Not a way around verification: the platform's verifier, which knows more roots.
    Ok(Arc::new(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()))
}

fn build(dialer: Dialer) -> Client {
    let lanes = (0..lanes::count()).map(|_| pool(dialer.clone())).collect();
    Client { lanes, outside: pool(dialer) }
}

fn pool(dialer: Dialer) -> Pool {
    #[expect(clippy::disallowed_methods, reason = "the one HTTP client, over the one dialer")]
    let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(50)).pool_max_idle_per_host(256).build(dialer)
}

/// Opens connections.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    network: Network,
    /// The platform's when there is none.
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl tower_service::Service<Uri> for Dialer {
    type Response = Line;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Line>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let dialled = tokio::time::timeout(DIAL, dial(uri, dialer)).await;
            dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }
}

async fn dial(uri: Uri, dialer: Dialer) -> io::Result<Line> {
    let host = uri.host().ok_or_else(|| io::Error::other("the URL has no host"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let plain = connect(bare, port, &|address| allows(dialer.network, address)).await?;
    plain.set_nodelay(true)?;
    if !secure {
        return Ok(Line::Plain(TokioIo::new(plain)));
    }
    let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(dialer.tls.map_or_else(tls, Ok)?).connect(name, plain).await?;
    Ok(Line::Tls(Box::new(TokioIo::new(stream))))
}

/// Connects to the very addresses that were judged: a name that is resolved again could mean another one.
async fn connect(host: &str, port: u16, accepts: &(dyn Fn(IpAddr) -> bool + Sync)) -> io::Result<TcpStream> {
    #[expect(clippy::disallowed_methods, reason = "names are resolved where their addresses are judged")]
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    // One bad address is enough: who answers for the name may mix them to be let through by chance.
    if let Some(bad) = found.iter().find(|found| !accepts(found.ip())) {
        let what = format!("{host} is at {}, an address that may not be reached from here", bad.ip());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    #[expect(clippy::disallowed_methods, reason = "the one place that opens connections")]
    TcpStream::connect(found.as_slice()).await
}

/// A host as URLs have it (RFC 3986, section 3.2.2).
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]").into() } else { host.into() }
}

/// The way to a server of the operator's own that does not speak HTTP.
#[derive(Debug)]
pub(crate) struct Way {
    uri: Uri,
    dialer: Dialer,
}

impl Way {
    /// In clear text.
    pub(crate) fn plain(host: &str, port: u16) -> io::Result<Self> {
        let uri = format!("http://{}:{port}", bracketed(host)).parse().map_err(io::Error::other)?;
        Ok(Self { uri, dialer: Dialer { network: Network::Any, tls: None } })
    }

    /// With TLS. These may have signed its certificate, beside those whom the system trusts.
    pub(crate) fn secure(host: &str, port: u16, ca: &[CertificateDer<'static>]) -> io::Result<Self> {
        let uri = format!("https://{}:{port}", bracketed(host)).parse().map_err(io::Error::other)?;
        let tls = if ca.is_empty() { None } else { Some(trust(ca)?) };
        Ok(Self { uri, dialer: Dialer { network: Network::Any, tls } })
    }

    /// Connects.
    pub(crate) async fn open(&self) -> io::Result<TokioIo<Line>> {
        let dialled = tokio::time::timeout(DIAL, dial(self.uri.clone(), self.dialer.clone())).await;
        dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
    }
}

/// The same to a server that first has to be asked whether it speaks TLS: this is the question, and this its yes. Nothing
/// but the question leaves in clear text.
pub(crate) async fn line_after(host: &str, port: u16, (question, yes): (&[u8], u8)) -> io::Result<TokioIo<Line>> {
    let dialled = tokio::time::timeout(DIAL, async {
        let mut plain = connect(host, port, &|_| true).await?;
        plain.set_nodelay(true)?;
        plain.write_all(question).await?;
        // One byte and no more: what follows is TLS, or was slipped in.
        if plain.read_u8().await? != yes {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not speak TLS"));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls()?).connect(name, plain).await?;
        Ok(Line::Tls(Box::new(TokioIo::new(stream))))
    });
    dialled.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
}

/// Connects to a place that an operator listed for somebody else's program: its addresses must be public, or be listed
/// as addresses.
pub(super) async fn listed(host: &str, port: u16, listed: &(dyn Fn(IpAddr) -> bool + Sync)) -> io::Result<TcpStream> {
    let stream = connect(host, port, &|address| allows(Network::Public, address) || listed(address)).await?;
    // What comes in small pieces goes on in them, and waits for nothing.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether a connection may go to an address: what somebody else names must not lead into the gateway's own network.
fn allows(network: Network, address: IpAddr) -> bool {
    match network {
        Network::Any => true,
        Network::Private => !address::is_never(address),
        Network::Public => address::is_public(address),
    }
}

fn tls() -> io::Result<Arc<rustls::ClientConfig>> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = config.with_platform_verifier().map_err(io::Error::other)?.with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(crate) enum Line {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(line) => Pin::new(line).poll_read(cx, buf),
            Self::Tls(line) => Pin::new(&mut **line).poll_read(cx, buf),
        }
    }
}

impl Write for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(line) => Pin::new(line).poll_write(cx, buf),
            Self::Tls(line) => Pin::new(&mut **line).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(line) => Pin::new(line).poll_flush(cx),
            Self::Tls(line) => Pin::new(&mut **line).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(line) => Pin::new(line).poll_shutdown(cx),
            Self::Tls(line) => Pin::new(&mut **line).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;

    use super::*;

    /// Answers every request with nothing; how many connections were made.
    fn server() -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
        let (address, made) = (listener.local_addr().expect("bound"), Arc::new(AtomicUsize::new(0)));
        let counted = made.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut stream = stream.expect("a connection");
                    while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("written");
                    }
                });
            }
        });
        (address, made)
    }

    async fn ask(client: Client, address: SocketAddr) {
        let request = Request::builder().uri(format!("http://{address}/")).body(Full::default()).expect("a request");
        let answer = client.request(request).await.expect("an answer");
        answer.into_body().collect().await.expect("nothing");
        // The connection goes back when its task has seen the end.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    #[test]
    fn each_lane_keeps_connections_of_its_own() {
        let (address, made) = server();
        let (client, lanes) = (client(Network::Any), lanes::Lanes::open().expect("threads"));
        let elsewhere = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut counts = Vec::new();
        for _ in 0..2 {
            elsewhere.block_on(ask(client.clone(), address));
            counts.push(made.load(Ordering::SeqCst));
            let (lane, _) = lanes.seat();
            elsewhere.block_on(lane.spawn(ask(client.clone(), address))).expect("it ends");
            counts.push(made.load(Ordering::SeqCst));
        }
        assert_eq!(counts, [1, 2, 2, 2]);
        lanes.end();
    }

    #[test]
    fn an_address_of_many_parts_stands_in_brackets() {
        for host in ["::1", "[::1]", "127.0.0.1", "db.example"] {
            let way = Way::plain(host, 5432).unwrap_or_else(|error| panic!("{host}: {error}"));
            assert_eq!(way.uri.port_u16(), Some(5432), "{host}");
        }
    }

    #[test]
    fn a_network_is_what_its_name_says() {
        let of = |network, address: &str| allows(network, address.parse().expect(address));
        for (address, private, public) in
            [("127.0.0.1", true, false), ("10.1.2.3", true, false), ("8.8.8.8", true, true), ("169.254.169.254", false, false)]
        {
            assert_eq!(of(Network::Private, address), private, "{address}");
            assert_eq!(of(Network::Public, address), public, "{address}");
            assert!(of(Network::Any, address), "{address}");
        }
    }
}
