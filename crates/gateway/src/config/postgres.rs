//! From what was written of PostgreSQL to what can be used.

use std::net::IpAddr;
use std::time::Duration;

use toml::Spanned;
use url::Url;

use super::credential;
use super::file;
use super::judge::{self, PlainHttp};
use super::problem::Problems;
use super::secret::{self, Secret};
use super::server::Surroundings;

const PORT: u16 = 5432;
/// How long a gateway may be silent before others take what it was doing for ambiguous.
const LEASE: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
const EXAMPLE: &str = "url = \"postgres://db.example.com/bartizan\"";

/// A PostgreSQL database in which gateways remember together what was done.
#[derive(Debug)]
pub struct Postgres {
    /// Its host: a name, or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Whether the connection is encrypted, and the server's certificate verified.
    pub line: Secured,
    /// The user.
    pub username: String,
    /// The password, where it wants one.
    pub password: Option<Secret>,
    /// How long a gateway may be silent.
    pub lease: Duration,
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secured {
    /// TLS, with a certificate that the platform trusts for this host.
    Tls,
    /// Not at all: to this machine, or where `dangerous` accepts it.
    Plain,
}

impl std::fmt::Display for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, database, .. } = self;
        write!(f, "PostgreSQL at {host}:{port}, database {database}")
    }
}

/// What an address says.
struct Address {
    host: String,
    port: u16,
    database: String,
    line: Secured,
    username: Option<String>,
    password: Option<Secret>,
}

impl Surroundings<'_> {
    /// Judges the database.
    pub(super) fn postgres(&self, written: Spanned<file::Postgres>, problems: &mut Problems) -> Option<Postgres> {
        let at = written.span();
        let written = written.into_inner();
        let Some(url) = &written.url else {
            problems.add(Some(at), "`postgres` has no `url`", EXAMPLE);
            return None;
        };
        let Address { host, port, database, line, username, password } = self.address(url, problems)?;
        let password = match &written.password {
            None => password,
            Some(text) => Some(self.password("PGPASSWORD", ("password", text), problems)?),
        };
        let Some(username) = written.username.map(Spanned::into_inner).or(username) else {
            problems.add(Some(at), "`postgres` has no `username`", "username = \"bartizan\"");
            return None;
        };
        let lease = written.lease.map_or(Some(LEASE), |lease| within(&lease, problems))?;
        Some(Postgres { host, port, database, line, username, password, lease })
    }

    /// An address as it stands there, without a password; or a reference to one, which may hold it.
    fn address(&self, written: &Spanned<String>, problems: &mut Problems) -> Option<Address> {
        let mut no = |what: &str, help: &str| {
            problems.add(Some(written.span()), what, help);
            None
        };
        let is_reference = written.get_ref().contains("${");
        if !is_reference && credential::looks_like(written.get_ref()).is_some() {
            return no("the address holds what looks like a credential", "use `username` and `password`, or url = \"${env:DATABASE_URL}\"");
        }
        let text = match secret::now(written.get_ref(), self.base, self.variables) {
            Ok(text) => text,
            Err(what) => return no(&what, ""),
        };
        let url = Url::parse(text.expose().trim()).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql") && url.has_host());
        let Some(url) = url else { return no("the address of a PostgreSQL server begins with `postgres://`", EXAMPLE) };
        if !is_reference && (!url.username().is_empty() || url.password().is_some()) {
            return no("the address has no user", "use `username` and `password`, or url = \"${env:DATABASE_URL}\"");
        }
        let line = match sslmode(&url) {
            Ok(line) => line,
            Err(what) => {
                return no(&what, "sslmode is `verify-full` (also when nothing is said, and for `require` and `verify-ca`) or `disable`");
            }
        };
        // For a scheme that is not of the web, an address of digits is read as a name.
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let local = judge::is_loopback(&url) || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if line == Secured::Plain && self.plain == PlainHttp::Loopback && !local {
            let help = "leave `sslmode` out; `dangerous.plain_http_beyond_loopback = true` accepts the risk";
            return no("the password and answers of servers would travel to this database in clear text", help);
        }
        let (Some(database), Some(username), Some(password)) = (
            decoded(url.path().trim_start_matches('/')).filter(|name| !name.is_empty() && !name.contains('/')),
            decoded(url.username()),
            decoded(url.password().unwrap_or_default()),
        ) else {
            return no("what follows the host is the name of the database", EXAMPLE);
        };
        let username = Some(username).filter(|name| !name.is_empty());
        let password = Some(password).filter(|password| !password.is_empty()).map(Secret::new);
        Some(Address { host, port: url.port().unwrap_or(PORT), database, line, username, password })
    }
}

/// What an address asks for; what would be encrypted and not verified is verified.
fn sslmode(url: &Url) -> Result<Secured, String> {
    let mut line = Secured::Tls;
    for (key, value) in url.query_pairs() {
        line = match (&*key, &*value) {
            ("sslmode", "require" | "verify-ca" | "verify-full") => Secured::Tls,
            ("sslmode", "disable") => Secured::Plain,
            ("sslmode", _) => return Err("an encryption that the server may decline is none".to_owned()),
            (other, _) => return Err(format!("the option {other:?} is not known here")),
        };
    }
    if url.fragment().is_some() { Err("an address has no fragment".to_owned()) } else { Ok(line) }
}

/// `%41` is `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    // No name and no password in the protocol holds a zero.
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn within(lease: &Spanned<file::Length>, problems: &mut Problems) -> Option<Duration> {
    let length = lease.get_ref().0;
    if (SHORTEST..=LONGEST).contains(&length) {
        return Some(length);
    }
    problems.add(Some(lease.span()), "a lease is 1 s to 5 min", "lease = \"10s\"");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_addresses_are_decoded() {
        assert_eq!(decoded("a%20b%C3%a9").as_deref(), Some("a b\u{e9}"));
        for bad in ["%", "%2", "%zz", "%ff", "%00"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_encrypted_is_verified() {
        let mode = |query: &str| sslmode(&Url::parse(&format!("postgres://h/d{query}")).expect("a URL"));
        for query in ["", "?sslmode=require", "?sslmode=verify-ca", "?sslmode=verify-full"] {
            assert_eq!(mode(query), Ok(Secured::Tls), "{query}");
        }
        assert_eq!(mode("?sslmode=disable"), Ok(Secured::Plain));
        for query in ["?sslmode=prefer", "?sslmode=allow", "?sslmode=", "?sslrootcert=/x", "?sslmode=require&options=x", "#x"] {
            assert!(mode(query).is_err(), "{query}");
        }
    }
}
