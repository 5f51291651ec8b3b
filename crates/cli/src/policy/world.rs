//! What a policy is asked about: the rules, the catalogue of the lock file, and somebody at some moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_gateway::clock;
use bartizan_gateway::config::{self, Loaded, PlacesArgs, places};
use bartizan_gateway::identity::Imagined;
use bartizan_gateway::labels;
use bartizan_gateway::snapshot::read_lock;
use bartizan_monitor::case::{Caller, Effect, Facts, Item, Kind, Labels, Means, Standing, Strength};
use bartizan_monitor::catalog::{Definition, normal_form};
use bartizan_monitor::controls::policy::{Known, Moment, Outcome, Question, Rule, Rules, Source, Steps, Subject, uses_of};
use bartizan_monitor::lock::{Lock, Pin, Returns};
use bartizan_monitor::stages::party;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::Json;

use crate::exit::Exit;

/// Rules and what they are about.
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) lock: Lock,
    pub(super) environment: String,
    /// The servers of the configuration and of the lock file.
    pub(super) servers: BTreeSet<String>,
    /// Where it stands what clients have read, and how long that counts.
    state: PathBuf,
    labels_kept: Duration,
}

impl World {
    /// The rules of the configuration and the lock file.
    pub(super) fn load(places: &PlacesArgs, config: Option<PathBuf>) -> Result<Self, Exit> {
        let config = places::config(config);
        let loaded = config::load(config.as_deref(), places.clone()).map_err(Exit::configuration)?;
        Self::of(&loaded)
    }

    /// The same, of a configuration that was loaded.
    pub(super) fn of(loaded: &Loaded) -> Result<Self, Exit> {
        let rules = loaded.policy.rules().map_err(|what| Exit::usage(&what))?;
        let lock = read_lock(&loaded.settings.places.lock).map_err(|error| Exit::usage(&error))?;
        let configured = loaded.settings.servers.iter().map(|server| server.name.to_string());
        let servers = configured.chain(lock.servers().map(str::to_owned)).collect();
        let (state, labels_kept) = (loaded.settings.places.state.clone(), loaded.settings.effects.labels_kept);
        Ok(Self { rules, lock, environment: loaded.policy.environment.clone(), servers, state, labels_kept })
    }

    /// What a client has read, as the gateways over this state directory know it.
    pub(super) fn read_by(&self, principal: &str) -> Result<Labels, Exit> {
        let all = labels::list(&self.state).map_err(|error| Exit::environment(&error))?;
        let times = all.get(party(principal)).copied().unwrap_or_default();
        Ok(times.labels(clock::now_ms(), clock::millis(self.labels_kept)))
    }

    /// Everything that was approved and can be used.
    pub(super) fn items(&self) -> Vec<Item> {
        items(&self.lock)
    }

    /// One approved thing, or a mistake.
    pub(super) fn item(&self, kind: Kind, name: &str) -> Result<Item, Exit> {
        let kinds = if kind == Kind::Resource { vec![Kind::Resource, Kind::Template] } else { vec![kind] };
        let found = name.split_once('/').and_then(|(server, name)| {
            let pin = kinds.into_iter().find_map(|kind| self.lock.get(server, kind, name))?;
            Some(as_item(server, pin))
        });
        found.ok_or_else(|| {
            Exit::usage(&format!("nothing is approved as {} {name:?}; say SERVER/NAME as the lock file has it", kind.name()))
        })
    }

    pub(super) fn question<'a>(&'a self, caller: &'a Caller, (action, subject): (&'static str, Subject<'a>)) -> Question<'a> {
        Question { environment: &self.environment, caller, action, subject }
    }
}

fn as_item(server: &str, pin: &Arc<Pin>) -> Item {
    Item { server: server.into(), pin: pin.clone(), standing: Standing::Pinned, shadow: None }
}

/// Everything of a lock file that can be used.
pub(super) fn items(lock: &Lock) -> Vec<Item> {
    let of = |server: &str| lock.of(server).filter(|pin| !uses_of(pin.kind).is_empty()).map(|pin| as_item(server, pin)).collect::<Vec<_>>();
    lock.servers().flat_map(of).collect()
}

/// Something that no lock file has, as a test describes it.
pub(super) fn invented(kind: Kind, name: &str, (effect, returns): (Effect, Option<Returns>)) -> Option<Item> {
    let (server, name) = name.split_once('/')?;
    let json = Json::object([(kind.key(), Json::string(name))]);
    let mut pin = Pin::new(Definition { kind, name: name.to_owned(), digest: Digest::of_json(&json), json }, effect);
    pin.contract.returns = returns;
    Some(as_item(server, &Arc::new(pin)))
}

/// Reads rules from other files.
pub(super) fn rules_of(paths: &[PathBuf]) -> Result<Rules, Exit> {
    let mut sources = Vec::new();
    for path in paths {
        let files = if path.is_dir() {
            config::files::list(path, ".cedar").map_err(|error| Exit::usage(&format!("{}: {error}", path.display())))?
        } else {
            vec![path.clone()]
        };
        for file in files {
            sources.push(Source { name: file.display().to_string(), text: text(&file)? });
        }
    }
    if sources.is_empty() {
        return Err(Exit::usage("no policy file is named"));
    }
    Rules::load(&sources).map_err(|what| Exit::usage(&what))
}

/// Reads a small file.
pub(super) fn text(path: &Path) -> Result<String, Exit> {
    config::files::read(path, 4 * 1024 * 1024).map_err(|error| Exit::usage(&format!("{}: it cannot be read: {error}", path.display())))
}

/// Who asks, and when.
#[derive(Debug, Clone, Default, clap::Args, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Who {
    /// The client, as the journal names the principal: token:LABEL#ID, oauth:ISSUER#SUBJECT, user:NAME.
    #[arg(long, value_name = "NAME", default_value = "somebody")]
    pub(super) client: String,
    /// How it is recognised: token, oauth or local-user.
    #[arg(long, value_name = "MEANS", value_parser = ["token", "oauth", "local-user"])]
    pub(super) means: Option<String>,
    /// A group that its issuer says it belongs to; may be given several times.
    #[arg(long = "group", value_name = "GROUP")]
    pub(super) groups: Vec<String>,
    /// The application that acts for it.
    #[arg(long, value_name = "NAME")]
    pub(super) application: Option<String>,
    /// The name in its client certificate.
    #[arg(long, value_name = "NAME")]
    pub(super) certificate: Option<String>,
    /// It used a second factor.
    #[arg(long)]
    pub(super) second_factor: bool,
    /// When it logged in: 2026-11-21T06:24:00Z.
    #[arg(long, value_name = "TIME")]
    pub(super) logged_in: Option<String>,
    /// The moment. Default: now.
    #[arg(long, value_name = "TIME")]
    pub(super) now: Option<String>,
    /// Where it connects from.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) peer: Option<String>,
    /// How it connects.
    #[arg(long, value_name = "TRANSPORT", value_parser = ["http", "stdio"], default_value = "http")]
    pub(super) transport: String,
    /// What it has read: private, untrusted; may be given several times. Default: what `bartizan labels list` has.
    #[arg(long = "label", value_name = "LABEL", value_parser = ["private", "untrusted"])]
    pub(super) labels: Vec<String>,
}

fn time(text: Option<&String>) -> Result<Option<u64>, Exit> {
    let read = |text: &String| clock::read_utc(text).ok_or_else(|| Exit::usage(&format!("{text:?} is no time like 2026-11-21T06:24:00Z")));
    text.map(read).transpose()
}

impl Who {
    /// The caller that this describes.
    pub(super) fn caller(&self) -> Result<Caller, Exit> {
        let means = match self.means.as_deref() {
            None => None,
            Some("token") => Some(Means::Token),
            Some("oauth") => Some(Means::OAuth),
            Some("local-user") => Some(Means::LocalUser),
            Some(other) => return Err(Exit::usage(&format!("{other:?} is not token, oauth or local-user"))),
        };
        let strength = Strength {
            certificate: self.certificate.as_deref().map(Into::into),
            second_factor: self.second_factor,
            logged_in_ms: time(self.logged_in.as_ref())?,
        };
        let groups = self.groups.iter().cloned().collect();
        let principal = if self.client.is_empty() { "somebody".to_owned() } else { self.client.clone() };
        Ok(Imagined { principal, means, groups, application: self.application.clone(), strength }.caller())
    }

    /// The moment that this describes.
    pub(super) fn facts(&self) -> Result<Facts, Exit> {
        let peer = self.peer.as_ref().map(|text| text.parse().map_err(|_| Exit::usage(&format!("{text:?} is no address")))).transpose()?;
        let has = |label: &str| self.labels.iter().any(|own| own == label);
        Ok(Facts {
            id: 0,
            now_ms: time(self.now.as_ref())?.unwrap_or_else(clock::now_ms),
            session: "".into(),
            transport: if self.transport == "stdio" { "stdio" } else { "http" },
            peer,
            labels: Labels { private: has("private"), untrusted: has("untrusted") },
            stops: Arc::default(),
            // Limits are not what is asked about.
            tally: Arc::default(),
            agreed: Arc::default(),
            once: bartizan_monitor::case::Once::default(),
            wires: None,
            cover: Default::default(),
        })
    }
}

/// An answer with all that led to it.
pub(super) struct Answer {
    pub(super) known: Known,
    pub(super) outcome: Outcome,
    pub(super) needs: Option<Steps>,
}

impl Answer {
    /// Asks.
    pub(super) fn to(
        rules: &Rules,
        question: Question<'_>,
        (facts, arguments, uri): (&Facts, Option<&Json>, Option<&str>),
    ) -> Result<Self, Exit> {
        let uri = match question.subject {
            Subject::Item(item) if matches!(question.action, "read" | "subscribe") => {
                let uri = uri.unwrap_or(&item.pin.name);
                Some(normal_form(uri).map_err(|what| Exit::usage(&format!("{uri:?}: {what}")))?)
            }
            Subject::Item(_) | Subject::Server(_) => None,
        };
        let moment = Moment { facts, arguments: arguments.map(Json::view), uri: uri.as_deref() };
        let fault = |what: String| Exit::environment(&what);
        let known = rules.before(question).map_err(fault)?;
        let outcome = rules.decide(question.environment, &known, moment).map_err(fault)?;
        let needs = if outcome.allows() { None } else { rules.needs(question, moment, &outcome).map_err(fault)? };
        Ok(Self { known, outcome, needs })
    }

    /// The reason of a denial; `permit` when there is none.
    pub(super) fn word(&self, caller: &Caller) -> &'static str {
        let login = self.needs.as_ref().is_some_and(Steps::is_login_alone) && caller.badge().is_some();
        match (&self.needs, &self.outcome) {
            (_, outcome) if outcome.allows() => "permit",
            (Some(_), _) if login => "identity.login",
            (Some(_), _) => "policy.step-up",
            (None, outcome) if !outcome.errors.is_empty() => "policy.error",
            (None, outcome) if !outcome.forbids.is_empty() => "policy.forbid",
            (None, _) => "policy.unpermitted",
        }
    }

    /// The rules that decided.
    pub(super) fn rules<'r>(&self, rules: &'r Rules) -> Vec<&'r Rule> {
        let Outcome { permits, forbids, errors } = &self.outcome;
        let named = if !errors.is_empty() {
            errors.iter().map(|(id, _)| id).collect::<Vec<_>>()
        } else if !forbids.is_empty() {
            forbids.iter().collect()
        } else {
            permits.iter().collect()
        };
        let mut found: Vec<&Rule> = named.into_iter().filter_map(|id| rules.get(id)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

/// The rule's name, and its place where that says more.
pub(super) fn told(rule: &Rule) -> String {
    if *rule.name == *rule.place { rule.place.clone() } else { format!("{} ({})", rule.name, rule.place) }
}
