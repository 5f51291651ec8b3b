//! Rules of the policy: read, validated, and laid out so that a question meets only those that can answer it.
//!
//! A rule says what it looks at and what would satisfy it. Who asks what, and when, is not known here: the monitor asks.

mod rules;
mod scan;
mod sieve;
mod step;

pub use rules::{ACTIONS, DEFAULT, MAX_RULES, Rule, Rules, SCHEMA, Shelf, Source, uid};
pub use scan::{Uses, conjuncts};
pub use sieve::{Arguments, Held, Sieve};
pub use step::Steps;
