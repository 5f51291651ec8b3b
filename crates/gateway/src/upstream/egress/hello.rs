//! For whom a TLS connection asks: the server name in the first message (RFC 8446, RFC 6066), which is not encrypted.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// More than any first message needs.
const MOST: usize = 32 * 1024;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    /// TLS, and the name in lower case, if there is one.
    Tls(Option<String>),
    /// A request in clear text.
    Http,
    /// Something else.
    Other,
}

/// Looks at what comes first, without taking it.
pub(super) async fn first(stream: &TcpStream) -> io::Result<First> {
    let mut bytes = vec![0; MOST];
    loop {
        let length = stream.peek(&mut bytes).await?;
        match read(bytes.get(..length).unwrap_or_default()) {
            Some(first) => return Ok(first),
            None if length == 0 || length >= MOST => return Ok(First::Tls(None)),
            // What is only looked at stays readable: the rest is waited for by the clock.
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Reads the beginning of a connection; nothing when more is needed.
fn read(bytes: &[u8]) -> Option<First> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let mut message = Vec::new();
    let mut rest = bytes;
    // One message may lie in several records.
    loop {
        match rest {
            [] => return None,
            [kind, ..] if *kind != HANDSHAKE && message.is_empty() => return plain(bytes),
            [kind, ..] if *kind != HANDSHAKE => return Some(First::Other),
            [_, major, ..] if *major != 3 => return Some(First::Other),
            [_, _, _, high, low, after @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                message.extend_from_slice(after.get(..length.min(after.len())).unwrap_or_default());
                rest = after.get(length..).unwrap_or_default();
            }
            _ => return None,
        }
        match message.as_slice() {
            [kind, ..] if *kind != CLIENT_HELLO => return Some(First::Tls(None)),
            [_, a, b, c, body @ ..] => {
                let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
                if length > MOST {
                    return Some(First::Tls(None));
                }
                if let Some(body) = body.get(..length) {
                    return Some(First::Tls(name(body)));
                }
            }
            _ => {}
        }
        if rest.is_empty() {
            return None;
        }
    }
}

/// What is no TLS: a line that names HTTP in any spelling is a request, or what some server takes for one; whether it is
/// a good one is for others to judge. Empty lines before it are skipped, as servers do (RFC 9112, section 2.2).
fn plain(bytes: &[u8]) -> Option<First> {
    let at = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t')).unwrap_or(bytes.len());
    let line = bytes.get(at..).unwrap_or_default();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    match line.iter().find(|byte| !is_token(byte)) {
        None => None,
        Some(b' ' | b'\t') if is_token(line.first()?) => {
            let end = line.iter().position(|byte| *byte == b'\n')?;
            let is_http = line.get(..end)?.windows(5).any(|part| part.eq_ignore_ascii_case(b"http/"));
            Some(if is_http { First::Http } else { First::Other })
        }
        Some(_) => Some(First::Other),
    }
}

/// Takes what is counted by the first bytes.
fn counted<'a>(bytes: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let (count, rest) = bytes.split_at_checked(width)?;
    let length = count.iter().fold(0_usize, |sum, byte| sum.saturating_mul(256).saturating_add(usize::from(*byte)));
    let (inside, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(inside)
}

fn name(mut hello: &[u8]) -> Option<String> {
    const SERVER_NAME: [u8; 2] = [0, 0];
    hello = hello.get(34..)?;
    counted(&mut hello, 1)?;
    counted(&mut hello, 2)?;
    counted(&mut hello, 1)?;
    let mut extensions = counted(&mut hello, 2)?;
    let mut found = None;
    while let Some((kind, rest)) = extensions.split_at_checked(2) {
        extensions = rest;
        let mut value = counted(&mut extensions, 2)?;
        if kind == SERVER_NAME {
            let mut list = counted(&mut value, 2)?;
            let (kind, rest) = list.split_at_checked(1)?;
            list = rest;
            let host = std::str::from_utf8(counted(&mut list, 2)?).ok()?;
            // One name of the one kind that there is, once: two readers must not pick different ones.
            if kind != [0] || !list.is_empty() || found.is_some() {
                return None;
            }
            found = Some(host.to_ascii_lowercase());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(names: &[&str]) -> Vec<u8> {
        let name = ServerNames(names);
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        let extensions = name.bytes();
        body.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
        body.extend(extensions);
        let mut message = vec![1, 0];
        message.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
        message.extend(body);
        message
    }

    struct ServerNames<'a>(&'a [&'a str]);

    impl ServerNames<'_> {
        fn bytes(&self) -> Vec<u8> {
            let two = |length: usize| u16::try_from(length).expect("short").to_be_bytes();
            self.0
                .iter()
                .flat_map(|name| {
                    let mut one = vec![0, 0];
                    one.extend(two(name.len() + 5));
                    one.extend(two(name.len() + 3));
                    one.push(0);
                    one.extend(two(name.len()));
                    one.extend(name.bytes());
                    one
                })
                .collect()
        }
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1], u16::try_from(part.len()).expect("short").to_be_bytes().as_slice(), part].concat();
        message.chunks(size).flat_map(record).collect()
    }

    #[test]
    fn the_name_is_found_in_one_record_or_many() {
        let message = hello(&["A.example"]);
        for size in [1000, 7, 50] {
            assert_eq!(read(&records(&message, size)), Some(First::Tls(Some("a.example".to_owned()))), "{size}");
        }
        let whole = records(&message, 1000);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn what_could_mean_two_names_means_none() {
        assert_eq!(read(&records(&hello(&["a", "b"]), 1000)), Some(First::Tls(None)));
        assert_eq!(read(&records(&hello(&[]), 1000)), Some(First::Tls(None)));
        assert_eq!(read(b"SSH-2.0-x\r\n"), Some(First::Other));
    }

    #[test]
    fn a_request_in_clear_text_is_told_from_other_protocols() {
        for text in ["GET / HTTP/1.1\r\n", "\r\nX /p http/1.0\n", "PRI * HTTP/2.0\r\n", "GET\t/ HTTP/1.1\r\n", " GET / HTTP/1.1\r\n"] {
            assert_eq!(read(text.as_bytes()), Some(First::Http), "{text:?}");
            let before_line_end = text.trim_end().len();
            assert_eq!(read(&text.as_bytes()[..before_line_end]), None, "{text:?}");
        }
        for text in ["NICK it\r\n", "EHLO it\r\n", "*1\r\n$4\r\nPING\r\n", "\0\0\0\u{8}"] {
            assert_eq!(read(text.as_bytes()), Some(First::Other), "{text:?}");
        }
    }
}
