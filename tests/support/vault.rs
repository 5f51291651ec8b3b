//! The contract of Vault's and OpenBao's HTTP API, as far as the gateway uses it: KV version 2, tokens that expire and
//! are renewed, AppRole, namespaces, and what both answer when it does not go well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::standin::{Asked, Says, StandIn};

/// What it knows and how it behaves.
#[derive(Debug, Default)]
pub struct Inside {
    /// Tokens and when they end; none is without end.
    tokens: HashMap<String, Option<Instant>>,
    /// Fields and version by `MOUNT/data/PATH`.
    secrets: HashMap<String, (Value, u64)>,
    /// The role's id and secret.
    role: Option<(String, String)>,
    /// How long tokens are good.
    ttl: u64,
    namespace: Option<String>,
    /// What it answers to everything instead.
    instead: Option<Says>,
    made: u64,
}

/// A stand-in for Vault.
#[derive(Debug)]
pub struct Vault {
    inside: Arc<Mutex<Inside>>,
    /// Who listens.
    pub standin: StandIn,
}

fn held(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vault {
    /// Starts one that knows this token, which does not expire.
    #[must_use]
    pub fn start(token: &str) -> Self {
        let inside = Arc::new(Mutex::new(Inside { tokens: HashMap::from([(token.to_owned(), None)]), ..Inside::default() }));
        let own = inside.clone();
        let standin = StandIn::start(move |asked| held(&own).answer(asked));
        Self { inside, standin }
    }

    /// Knows a role, whose tokens are good for so many seconds.
    pub fn role(&self, id: &str, secret: &str, ttl: u64) {
        let mut inside = held(&self.inside);
        (inside.role, inside.ttl) = (Some((id.to_owned(), secret.to_owned())), ttl);
    }

    /// Answers within this namespace only.
    pub fn namespace(&self, name: &str) {
        held(&self.inside).namespace = Some(name.to_owned());
    }

    /// Writes a new version of a secret at `MOUNT/PATH`; `null` deletes it.
    ///
    /// # Panics
    ///
    /// When there is no mount.
    pub fn put(&self, path: &str, fields: &Value) {
        let (mount, rest) = path.split_once('/').expect("MOUNT/PATH");
        let mut inside = held(&self.inside);
        let entry = inside.secrets.entry(format!("{mount}/data/{rest}")).or_insert((Value::Null, 0));
        *entry = (fields.clone(), entry.1 + 1);
    }

    /// Revokes every token.
    pub fn revoke(&self) {
        held(&self.inside).tokens.clear();
    }

    /// Answers this to everything from now on; the truth when there is nothing.
    pub fn instead(&self, says: Option<Says>) {
        held(&self.inside).instead = says;
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.standin.asked().iter().filter(|asked| asked.path == path).count()
    }
}

const DENIED: &str = "permission denied";

impl Inside {
    fn answer(&mut self, asked: &Asked) -> Says {
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let error = |status: u16, what: &str| Says::Json(status, json!({"errors": [what]}));
        if asked.header("x-vault-request") != Some("true") || asked.header("x-vault-namespace") != self.namespace.as_deref() {
            return error(403, DENIED);
        }
        let path = asked.path.strip_prefix("/v1/").unwrap_or_default();
        if (asked.method.as_str(), path) == ("POST", "auth/approle/login") {
            return self.login(&asked.body).unwrap_or_else(|| error(400, "invalid role or secret ID"));
        }
        let token = asked.header("x-vault-token").unwrap_or_default().to_owned();
        let Some(end) = self.tokens.get(&token).copied().filter(|end| end.is_none_or(|end| end > Instant::now())) else {
            return error(403, DENIED);
        };
        match (asked.method.as_str(), path) {
            ("GET", "auth/token/lookup-self") => {
                let left = end.map_or(0, |end| end.duration_since(Instant::now()).as_secs());
                Says::Json(200, json!({"data": {"ttl": left, "renewable": end.is_some(), "id": token}}))
            }
            ("POST", "auth/token/renew-self") if end.is_some() => {
                self.tokens.insert(token.clone(), Some(Instant::now() + Duration::from_secs(self.ttl)));
                Says::Json(200, json!({"auth": {"client_token": token, "lease_duration": self.ttl, "renewable": true}}))
            }
            ("GET", path) => match self.secrets.get(path) {
                Some((Value::Null, version)) => Says::Json(
                    404,
                    json!({"data": {"data": null, "metadata": {"version": version, "deletion_time": "2026-01-01T00:00:00Z"}}}),
                ),
                Some((fields, version)) => {
                    let metadata = json!({"version": version, "created_time": "2026-02-03T04:05:06.789012345Z", "deletion_time": "", "destroyed": false});
                    Says::Json(200, json!({"request_id": "x", "data": {"data": fields, "metadata": metadata}}))
                }
                None => Says::Json(404, json!({"errors": []})),
            },
            _ => error(405, "unsupported operation"),
        }
    }

    fn login(&mut self, body: &str) -> Option<Says> {
        let body: Value = serde_json::from_str(body).ok()?;
        let (id, secret) = self.role.clone()?;
        if body != json!({"role_id": id, "secret_id": secret}) {
            return None;
        }
        self.made += 1;
        let token = format!("canary-vault-role-token-{}", self.made);
        self.tokens.insert(token.clone(), Some(Instant::now() + Duration::from_secs(self.ttl)));
        Some(Says::Json(200, json!({"auth": {"client_token": token, "lease_duration": self.ttl, "renewable": true}})))
    }
}
