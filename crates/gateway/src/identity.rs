//! Who is calling: from a credential to a [`Caller`], the proof that it was verified. The only module
//! that may state so.

mod approver;
mod certificate;
mod imagined;
mod oauth;
mod store;
mod token;
mod used;

pub use approver::Approver;
pub use certificate::Certificate;
pub use imagined::Imagined;
pub use oauth::OAuth;
pub use store::{Issued, Purpose, Row, Standing, StoreError, Tokens, Wish};
pub use token::{TokenId, random_id};
pub use used::Used;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bartizan_monitor::case::{Caller, Means, Reach};
use bartizan_monitor::reason::gateway::{IDENTITY_EXPIRED, IDENTITY_INVALID, IDENTITY_MISSING, IDENTITY_REVOKED};
use bartizan_monitor::reason::{Reason, Refusal};
use rustix::process::getuid;

use crate::clock::Stopwatch;
use crate::config::files;
use crate::config::watch::{Seen, Watch};
use crate::config::{self, Clients};
use crate::secrets::Subject;
use store::Rows;

/// The tokens of this moment. A changed file is noticed on the next message; one that cannot be read
/// lets nobody in.
#[derive(Debug)]
pub struct Identity {
    tokens: Watch<Stored>,
    environment: Option<String>,
    used: Used,
    oauth: Option<Arc<OAuth>>,
    clients: Arc<Clients>,
}

/// What a request and its connection show of who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// All values of `Authorization`.
    pub authorization: &'a [&'a [u8]],
    /// The client certificate of the connection, which TLS found to be good.
    pub certificate: Option<&'a Certificate>,
    /// Where it comes from.
    pub place: Place,
}

/// Where a request comes from, as far as it matters for who may be anonymous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// From a program of this machine, and through no proxy.
    ThisMachine,
    /// From anywhere else.
    Elsewhere,
}

/// The store as it was read.
type Stored = Result<Rows, String>;

impl Identity {
    /// Reads the tokens of a state directory. Whatever is wrong with them shows when somebody calls.
    /// Only tokens that were issued for this environment are good.
    #[must_use]
    pub fn open(state: &Path, environment: Option<&str>) -> Self {
        let tokens = Watch::open(store::path(state), load);
        Self { tokens, environment: environment.map(ToOwned::to_owned), used: Used::of(state), oauth: None, clients: Arc::default() }
    }

    /// The same, which also knows who comes without a token.
    #[must_use]
    pub fn with_clients(mut self, clients: Arc<Clients>) -> Self {
        self.clients = clients;
        self
    }

    /// The same, which also takes the access tokens of issuers.
    #[must_use]
    pub fn with_oauth(mut self, config: Option<Arc<config::OAuth>>) -> Self {
        self.oauth = config.map(OAuth::new);
        self
    }

    /// What clients are told of issuers, where any are trusted.
    #[must_use]
    pub fn oauth(&self) -> Option<&OAuth> {
        self.oauth.as_deref()
    }

    /// The access token of a running session's caller, where it is kept to be exchanged and still holds.
    pub fn subject(&self, caller: &Caller, now_ms: u64) -> Option<Arc<Subject>> {
        self.oauth.as_ref()?.subject(caller, now_ms)
    }

    /// Whether some scope of the configuration names a server, so that clients may know that it exists.
    #[must_use]
    pub fn has_scope_for(&self, server: &str) -> bool {
        self.oauth.as_ref().is_some_and(|oauth| oauth.names(server))
    }

    /// Finds out who sent a request, by what it and its connection show: an issuer may have to be asked.
    ///
    /// A token decides who calls, and a certificate beside it how strongly it was recognised. What is shown and does
    /// not hold is refused, whatever else would.
    pub async fn admit(&self, shown: Shown<'_>, now_ms: u64) -> Result<Caller, Refusal> {
        let Shown { authorization, certificate, place } = shown;
        let caller = match (authorization, certificate) {
            ([], Some(certificate)) => return certificate.caller(&self.clients),
            ([], None) => return self.anonymous(place),
            _ => match (&self.oauth, oauth::foreign(authorization)) {
                (Some(oauth), Some(token)) => oauth.resolve((token, certificate), now_ms).await?,
                _ => self.resolve(authorization, now_ms)?,
            },
        };
        match certificate {
            Some(certificate) => certificate.strengthen(caller, &self.clients),
            None => Ok(caller),
        }
    }

    /// Who shows nothing, where such are let in: programs of this machine, and nobody through them.
    fn anonymous(&self, place: Place) -> Result<Caller, Refusal> {
        let missing = |what: &str| Refusal::new(IDENTITY_MISSING, what);
        let entry = self.clients.anonymous.as_ref().ok_or_else(|| missing("no Authorization header"))?;
        if place != Place::ThisMachine {
            return Err(missing("no Authorization header, and it does not come from a program of this machine"));
        }
        Ok(Caller::assertion(&format!("anonymous:{}", entry.label), Means::Anonymous, entry.reach.clone()))
    }

    /// Finds out who sent a request with a token of this gateway, from all values of its `Authorization` header.
    ///
    /// Refuses without a credential, with one that is not exactly one good bearer token, and with one
    /// that has expired or was revoked; only who holds the secret learns which of these it is.
    pub fn resolve(&self, authorization: &[&[u8]], now_ms: u64) -> Result<Caller, Refusal> {
        let value = match authorization {
            [] => return Err(Refusal::new(IDENTITY_MISSING, "no Authorization header")),
            [value] => *value,
            [_, _, ..] => return Err(Refusal::new(IDENTITY_INVALID, "several Authorization headers")),
        };
        let shown = token::bearer(value).map_err(|what| Refusal::new(IDENTITY_INVALID, what))?;
        self.holder(&shown, now_ms, |row| match row.purpose {
            Purpose::Client => Ok(Caller::assertion(&principal(row), Means::Token, row.reach.clone())),
            // Who could do both would agree to its own calls.
            Purpose::Approver(_) => {
                Err(Refusal::new(IDENTITY_INVALID, format!("token {}: a person's, to answer what waits; no client sends it", row.id)))
            }
        })
    }

    /// What becomes of somebody who shows a token of this gateway that is good.
    fn holder<T>(&self, shown: &token::Shown, now_ms: u64, make: impl FnOnce(&Row) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let current = self.tokens.now();
        let row = rows(&current)?.get(&shown.id);
        // An unknown token is compared with something too, so that time does not tell which ids exist.
        let fits = token::fits(&shown.secret, row.map_or(&[0; 32], |row| &row.hash));
        let Some(row) = row.filter(|_| fits) else {
            return Err(Refusal::new(IDENTITY_INVALID, format!("token {}: unknown, or its secret is wrong", shown.id)));
        };
        self.good(row, now_ms)?;
        let made = make(row)?;
        // Only what somebody sends is a use; sessions that rest are looked at, too.
        self.used.note(&row.id, now_ms);
        Ok(made)
    }

    /// Whether the credential of a running session still holds, and is still good for every server that the session
    /// was let in for.
    pub fn still(&self, caller: &Caller, now_ms: u64) -> Result<(), Refusal> {
        self.holds(caller, now_ms, || self.tokens.now())
    }

    /// The same for a message that came a while ago: if the tokens were looked at since, and just now, that is enough.
    pub fn still_since(&self, caller: &Caller, arrived: Stopwatch, now_ms: u64) -> Result<(), Refusal> {
        self.holds(caller, now_ms, || self.tokens.since(arrived))
    }

    fn holds(&self, caller: &Caller, now_ms: u64, tokens: impl FnOnce() -> Arc<Seen<Stored>>) -> Result<(), Refusal> {
        match caller.means() {
            // These hold as long as the process, or its connection.
            Means::LocalUser | Means::Certificate | Means::Anonymous => return Ok(()),
            Means::OAuth => {
                let gone = || Refusal::new(IDENTITY_REVOKED, "no issuer is trusted any more");
                return self.oauth.as_ref().ok_or_else(gone)?.still(caller, now_ms);
            }
            Means::Token => {}
        }
        let gone = || Refusal::new(IDENTITY_REVOKED, format!("{} is no longer in the token store", caller.principal()));
        let id = caller.principal().rsplit_once('#').and_then(|(_, id)| TokenId::read(id)).ok_or_else(gone)?;
        let current = tokens();
        let row = rows(&current)?.get(&id).filter(|row| principal(row) == **caller.principal()).ok_or_else(gone)?;
        self.good(row, now_ms)?;
        if caller.is_within(&row.reach) {
            return Ok(());
        }
        Err(Refusal::new(IDENTITY_REVOKED, format!("token {id}: no longer good for all that it was good for before")))
    }

    fn good(&self, row: &Row, now_ms: u64) -> Result<(), Refusal> {
        let no = |reason: Reason| Err(Refusal::new(reason, format!("token {}", row.id)));
        match row.standing(now_ms) {
            Standing::Expired => no(IDENTITY_EXPIRED),
            Standing::Revoked => no(IDENTITY_REVOKED),
            Standing::Good if row.environment == self.environment => Ok(()),
            Standing::Good => {
                let name = |environment: &Option<String>| environment.clone().unwrap_or_else(|| "no environment".to_owned());
                let (own, here) = (name(&row.environment), name(&self.environment));
                Err(Refusal::new(IDENTITY_INVALID, format!("token {}: issued for {own}, and this is {here}", row.id)))
            }
        }
    }

    /// Writes down when tokens were last used.
    pub fn remember(&self) {
        self.used.write();
    }
}

fn load(path: &Path, before: Option<&Seen<Stored>>) -> Seen<Stored> {
    let (mark, rows) = store::read(path);
    let mark = rows.is_ok().then_some(mark);
    if let Err(error) = &rows
        // Said once: it is looked at with every message.
        && before.is_none_or(|before| before.1.as_ref().err() != Some(error))
    {
        tracing::error!(path = %path.display(), %error, "the token store cannot be used: nobody is let in until it is mended");
    }
    (mark, rows)
}

fn rows(seen: &Seen<Stored>) -> Result<&Rows, Refusal> {
    seen.1.as_ref().map_err(|error| Refusal::new(IDENTITY_INVALID, format!("the token store cannot be used: {error}")))
}

fn principal(row: &Row) -> String {
    format!("token:{}#{}", row.label, row.id)
}

/// Whether a request's query carries a credential, which belongs into a header: addresses are logged,
/// remembered and shared.
pub fn misplaced(query: Option<&str>) -> Result<(), Refusal> {
    let names: BTreeSet<&str> = ["access_token", "token", "api_key", "apikey", "key", "authorization", "bearer"].into();
    let is_one = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        names.contains(name.to_ascii_lowercase().as_str()) || value.contains(token::PREFIX)
    };
    if url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).any(is_one) {
        return Err(Refusal::new(IDENTITY_INVALID, "a credential in the address; it must be replaced, because addresses are logged"));
    }
    Ok(())
}

/// The operating-system user that this process runs as: who started it may use it.
#[must_use]
pub fn local_user() -> Caller {
    let uid = getuid().as_raw();
    let users = files::read(Path::new("/etc/passwd"), 16 * 1024 * 1024).unwrap_or_default();
    let name = user_name(&users, uid).unwrap_or_else(|| format!("uid-{uid}"));
    Caller::assertion(&format!("user:{name}"), Means::LocalUser, Reach::all())
}

/// A user's name, from the text of a password file. The environment is not asked: it can say anything.
fn user_name(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        let plain = !name.is_empty() && name.chars().all(|symbol| symbol.is_ascii_graphic());
        (plain && id.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests;
