//! A minimal HTTP/1.1 client: one connection, one request at a time. It is
//! hand-written so that the load generator itself costs little.

use std::io::{Error, ErrorKind, Result};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where the requests go, and what they all carry.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: String,
    pub(crate) host: String,
    pub(crate) path: String,
    /// Extra header lines, each ending in CRLF.
    pub(crate) headers: String,
}

impl Target {
    /// `http://127.0.0.1:PORT/path`; anything but loopback is refused.
    pub(crate) fn parse(url: &str, headers: &[String]) -> std::result::Result<Target, String> {
        let rest = url.strip_prefix("http://").ok_or("the URL must start with http://")?;
        let (host, path) = match rest.find('/') {
            Some(i) => (&rest[..i], &rest[i..]),
            None => (rest, "/"),
        };
        let name = host.rsplit_once(':').map_or(host, |(h, _)| h);
        if !(name == "localhost" || name == "[::1]" || name.starts_with("127.")) {
            return Err(format!("{name} is not a loopback address"));
        }
        let addr = if host.contains(':') { host.to_string() } else { format!("{host}:80") };
        let headers = headers.iter().map(|h| format!("{}\r\n", h.trim())).collect();
        Ok(Target { addr, host: host.to_string(), path: path.to_string(), headers })
    }
}

/// What came back.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) sse: bool,
    pub(crate) session: Option<String>,
    pub(crate) body: Vec<u8>,
    /// When the answer to the request was complete (for an event stream: when
    /// the event that holds it was, which may be before the stream ends).
    pub(crate) at: Option<Instant>,
}

impl Answer {
    /// The JSON-RPC messages in the body.
    pub(crate) fn messages(&self) -> Vec<&[u8]> {
        if !self.sse {
            return if self.body.is_empty() { vec![] } else { vec![&self.body] };
        }
        self.body
            .split(|b| *b == b'\n')
            .filter_map(|line| line.strip_suffix(b"\r").unwrap_or(line).strip_prefix(b"data:"))
            .map(|data| data.strip_prefix(b" ").unwrap_or(data))
            .filter(|data| !data.is_empty())
            .collect()
    }
}

/// How long the body is.
enum Framing {
    Length(usize),
    Chunked,
    None,
    /// Until the connection ends.
    Close,
}

/// One connection with its read buffer.
pub(crate) struct Conn {
    stream: TcpStream,
    buf: Vec<u8>,
    open: bool,
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_string())
}

impl Conn {
    pub(crate) async fn open(target: &Target) -> Result<Conn> {
        let stream = TcpStream::connect(&target.addr).await?;
        stream.set_nodelay(true)?;
        Ok(Conn { stream, buf: Vec::with_capacity(16 * 1024), open: true })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    async fn fill(&mut self) -> Result<usize> {
        if self.buf.capacity() - self.buf.len() < 4096 {
            self.buf.reserve(64 * 1024);
        }
        let read = self.stream.read_buf(&mut self.buf).await;
        if !matches!(read, Ok(n) if n > 0) {
            self.open = false;
        }
        match read? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the connection was closed")),
            n => Ok(n),
        }
    }

    /// Sends `request` (head and body) and reads the whole answer into `out`.
    /// `want` is searched for in an event stream to tell which event answers.
    pub(crate) async fn call(&mut self, request: &[u8], want: &[u8], out: &mut Answer) -> Result<()> {
        if let Err(e) = self.stream.write_all(request).await {
            self.open = false;
            return Err(e);
        }
        out.body.clear();
        out.session = None;
        out.at = None;
        self.buf.clear();
        let (head, framing) = self.head(out).await?;
        match framing {
            Framing::Length(n) => {
                while self.buf.len() < head + n {
                    self.fill().await?;
                }
                out.body.extend_from_slice(&self.buf[head..head + n]);
            }
            Framing::Chunked => self.chunks(head, want, out).await?,
            Framing::None => {}
            Framing::Close => {
                while self.fill().await.is_ok() {}
                out.body.extend_from_slice(&self.buf[head..]);
            }
        }
        out.at.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Reads to the end of the head; answers where the body begins and how it is framed.
    async fn head(&mut self, out: &mut Answer) -> Result<(usize, Framing)> {
        loop {
            self.fill().await?;
            let mut headers = [httparse::EMPTY_HEADER; 48];
            let mut resp = httparse::Response::new(&mut headers);
            let parsed = resp.parse(&self.buf).map_err(|_| bad("not an HTTP answer"))?;
            let httparse::Status::Complete(head) = parsed else {
                continue;
            };
            out.status = resp.code.unwrap_or(0);
            out.sse = false;
            let mut framing = match out.status {
                204 | 304 => Framing::None,
                _ => Framing::Close,
            };
            for h in resp.headers.iter() {
                if h.name.eq_ignore_ascii_case("content-length") {
                    let n = std::str::from_utf8(h.value).ok().and_then(|v| v.trim().parse().ok());
                    framing = Framing::Length(n.ok_or_else(|| bad("bad content-length"))?);
                } else if h.name.eq_ignore_ascii_case("transfer-encoding") {
                    framing = Framing::Chunked;
                } else if h.name.eq_ignore_ascii_case("content-type") {
                    out.sse = h.value.starts_with(b"text/event-stream");
                } else if h.name.eq_ignore_ascii_case("connection") {
                    self.open &= !h.value.eq_ignore_ascii_case(b"close");
                } else if h.name.eq_ignore_ascii_case("mcp-session-id") {
                    out.session = String::from_utf8(h.value.to_vec()).ok();
                }
            }
            return Ok((head, framing));
        }
    }

    async fn chunks(&mut self, head: usize, want: &[u8], out: &mut Answer) -> Result<()> {
        let finder = memchr::memmem::Finder::new(want);
        let mut pos = head;
        loop {
            let (data, size) = self.chunk_head(pos).await?;
            while self.buf.len() < data + size + 2 {
                self.fill().await?;
            }
            if size == 0 {
                return Ok(());
            }
            out.body.extend_from_slice(&self.buf[data..data + size]);
            pos = data + size + 2;
            if pos > 256 * 1024 {
                self.buf.drain(..pos);
                pos = 0;
            }
            let whole_event = out.body.ends_with(b"\n\n") || out.body.ends_with(b"\r\n\r\n");
            if out.sse && out.at.is_none() && whole_event && finder.find(&out.body).is_some() {
                out.at = Some(Instant::now());
            }
        }
    }

    /// Where the chunk's data begins, and its length.
    async fn chunk_head(&mut self, pos: usize) -> Result<(usize, usize)> {
        let end = loop {
            if let Some(i) = memchr::memmem::find(&self.buf[pos..], b"\r\n") {
                break pos + i;
            }
            self.fill().await?;
        };
        let digits = self.buf[pos..end].split(|b| *b == b';').next().unwrap_or(b"");
        let size =
            std::str::from_utf8(digits).ok().and_then(|s| usize::from_str_radix(s.trim(), 16).ok()).ok_or_else(|| bad("bad chunk size"))?;
        Ok((end + 2, size))
    }

    /// Sends a request and reads only the head: for a stream that stays open.
    pub(crate) async fn open_stream(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buf.clear();
        let mut out = Answer::default();
        self.head(&mut out).await?;
        Ok(out.status)
    }
}
