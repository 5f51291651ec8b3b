//! The stop button of all gateways: what is stopped at one is stopped at the others.
//!
//! The file in the state directory stays what counts, so that stops hold without Redis, too. What somebody changes
//! in it is told to Redis, and what others changed is written into it. Whenever it is not clear who knows more, all
//! stops hold: a stop is ended by somebody who ends it, and never because a server forgot it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bartizan_monitor::case::Stops;
use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use super::resp::Connection;
use crate::config::files::{self, Mark};
use crate::journal::Journal;
use crate::stops::Button;

/// What was in Redis when the file was last compared with it.
const FILE: &str = "suspended-shared.json";
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Takes changes in and says what holds. Counts its versions, under a name that is made when it begins.
const CHANGE: &str = "\
local set, epoch, version = KEYS[1], KEYS[2], KEYS[3]
redis.call('SET', epoch, ARGV[1], 'NX')
local added, changed = tonumber(ARGV[2]), 0
for at = 3, #ARGV do
  local command = 'SREM'
  if at <= 2 + added then command = 'SADD' end
  changed = changed + redis.call(command, set, ARGV[at])
end
if changed > 0 or redis.call('EXISTS', version) == 0 then redis.call('INCR', version) end
return {redis.call('GET', epoch), redis.call('GET', version), redis.call('SMEMBERS', set)}";

/// What both sides agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Agreed {
    epoch: String,
    version: i64,
    things: BTreeSet<String>,
}

pub(super) struct Board {
    state: PathBuf,
    prefix: String,
    agreed: Agreed,
    seen: Option<Mark>,
}

impl Board {
    pub(super) fn open(state: &Path, prefix: &str) -> Self {
        let text = files::read(&state.join(FILE), MAX_FILE).unwrap_or_default();
        let json = Json::parse(Bytes::from(text)).ok();
        // Without it everything that is stopped here is told anew.
        let agreed = json.and_then(|json| serde_json::from_value(json.view().to_value()).ok()).unwrap_or_default();
        Self { state: state.to_owned(), prefix: prefix.to_owned(), agreed, seen: None }
    }

    fn key(&self, name: &str) -> String {
        format!("{}:stops:{name}", self.prefix)
    }

    /// Compares both sides, where one of them may have changed.
    pub(super) async fn look(&mut self, connection: &mut Connection, journal: &Journal) -> io::Result<()> {
        let names = ["epoch", "version"].map(|name| self.key(name));
        let answers = connection.ask(&[["MGET".to_owned()].into_iter().chain(names.clone()).collect()]).await?;
        let mut found = answers.into_iter().flat_map(super::Value::items);
        let epoch = found.next().and_then(super::Value::text);
        let version = found.next().and_then(|version| version.number());
        let same = epoch.as_deref() == Some(&self.agreed.epoch) && version == Some(self.agreed.version);
        let mark = self.button()?.mark();
        if same && Some(mark) == self.seen {
            return Ok(());
        }
        // A file that cannot be read stops everything here, and nothing elsewhere.
        let Ok(local) = self.button()?.stops() else { return Ok(()) };
        // Redis lost its memory, or went back in time: nobody ended what it does not know.
        let remembers = epoch.as_deref() == Some(&self.agreed.epoch) && version >= Some(self.agreed.version);
        let before = if remembers { self.agreed.things.clone() } else { BTreeSet::new() };
        let own = words(&local);
        let agreed =
            self.change(connection, own.difference(&before).cloned().collect(), before.difference(&own).cloned().collect()).await?;
        let theirs = stops(&agreed.things);
        if self.button()?.exchange(&local, &theirs)? {
            self.seen = Some(if theirs == local { mark } else { self.button()?.mark() });
            if theirs != local {
                tell(journal, &own, &agreed.things);
            }
            self.agree(agreed)?;
        }
        Ok(())
    }

    fn button(&self) -> io::Result<Button> {
        Button::open(&self.state)
    }

    async fn change(&self, connection: &mut Connection, added: Vec<String>, removed: Vec<String>) -> io::Result<Agreed> {
        let fresh = crate::identity::random_id().ok_or_else(|| io::Error::other("no random numbers"))?;
        let keys = ["set", "epoch", "version"].map(|name| self.key(name));
        let head = ["EVAL".to_owned(), CHANGE.to_owned(), "3".to_owned()].into_iter().chain(keys);
        let arguments = [fresh, added.len().to_string()].into_iter().chain(added).chain(removed);
        let answers = connection.ask(&[head.chain(arguments).collect()]).await?;
        let mut parts = answers.into_iter().flat_map(super::Value::items);
        let epoch = parts.next().and_then(super::Value::text);
        let version = parts.next().and_then(|version| version.number());
        let things = parts.next().map(|things| things.items().into_iter().filter_map(super::Value::text).collect());
        match (epoch, version, things) {
            (Some(epoch), Some(version), Some(things)) => Ok(Agreed { epoch, version, things }),
            _ => Err(io::Error::other("Redis answered something else than the stops")),
        }
    }

    fn agree(&mut self, agreed: Agreed) -> io::Result<()> {
        if self.agreed != agreed {
            files::replace(&self.state.join(FILE), Json::of(&agreed).bytes(), files::Readers::Owner)?;
            self.agreed = agreed;
        }
        Ok(())
    }
}

fn words(stops: &Stops) -> BTreeSet<String> {
    let named = |kind: &'static str, names: &BTreeSet<String>| names.iter().map(|name| format!("{kind}:{name}")).collect::<Vec<_>>();
    let all = stops.all.then(|| "all".to_owned()).into_iter();
    all.chain(named("client", &stops.clients)).chain(named("server", &stops.servers)).chain(named("tool", &stops.tools)).collect()
}

/// A word that is not understood comes from a newer version and stops everything.
fn stops(words: &BTreeSet<String>) -> Stops {
    let mut stops = Stops::default();
    for word in words {
        match word.split_once(':') {
            Some(("client", name)) => _ = stops.clients.insert(name.to_owned()),
            Some(("server", name)) => _ = stops.servers.insert(name.to_owned()),
            Some(("tool", name)) => _ = stops.tools.insert(name.to_owned()),
            _ => stops.all = true,
        }
    }
    stops
}

fn tell(journal: &Journal, before: &BTreeSet<String>, after: &BTreeSet<String>) {
    let list = |words: std::collections::btree_set::Difference<'_, String>| Json::array(words.map(|word| Json::string(word)));
    tracing::warn!(?after, "what is suspended changed at another gateway");
    journal.note(&Json::object([
        ("event", Json::string("stops")),
        ("suspended", list(after.difference(before))),
        ("resumed", list(before.difference(after))),
        ("detail", Json::string("changed at another gateway")),
    ]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_are_words_and_back() {
        let set = |text: &str| BTreeSet::from([text.to_owned()]);
        let all = Stops { all: true, clients: set("a:b"), servers: set("files"), tools: set("files/read") };
        assert_eq!(stops(&words(&all)), all);
        assert_eq!(words(&Stops::default()), BTreeSet::new());
        assert!(stops(&set("group:x")).all, "what a newer version means is not known");
    }
}
