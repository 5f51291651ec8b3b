//! Somebody on this machine who is asked over HTTP and answers as a test says: for what no package carries, and for
//! misbehaviour.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The values of a form's field.
    #[must_use]
    pub fn field(&self, name: &str) -> Vec<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(other, _)| *other == name).map(|(_, value)| unescaped(value)).collect()
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.expect("two digits")).to_digit(16).expect("a digit"));
                u8::try_from(digits[0] * 16 + digits[1]).expect("a byte")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).expect("text")
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Says {
    /// A status and JSON.
    Json(u16, Value),
    /// The whole response, as it stands.
    Raw(String),
    /// Nothing, for a minute.
    Nothing,
}

/// Somebody who answers. Everything that was asked is remembered.
#[derive(Debug)]
pub struct StandIn {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl StandIn {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    #[must_use]
    pub fn start(answer: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (remembered, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (remembered, answer) = (remembered.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &remembered, &*answer));
            }
        });
        Self { address, asked }
    }

    /// Everything that was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, remembered: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Says) {
    let Some(asked) = read(&mut stream) else { return };
    remembered.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    let text = match answer(&asked) {
        Says::Json(status, value) => {
            let body = value.to_string();
            format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
        }
        Says::Raw(text) => text,
        Says::Nothing => return std::thread::sleep(Duration::from_secs(60)),
    };
    // Who asked may be gone.
    let _ = stream.write_all(text.as_bytes());
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut part).ok()? {
            0 => return None,
            length => bytes.extend_from_slice(&part[..length]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let mut asked = Asked { method: first.next()?, path: first.next()?, headers, body: String::new() };
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        match stream.read(&mut part).ok()? {
            0 => break,
            more => body.extend_from_slice(&part[..more]),
        }
    }
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Some(asked)
}
