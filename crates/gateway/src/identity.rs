//! Who is calling: from a credential to a [`Caller`], the proof that it was verified. The only module
//! that may state so.

mod store;
mod token;

pub use store::{Issued, Row, Standing, StoreError, Tokens, Wish};
pub use token::{TokenId, random_id};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bartizan_monitor::case::{Caller, Means};
use bartizan_monitor::reason::gateway::{IDENTITY_EXPIRED, IDENTITY_INVALID, IDENTITY_MISSING, IDENTITY_REVOKED};
use bartizan_monitor::reason::{Reason, Refusal};
use rustix::process::getuid;

use crate::config::files;
use store::{Mark, Rows};

/// The tokens of this moment. A changed file is noticed on the next message; one that cannot be read
/// lets nobody in.
#[derive(Debug)]
pub struct Identity {
    path: PathBuf,
    current: ArcSwap<Loaded>,
    // Held while reading, so that a change is read once and not by every waiting message.
    reading: Mutex<()>,
}

/// The store as it was read, and the look of the file at that moment.
#[derive(Debug)]
struct Loaded {
    mark: Mark,
    rows: Result<Rows, String>,
}

impl Identity {
    /// Reads the tokens of a state directory. Whatever is wrong with them shows when somebody calls.
    #[must_use]
    pub fn open(state: &Path) -> Self {
        let path = store::path(state);
        let current = ArcSwap::from_pointee(load(&path));
        Self { path, current, reading: Mutex::new(()) }
    }

    /// Finds out who sent a request, from all values of its `Authorization` header.
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
        let current = self.current();
        let row = rows(&current)?.get(&shown.id);
        // An unknown token is compared with something too, so that time does not tell which ids exist.
        let fits = token::fits(&shown.secret, row.map_or(&[0; 32], |row| &row.hash));
        let Some(row) = row.filter(|_| fits) else {
            return Err(Refusal::new(IDENTITY_INVALID, format!("token {}: unknown, or its secret is wrong", shown.id)));
        };
        good(row, now_ms)?;
        Ok(Caller::assertion(&principal(row), Means::Token, row.servers.clone()))
    }

    /// Whether the credential of a running session still holds, and is still good for every server that the session
    /// was let in for.
    pub fn still(&self, caller: &Caller, now_ms: u64) -> Result<(), Refusal> {
        match caller.means() {
            Means::LocalUser => return Ok(()),
            Means::Token => {}
        }
        let gone = || Refusal::new(IDENTITY_REVOKED, format!("{} is no longer in the token store", caller.principal()));
        let id = caller.principal().rsplit_once('#').and_then(|(_, id)| TokenId::read(id)).ok_or_else(gone)?;
        let current = self.current();
        let row = rows(&current)?.get(&id).filter(|row| principal(row) == **caller.principal()).ok_or_else(gone)?;
        good(row, now_ms)?;
        if caller.is_within(row.servers.as_ref()) {
            return Ok(());
        }
        Err(Refusal::new(IDENTITY_REVOKED, format!("token {id}: no longer good for all servers that it was good for before")))
    }

    /// The store as it is now: one look at the file, read again only when it changed.
    fn current(&self) -> Arc<Loaded> {
        let current = self.current.load_full();
        if Mark::of(&self.path) == current.mark {
            return current;
        }
        // A panic while reading left nothing half done: the value is swapped whole.
        let _reading = self.reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let current = self.current.load_full();
        if Mark::of(&self.path) == current.mark {
            return current;
        }
        let fresh = Arc::new(load(&self.path));
        self.current.store(fresh.clone());
        fresh
    }
}

fn load(path: &Path) -> Loaded {
    let (mark, rows) = store::read(path);
    if let Err(error) = &rows {
        tracing::error!(path = %path.display(), %error, "the token store cannot be used: nobody is let in until it is mended");
    }
    Loaded { mark, rows }
}

fn rows(loaded: &Loaded) -> Result<&Rows, Refusal> {
    loaded.rows.as_ref().map_err(|error| Refusal::new(IDENTITY_INVALID, format!("the token store cannot be used: {error}")))
}

fn good(row: &Row, now_ms: u64) -> Result<(), Refusal> {
    let no = |reason: Reason| Err(Refusal::new(reason, format!("token {}", row.id)));
    match row.standing(now_ms) {
        Standing::Good => Ok(()),
        Standing::Expired => no(IDENTITY_EXPIRED),
        Standing::Revoked => no(IDENTITY_REVOKED),
    }
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
    Caller::assertion(&format!("user:{name}"), Means::LocalUser, None)
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
