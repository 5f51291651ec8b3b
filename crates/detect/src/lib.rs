//! Bartizan's detectors: they *notice*. Text goes in, findings come out.
//!
//! A detector decides nothing: it sees no `Case`, does no I/O, has no clock and no `unsafe`, and knows
//! none of our other crates, so that the monitor and the gateway may both ask it. What a finding leads
//! to is for whoever asked.

pub mod asks;
mod decode;
mod definition;
mod finding;
mod fold;
mod garble;
mod guise;
mod hidden;
pub mod learned;
mod markup;
pub mod names;
mod neutral;
mod orders;
pub mod pii;
mod result;
pub mod secrets;
mod sift;
mod split;
mod text;
pub mod training;
mod vocabulary;
mod words;

pub use definition::{Facts, Names, Role, Text, scan};
pub use finding::{Class, Finding, Weight, inert, inert_place};
pub use hidden::Setting;
pub use neutral::{neutralise, visible};
pub use result::{Findings, Options, Spotted, scan_result};
pub use split::scan_together;

/// Reads what the detectors know. Whoever does not call this has the first text wait for it, some milliseconds.
pub fn prepare() {
    vocabulary::vocabulary();
    asks::prepare();
    std::sync::LazyLock::force(&learned::MODEL);
}

/// Everything that is noticed about one text outside a definition, such as what a tool returned.
#[must_use]
pub fn scan_text(text: &str, setting: Setting) -> Vec<Finding> {
    text::judge(text, "", setting).findings
}
