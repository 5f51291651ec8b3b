//! SOCKS5 (RFC 1928) at the door for programs that know a proxy. Nobody says who they are: the listener is one server's.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Exit, PATIENCE, Target};

/// With what a client of this protocol begins.
pub(super) const VERSION: u8 = 5;
/// Of the ways to say who one is: none.
const NO_NAME: u8 = 0;
/// None of the ways that were offered.
const NO_WAY: u8 = 0xff;
/// Of what can be asked for: a connection. The others (2: wait for one, 3: carry datagrams) would be doors of their own.
const CONNECT: u8 = 1;

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Connected = 0,
    NotAllowed = 2,
    Unreachable = 4,
    NoSuchCommand = 7,
    NoSuchAddress = 8,
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    command: u8,
    /// As it was written: it is judged like any other.
    name: String,
    port: u16,
}

impl Exit {
    /// A connection over SOCKS5. It is judged like one over HTTP, and what it carries is, too.
    pub(super) async fn socks(&self, mut stream: TcpStream) -> io::Result<()> {
        let asked = tokio::time::timeout(PATIENCE, ask(&mut stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let Asked { command, name, port } = match asked {
            Ok(asked) => asked,
            Err(reply) => return refuse(&mut stream, reply).await,
        };
        if !is_plain(&name) {
            self.refused(&Target { name: name.escape_default().to_string(), port }, "this is no name");
            return refuse(&mut stream, Reply::NoSuchAddress).await;
        }
        if command != CONNECT {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            self.refused(&Target { name, port }, "of SOCKS, only CONNECT goes out");
            return refuse(&mut stream, Reply::NoSuchCommand).await;
        }
        let Ok(target) = self.judge(&name, port) else { return refuse(&mut stream, Reply::NotAllowed).await };
        let Ok(made) = self.dial(&target).await else { return refuse(&mut stream, Reply::Unreachable).await };
        stream.write_all(&answer(Reply::Connected)).await?;
        self.tunnel(stream, made).await
    }
}

/// Reads what is asked for, and nothing behind it.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<Result<Asked, Reply>> {
    let [version, count] = read(stream).await?;
    let mut ways = vec![0; usize::from(count)];
    stream.read_exact(&mut ways).await?;
    if version != VERSION || !ways.contains(&NO_NAME) {
        stream.write_all(&[VERSION, NO_WAY]).await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    stream.write_all(&[VERSION, NO_NAME]).await?;
    let [version, command, _, kind] = read(stream).await?;
    if version != VERSION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let name = match kind {
        1 => Ipv4Addr::from(read::<4, S>(stream).await?).to_string(),
        4 => Ipv6Addr::from(read::<16, S>(stream).await?).to_string(),
        3 => {
            let [length] = read(stream).await?;
            let mut name = vec![0; usize::from(length)];
            stream.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => return Ok(Err(Reply::NoSuchAddress)),
    };
    // Also behind a name that is none: what was not read would take the answer with it.
    let port = u16::from_be_bytes(read(stream).await?);
    Ok(Ok(Asked { command, name, port }))
}

async fn read<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Whether a name is one, or an address as text: here it may hold any bytes, and resolvers differ in what they make of them.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
}

/// An answer without an address of ours: it would be the machine's.
const fn answer(reply: Reply) -> [u8; 10] {
    [VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]
}

async fn refuse(stream: &mut TcpStream, reply: Reply) -> io::Result<()> {
    stream.write_all(&answer(reply)).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is understood of these bytes, and what was said before.
    async fn said(bytes: &[u8]) -> (io::Result<Result<Asked, Reply>>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(1024);
        near.write_all(bytes).await.expect("written");
        near.shutdown().await.expect("shut");
        let asked = ask(&mut far).await;
        drop(far);
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.expect("read");
        (asked, said)
    }

    #[tokio::test]
    async fn every_kind_of_address_is_read_as_text() {
        let request = |rest: &[u8]| [&[5, 1, 0, 5, 1, 0], rest].concat();
        for (rest, name) in [
            (&[1, 127, 0, 0, 1, 1, 187][..], "127.0.0.1"),
            (&[3, 3, b'a', b'.', b'b', 1, 187][..], "a.b"),
            (&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1, 1, 187][..], "::ffff:127.0.0.1"),
        ] {
            let (asked, said) = said(&request(rest)).await;
            assert_eq!(asked.expect("read"), Ok(Asked { command: CONNECT, name: name.to_owned(), port: 443 }));
            assert_eq!(said, [5, 0]);
        }
        for rest in [&[3, 3, b'a', 0, b'b', 1, 187][..], &[3, 0, 1, 187], &[3, 2, 0xff, 0xfe, 1, 187]] {
            let asked = said(&request(rest)).await.0.expect("read").expect("an address");
            assert!(!is_plain(&asked.name) && asked.port == 443, "{asked:?}");
        }
        assert_eq!(said(&request(&[2, 1])).await.0.expect("read"), Err(Reply::NoSuchAddress));
    }

    #[tokio::test]
    async fn who_must_say_a_name_and_who_stops_halfway_gets_nothing() {
        let (asked, answered) = said(&[5, 1, 2]).await;
        assert!(asked.is_err() && answered == [5, 0xff], "{answered:?}");
        let whole = [5, 1, 0, 5, 1, 0, 3, 3, b'a', b'.', b'b', 1, 187];
        for length in 0..whole.len() {
            assert!(said(&whole[..length]).await.0.is_err(), "{length}");
        }
    }
}
