//! Shadowing: no name that a model or a person takes for another.
//!
//! Threat: a server offers `read_fi1e`, or `read_file` with a Cyrillic letter, beside another
//! server's `read_file`, and is called in its place (Unicode TR39; tool shadowing). Of two names that
//! look alike the stranger one is refused (not ASCII, mixed scripts, characters that do not show),
//! and both when neither is, because nobody knows which one was meant. Names that are equal, or
//! differ in case and separators only, are honest on two servers, where the prefix tells them apart;
//! on one server they are refused. `bartizan approve` refuses the same names, so that only a lock file
//! made by other means holds them. The comparison is made once per lock file.

use std::sync::Arc;

use crate::case::{Caller, Case, Item};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "A tool or prompt whose name is mistaken for another's.";

reasons! {
    LOOKALIKE = "shadow.lookalike", Class::Denied,
        "The name of this can be mistaken for another. A person must decide which of the two stays.",
        "The name has characters that do not show, mixes scripts, looks like another approved name, or begins like another server's names.",
        "Remove the one that is not wanted from `bartizan.lock`; the journal names both. If both are honest, rename one at its server.";
}

/// No settings.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Shadow, toml::de::Error> {
    Ok(Shadow)
}

/// The control.
#[derive(Debug)]
pub struct Shadow;

fn judge(item: Option<&Item>) -> Judged {
    let Some((item, why)) = item.and_then(|item| item.shadow.as_ref().map(|why: &Arc<str>| (item, why))) else {
        return Ok(Verdict::Pass);
    };
    Ok(Verdict::Deny(Refusal::new(LOOKALIKE, format!("{}/{}: {why}", item.server, item.pin.name))))
}

impl Control for Shadow {
    fn on_call(&self, case: &Case) -> Judged {
        judge(case.item())
    }

    fn on_list(&self, _caller: &Caller, item: &Item) -> Judged {
        judge(Some(item))
    }
}
