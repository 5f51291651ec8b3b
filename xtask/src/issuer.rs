//! An issuer of access tokens on this machine: a key that is made for one run, the page on which it stands, and tokens
//! that are signed with it (ES256). The gateway sees what it sees of any other. Its page takes what is posted to it, too, and
//! so spans of a gateway that is measured.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{apt_install, capture, installed, loopback, text};

/// Whom the tokens are for.
pub(crate) const AUDIENCE: &str = "https://gateway.bench.example/mcp";

/// How the key is called.
const KEY: &str = "bench";

/// Longer than any measurement.
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// The bytes of a coordinate, and of each half of a signature.
const COORDINATE: usize = 32;

/// The issuer. Its page is served as long as this program runs.
pub(crate) struct Issuer {
    pub(crate) name: String,
    dir: TempDir,
}

impl Issuer {
    /// Makes a key and shows the public half of it.
    pub(crate) fn start() -> Result<Issuer> {
        if !installed("openssl") {
            apt_install("openssl").context("openssl makes the key that tokens are signed with")?;
        }
        let listener = TcpListener::bind(loopback(0))?;
        let issuer =
            Issuer { name: format!("http://{}", listener.local_addr()?), dir: tempfile::Builder::new().prefix("bench-issuer-").tempdir()? };
        let key = issuer.file("key.pem");
        capture(Command::new("openssl").args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&key)?]))?;
        let page = json!({"keys": [issuer.public()?]}).to_string();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|client| show(client, &page)));
        Ok(issuer)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn public(&self) -> Result<Value> {
        let (key, public) = (self.file("key.pem"), self.file("public.der"));
        let files = ["-in", text(&key)?, "-out", text(&public)?];
        capture(Command::new("openssl").args(["ec", "-pubout", "-outform", "DER"]).args(files))?;
        let der = std::fs::read(&public)?;
        // The point is the end of it, both coordinates one after the other.
        let (_, point) = der.split_at_checked(der.len().saturating_sub(2 * COORDINATE)).context("a key without a point")?;
        let (x, y) = point.split_at_checked(COORDINATE).context("half a point")?;
        Ok(json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY, "x": base64url(x), "y": base64url(y)}))
    }

    /// An access token for a program of this name.
    pub(crate) fn token(&self, subject: &str) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": KEY});
        let claims = json!({
            "iss": self.name, "aud": AUDIENCE, "sub": subject, "client_id": subject, "jti": format!("{subject}-{now}"),
            "iat": now, "exp": now + LASTS.as_secs(), "scope": "mcp:call",
        });
        let message = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        let (said, signed, key) = (self.file("said"), self.file("signed"), self.file("key.pem"));
        std::fs::write(&said, &message)?;
        let files = ["-sign", text(&key)?, "-out", text(&signed)?, text(&said)?];
        capture(Command::new("openssl").args(["dgst", "-sha256"]).args(files))?;
        Ok(format!("{message}.{}", base64url(&fixed(&std::fs::read(&signed)?)?)))
    }
}

/// Answers one request, whatever it is.
fn show(mut client: TcpStream, page: &str) {
    let (mut seen, mut some) = (Vec::new(), [0; 16 * 1024]);
    while !is_whole(&seen) {
        match client.read(&mut some) {
            Ok(count) if count > 0 => seen.extend_from_slice(some.get(..count).unwrap_or_default()),
            _ => return,
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
    // Whoever went away without reading asks again.
    let _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(page.as_bytes()));
}

/// Whether all of a request is there: its head, and as much after it as that says.
fn is_whole(seen: &[u8]) -> bool {
    let Some(end) = seen.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(seen.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    seen.len() >= end + 4 + length.unwrap_or(0)
}

/// A signature as tokens have it, of one as OpenSSL writes it: a sequence of two numbers (SEC 1, C.5).
fn fixed(der: &[u8]) -> Result<Vec<u8>> {
    let Some((&[0x30, _], mut rest)) = der.split_first_chunk::<2>() else { bail!("not a sequence") };
    let mut out = Vec::new();
    for _ in 0..2 {
        let Some((&[0x02, length], after)) = rest.split_first_chunk::<2>() else { bail!("not a number") };
        let (number, next) = after.split_at_checked(length.into()).context("a number is cut")?;
        let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        out.extend(std::iter::repeat_n(0, COORDINATE.checked_sub(digits.len()).context("a number is too long")?));
        out.extend(digits);
        rest = next;
    }
    Ok(out)
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |word: u32, place: usize| DIGITS.get((word >> (18 - 6 * place)) as usize & 63).map_or('A', |digit| char::from(*digit));
    let digits = |chunk: &[u8]| {
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        (0..=chunk.len()).map(|place| digit(word, place)).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_the_standard() {
        let said = ["", "f", "fo", "foo", "foob"].map(|text| base64url(text.as_bytes()));
        assert_eq!(said, ["", "Zg", "Zm8", "Zm9v", "Zm9vYg"]);
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn a_request_is_whole_with_its_body() {
        assert!(is_whole(b"GET / HTTP/1.1\r\n\r\n"));
        assert!(!is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"));
        assert!(is_whole(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc"));
    }

    #[test]
    fn numbers_of_a_signature_have_their_full_length() {
        let mut der = vec![0x30, 0x26, 0x02, 0x21, 0x00];
        der.extend([0x81; 32]);
        der.extend([0x02, 0x01, 0x07]);
        let fixed = fixed(&der).unwrap();
        assert_eq!(fixed.len(), 64);
        assert_eq!((fixed.first(), fixed.get(32), fixed.last()), (Some(&0x81), Some(&0), Some(&7)));
        assert!(super::fixed(b"0").is_err());
    }
}
