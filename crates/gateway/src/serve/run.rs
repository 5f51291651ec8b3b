//! Starting, running and ending a gateway.

use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::case::Stopped;
use bartizan_monitor::journal::call_name;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::method::Method;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::House;
use super::accept::Gate;
use super::measured;
use crate::artefact;
use crate::config::{How, Loaded};
use crate::consult::line::Post;
use crate::consult::web;
use crate::front;
use crate::front::http::Front;
use crate::front::stdio::Lines;
use crate::identity::{Identity, local_user};
use crate::journal::{Journal, JournalError};
use crate::lanes::Lanes;
use crate::leases;
use crate::session::{Endpoint, Ids, Opening, Outbox as _, Talk};
use crate::snapshot::{Current, OpenError, Renewed};
use crate::tls::{Tls, TlsError};
use crate::upstream::{self, Record, Server};

/// Why a gateway did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The lock file cannot be used.
    #[error(transparent)]
    Lock(#[from] OpenError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The keys of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No threads to serve with.
    #[error("cannot start the threads that serve connections: {0}")]
    Threads(std::io::Error),
    /// The client's pipe broke.
    #[error("the client's pipe broke: {0}")]
    Pipe(std::io::Error),
    /// A secret of the only server is not to be had.
    #[error("{}: {} ({})", .0.reason, .0.detail, .0.reason.page().remedy)]
    Secret(Refusal),
    /// The database in which gateways remember together cannot be used, and that does not pass by itself.
    #[error("{0}")]
    Store(String),
    /// No server of that name.
    #[error("no server is configured")]
    NoServer,
}

/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(20);

/// How the gateway has confined itself, for the record: layers, and whether each holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enclosed(pub Vec<(String, String)>);

fn build(loaded: Loaded, own: &Enclosed) -> Result<(Arc<House>, Vec<Arc<Server>>), ServeError> {
    let Loaded { settings, monitor, policy, weakenings } = loaded;
    for weakening in &weakenings {
        tracing::warn!(%weakening, "configured as dangerous");
    }
    let current = Current::open((monitor, policy), &settings.places.lock, &settings.names.separator)?;
    let journal = Journal::open(&settings.places.state)?;
    let identity = Identity::open(&settings.places.state, settings.environment.as_deref())
        .with_oauth(settings.oauth.clone())
        .with_clients(settings.clients.clone());
    let house = House::new(settings, current, identity, journal);
    house.keeper.holdings().watch_the_log();
    let limits = &house.settings.limits;
    let gate = artefact::Gate::Locked(house.clone());
    let made = |server: &Arc<_>| Server::new(Arc::clone(server), limits, gate.clone(), house.keeper.clone());
    let servers: Vec<Arc<Server>> = house.settings.servers.iter().map(made).collect();
    servers.iter().for_each(|server| server.record_with(house.journal.clone()));
    house.journal.note(&Json::object([
        ("event", Json::string("start")),
        ("version", Json::string(env!("CARGO_PKG_VERSION"))),
        ("policy", Json::string(&house.snapshot().monitor.policy().to_string())),
        ("weakenings", Json::of(&weakenings)),
        ("confined", Json::object(own.0.iter().map(|(layer, told)| (layer.as_str(), Json::string(told))))),
    ]));
    Ok((house, servers))
}

/// Writes down what is counted, and shares it where that is configured.
fn keep_counts(house: &Arc<House>) -> JoinHandle<()> {
    let house = house.clone();
    tokio::spawn(async move {
        match &house.settings.redis {
            Some(redis) => leases::share(&house.counts, &house.settings.places.state, redis).await,
            None => house.counts.keep().await,
        }
    })
}

/// Learns what other gateways did, and what people cleared, and removes what is kept too long; tells others where they remember together.
async fn keep_record(house: &Arc<House>) -> Result<JoinHandle<()>, ServeError> {
    if let Err(error) = house.once.begin().await {
        house.journal.finish();
        return Err(ServeError::Store(error));
    }
    let house = house.clone();
    Ok(tokio::spawn(async move {
        tokio::join!(house.once.keep(), house.kept.tend());
    }))
}

impl Record for Journal {
    fn note(&self, members: &Json) {
        Self::note(self, members);
    }
}

fn watch_lock(house: &Arc<House>, changed: impl Fn() + Send + Sync + 'static) -> JoinHandle<()> {
    let house = house.clone();
    tokio::spawn(async move {
        let note = |renewed: Renewed| {
            let entry = match renewed {
                Renewed::Lock => {
                    vec![("event", Json::string("lock")), ("detail", Json::string("the lock file changed and was read again"))]
                }
                Renewed::Policy { old, new } => vec![
                    ("event", Json::string("policy")),
                    ("detail", Json::string("the policy changed and was read again")),
                    ("old", Json::string(&old.to_string())),
                    ("new", Json::string(&new.to_string())),
                ],
                Renewed::Refused(why) => vec![
                    ("event", Json::string("policy-refused")),
                    ("detail", Json::string(&format!("the policy changed and cannot be used; the old one stays in force: {why}"))),
                ],
            };
            house.journal.note(&Json::object(entry));
            changed();
        };
        house.current.watch(note).await;
    })
}

/// Takes new certificates without a restart.
fn watch_tls(house: &Arc<House>, tls: Option<Arc<Tls>>) {
    let (Some(tls), house) = (tls, house.clone()) else { return };
    tokio::spawn(async move {
        let note = || {
            house.journal.note(&Json::object([
                ("event", Json::string("tls")),
                ("detail", Json::string("the certificates changed and were read again")),
            ]));
        };
        tls.watch(note).await;
    });
}

/// Ends running calls that the operator stops.
fn watch_stops(house: &Arc<House>) -> JoinHandle<()> {
    let house = house.clone();
    tokio::spawn(async move {
        let note = |id: u64, stopped: Stopped| {
            tracing::warn!(%stopped, "a running call is cancelled");
            house.journal.note(&Json::object([
                ("event", Json::string("suspended")),
                ("call", Json::string(&call_name(id))),
                ("detail", Json::string(&stopped.to_string())),
            ]));
        };
        house.stops.watch(note).await;
    })
}

/// Lets people on this machine see and answer what waits. Without it the other channels remain.
fn hear_approvals(house: &Arc<House>) -> JoinHandle<()> {
    let house = house.clone();
    tokio::spawn(async move {
        match Post::open(&house.settings.places.state) {
            Ok(post) => {
                house.kept.quarantine.reached_by(&post.name());
                post.serve(house).await;
            }
            Err(error) => tracing::error!(%error, "`bartizan approvals` cannot reach this gateway"),
        }
    })
}

/// Says at the start which servers lack a secret, and renews what opens the stores from then on. A server that lacks
/// one is not used until it is there; the others are.
fn tend_secrets(house: &Arc<House>, servers: Vec<Arc<Server>>) -> JoinHandle<()> {
    let house = house.clone();
    tokio::spawn(async move {
        futures_util::future::join_all(servers.iter().map(async |server| {
            if let Err(refusal) = server.is_supplied().await {
                tracing::error!(server = %server.name(), reason = %refusal.reason, detail = %refusal.detail, "the server cannot be used");
            }
        }))
        .await;
        house.keeper.tend().await;
    })
}

/// Looks for drift when nobody asks: over the links that are open, and at servers that run elsewhere. A server that
/// would have to be started for it is looked at when somebody uses it.
fn probe_drift(house: &Arc<House>, servers: Vec<Arc<Server>>) -> JoinHandle<()> {
    let house = house.clone();
    tokio::spawn(async move {
        loop {
            for server in &servers {
                probe(&house, server).await;
            }
            tokio::time::sleep(house.settings.probe_every).await;
        }
    })
}

async fn probe(house: &Arc<House>, server: &Arc<Server>) {
    let snapshot = house.snapshot();
    let lock = snapshot.catalog.lock();
    let stops = house.stops.now();
    if lock.lacks(server.name()) || stops.all || stops.servers.contains(&**server.name()) {
        return;
    }
    let links = server.links();
    let looked = if links.is_empty() && matches!(server.settings.how, How::Http { .. }) {
        upstream::survey(server).await.map(|surveyed| house.drift.look(lock, server.name(), &surveyed.offer))
    } else {
        // Reading tells whoever listens on the link, and that is who looks.
        let read = links.iter().map(|link| link.offer(Duration::ZERO));
        futures_util::future::join_all(read).await.into_iter().try_for_each(|offer| offer.map(drop))
    };
    if let Err(refusal) = looked {
        tracing::warn!(server = %server.name(), reason = %refusal.reason, detail = %refusal.detail, "what the server offers cannot be compared with what was approved");
    }
}

/// Stops taking calls when the process is asked to end; the front then finishes what runs.
fn drain_when_asked(house: &Arc<House>) {
    let house = house.clone();
    tokio::spawn(async move {
        match asked_to_end().await {
            Ok(()) => house.drain(),
            Err(error) => tracing::error!(%error, "cannot wait for signals: the gateway ends only when it is killed"),
        }
    });
}

/// Resolves when the process is asked to end.
async fn asked_to_end() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Ends: no new calls, running ones get until the deadline, then the record is closed.
async fn drain(house: &Arc<House>) {
    house.drain();
    if tokio::time::timeout(house.settings.limits.drain, house.empty()).await.is_err() {
        tracing::warn!("the deadline passed: running calls are cut off");
    }
}

/// One stdio server behind the gateway, the client at standard input and output (`bartizan run`). `own` is how the gateway
/// has confined itself, for the record.
pub async fn run_stdio(loaded: Loaded, own: Enclosed) -> Result<(), ServeError> {
    let (house, servers) = build(loaded, &own)?;
    let server = servers.into_iter().next().ok_or(ServeError::NoServer)?;
    if let Err(refusal) = server.is_supplied().await {
        house.journal.finish();
        return Err(ServeError::Secret(refusal));
    }
    let remembering = keep_record(&house).await?;
    let (lines, writer) = Lines::to(front::stdio::pipe::output());
    let opening = Opening {
        caller: local_user(),
        endpoint: Endpoint::single(server.clone()),
        transport: "stdio",
        label: format!("pid {}", std::process::id()).into(),
        ids: Ids::Own,
        outbox: Box::new(lines.clone()),
        calls: house.settings.limits.calls_per_session,
    };
    let talk = Talk::begin(opening);
    let outbox = lines.clone();
    let watching = [
        watch_lock(&house, move || announce(|told| _ = outbox.post(told))),
        watch_stops(&house),
        probe_drift(&house, vec![server.clone()]),
        tend_secrets(&house, vec![server]),
        keep_counts(&house),
        hear_approvals(&house),
        remembering,
    ];
    drain_when_asked(&house);
    let ended = front::stdio::serve(&house, &talk, front::stdio::pipe::input(), &lines).await.map_err(ServeError::Pipe);
    drain(&house).await;
    talk.end().await;
    house.once.finish().await;
    // Whoever could still write lets go of the output; only then is it known that all is written.
    watching.iter().for_each(JoinHandle::abort);
    drop((talk, lines));
    // Whatever is still to be said is said, unless the client does not read.
    let _ = tokio::time::timeout(Duration::from_secs(1), writer).await;
    house.counts.write();
    house.journal.finish();
    house.tell_last().await;
    ended
}

/// What a person approves or revokes changes the lists: clients are told to look again.
fn announce(post: impl Fn(Bytes)) {
    for method in [Method::ToolsChanged, Method::PromptsChanged, Method::ResourcesChanged] {
        let told = Json::object([("jsonrpc", Json::string("2.0")), ("method", Json::string(method.name()))]);
        post(told.bytes().clone());
    }
}

/// Many servers behind one HTTP endpoint per gateway and per server (`bartizan serve`). `own` is
/// how the gateway has confined itself, for the record; `ready` is told the address when it listens.
pub async fn run_http(loaded: Loaded, own: Enclosed, ready: impl FnOnce(std::net::SocketAddr)) -> Result<(), ServeError> {
    let (house, servers) = build(loaded, &own)?;
    keep_record(&house).await?;
    let wanted = house.settings.listen.address;
    let tls = house.settings.listen.tls.as_ref().map(Tls::open).transpose()?;
    let failed = |source| ServeError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let lanes = Lanes::open().map_err(ServeError::Threads)?;
    let address = listener.local_addr().map_err(failed)?;
    let single = servers.iter().map(|server| Endpoint::single(server.clone())).collect();
    let front = Front::new(house.clone(), Endpoint::merged(servers.clone()), single);
    let told = front.clone();
    watch_lock(&house, move || announce(|message| told.announce(&message)));
    watch_stops(&house);
    watch_tls(&house, tls.clone());
    probe_drift(&house, servers.clone());
    tend_secrets(&house, servers.clone());
    let (counting, hearing) = (keep_counts(&house), hear_approvals(&house));
    let (sweeper, minder) = (front.clone(), house.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            sweeper.sweep().await;
            minder.identity.remember();
        }
    });
    measured::show(&house, &front, servers).await?;
    show_approvals(&house).await?;
    ready(address);
    drain_when_asked(&house);
    let mut connections = Gate::new(&house, &front, tls).accept(&listener, &lanes).await;
    drop(listener);
    drain(&house).await;
    front.close().await;
    // The last answers leave; connections that are merely kept open do not hold up the end.
    let _ = tokio::time::timeout(Duration::from_millis(500), async { while connections.join_next().await.is_some() {} }).await;
    drop(connections);
    // Whatever is cut off closes its record, and then there is nobody who could write any more.
    let _ = tokio::task::spawn_blocking(move || lanes.end()).await;
    house.once.finish().await;
    house.identity.remember();
    counting.abort();
    hearing.abort();
    house.counts.write();
    house.journal.finish();
    house.tell_last().await;
    Ok(())
}

/// Opens the page on which people answer what waits, where that is configured.
async fn show_approvals(house: &Arc<House>) -> Result<(), ServeError> {
    let Some(settings) = &house.settings.approvals else { return Ok(()) };
    let tls = settings.tls.as_ref().map(Tls::open).transpose()?;
    watch_tls(house, tls.clone());
    let failed = |source| ServeError::Listen { address: settings.address, source };
    let page = web::bind(house, settings, tls).await.map_err(failed)?;
    tracing::info!(address = house.consult.page().unwrap_or_default(), "what waits is answered at");
    tokio::spawn(page.serve());
    Ok(())
}
