//! Canaries: who sends one is stopped, and told of.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_detect::secrets::Secrets;
use bartizan_monitor::case::{Caller, Touch, Wires};
use bartizan_monitor::wire::json::Json;
use tokio::sync::mpsc;

use crate::config::Settings;
use crate::journal::Journal;
use crate::stops::{Button, Thing};
use crate::webhook::Hook;

/// How many sessions that touched a canary are told apart; after that, all count as such.
const MOST: usize = 100_000;

/// The values, and who sent one.
#[derive(Debug)]
pub struct Trap {
    secrets: Secrets,
    names: Vec<Arc<str>>,
    values: Vec<Arc<crate::config::Secret>>,
    touched: Mutex<HashSet<(Arc<str>, String)>>,
    alarms: mpsc::UnboundedSender<Alarm>,
}

/// A canary was touched.
#[derive(Debug)]
struct Alarm {
    canary: Arc<str>,
    principal: Arc<str>,
    session: String,
}

/// Who is told.
#[derive(Debug)]
struct Told {
    journal: Arc<Journal>,
    hook: Option<Hook>,
    state: PathBuf,
    suspends: bool,
}

impl Trap {
    /// The canaries that are configured; nothing when there are none.
    #[must_use]
    pub fn set(settings: &Settings, journal: Arc<Journal>, hook: Option<Hook>) -> Option<Arc<Self>> {
        let canaries = settings.effects.canaries.as_ref()?;
        let (alarms, heard) = mpsc::unbounded_channel();
        let told = Told { journal, hook, state: settings.places.state.clone(), suspends: canaries.suspend_client };
        tokio::spawn(tell(told, heard));
        let (names, values): (Vec<_>, Vec<_>) = canaries.values.iter().cloned().unzip();
        let secrets = Secrets::new(&values.iter().map(|value| value.expose()).collect::<Vec<_>>());
        Some(Arc::new(Self { secrets, names, values, touched: Mutex::default(), alarms }))
    }
}

impl Wires for Trap {
    fn touched(&self, caller: &Caller, session: &str, text: &str) -> Option<Touch> {
        let values: Vec<&str> = self.values.iter().map(|value| value.expose()).collect();
        let found = self.secrets.known(text, &values).and_then(|at| self.names.get(at));
        let who = (caller.principal().clone(), session.to_owned());
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = found else {
            return (touched.len() >= MOST || (!touched.is_empty() && touched.contains(&who))).then_some(Touch::Before);
        };
        if touched.len() < MOST {
            touched.insert(who);
        }
        let alarm = Alarm { canary: name.clone(), principal: caller.principal().clone(), session: session.to_owned() };
        // Whoever listens ends with the gateway.
        drop(self.alarms.send(alarm));
        Some(Touch::Now(name.clone()))
    }
}

/// Tells of every touch, and stops the client where that is configured.
async fn tell(told: Told, mut heard: mpsc::UnboundedReceiver<Alarm>) {
    while let Some(Alarm { canary, principal, session }) = heard.recv().await {
        let suspended =
            told.suspends.then(|| Button::open(&told.state).and_then(|button| button.suspend(&Thing::Client(principal.to_string()))));
        if let Some(Err(error)) = &suspended {
            tracing::error!(%error, %principal, "a client that touched a canary could not be suspended");
        }
        tracing::error!(%canary, %principal, %session, "a canary was touched: the session is stopped");
        let members = [
            ("canary", Json::string(&canary)),
            ("principal", Json::string(&principal)),
            ("session", Json::string(&session)),
            ("suspended", Json::of(&matches!(suspended, Some(Ok(_))))),
        ];
        told.journal.note(&Json::object([("event", Json::string("canary"))].into_iter().chain(members.clone())));
        told.hook.iter().for_each(|hook| hook.post("canary.touched", &Json::object(members.clone())));
    }
}
