//! The one way out of a confined server's network: its own, empty one, whose listeners are held here.
//!
//! Programs that know a proxy find one at `127.0.0.1`. The others ask for a name, get an address of their own
//! loopback device, and come in at port 80 or 443. Either way the name is judged against what the operator listed,
//! resolved here, its address judged, and the connection made to that very address. A listener belongs to one
//! server: nobody can borrow another's list.

mod head;
mod hello;
mod made;
mod names;
mod pump;
mod socks;
mod tally;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_monitor::wire::json::Json;
use bartizan_sandbox::Doors;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Server, dial};
use crate::config::{Host, is_number};
use head::Head;
use made::Made;
use names::Names;
use pump::pump;
use tally::{Passed, Tally};

/// How long a connection may take to say what it wants, or to come about.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may be silent in both directions.
const IDLE: Duration = Duration::from_secs(600);
/// Open connections of one server.
const CONNECTIONS: usize = 64;
/// Bytes of one connection, both directions together.
const MOST: u64 = 4 * 1024 * 1024 * 1024;
/// The port at which names are asked for.
const NAMES: u16 = 53;
/// Why most are refused.
const NOT_LISTED: &str = "not listed";
/// How often the counts of what was not written down at once are.
const MINUTE: Duration = Duration::from_secs(60);

/// A server's way out. It ends with this.
#[derive(Debug)]
pub(super) struct Egress {
    _tasks: JoinSet<()>,
}

/// What is known of a server's way out, for all its connections.
#[derive(Debug)]
struct Exit {
    server: Arc<Server>,
    hosts: Vec<Host>,
    names: Mutex<Names>,
    tally: Mutex<Tally>,
    room: Arc<Semaphore>,
}

impl Drop for Exit {
    /// With the last of its connections, which are written down as they end.
    fn drop(&mut self) {
        self.tell_rest();
    }
}

/// A name, or an address as text, that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    port: u16,
}

/// Who is asked to let a connection out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Proxy,
    Http,
    Https,
}

/// Opens the way out that a server's configuration allows.
pub(super) fn open(server: &Arc<Server>, hosts: &[Host], doors: Doors) -> io::Result<Egress> {
    let exit = Arc::new(Exit {
        server: server.clone(),
        hosts: hosts.to_vec(),
        names: Mutex::default(),
        tally: Mutex::default(),
        room: Arc::new(Semaphore::new(CONNECTIONS)),
    });
    let listener = |door| TcpListener::from_std(std::net::TcpListener::from(door));
    let mut tasks = JoinSet::new();
    for (listener, door) in
        [(listener(doors.proxy)?, Door::Proxy), (listener(doors.http)?, Door::Http), (listener(doors.https)?, Door::Https)]
    {
        tasks.spawn(accept(exit.clone(), listener, door));
    }
    tasks.spawn(answer(exit.clone(), UdpSocket::from_std(doors.names.into())?));
    tasks.spawn(tell(exit));
    Ok(Egress { _tasks: tasks })
}

/// Writes down every minute what was only counted.
async fn tell(exit: Arc<Exit>) {
    loop {
        tokio::time::sleep(MINUTE).await;
        exit.tell_rest();
    }
}

async fn accept(exit: Arc<Exit>, listener: TcpListener, door: Door) {
    // Dropped with the task, and with it every connection.
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(room) = exit.room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let exit = exit.clone();
                open.spawn(async move {
                    exit.serve(stream, door).await;
                    drop(room);
                });
            }
            // Mostly too many open files; it passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Answers for names: those that are listed are here, all others do not exist. No question leaves.
async fn answer(exit: Arc<Exit>, socket: UdpSocket) {
    let mut packet = [0_u8; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        let Some(question) = names::Question::read(packet.get(..length).unwrap_or_default()) else { continue };
        let listed = exit.hosts.iter().any(|host| host.covers(&question.name, host.port)) && question.name.parse::<IpAddr>().is_err();
        if !listed {
            exit.refused(&Target { name: question.name.clone(), port: NAMES }, NOT_LISTED);
        }
        let reply = exit.names.lock().unwrap_or_else(PoisonError::into_inner).answer(&question, listed);
        // Who does not wait for it asks again.
        let _ = socket.send_to(&reply, from).await;
    }
}

impl Exit {
    async fn serve(&self, stream: TcpStream, door: Door) {
        // What was refused is written down where it is refused; what broke concerns nobody else.
        let _ = match door {
            Door::Proxy => self.proxy(stream).await,
            Door::Http => self.captured_http(stream).await,
            Door::Https => self.captured_https(stream).await,
        };
    }

    /// Whether a place is listed. Names are compared as they are written, addresses only in their plain notation.
    fn judge(&self, name: &str, port: u16) -> Result<Target, Target> {
        let name = name.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let name = name.parse::<IpAddr>().map_or(name, |address| address.to_string());
        let target = Target { name, port };
        // 0x7f.1, 2130706433 and the like are addresses to a resolver, and no names to anybody.
        let is_odd = target.name.parse::<IpAddr>().is_err() && target.name.rsplit('.').next().is_some_and(is_number);
        let listed = self.hosts.iter().any(|host| host.covers(&target.name, port));
        if listed && !is_odd {
            return Ok(target);
        }
        self.refused(&target, NOT_LISTED);
        Err(target)
    }

    async fn dial(&self, target: &Target) -> io::Result<Made<'_>> {
        let listed = |address: IpAddr| self.hosts.iter().any(|host| host.covers(&address.to_string(), target.port));
        let dialled = tokio::time::timeout(PATIENCE, dial::listed(&target.name, target.port, &listed)).await;
        let dialled = dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        dialled.and_then(|onward| Made::new(self, target.clone(), onward)).inspect_err(|error| self.refused(target, &error.to_string()))
    }

    /// A program that knows a proxy: it speaks HTTP, or SOCKS.
    async fn proxy(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut first = [0_u8; 1];
        match tokio::time::timeout(PATIENCE, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first == [socks::VERSION] => return self.socks(stream).await,
            Ok(Ok(1)) => {}
            _ => return Ok(()),
        }
        let head = match tokio::time::timeout(PATIENCE, Head::read(&mut stream)).await {
            Ok(Ok(head)) => head,
            _ => return say(&mut stream, "400 Bad Request", "this is a proxy for HTTP").await,
        };
        let Some((name, port)) = head.authority() else {
            return say(&mut stream, "400 Bad Request", "name the host, as in http://HOST/ or CONNECT HOST:PORT").await;
        };
        let Ok(target) = self.judge(&name, port) else {
            return say(&mut stream, "403 Forbidden", &format!("{name}:{port} is not listed for this server; see its `confine.hosts`"))
                .await;
        };
        if !head.is_connect() {
            return self.request(stream, head, target, None).await;
        }
        let made = match self.dial(&target).await {
            Ok(made) => made,
            Err(error) => return say(&mut stream, "502 Bad Gateway", &error.to_string()).await,
        };
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        self.tunnel(stream, made).await
    }

    /// A connection to port 80: its `Host` must be the name whose address was given.
    async fn captured_http(&self, mut stream: TcpStream) -> io::Result<()> {
        let Some(name) = self.asked_for(&stream) else { return Ok(()) };
        let head = match tokio::time::timeout(PATIENCE, Head::read(&mut stream)).await {
            Ok(Ok(head)) => head,
            _ => return say(&mut stream, "400 Bad Request", "only HTTP goes out at this port").await,
        };
        match self.judge(&name, 80) {
            Ok(target) => self.request(stream, head, target, None).await,
            Err(_) => say(&mut stream, "403 Forbidden", &format!("{name}:80 is not listed for this server; see its `confine.hosts`")).await,
        }
    }

    async fn captured_https(&self, stream: TcpStream) -> io::Result<()> {
        let Some(Ok(target)) = self.asked_for(&stream).map(|name| self.judge(&name, 443)) else { return Ok(()) };
        let made = self.dial(&target).await?;
        self.tunnel(stream, made).await
    }

    /// The name for whose address a captured connection came.
    fn asked_for(&self, stream: &TcpStream) -> Option<String> {
        let IpAddr::V4(address) = stream.local_addr().ok()?.ip() else { return None };
        self.names.lock().unwrap_or_else(PoisonError::into_inner).of(address)
    }

    /// One request in clear text, and its answer. The head is what was judged, so no second one follows it.
    /// It goes over a connection that was made already, if there is one.
    async fn request(&self, mut stream: TcpStream, head: Head, target: Target, made: Option<Made<'_>>) -> io::Result<()> {
        let onward = match head.onward(&target.name, target.port) {
            Ok(onward) => onward,
            Err(why) => {
                match made {
                    Some(made) => made.refuse(why),
                    None => self.refused(&target, why),
                }
                return say(&mut stream, "403 Forbidden", why).await;
            }
        };
        let made = match made {
            Some(made) => Ok(made),
            None => self.dial(&target).await,
        };
        let mut made = match made {
            Ok(made) => made,
            Err(error) => return say(&mut stream, "502 Bad Gateway", &error.to_string()).await,
        };
        stream.set_nodelay(true)?;
        made.onward.write_all(&onward.text).await?;
        *made.passed.sent.get_mut() = u64::try_from(onward.text.len()).unwrap_or_default();
        pump::exchange(&stream, &made.onward, onward.rest, &made.passed).await
    }

    /// Bytes in both directions. TLS must ask for the host that was judged; a request in clear text is judged as it is
    /// where no tunnel was asked for; and who says nothing is not let through to say it later.
    async fn tunnel(&self, mut stream: TcpStream, made: Made<'_>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut byte = [0_u8; 1];
        let first = tokio::select! {
            first = hello::first(&stream) => Some(first?),
            // In some protocols the other side speaks first; those are neither TLS nor HTTP.
            Ok(1) = made.onward.peek(&mut byte), if !matches!(made.target.port, 80 | 443) => Some(hello::First::Other),
            () = tokio::time::sleep(PATIENCE) => None,
        };
        if first == Some(hello::First::Http) {
            return match tokio::time::timeout(PATIENCE, Head::read(&mut stream)).await {
                Ok(Ok(head)) => self.request(stream, head, made.target.clone(), Some(made)).await,
                _ => say(&mut stream, "400 Bad Request", "this is no request in clear text that could be judged").await,
            };
        }
        if let Some(why) = made.target.objection(first) {
            made.refuse(&why);
            return Ok(());
        }
        pump(&stream, &made.onward, &made.passed).await
    }

    /// Writes a connection down, or counts it.
    fn passed(&self, target: &Target, address: SocketAddr, sent: u64, received: u64) {
        let passed = Passed { connections: 1, address: address.ip(), sent, received };
        if self.tally.lock().unwrap_or_else(PoisonError::into_inner).pass(target, passed) {
            self.tell_passed(&target.name, target.port, passed);
        }
    }

    fn tell_passed(&self, name: &str, port: u16, passed: Passed) {
        self.server.note(&Json::object([
            ("event", Json::string("egress")),
            ("server", Json::string(self.server.name())),
            ("verdict", Json::string("allowed")),
            ("host", Json::string(name)),
            ("port", Json::of(&port)),
            ("address", Json::string(&passed.address.to_string())),
            ("connections", Json::of(&passed.connections)),
            ("sent", Json::of(&passed.sent)),
            ("received", Json::of(&passed.received)),
        ]));
    }

    /// Writes down what was only counted.
    fn tell_rest(&self) {
        let rest = self.tally.lock().unwrap_or_else(PoisonError::into_inner).rest();
        for ((name, port), passed) in rest.passed {
            self.tell_passed(&name, port, passed);
        }
        for (verdict, more) in [("allowed", rest.more_passed), ("refused", rest.more_refused)] {
            if more > 0 {
                self.server.note(&Json::object([
                    ("event", Json::string("egress")),
                    ("server", Json::string(self.server.name())),
                    ("verdict", Json::string(verdict)),
                    ("not_told", Json::of(&more)),
                ]));
            }
        }
    }

    /// Writes a refusal down, once for every place and as many as fit.
    fn refused(&self, target: &Target, why: &str) {
        if !self.tally.lock().unwrap_or_else(PoisonError::into_inner).refuse(target) {
            return;
        }
        if let Some(learning) = self.server.settings.learning.as_ref().filter(|_| why == NOT_LISTED) {
            learning.call(&target.name, Some(target.port).filter(|port| *port != NAMES));
        }
        tracing::warn!(server = %self.server.name(), host = ?target.name, port = target.port, why, "a connection was refused");
        self.server.note(&Json::object([
            ("event", Json::string("egress")),
            ("server", Json::string(self.server.name())),
            ("verdict", Json::string("refused")),
            ("host", Json::string(&target.name)),
            ("port", Json::of(&target.port)),
            ("why", Json::string(why)),
        ]));
    }
}

impl Target {
    /// What speaks against a tunnel that begins so.
    fn objection(&self, first: Option<hello::First>) -> Option<String> {
        let is_named = self.name.parse::<IpAddr>().is_err();
        match first {
            None => Some("nothing was said in time".to_owned()),
            Some(hello::First::Tls(_)) if !is_named => None,
            Some(hello::First::Tls(Some(asked))) if asked == self.name => None,
            Some(hello::First::Tls(Some(asked))) => Some(format!("TLS asks for {asked}")),
            Some(hello::First::Tls(None)) => Some("TLS does not say for whom".to_owned()),
            Some(hello::First::Http) => Some("a request in clear text is no tunnel".to_owned()),
            Some(hello::First::Other) if self.port == 443 && is_named => Some("this is not TLS".to_owned()),
            Some(hello::First::Other) if self.port == 80 => Some("this is not HTTP".to_owned()),
            Some(hello::First::Other) => None,
        }
    }
}

async fn say(stream: &mut TcpStream, status: &str, why: &str) -> io::Result<()> {
    let why: String = why.chars().filter(|c| !c.is_control()).collect();
    let text = format!(
        "HTTP/1.1 {status}\r\nBartizan-Reason: {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}",
        why.chars().filter(char::is_ascii).collect::<String>(),
        why.len()
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_or_something_else_gets_no_tunnel() {
        let on = |name: &str, port| Target { name: name.to_owned(), port };
        let tls = |name: Option<&str>| Some(hello::First::Tls(name.map(str::to_owned)));
        assert_eq!(on("a.example", 8443).objection(tls(Some("a.example"))), None);
        assert_eq!(on("a.example", 22).objection(Some(hello::First::Other)), None);
        assert_eq!(on("10.0.0.5", 443).objection(tls(None)), None);
        for (target, first) in [
            (on("a.example", 22), None),
            (on("a.example", 8443), tls(Some("b.example"))),
            (on("a.example", 8443), tls(None)),
            (on("a.example", 443), Some(hello::First::Other)),
            (on("a.example", 80), Some(hello::First::Other)),
            (on("a.example", 8080), Some(hello::First::Http)),
        ] {
            assert!(target.objection(first).is_some(), "{target:?}");
        }
    }
}
