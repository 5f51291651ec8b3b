//! Which version of a secret is in use since when: a file in the state directory that holds no value. Values are told
//! apart by the first bytes of a keyed digest, too few to find out what a value was by trying.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Found;
use crate::clock;
use crate::config::files::{self, Readers};
use crate::config::{Reference, Secret};

const FILE: &str = "secrets.json";
const KEY: &str = "secrets.key";
const LOCK: &str = "secrets.lock";
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// How many characters of a digest are kept: enough to see a change, and one in four thousand million values has it.
const DIGITS: usize = 8;

/// What is known of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The first characters of a keyed digest of the value.
    pub digest: String,
    /// Which version it is, where the store has versions.
    pub version: Option<String>,
    /// When a gateway first used this reference, in milliseconds since the Unix epoch.
    pub first_seen_ms: u64,
    /// Since when it is this value: when the store says it was made, else when a gateway first met it.
    pub changed_ms: u64,
}

type Rows = BTreeMap<String, Row>;

/// The file.
#[derive(Debug, Clone)]
pub struct Inventory {
    state: Arc<PathBuf>,
}

impl Inventory {
    /// The inventory of a state directory. Nothing is read or made yet.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { state: Arc::new(state.to_owned()) }
    }

    /// What is known of every secret that was ever used, by its reference. Nothing when none was.
    pub fn rows(&self) -> io::Result<Rows> {
        let text = match files::read(&self.state.join(FILE), MAX_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rows::new()),
            text => text?,
        };
        let json = Json::parse(Bytes::from(text)).map_err(io::Error::other)?;
        serde_json::from_value(json.view().to_value()).map_err(io::Error::other)
    }

    /// Notes a value that is new here. What cannot be written is in the log: the value is used all the same.
    pub(super) async fn note(&self, reference: &Reference, found: &Found) {
        let (own, name, found) = (self.clone(), reference.to_string(), found.clone());
        let written = tokio::task::spawn_blocking(move || own.write(&name, &found, clock::now_ms())).await;
        if let Err(error) = written.unwrap_or_else(|_| Err(io::Error::other("the writer failed"))) {
            tracing::warn!(%reference, %error, "the inventory of secrets cannot be written");
        }
    }

    fn write(&self, reference: &str, found: &Found, now_ms: u64) -> io::Result<()> {
        files::private_directory(&self.state)?;
        let _held = files::hold(&self.state.join(LOCK))?;
        let mut rows = self.rows()?;
        let digest = self.digest(&found.value)?;
        let known = rows.get(reference);
        if known.is_some_and(|row| row.digest == digest && row.version == found.version) {
            return Ok(());
        }
        if known.is_some() {
            tracing::info!(%reference, version = found.version.as_deref().unwrap_or("unknown"), "a secret was replaced");
        }
        let row = Row {
            digest,
            version: found.version.clone(),
            first_seen_ms: known.map_or(now_ms, |row| row.first_seen_ms),
            // A store's clock may be ahead of ours: what was made later than now was made now.
            changed_ms: found.made_ms.unwrap_or(now_ms).min(now_ms),
        };
        rows.insert(reference.to_owned(), row);
        files::replace(&self.state.join(FILE), Json::of(&rows).bytes(), Readers::Owner)
    }

    fn digest(&self, value: &Secret) -> io::Result<String> {
        let key = self.key()?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), value.expose().as_bytes());
        Ok(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>().chars().take(DIGITS).collect())
    }

    /// The key of placeholders: the same for every gateway over this state, so that equal values look equal for as long
    /// as it is kept. Nothing where the state cannot be written.
    pub(super) fn placeholders(&self) -> Option<[u8; 32]> {
        self.derived(b"placeholders of secrets in answers")
    }

    /// A key for some purpose, the same for every gateway over this state. Nothing where the state cannot be written.
    pub(crate) fn derived(&self, purpose: &[u8]) -> Option<[u8; 32]> {
        files::private_directory(&self.state).ok()?;
        let _held = files::hold(&self.state.join(LOCK)).ok()?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.key().ok()?), purpose);
        tag.as_ref().try_into().ok()
    }

    /// The key, made when it is needed for the first time. Called with the lock held.
    fn key(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let path = self.state.join(KEY);
        let text = match files::read(&path, 1024) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = Zeroizing::new([0_u8; 32]);
                getrandom::fill(&mut *bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
                let text: Zeroizing<String> = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
                let mut file = files::create_private(&path)?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                text
            }
            text => Zeroizing::new(text?),
        };
        // A file that was cut short would make digests that anybody can compute.
        if text.trim().len() != 64 {
            return Err(io::Error::other(format!("{} is not a key; remove it, and the inventory begins anew", path.display())));
        }
        Ok(Zeroizing::new(text.trim().as_bytes().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str, version: Option<&str>, made_ms: Option<u64>) -> Found {
        Found { value: Arc::new(Secret::new(value.to_owned())), version: version.map(str::to_owned), made_ms }
    }

    #[test]
    fn changes_are_noted_and_values_are_not() {
        let dir = tempfile::tempdir().expect("dir");
        let inventory = Inventory::of(&dir.path().join("state"));
        assert_eq!(inventory.rows().expect("none"), Rows::new());
        inventory.write("${env:A}", &found("hunter2", None, None), 1000).expect("first");
        inventory.write("${env:A}", &found("hunter2", None, None), 2000).expect("the same");
        let first = inventory.rows().expect("rows")["${env:A}"].clone();
        assert_eq!((first.first_seen_ms, first.changed_ms, first.digest.len()), (1000, 1000, DIGITS));
        inventory.write("${env:A}", &found("hunter3", None, None), 3000).expect("another");
        inventory.write("${vault:s/b#c}", &found("hunter2", Some("7"), Some(500)), 3000).expect("a store's");
        inventory.write("${vault:s/b#c}", &found("hunter2", Some("8"), Some(9_999)), 4000).expect("a new version of the same");
        let rows = inventory.rows().expect("rows");
        assert_eq!((rows["${env:A}"].first_seen_ms, rows["${env:A}"].changed_ms), (1000, 3000));
        assert_ne!(rows["${env:A}"].digest, first.digest);
        let stored = &rows["${vault:s/b#c}"];
        assert_eq!((stored.version.as_deref(), stored.changed_ms), (Some("8"), 4000), "never later than now");
        assert_eq!(stored.digest, first.digest, "the same value");
        let text = files::read(&dir.path().join("state").join(FILE), MAX_FILE).expect("text");
        assert!(!text.contains("hunter"), "{text}");
        let elsewhere = Inventory::of(&dir.path().join("other"));
        elsewhere.write("${env:A}", &found("hunter2", None, None), 1000).expect("first");
        assert_ne!(elsewhere.rows().expect("rows")["${env:A}"].digest, first.digest, "another key");
    }

    #[test]
    fn what_is_no_key_makes_no_digests() {
        let dir = tempfile::tempdir().expect("dir");
        let inventory = Inventory::of(dir.path());
        files::replace(&dir.path().join(KEY), b"", Readers::Owner).expect("write");
        assert!(inventory.write("${env:A}", &found("hunter2", None, None), 1).is_err());
        assert_eq!(inventory.rows().expect("none"), Rows::new());
    }
}
