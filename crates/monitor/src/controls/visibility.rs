//! Visibility: a credential that is not good for a server does not see it.
//!
//! Threat: a leaked or lent credential that opens everything. What is hidden is answered like what
//! does not exist, so that asking teaches nothing.

use crate::case::{Caller, Case, Event, Item};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::envelope::Message;
use crate::wire::json::Json;

/// The threat, in one sentence.
pub const THREAT: &str = "A credential that opens more servers than it was made for.";

reasons! {
    HIDDEN = "visibility.hidden", Class::Unknown,
        "There is nothing of this name.",
        "The caller's credential is not good for the server. To the caller it looks like a name that does not exist.",
        "`bartizan token list` shows what a credential is good for; issue another with `--server NAME`.";
}

/// No settings: a credential carries its own limits.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Visibility, toml::de::Error> {
    Ok(Visibility)
}

/// The control.
#[derive(Debug)]
pub struct Visibility;

fn judge(caller: &Caller, server: Option<&str>) -> Judged {
    Ok(match server.filter(|server| !caller.may_see(server)) {
        None => Verdict::Pass,
        Some(server) => Verdict::Deny(Refusal::new(HIDDEN, format!("{} may not see {server}", caller.principal()))),
    })
}

fn uri(case: &Case) -> Option<Json> {
    let Message::Request { params: Some(params), .. } = case.message() else { return None };
    params.get("uri")
}

impl Control for Visibility {
    fn on_call(&self, case: &Case) -> Judged {
        let verdict = judge(case.caller(), case.server().map(|server| &**server))?;
        Ok(match (verdict, uri(case)) {
            // A resource that does not exist is named in the error, so a hidden one is named, too.
            (Verdict::Deny(refusal), Some(uri)) => Verdict::Deny(refusal.echo("uri", uri)),
            (verdict, _) => verdict,
        })
    }

    fn on_list(&self, caller: &Caller, item: &Item) -> Judged {
        judge(caller, Some(&item.server))
    }

    fn on_event(&self, event: &Event) -> Judged {
        judge(&event.caller, Some(&event.server))
    }
}
