//! Where what was done is remembered: by this gateway, or by several together.

use std::sync::Arc;

use bartizan_monitor::case::{Deed, Deeds};
use bartizan_monitor::controls::once::STORE;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::MONITOR_JOURNAL;

use super::shared::Shared;
use super::{Record, Turn};
use crate::config::Settings;
use crate::journal::Journal;

/// Where what was done is remembered.
#[derive(Debug, Clone)]
pub enum Store {
    /// In this process, and in files of the state directory.
    Own(Arc<Record>),
    /// In a database that other gateways use, too.
    Shared(Arc<Shared>),
}

impl Store {
    /// As it is configured. Nobody is asked yet.
    #[must_use]
    pub fn of(settings: &Settings, journal: &Arc<Journal>) -> Self {
        let rules = settings.effects.once;
        match &settings.postgres {
            None => Self::Own(Record::open(&settings.places.state, rules)),
            Some(postgres) => Self::Shared(Shared::new(postgres.clone(), rules, journal.clone())),
        }
    }

    /// Asks the database for the first time. The error is one that does not pass by itself.
    pub async fn begin(&self) -> Result<(), String> {
        match self {
            Self::Own(_) => Ok(()),
            Self::Shared(shared) => shared.begin().await,
        }
    }

    /// Who is asked by the control `once`.
    #[must_use]
    pub fn deeds(&self) -> Arc<dyn Deeds> {
        match self {
            Self::Own(record) => record.clone(),
            Self::Shared(shared) => shared.clone(),
        }
    }

    /// Whether a call that changes something has to wait for its turn.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        match self {
            Self::Own(record) => record.is_busy(),
            Self::Shared(_) => true,
        }
    }

    /// Waits until no call of this key runs, and it is this one's turn; no longer than configured.
    pub async fn turn(&self, deed: &Deed) -> Turn {
        match self {
            Self::Own(record) => record.turn(deed.key).await,
            Self::Shared(shared) => shared.turn(deed).await,
        }
    }

    /// Has it written down that a claimed call leaves. Nothing leaves before.
    pub async fn recorded(&self, call: u64) -> Result<(), Refusal> {
        match self {
            Self::Own(record) => record.recorded(call).await.map_err(|error| Refusal::new(MONITOR_JOURNAL, error)),
            Self::Shared(shared) => shared.recorded(call).await.map_err(|error| Refusal::new(STORE, error)),
        }
    }

    /// Looks after it, until the gateway ends.
    pub async fn keep(&self) {
        match self {
            Self::Own(record) => record.keep().await,
            Self::Shared(shared) => shared.keep().await,
        }
    }

    /// No call runs any more: what is still to be told is told.
    pub async fn finish(&self) {
        match self {
            // Its lines are in the file when a call ends.
            Self::Own(_) => {}
            Self::Shared(shared) => shared.finish().await,
        }
    }
}
