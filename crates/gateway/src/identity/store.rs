//! The token store: one small JSON file, hashes only, replaced whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::case::{Effect, Reach};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use super::token::{self, TokenId};
use crate::clock;
use crate::config::files::Mark;
use crate::config::{Secret, files, is_label};

const FILE: &str = "tokens.json";
const LOCK: &str = "tokens.lock";
const MAX_FILE: u64 = 64 * 1024 * 1024;
const FORMAT: u32 = 1;

pub(super) fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// One token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its public part.
    pub id: TokenId,
    /// Whom it was issued to, in the operator's words.
    pub label: String,
    /// When it was issued, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// From when on it is no longer good.
    pub expires_ms: u64,
    /// When it was revoked, if it was.
    pub revoked_ms: Option<u64>,
    /// What it is good for.
    pub reach: Reach,
    /// The environment that it was issued for; it is good in no other.
    pub environment: Option<String>,
    /// Who shows it.
    pub purpose: Purpose,
    pub(super) hash: [u8; 32],
}

/// Who shows a token. It is one or the other: what a client holds agrees to nothing, and what a person agrees with is
/// in no client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Purpose {
    /// A client, with every message.
    #[default]
    Client,
    /// A person who answers what waits; with the principals that are the same person, beside those of the token's label.
    Approver(BTreeSet<String>),
}

/// What a token is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It lets its holder in.
    Good,
    /// It was good for a time that is over.
    Expired,
    /// Somebody ended it.
    Revoked,
}

impl Row {
    /// What it is worth at a moment.
    #[must_use]
    pub const fn standing(&self, now_ms: u64) -> Standing {
        match self.revoked_ms {
            Some(_) => Standing::Revoked,
            None if now_ms >= self.expires_ms => Standing::Expired,
            None => Standing::Good,
        }
    }
}

/// All tokens, by id.
pub(super) type Rows = BTreeMap<TokenId, Row>;

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    tokens: Vec<Written>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    label: String,
    hash: String,
    created_ms: u64,
    expires_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    servers: Option<BTreeSet<String>>,
    /// The gravest effect of a tool; written when it is not the gravest of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    /// Of an approver: the principals that are the same person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approver: Option<BTreeSet<String>>,
}

impl Written {
    fn row(self) -> Result<Row, String> {
        let bad = |what: &str| format!("token {:?}: {what}", self.id);
        let id = TokenId::read(&self.id).ok_or_else(|| bad("its id is not 8 hexadecimal digits"))?;
        let hash = *Digest::read(&self.hash).ok_or_else(|| bad("its hash is not a digest"))?.bytes();
        if !is_label(&self.label) || !self.environment.as_deref().is_none_or(is_label) {
            return Err(bad("its label or environment is not a label"));
        }
        Ok(Row {
            id,
            label: self.label,
            created_ms: self.created_ms,
            expires_ms: self.expires_ms,
            revoked_ms: self.revoked_ms,
            reach: Reach { servers: self.servers.map(Arc::new), most: self.effect.unwrap_or(Effect::Destructive) },
            environment: self.environment,
            purpose: self.approver.map_or(Purpose::Client, Purpose::Approver),
            hash,
        })
    }

    fn of(row: &Row) -> Self {
        let hash = row.hash.iter().fold(String::from("sha256:"), |text, byte| format!("{text}{byte:02x}"));
        Self {
            id: row.id.to_string(),
            label: row.label.clone(),
            hash,
            created_ms: row.created_ms,
            expires_ms: row.expires_ms,
            revoked_ms: row.revoked_ms,
            servers: row.reach.servers.as_deref().cloned(),
            effect: Some(row.reach.most).filter(|most| *most != Effect::Destructive),
            environment: row.environment.clone(),
            approver: match &row.purpose {
                Purpose::Client => None,
                Purpose::Approver(same) => Some(same.clone()),
            },
        }
    }
}

/// Reads the store. Looked at before it is read: a change in between shows at the next look.
pub(super) fn read(path: &Path) -> (Mark, Result<Rows, String>) {
    let mark = Mark::of(path);
    let rows = match mark {
        Mark::Missing => Ok(Rows::new()),
        Mark::There(..) | Mark::Unknown(_) => parse(path),
    };
    (mark, rows)
}

fn parse(path: &Path) -> Result<Rows, String> {
    use std::os::unix::fs::MetadataExt as _;
    let data = path.metadata().map_err(|error| error.to_string())?;
    if data.mode() & 0o077 != 0 {
        return Err(format!("others may read or write it (mode {:o}); run: chmod 600 {}", data.mode() & 0o777, path.display()));
    }
    let text = files::read(path, MAX_FILE).map_err(|error| error.to_string())?;
    let json = Json::parse(Bytes::from(text)).map_err(|error| error.to_string())?;
    let file: File = serde_json::from_value(json.view().to_value()).map_err(|error| error.to_string())?;
    if file.version != FORMAT {
        return Err(format!("it has format {}; this program reads format {FORMAT}", file.version));
    }
    let mut rows = Rows::new();
    for written in file.tokens {
        let row = written.row()?;
        let id = row.id.clone();
        if rows.insert(id.clone(), row).is_some() {
            return Err(format!("token {id} stands twice"));
        }
    }
    Ok(rows)
}

/// What cannot be done with tokens.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file.
    #[error("the token store {path} cannot be used: {what}")]
    File {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A label that is none.
    #[error(
        "{0:?} cannot be a label or the name of an environment: use 1 to 64 of letters, digits, `.`, `_`, `@` and `-`, and not 8 hexadecimal digits, which look like a token's id"
    )]
    Label(String),
    /// A lifetime that is none.
    #[error("a token is good for more than nothing and at most ten years")]
    Lifetime,
    /// No such token.
    #[error("there is no token {0:?}; `bartizan token list` shows them")]
    Unknown(String),
    /// A token that is not good any more.
    #[error("token {0} has expired or was revoked; issue a new one")]
    Over(TokenId),
    /// No random numbers.
    #[error("the system gives no random numbers, and a token that can be guessed is none")]
    Random,
}

/// A token that somebody wishes to have.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Whom it is for.
    pub label: String,
    /// How long it is good.
    pub lifetime: Duration,
    /// What it is good for.
    pub reach: Reach,
    /// The environment that it is for.
    pub environment: Option<String>,
    /// Who shows it.
    pub purpose: Purpose,
}

impl Wish {
    /// How long a token is good when nobody says it.
    pub const LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
    const LONGEST: Duration = Duration::from_secs(3653 * 24 * 3600);
}

/// A token that was just made. The only time that its text exists.
#[derive(Debug)]
pub struct Issued {
    /// What is stored.
    pub row: Row,
    /// What the client sends: shown once.
    pub text: Secret,
}

/// The token store, for those who manage it.
#[derive(Debug)]
pub struct Tokens {
    state: PathBuf,
}

impl Tokens {
    /// The store of a state directory, which is made if it is missing.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let tokens = Self { state: state.to_owned() };
        files::private_directory(state).map_err(|error| tokens.unusable(error.to_string()))?;
        Ok(tokens)
    }

    /// All tokens, the oldest first.
    pub fn list(&self) -> Result<Vec<Row>, StoreError> {
        let mut rows: Vec<Row> = self.rows()?.into_values().collect();
        rows.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(rows)
    }

    /// When tokens were last used, by id. A running gateway writes it down about once a minute.
    #[must_use]
    pub fn used(&self) -> BTreeMap<String, u64> {
        super::used::Used::of(&self.state).read()
    }

    /// Issues a token.
    pub fn issue(&self, wish: &Wish, now_ms: u64) -> Result<Issued, StoreError> {
        for text in std::iter::once(&wish.label).chain(&wish.environment) {
            if !is_label(text) {
                return Err(StoreError::Label(text.clone()));
            }
        }
        if wish.lifetime.is_zero() || wish.lifetime > Wish::LONGEST {
            return Err(StoreError::Lifetime);
        }
        self.change(|rows| add(rows, wish, now_ms))
    }

    /// Ends a token, or all tokens of a label. Works on the next message. Returns the ended ones.
    pub fn revoke(&self, name: &str, now_ms: u64) -> Result<Vec<Row>, StoreError> {
        self.change(|rows| {
            let id = TokenId::read(name);
            let meant = |row: &&mut Row| id.as_ref().map_or(row.label == name, |id| row.id == *id);
            let ended: Vec<Row> = rows
                .values_mut()
                .filter(meant)
                .map(|row| {
                    row.revoked_ms.get_or_insert(now_ms);
                    row.clone()
                })
                .collect();
            if ended.is_empty() { Err(StoreError::Unknown(name.to_owned())) } else { Ok(ended) }
        })
    }

    /// Issues a token in the place of another, which stays good for `overlap` so that the client can
    /// be changed in peace. The new one lives as long as the old one was meant to.
    pub fn rotate(&self, name: &str, overlap: Duration, now_ms: u64) -> Result<Issued, StoreError> {
        let unknown = || StoreError::Unknown(name.to_owned());
        self.change(|rows| {
            let old = rows.get_mut(&TokenId::read(name).ok_or_else(unknown)?).ok_or_else(unknown)?;
            if old.standing(now_ms) != Standing::Good {
                return Err(StoreError::Over(old.id.clone()));
            }
            let lifetime = Duration::from_millis(old.expires_ms.saturating_sub(old.created_ms)).min(Wish::LONGEST);
            old.expires_ms = old.expires_ms.min(now_ms.saturating_add(clock::millis(overlap)));
            let Row { label, reach, environment, purpose, .. } = old.clone();
            add(rows, &Wish { label, lifetime, reach, environment, purpose }, now_ms)
        })
    }

    fn unusable(&self, what: String) -> StoreError {
        StoreError::File { path: path(&self.state), what }
    }

    fn rows(&self) -> Result<Rows, StoreError> {
        read(&path(&self.state)).1.map_err(|what| self.unusable(what))
    }

    /// Reads, changes and writes, while nobody else does. Nothing is written after an error.
    fn change<T>(&self, change: impl FnOnce(&mut Rows) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let _held = files::hold(&self.state.join(LOCK)).map_err(|error| self.unusable(error.to_string()))?;
        let mut rows = self.rows()?;
        let made = change(&mut rows)?;
        let file = File { version: FORMAT, tokens: rows.values().map(Written::of).collect() };
        let written = files::replace(&path(&self.state), Json::of(&file).bytes(), files::Readers::Owner);
        written.map_err(|error| self.unusable(error.to_string()))?;
        Ok(made)
    }
}

fn add(rows: &mut Rows, wish: &Wish, now_ms: u64) -> Result<Issued, StoreError> {
    let secret = token::secret().ok_or(StoreError::Random)?;
    let id = loop {
        let id = TokenId::random().ok_or(StoreError::Random)?;
        if !rows.contains_key(&id) {
            break id;
        }
    };
    let text = Secret::new(token::text(&id, &secret));
    let expires_ms = now_ms.saturating_add(clock::millis(wish.lifetime));
    let hash = token::hash(&secret);
    let row = Row {
        id: id.clone(),
        label: wish.label.clone(),
        created_ms: now_ms,
        expires_ms,
        revoked_ms: None,
        reach: wish.reach.clone(),
        environment: wish.environment.clone(),
        purpose: wish.purpose.clone(),
        hash,
    };
    rows.insert(id, row.clone());
    Ok(Issued { row, text })
}
