//! As much of the Redis protocol (RESP2) as is needed: commands are lists of strings, answers are read with bounds.

use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::config::Redis;
use crate::upstream::{Line, Way};

const PORT: u16 = 6379;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(750);
/// How long a line of an answer may be.
const MAX_LINE: u64 = 64 * 1024;
/// How long a string may be.
const MAX_TEXT: usize = 1024 * 1024;
/// How an alert of TLS begins (RFC 8446, section 5.1).
const ALERT: u8 = 21;
/// How many items a list may have.
const MAX_ITEMS: usize = 100_000;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    Number(i64),
    Text(String),
    List(Vec<Self>),
}

impl Value {
    /// A number, also one that is written as a string.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Nothing | Self::List(_) => None,
        }
    }

    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Number(_) | Self::List(_) => None,
        }
    }

    pub(super) fn items(self) -> Vec<Self> {
        match self {
            Self::List(items) => items,
            Self::Nothing | Self::Number(_) | Self::Text(_) => Vec::new(),
        }
    }
}

/// A connection to Redis. After an error it is of no use.
pub(super) struct Connection<S = TokioIo<Line>>(BufReader<S>);

impl Connection {
    /// Connects, says who it is, and chooses the database.
    pub(super) async fn open(redis: &Redis, way: &Way) -> io::Result<Self> {
        let mut connection = Self(BufReader::new(way.open().await.map_err(|error| unencrypted(redis, error))?));
        let mut commands = Vec::new();
        if let Some(password) = &redis.password {
            let user = redis.username.iter().cloned();
            commands.push(["AUTH".to_owned()].into_iter().chain(user).chain([password.expose().to_owned()]).collect());
        }
        commands.push(vec!["SELECT".to_owned(), redis.database.to_string()]);
        connection.ask(&commands).await.map_err(|error| hung_up(redis, error))?;
        Ok(connection)
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Connection<S> {
    /// Sends commands together and reads their answers. One that Redis refuses is an error.
    pub(super) async fn ask(&mut self, commands: &[Vec<String>]) -> io::Result<Vec<Value>> {
        let asked = tokio::time::timeout(PATIENCE, async {
            self.0.write_all(&encode(commands)).await?;
            self.0.flush().await?;
            let mut answers = Vec::with_capacity(commands.len());
            for _ in commands {
                answers.push(self.answer().await?);
            }
            Ok(answers)
        });
        asked.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn answer(&mut self) -> io::Result<Value> {
        match self.item().await? {
            Item::Value(value) => Ok(value),
            Item::List(count) => {
                let mut items = Vec::with_capacity(count.min(64));
                for _ in 0..count {
                    match self.item().await? {
                        Item::Value(value) => items.push(value),
                        // One list in another is as deep as it gets.
                        Item::List(count) => {
                            let mut inner = Vec::new();
                            for _ in 0..count {
                                let Item::Value(value) = self.item().await? else { return Err(strange()) };
                                inner.push(value);
                            }
                            items.push(Value::List(inner));
                        }
                    }
                }
                Ok(Value::List(items))
            }
        }
    }

    async fn item(&mut self) -> io::Result<Item> {
        // What TLS says to whom does not speak it is an alert: no text, and no line.
        if self.0.fill_buf().await?.first() == Some(&ALERT) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks TLS: its address begins with rediss://"));
        }
        let mut line = String::new();
        (&mut self.0).take(MAX_LINE).read_line(&mut line).await?;
        let line = line.strip_suffix("\r\n").ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(strange)?;
        let number = || rest.parse::<i64>().map_err(|_| strange());
        Ok(match kind {
            "+" => Item::Value(Value::Text(rest.to_owned())),
            ":" => Item::Value(Value::Number(number()?)),
            // Redis says what is wrong in its first words; what follows may repeat what was sent.
            "-" => return Err(io::Error::other(format!("Redis says {:?}", rest.chars().take(80).collect::<String>()))),
            "$" | "*" if number()? < 0 => Item::Value(Value::Nothing),
            "$" => Item::Value(Value::Text(self.text(usize::try_from(number()?).map_err(|_| strange())?).await?)),
            "*" => Item::List(usize::try_from(number()?).ok().filter(|count| *count <= MAX_ITEMS).ok_or_else(strange)?),
            _ => return Err(strange()),
        })
    }

    async fn text(&mut self, length: usize) -> io::Result<String> {
        if length > MAX_TEXT {
            return Err(strange());
        }
        let mut bytes = vec![0; length.saturating_add(2)];
        self.0.read_exact(&mut bytes).await?;
        let text = bytes.strip_suffix(b"\r\n").ok_or_else(strange)?;
        String::from_utf8(text.to_vec()).map_err(|_| strange())
    }
}

enum Item {
    Value(Value),
    List(usize),
}

/// The way to a Redis server.
pub(super) fn way(redis: &Redis) -> io::Result<Way> {
    let host = redis.url.host_str().ok_or_else(|| io::Error::other("no host"))?;
    let port = redis.url.port().unwrap_or(PORT);
    if redis.url.scheme() == "rediss" { Way::secure(host, port, &redis.ca) } else { Way::plain(host, port) }
}

/// Says what it may mean when somebody hangs up on the first words. An alert of TLS does not always arrive.
fn hung_up(redis: &Redis, error: io::Error) -> io::Error {
    let sudden = matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe);
    if !sudden || redis.url.scheme() != "redis" {
        return error;
    }
    io::Error::new(error.kind(), format!("{error}; if it speaks TLS, its address begins with rediss://"))
}

/// Says what it means when somebody does not answer in TLS: with words of another protocol, or, as Redis does until a line
/// ends, not at all.
fn unencrypted(redis: &Redis, error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, error.kind()) {
        (Some(rustls::Error::InvalidMessage(_)), _) => io::Error::new(io::ErrorKind::InvalidData, "it does not speak TLS"),
        (None, io::ErrorKind::TimedOut) if redis.url.scheme() == "rediss" => {
            io::Error::new(io::ErrorKind::TimedOut, "no answer in time; perhaps it does not speak TLS")
        }
        _ => error,
    }
}

fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not answer like Redis")
}

fn encode(commands: &[Vec<String>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        bytes.extend(format!("*{}\r\n", command.len()).into_bytes());
        for word in command {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(answer: &[u8]) -> io::Result<Vec<Value>> {
        let (near, mut far) = tokio::io::duplex(65_536);
        far.write_all(answer).await.expect("room");
        far.shutdown().await.expect("open");
        Connection(BufReader::new(near)).ask(&[vec!["PING".to_owned()]]).await
    }

    #[tokio::test]
    async fn answers_are_read_and_nonsense_is_an_error() {
        let text = |text: &str| Value::Text(text.to_owned());
        let list = Value::List(vec![Value::Number(-1), Value::Nothing, text("a\r\nb"), Value::List(vec![text("x")])]);
        assert_eq!(told(b"*4\r\n:-1\r\n$-1\r\n$4\r\na\r\nb\r\n*1\r\n+x\r\n").await.expect("good"), [list]);
        assert_eq!(told(b"+PONG\r\n").await.expect("good"), [text("PONG")]);
        for bad in [
            &b""[..],
            b"+PONG",
            b"\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"-NOAUTH Authentication required.\r\n",
            b":x\r\n",
            b"$5\r\nab\r\n",
            b"$99999999999\r\n",
            b"*99999999999\r\n",
            b"*1\r\n*1\r\n*1\r\n+x\r\n",
            b"$2\r\nab__",
            b"$1\r\n\xff\r\n",
            "\u{e9}\r\n".as_bytes(),
        ] {
            assert!(told(bad).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_not_waited_for() {
        let (near, _far) = tokio::io::duplex(1024);
        let asked = Connection(BufReader::new(near)).ask(&[vec!["PING".to_owned()]]).await;
        assert_eq!(asked.expect_err("silence").kind(), io::ErrorKind::TimedOut);
    }
}
