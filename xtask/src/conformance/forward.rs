//! A forwarder on the loopback interface that adds `Authorization` to every request, because the suite
//! cannot send one. It changes nothing else that anybody could notice: bytes are passed on as they come,
//! in both directions, and its own address in `Host` and `Origin` becomes the gateway's, as if the suite
//! had been given that.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read, Result, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use crate::run::loopback;

/// A head larger than this is not a request.
const LONGEST_HEAD: usize = 64 * 1024;

struct Route {
    /// `127.0.0.1:PORT` of this forwarder and of the gateway.
    own: String,
    gateway: String,
    token: String,
    port: u16,
}

/// Starts it; answers its port. It lives as long as the process.
pub(crate) fn start(port: u16, token: &str) -> Result<u16> {
    let listener = TcpListener::bind(loopback(0))?;
    let own = listener.local_addr()?;
    let route = Arc::new(Route { own: own.to_string(), gateway: loopback(port).to_string(), token: token.to_string(), port });
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let route = Arc::clone(&route);
            // A connection that breaks is an answer of its own: the suite sees it.
            std::thread::spawn(move || drop(connection(client, &route)));
        }
    });
    Ok(own.port())
}

fn connection(client: TcpStream, route: &Route) -> Result<()> {
    let gateway = TcpStream::connect(loopback(route.port))?;
    client.set_nodelay(true)?;
    gateway.set_nodelay(true)?;
    let (mut answers, mut back) = (gateway.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        // However it ends, the client learns of it by the end of its connection.
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut requests = BufReader::new(client);
    let result = pass_requests(&mut requests, &gateway, route);
    // A client that went away must be seen to have gone: that may mean "cancelled".
    gateway.shutdown(Shutdown::Write)?;
    result
}

/// A connection carries several requests, so each one's end has to be known.
fn pass_requests(client: &mut BufReader<TcpStream>, mut gateway: &TcpStream, route: &Route) -> Result<()> {
    while let Some(head) = read_head(client)? {
        let (text, body) = rewrite(&head, route)?;
        gateway.write_all(text.as_bytes())?;
        match body {
            Body::Length(n) => pass(client, gateway, n)?,
            Body::Chunked => pass_chunks(client, gateway)?,
        }
    }
    Ok(())
}

/// How the end of a body is known; without a word about it, there is none.
#[derive(Debug, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// One line with its end; empty when the connection ended.
fn read_line(client: &mut impl std::io::BufRead) -> Result<String> {
    let mut line = Vec::new();
    client.take(LONGEST_HEAD as u64).read_until(b'\n', &mut line)?;
    // Header values may hold any byte; these map to themselves and back.
    if line.is_ascii() { String::from_utf8(line).map_err(|_| bad("not text")) } else { Err(bad("not ASCII")) }
}

/// The lines of a head without the empty one; `None` when the client has nothing more to say.
fn read_head(client: &mut impl std::io::BufRead) -> Result<Option<Vec<String>>> {
    let mut lines: Vec<String> = Vec::new();
    let mut length = 0;
    loop {
        let line = read_line(client)?;
        length += line.len();
        match line.as_str() {
            "" if lines.is_empty() => return Ok(None),
            "" => return Err(bad("the connection ended inside a head")),
            "\r\n" | "\n" if lines.is_empty() => {}
            "\r\n" | "\n" => return Ok(Some(lines)),
            _ if length > LONGEST_HEAD => return Err(bad("the head is too large")),
            _ => lines.push(line),
        }
    }
}

fn rewrite(head: &[String], route: &Route) -> Result<(String, Body)> {
    let mut text = String::new();
    let mut body = Body::Length(0);
    let mut authorized = false;
    for (i, line) in head.iter().enumerate() {
        let (name, value) = line.split_once(':').filter(|_| i > 0).unwrap_or(("", ""));
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => body = Body::Length(value.parse().map_err(|_| bad("content-length"))?),
            "transfer-encoding" => body = Body::Chunked,
            "authorization" => authorized = true,
            "host" if value == route.own => {
                text.push_str(&format!("{name}: {}\r\n", route.gateway));
                continue;
            }
            "origin" if value.strip_prefix("http://") == Some(&route.own) => {
                text.push_str(&format!("{name}: http://{}\r\n", route.gateway));
                continue;
            }
            _ => {}
        }
        text.push_str(line);
    }
    if !authorized {
        text.push_str(&format!("Authorization: Bearer {}\r\n", route.token));
    }
    text.push_str("\r\n");
    Ok((text, body))
}

/// Exactly `n` bytes, as they come.
fn pass(client: &mut impl Read, mut gateway: impl std::io::Write, n: u64) -> Result<()> {
    if std::io::copy(&mut client.take(n), &mut gateway)? < n {
        return Err(bad("the connection ended inside a body"));
    }
    Ok(())
}

fn pass_chunks(client: &mut impl std::io::BufRead, mut gateway: impl std::io::Write) -> Result<()> {
    loop {
        let line = read_line(client)?;
        gateway.write_all(line.as_bytes())?;
        let digits = line.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| bad("chunk size"))?;
        if size == 0 {
            break;
        }
        // The data and the line end after it.
        pass(client, &mut gateway, size + 2)?;
    }
    // Trailers, up to the empty line.
    loop {
        let line = read_line(client)?;
        gateway.write_all(line.as_bytes())?;
        if line.trim().is_empty() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(port: u16) -> Route {
        Route { own: "127.0.0.1:1".into(), gateway: "127.0.0.1:2".into(), token: "t0k".into(), port }
    }

    fn head(text: &str) -> (String, Body) {
        let lines = read_head(&mut text.as_bytes()).unwrap().unwrap();
        rewrite(&lines, &route(0)).unwrap()
    }

    #[test]
    fn a_head_gets_the_token_and_the_gateways_address() {
        let (text, body) = head("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 12\r\nX: a: b\r\n\r\n");
        assert_eq!(text, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:2\r\nContent-Length: 12\r\nX: a: b\r\nAuthorization: Bearer t0k\r\n\r\n");
        assert_eq!(body, Body::Length(12));
    }

    #[test]
    fn somebody_elses_host_and_credential_stay() {
        let (text, body) = head("GET / HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nauthorization: x\r\n\r\n");
        assert_eq!(text, "GET / HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nauthorization: x\r\n\r\n");
        assert_eq!(body, Body::Length(0));
        let (text, _) = head("GET / HTTP/1.1\r\nOrigin: http://127.0.0.1:1\r\n\r\n");
        assert!(text.contains("Origin: http://127.0.0.1:2\r\n"));
    }

    #[test]
    fn chunks_are_passed_to_their_end_and_no_further() {
        let stream = "5;x=y\r\nhello\r\n3\r\n0\r\n\r\n0\r\nTrailer: t\r\n\r\nGET /next HTTP/1.1\r\n\r\n";
        let mut input = stream.as_bytes();
        let mut out = Vec::new();
        pass_chunks(&mut input, &mut out).unwrap();
        assert_eq!(input, b"GET /next HTTP/1.1\r\n\r\n");
        assert_eq!(out.len() + input.len(), stream.len());
    }

    #[test]
    fn a_cut_request_is_an_error_and_a_quiet_end_is_not() {
        assert!(read_head(&mut "".as_bytes()).unwrap().is_none());
        assert!(read_head(&mut "GET / HTTP/1.1\r\n".as_bytes()).is_err());
        assert!(pass(&mut "abc".as_bytes(), Vec::new(), 4).is_err());
    }

    /// Several requests on one connection, answered as they come: each must carry the token.
    #[test]
    fn a_connection_carries_several_requests() {
        let gateway = TcpListener::bind(loopback(0)).unwrap();
        let port = gateway.local_addr().unwrap().port();
        let seen = std::thread::spawn(move || {
            let mut stream = gateway.accept().unwrap().0;
            let mut seen = String::new();
            for _ in 0..3 {
                let mut all = Vec::new();
                while !all.ends_with(b"END") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    all.push(byte[0]);
                }
                seen.push_str(&String::from_utf8(all).unwrap());
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
            seen
        });
        let mut client = TcpStream::connect(loopback(start(port, "t0k").unwrap())).unwrap();
        for body in ["Content-Length: 3\r\n\r\nEND", "Content-Length: 5\r\n\r\n  END", "content-length:4\r\n\r\n END"] {
            write!(client, "POST / HTTP/1.1\r\n{body}").unwrap();
            let mut answer = [0; 38];
            client.read_exact(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"));
        }
        assert_eq!(seen.join().unwrap().matches("Authorization: Bearer t0k\r\n").count(), 3);
    }
}
