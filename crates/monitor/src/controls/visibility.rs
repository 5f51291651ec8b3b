//! Visibility: a credential that is not good for a server, or for what a tool does, does not see it.
//!
//! Threat: a leaked or lent credential that opens everything. What is hidden is answered like what
//! does not exist, so that asking teaches nothing.

use crate::case::{Caller, Case, Event, Item};
use crate::control::{Control, Judged, Verdict};
use crate::reason::gateway::IDENTITY_SCOPE;
use crate::reason::{Class, Refusal, reasons};
use crate::wire::json::Json;

/// The threat, in one sentence.
pub const THREAT: &str = "A credential that opens more than it was made for.";

reasons! {
    HIDDEN = "visibility.hidden", Class::Unknown,
        "There is nothing of this name.",
        "The caller's credential is not good for the server, or not for tools with this effect. To the caller it looks like a name that does not exist.",
        "`bartizan token list` shows what a credential is good for; issue another with `--server NAME` or `--effect CLASS`.";
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

fn judge_item(caller: &Caller, item: &Item) -> Judged {
    if caller.may_use(item) || !caller.may_see(&item.server) {
        return judge(caller, Some(&item.server));
    }
    let detail = format!("{} may not use {}/{}, which is {}", caller.principal(), item.server, item.pin.name, item.pin.effect);
    Ok(Verdict::Deny(match caller.step_up(&item.server, item.pin.effect) {
        Some(scopes) => Refusal::new(IDENTITY_SCOPE, detail).echo("scope", Json::string(scopes)),
        None => Refusal::new(HIDDEN, detail),
    }))
}

impl Control for Visibility {
    fn on_call(&self, case: &Case) -> Judged {
        let verdict = match case.item() {
            Some(item) => judge_item(case.caller(), item)?,
            None => judge(case.caller(), case.server().map(|server| &**server))?,
        };
        Ok(match (verdict, case.uri()) {
            // A resource that does not exist is named in the error, so a hidden one is named, too.
            (Verdict::Deny(refusal), Some(uri)) if refusal.reason == HIDDEN => Verdict::Deny(refusal.echo("uri", uri)),
            (verdict, _) => verdict,
        })
    }

    fn on_list(&self, caller: &Caller, item: &Item) -> Judged {
        // What the caller's issuer could allow is listed: nobody asks for more rights to something unseen.
        if caller.may_see(&item.server) && caller.step_up(&item.server, item.pin.effect).is_some() {
            return Ok(Verdict::Pass);
        }
        judge_item(caller, item)
    }

    fn on_event(&self, event: &Event) -> Judged {
        judge(&event.caller, Some(&event.server))
    }
}
