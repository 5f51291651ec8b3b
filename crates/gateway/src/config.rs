//! Configuration: what was written (`File`) becomes what can be used ([`Settings`]) and the monitor,
//! or all problems at once, each with its place. Nothing is started and nothing is made here, so
//! `bartizan check` runs the very same code.

mod access;
// Named after its table.
mod allow;
mod approvals;
mod confine;
mod controls;
mod credential;
mod file;
pub mod files;
mod issuers;
mod judge;
mod listen;
mod notices;
mod opinions;
pub mod places;
mod policy;
mod postgres;
mod problem;
mod redis;
pub(crate) mod secret;
pub mod seen;
mod server;
mod settings;
mod stores;
mod traces;
pub mod watch;

pub use access::{Access, Grant, Headers, Login};
pub use allow::Allowed;
pub use approvals::Approvals;
pub use confine::{Confine, Grants, Host, Learn, grantable, is_broad, is_direct, is_number};
pub use issuers::{Algorithm, Exchanged, Granted, Introspection, Issuer, Network, OAuth};
pub use judge::is_label;
pub use listen::{Cleartext, ClientAuthority, Clients, Entry, Listen, OpenTo, Subnet, Tls, Wanted, certificate_name};
pub use notices::{Canaries, Webhook};
pub use opinions::Judge;
pub use places::{Places, PlacesArgs};
pub use policy::{PolicyFiles, RenewError};
pub use postgres::{Postgres, Secured};
pub use problem::{ConfigErrors, Problem};
pub use redis::{OnLoss, Redis};
pub(crate) use secret::Part;
pub use secret::{Reference, Secret, Template};
pub use settings::{Floating, How, Limits, Names, ServerSettings, Settings, Supply};
pub use stores::{Aws, Stores, Vault, VaultLogin};
pub use traces::Traces;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_monitor::stages::Monitor;
use toml::Spanned;
use toml::de::DeTable;

use controls::Material;
use file::File;
use issuers::Trust;
use judge::PlainHttp;
use listen::Ground;
use problem::Problems;
use secret::Lookup;
use server::{Learnt, Surroundings};

use crate::learn::World;

/// How large a configuration may be.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// The controls, built.
    pub monitor: Monitor,
    /// The policy, and what it takes to load it again.
    pub policy: PolicyFiles,
    /// What makes the gateway weaker than its defaults, in words.
    pub weakenings: Vec<String>,
}

/// Reads a configuration: all of it, or the defaults and no server when there is no file.
pub fn load(path: Option<&Path>, places: PlacesArgs) -> Result<Loaded, ConfigErrors> {
    read(&Request { path, places, only: None }, &variable)
}

/// Reads the configuration of one server that is started by `command`, for `run` and `approve`.
///
/// Controls, policy and limits are the file's. So is what it says of a server of this name, except
/// how it is started; the other servers are left out.
pub fn single(single: Single, places: PlacesArgs, config: Option<&Path>) -> Result<Loaded, ConfigErrors> {
    read(&Request { path: config, places, only: Some(single) }, &variable)
}

/// An environment variable of the gateway, for a reference to it.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "configuration is what may refer to the environment")]
    std::env::var_os(name)
}

/// One server on a command line.
#[derive(Debug, Clone)]
pub struct Single {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// What it may have, beside what the file grants.
    pub grants: Grants,
}

struct Request<'a> {
    path: Option<&'a Path>,
    places: PlacesArgs,
    only: Option<Single>,
}

fn read(request: &Request<'_>, variables: Lookup<'_>) -> Result<Loaded, ConfigErrors> {
    let name = request.path.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
    let alone = |what: String, help: &str| ConfigErrors::alone(&name, what, help);
    let text = match request.path {
        None => String::new(),
        Some(path) => {
            files::read(path, MAX_FILE).map_err(|error| alone(format!("it cannot be read: {error}"), "name another with --config FILE"))?
        }
    };
    let places = Places::find(&request.places, request.path).map_err(|error| alone(error.to_string(), ""))?;
    let mut problems = Problems::default();
    let parsed = parse(&text, &mut problems);
    let made = parsed.and_then(|table| Judging { request, variables, places }.judge(table, &mut problems));
    problems.into_result(&name, &text)?;
    // For the compiler: where nothing was made there was a problem, which was returned just now.
    made.ok_or_else(|| alone("it cannot be used".to_owned(), ""))
}

/// The table of a text; `None` when it is not TOML at all, because what is read from broken text
/// would only add problems that are none.
fn parse<'t>(text: &'t str, problems: &mut Problems) -> Option<DeTable<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let table = table.into_inner();
    for at in values(&table) {
        problems.blank(at);
    }
    errors.iter().for_each(|error| problems.add_error(error));
    errors.is_empty().then_some(table)
}

/// Where values stand that may be secrets by mistake: all of `env` and `headers`, those of tools and effects, too, and
/// the secrets of webhook and `oauth`, but references.
fn values(table: &DeTable<'_>) -> Vec<Range<usize>> {
    let servers = table.get("servers").and_then(|servers| servers.get_ref().as_table());
    let servers = servers.into_iter().flat_map(DeTable::values).filter_map(|server| server.get_ref().as_table());
    let servers: Vec<&DeTable<'_>> = servers.collect();
    let parts = servers.iter().flat_map(|server| ["tools", "effects"].into_iter().filter_map(|key| server.get(key)?.get_ref().as_table()));
    let parts = parts.flat_map(DeTable::values).filter_map(|part| part.get_ref().as_table());
    let tables = servers.iter().copied().chain(parts).flat_map(|part| ["env", "headers"].into_iter().filter_map(|key| part.get(key)));
    let entries = tables.filter_map(|table| table.get_ref().as_table()).flat_map(DeTable::values);
    let secret = table.get("webhook").and_then(|webhook| webhook.get_ref().as_table()?.get("secret"));
    let clients = servers.iter().filter_map(|server| server.get("oauth")?.get_ref().as_table()?.get("client_secret"));
    let passwords = ["redis", "postgres"].into_iter().filter_map(|key| table.get(key)?.get_ref().as_table()?.get("password"));
    let address = table.get("postgres").and_then(|postgres| postgres.get_ref().as_table()?.get("url"));
    // An address without a user holds no password, and may be shown.
    let address = address.filter(|url| url.get_ref().as_str().is_some_and(|url| url.contains('@')));
    let judges = table.get("judges").and_then(|judges| judges.get_ref().as_table()).into_iter().flat_map(DeTable::values);
    let tokens = judges.filter_map(|judge| judge.get_ref().as_table()?.get("token"));
    let channel = table.get("approvals").and_then(|approvals| approvals.get_ref().as_table()?.get("slack"));
    let entries = entries.chain(secret).chain(tokens).chain(clients).chain(passwords).chain(address).chain(channel);
    entries.filter(|value| value.get_ref().as_str().is_some_and(|text| !text.contains("${"))).map(Spanned::span).collect()
}

/// What of this machine is the gateway's own, and where its user is at home.
#[must_use]
pub fn own_world(places: &Places) -> World {
    world(places, &variable)
}

fn world(places: &Places, variables: Lookup<'_>) -> World {
    let home = variables("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home.parent().is_some());
    let own = [&places.state, &places.lock].into_iter().chain(&places.config).cloned().collect();
    World { home, own }
}

struct Judging<'a> {
    request: &'a Request<'a>,
    variables: Lookup<'a>,
    places: Places,
}

impl Judging<'_> {
    fn judge(self, mut table: DeTable<'_>, problems: &mut Problems) -> Option<Loaded> {
        let mut material = Material::new(table.remove("controls"), problems);
        let mut file: File = file::salvage(table, problems);
        let weakenings = self.narrow(&mut file);
        let plain = if file.dangerous.plain_http_beyond_loopback { PlainHttp::Anywhere } else { PlainHttp::Loopback };
        let base: PathBuf = self.places.config.as_deref().and_then(Path::parent).unwrap_or(&self.places.state).to_owned();
        let (unconfined, learning) = (self.unconfined(&file, problems), self.learning());
        let supply = self.supply(&mut file, problems);
        let (names, limits) = (judge::names(file.names, problems), judge::limits(file.limits, problems));
        let environment = judge::environment(file.environment, problems);
        let (mut servers, mut sampling) = (Vec::new(), BTreeSet::new());
        let (known, stores) = (stores::Known::of(&file.secrets), stores::stores(file.secrets, &base, problems));
        let surroundings = Surroundings { base: &base, variables: self.variables, stores: known, plain, supply, unconfined, learning };
        let known: BTreeSet<String> = file.servers.keys().map(|name| name.get_ref().clone()).collect();
        for (name, written) in file.servers {
            judge::server_name(&name, &names.separator, problems);
            sampling.extend(written.get_ref().sampling.then(|| name.get_ref().clone()));
            servers.extend(surroundings.server(name.get_ref(), written.into_inner(), name.span(), problems).map(Arc::new));
        }
        let ground = Ground { base: &base, plain, servers: &known, environment: environment.as_deref() };
        let approvals = approvals::approvals(file.approvals, (&ground, self.variables), problems);
        let (listen, clients) = ground.judge(file.listen, file.clients, problems);
        let (exchanged, judged) = (exchanged(&servers), self.request.only.is_none().then_some(&known));
        let judges = surroundings.judges((file.judges, &file.dangerous.judges_may_fail), judged, (&mut material, problems));
        let trust = Trust { base: &base, variables: self.variables, servers: known, private: &file.dangerous.private_issuers, exchanged };
        let oauth = file.oauth.and_then(|written| trust.oauth(written, problems)).map(Arc::new);
        let (metrics, probe_every) = (notices::metrics(file.metrics, problems), notices::probe_every(file.drift, problems));
        let traces = file.traces.and_then(|written| surroundings.traces(written, problems));
        let (redis, postgres, webhook) = common(&surroundings, (file.redis, file.postgres, file.webhook), problems);
        material.weaken(&file.dangerous, sampling, problems);
        material.policy(file.policy, &base, problems);
        let (quota, confirm_timeout) = (material.quota(), material.confirm_timeout());
        let effects = material.effects(file.canaries.map(|written| surroundings.canaries(written, problems)));
        let policy = material.environment(environment.as_deref());
        let monitor = material.monitor(problems)?.hearing(judges.iter().map(|judge| judge.seat()));
        let settings = Settings {
            environment,
            listen,
            clients: Arc::new(clients),
            metrics,
            traces,
            approvals,
            names,
            servers,
            limits,
            probe_every,
            webhook,
            judges,
            oauth,
            stores,
            redis,
            postgres,
            quota,
            confirm_timeout,
            effects,
            places: self.places,
            policy_digest: monitor.policy(),
        };
        Some(Loaded { settings, monitor, policy, weakenings })
    }

    /// What is asked of what servers are made of.
    fn supply(&self, file: &mut File, problems: &mut Problems) -> Supply {
        let dangerous = &file.dangerous;
        Supply {
            floating: if dangerous.floating_versions { Floating::Accepted } else { Floating::Refused },
            allow_scripts: dangerous.allow_scripts.iter().map(|name| name.get_ref().clone()).collect(),
            load_variables: dangerous.load_variables.iter().map(|name| name.get_ref().clone()).collect(),
            allowed: file.servers_allowed.take().map(|written| Arc::new(Allowed::read(written, problems))),
            packages: self.places.state.join("packages"),
        }
    }

    /// Where it is kept what servers ask for, if somebody wants to know.
    fn learning(&self) -> Option<Learnt> {
        let only = self.request.only.as_ref().filter(|only| only.grants.learn == Learn::Yes);
        only.map(|_| Learnt { state: self.places.state.clone(), world: world(&self.places, self.variables) })
    }

    /// The servers that are not confined.
    fn unconfined(&self, file: &File, problems: &mut Problems) -> Vec<String> {
        for name in &file.dangerous.unconfined {
            if name.get_ref() != "*" && self.request.only.is_none() && !file.servers.contains_key(name) {
                problems.add(Some(name.span()), format!("no server is called {:?}", name.get_ref()), "");
            }
        }
        file.dangerous.unconfined.iter().map(|name| name.get_ref().clone()).collect()
    }

    /// Leaves only what the request is about, and says what weakens that.
    fn narrow(&self, file: &mut File) -> Vec<String> {
        let mut weakenings = Vec::new();
        if let Some(Single { name, command, grants }) = &self.request.only {
            // One server, under its own names: nothing listens, and nothing is told apart.
            file.listen = listen::written::Listen::default();
            file.clients = Vec::new();
            file.metrics = file::Metrics::default();
            file.approvals = approvals::written::Approvals::default();
            file.names = file::Names::default();
            file.oauth = None;
            let key = Spanned::new(0..0, name.clone());
            let mut server = file.servers.remove(&key).unwrap_or_else(|| Spanned::new(0..0, file::Server::default()));
            server.get_mut().given = Some(command.clone());
            confine::add(&mut server.get_mut().confine, grants);
            weakenings.extend(server::shown_by(command));
            file.servers = BTreeMap::from([(key, server)]);
        }
        if file.dangerous.plain_http_beyond_loopback {
            weakenings.push("`dangerous.plain_http_beyond_loopback`: tokens and calls may leave this machine in clear text".to_owned());
        }
        if file.dangerous.floating_versions {
            weakenings
                .push("`dangerous.floating_versions`: servers whose version is not fixed start, whatever they have become".to_owned());
        }
        for package in &file.dangerous.allow_scripts {
            let name = package.get_ref();
            weakenings.push(format!(
                "`dangerous.allow_scripts`: the install scripts of {name} run when it is fetched, before anybody looks at it"
            ));
        }
        for variable in &file.dangerous.load_variables {
            let name = variable.get_ref();
            weakenings.push(format!("`dangerous.load_variables`: {name} in a server's `env` may load code that nobody reviewed"));
        }
        for issuer in &file.dangerous.private_issuers {
            let name = issuer.get_ref();
            weakenings
                .push(format!("`dangerous.private_issuers`: the keys of {name:?} may be fetched from private addresses and this machine"));
        }
        for name in &file.dangerous.unconfined {
            weakenings.push(format!("`dangerous.unconfined`: {:?} may do on this machine what the gateway may do", name.get_ref()));
        }
        for judge in &file.dangerous.judges_may_fail {
            let name = judge.get_ref();
            weakenings.push(format!("`dangerous.judges_may_fail`: what the judge {name:?} cannot be heard about passes"));
        }
        if let Some(less) = &file.dangerous.destructive_calls {
            weakenings
                .push(format!("`dangerous.destructive_calls`: what destroys is asked about {}, not each time", less.get_ref().name()));
        }
        for control in &file.dangerous.observe {
            weakenings.push(format!("`dangerous.observe`: the objections of `{}` are recorded and not enforced", control.get_ref()));
        }
        weakenings
    }
}

/// What gateways have in common, and who is told of what they do.
#[expect(clippy::type_complexity, reason = "each of the three stands for itself")]
fn common(
    surroundings: &Surroundings<'_>,
    (redis, postgres, webhook): (Option<Spanned<file::Redis>>, Option<Spanned<file::Postgres>>, Option<Spanned<file::Webhook>>),
    problems: &mut Problems,
) -> (Option<Arc<Redis>>, Option<Arc<Postgres>>, Option<Arc<Webhook>>) {
    let webhook = webhook.and_then(|written| surroundings.webhook(written, problems)).map(Arc::new);
    let redis = redis.and_then(|written| surroundings.redis(written, problems)).map(Arc::new);
    (redis, postgres.and_then(|written| surroundings.postgres(written, problems)).map(Arc::new), webhook)
}

/// Whether any server is shown what its callers' access tokens were exchanged for.
fn exchanged(servers: &[Arc<ServerSettings>]) -> Exchanged {
    let exchanges = |server: &Arc<ServerSettings>| matches!(&server.how, How::Http { access, .. } if access.exchanges());
    if servers.iter().any(exchanges) { Exchanged::Yes } else { Exchanged::No }
}

#[cfg(test)]
mod tests;
