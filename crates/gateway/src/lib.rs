//! Bartizan's gateway: it *acts* — sockets, processes, files, time — and decides nothing.
//!
//! Start at [`serve::handle`]: the life of a call in ten steps.

pub mod artefact;
pub mod canary;
pub mod clock;
pub mod config;
pub mod consult;
pub mod counts;
pub mod drift;
pub mod front;
pub mod identity;
pub mod journal;
pub mod judges;
pub mod kept;
pub mod labels;
mod lanes;
pub mod learn;
pub mod leases;
pub mod metrics;
pub mod once;
pub mod review;
pub mod secrets;
pub mod serve;
pub mod session;
pub mod share;
pub mod snapshot;
pub mod stops;
pub mod tls;
pub mod traces;
pub mod upstream;
pub mod webhook;
