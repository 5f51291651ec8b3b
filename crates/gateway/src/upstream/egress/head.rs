//! The head of one HTTP/1 request that wants out.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use url::Url;

/// How large a head may be.
const MOST: usize = 64 * 1024;

/// A head, and what was read behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    behind: Vec<u8>,
}

/// What is sent on: a head of our own making, what of the body was read with it, and how many bytes are to follow.
#[derive(Debug)]
pub(super) struct Onward {
    pub(super) text: Vec<u8>,
    pub(super) rest: u64,
}

impl Head {
    pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut text = Vec::new();
        let mut part = [0_u8; 4096];
        loop {
            if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                let behind = text.split_off(end.saturating_add(4));
                return Self::parse(&text, behind).ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
            let length = stream.read(&mut part).await?;
            if length == 0 || text.len() > MOST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            text.extend_from_slice(part.get(..length).unwrap_or_default());
        }
    }

    /// Strict: what two readers could understand differently is not understood.
    fn parse(text: &[u8], behind: Vec<u8>) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.strip_suffix("\r\n\r\n")?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version, none) = (words.next()?, words.next()?, words.next()?, words.next());
        if none.is_some() || !matches!(version, "HTTP/1.1" | "HTTP/1.0") || !method.chars().all(|c| c.is_ascii_uppercase()) {
            return None;
        }
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
            let is_value = !value.contains(|c: char| c.is_control() && c != '\t');
            (is_name && is_value).then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.map(header).collect::<Option<_>>()?;
        Some(Self { method: method.to_owned(), target: target.to_owned(), headers, behind })
    }

    pub(super) fn is_connect(&self) -> bool {
        self.method == "CONNECT"
    }

    /// The host and port that a proxy is asked for.
    pub(super) fn authority(&self) -> Option<(String, u16)> {
        if self.is_connect() {
            let (name, port) = self.target.rsplit_once(':')?;
            let fits = self.behind.is_empty() && !name.is_empty() && !name.contains(['/', '@', '?', '#']);
            return Some((name.to_owned(), port.parse().ok()?)).filter(|_| fits);
        }
        let url = Url::parse(&self.target).ok()?;
        let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
        // As it was written, not as it is understood: an odd notation of an address is not turned into one.
        let written = self.target.strip_prefix("http://")?.split(['/', '?', '#']).next()?;
        let name = match written.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => name,
            _ => written,
        };
        Some((name.to_owned(), url.port_or_known_default()?)).filter(|_| plain)
    }

    /// The request as the host that was judged gets it: one, and nothing behind it.
    pub(super) fn onward(&self, name: &str, port: u16) -> Result<Onward, &'static str> {
        let all =
            |wanted: &str| self.headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        let shown = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        let host = if port == 80 { shown.clone() } else { format!("{shown}:{port}") };
        let is_same = |value: &str| value.eq_ignore_ascii_case(&host) || value.eq_ignore_ascii_case(&format!("{shown}:{port}"));
        match all("host").as_slice() {
            [] => {}
            [one] if is_same(one) => {}
            _ => return Err("the request's Host is not the host that it goes to"),
        }
        if self.is_connect() || !all("transfer-encoding").is_empty() {
            return Err("a request in clear text says its length");
        }
        let length: u64 = match all("content-length").as_slice() {
            [] => 0,
            [one] if one.bytes().all(|byte| byte.is_ascii_digit()) => one.parse().map_err(|_| "this is not a length")?,
            _ => return Err("a request has one length, in digits"),
        };
        let behind = u64::try_from(self.behind.len()).unwrap_or(u64::MAX);
        let rest = length.checked_sub(behind).ok_or("something follows the request")?;
        let path = match self.target.strip_prefix("http://") {
            Some(target) => target.find(['/', '?']).and_then(|at| target.get(at..)).unwrap_or("/"),
            None => &self.target,
        };
        let slash = if path.starts_with('/') || path == "*" { "" } else { "/" };
        let mut text = format!("{} {slash}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", self.method);
        let ours = ["host", "connection", "keep-alive", "te", "trailer", "upgrade", "proxy-connection", "proxy-authorization", "expect"];
        for (name, value) in self.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut text = text.into_bytes();
        text.extend_from_slice(&self.behind);
        Ok(Onward { text, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<Head> {
        let (head, behind) = text.split_at(text.find("\r\n\r\n")? + 4);
        Head::parse(head.as_bytes(), behind.as_bytes().to_vec())
    }

    fn authority(line: &str) -> Option<(String, u16)> {
        head(&format!("{line} HTTP/1.1\r\n\r\n"))?.authority()
    }

    #[test]
    fn who_is_asked_for_is_read_as_it_is_written() {
        let some = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(authority("CONNECT a.example:443"), some("a.example", 443));
        assert_eq!(authority("GET http://a.example/x"), some("a.example", 80));
        assert_eq!(authority("GET http://a.example:8080?x"), some("a.example", 8080));
        assert_eq!(authority("GET http://[::1]/"), some("[::1]", 80));
        assert_eq!(authority("GET http://0x7f.1/"), some("0x7f.1", 80));
        for line in [
            "GET /x",
            "GET https://a/",
            "GET http://u@a/",
            "CONNECT a",
            "CONNECT a:x",
            "CONNECT u@a:1",
            "CONNECT /:1",
            "get http://a/",
            "GET  http://a/",
        ] {
            assert_eq!(authority(line), None, "{line}");
        }
    }

    #[test]
    fn one_request_goes_on_and_nothing_behind_it() {
        let read = |rest: &str| head(&format!("POST http://a.example/p?q HTTP/1.1\r\n{rest}")).expect("a head").onward("a.example", 80);
        let onward = read("Host: A.example\r\nProxy-Connection: x\r\nX: y\r\ncontent-length: 5\r\n\r\nab").expect("onward");
        let text = String::from_utf8(onward.text).expect("text");
        assert_eq!(text, "POST /p?q HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nx: y\r\ncontent-length: 5\r\n\r\nab");
        assert_eq!(onward.rest, 3);
        for rest in [
            "Host: b.example\r\n\r\n",
            "Host: a.example\r\nHost: b.example\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "Content-Length: -1\r\n\r\n",
            "Content-Length: +5\r\n\r\nhello",
            "\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(read(rest).is_err(), "{rest:?}");
        }
        for text in [
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\n folded\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        ] {
            assert_eq!(head(text), None, "{text:?}");
        }
    }
}
