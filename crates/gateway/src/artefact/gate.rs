//! Through which every server goes before it starts.

use std::sync::Arc;

use bartizan_monitor::lock::artefact::Artefact;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{ARTEFACT_CHANGED, ARTEFACT_UNKNOWN};

use super::plan::Plan;
use super::{Ready, permit, refusal};
use crate::config::ServerSettings;

/// Who says what was approved, at this moment.
pub trait Approvals: Send + Sync {
    /// What was approved of a server.
    fn of(&self, server: &str) -> Approved;
}

/// What was approved of a server.
#[derive(Debug, Clone, Default)]
pub struct Approved {
    /// Whether any definition was.
    pub definitions: bool,
    /// What it is made of.
    pub artefacts: Vec<Artefact>,
}

/// Through which a server goes before it starts.
#[derive(Clone)]
pub enum Gate {
    /// Somebody reviews it: it starts if it is what was shown.
    Shown(Arc<[Artefact]>),
    /// It is used: it starts if it is what was approved.
    Locked(Arc<dyn Approvals>),
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shown(_) => "Gate::Shown",
            Self::Locked(_) => "Gate::Locked",
        })
    }
}

/// What approval says about starting.
enum Expected {
    Exactly(Vec<Artefact>),
    Anything,
}

impl Expected {
    fn artefacts(&self) -> &[Artefact] {
        match self {
            Self::Exactly(artefacts) => artefacts,
            Self::Anything => &[],
        }
    }
}

impl Gate {
    /// Fetches what is missing, so that it does not count as the time that a server takes to start.
    pub async fn prepare(&self, settings: &Arc<ServerSettings>) -> Result<(), Refusal> {
        permit(settings)?;
        let Some(plan) = Plan::of(settings).await? else { return Ok(()) };
        let expected = self.expected(&plan)?;
        plan.fetch(expected.artefacts()).await
    }

    /// Looks at what a server is made of, and lets it start if that is what it should be.
    pub async fn pass(&self, settings: &Arc<ServerSettings>) -> Result<Ready, Refusal> {
        let Some(plan) = Plan::of(settings).await? else { return Ok(Ready::default()) };
        let expected = self.expected(&plan)?;
        let ready = plan.ready(expected.artefacts()).await?;
        match expected {
            Expected::Exactly(expected) if expected != ready.artefacts => {
                let what = expected
                    .iter()
                    .zip(&ready.artefacts)
                    .find(|(old, new)| old != new)
                    .map_or_else(String::new, |(old, new)| told(old, new));
                let detail = format!("it is not made of what was approved{what}; see: bartizan diff {}", settings.name);
                Err(refusal(ARTEFACT_CHANGED, settings, &detail))
            }
            Expected::Exactly(_) | Expected::Anything => {
                if !ready.left_out.is_empty() {
                    tracing::warn!(
                        packages = %ready.left_out.join(", "),
                        "install scripts were not run; if the server does not work without them, install it yourself and start it by its path, or accept the risk with `dangerous.allow_scripts`"
                    );
                }
                Ok(ready)
            }
        }
    }

    fn expected(&self, plan: &Plan) -> Result<Expected, Refusal> {
        let approved = match self {
            Self::Shown(shown) => return Ok(Expected::Exactly(shown.to_vec())),
            Self::Locked(approvals) => approvals.of(&plan.settings.name),
        };
        // What floats is accepted as dangerous, and still nobody starts what nobody has looked at.
        if plan.floats() && approved.definitions {
            return Ok(Expected::Anything);
        }
        if !plan.floats() && !approved.artefacts.is_empty() {
            return Ok(Expected::Exactly(approved.artefacts));
        }
        let name = &plan.settings.name;
        Err(refusal(ARTEFACT_UNKNOWN, &plan.settings, &format!("nobody has approved what it is made of; run: bartizan approve {name}")))
    }
}

fn told(old: &Artefact, new: &Artefact) -> String {
    if (old.source, &old.name) != (new.source, &new.name) {
        return format!(": {} {} instead of {} {}", new.source.name(), new.name, old.source.name(), old.name);
    }
    if old.version != new.version {
        return format!(": {} {} instead of {}", new.name, new.version, old.version);
    }
    let came = new.parts.iter().find(|part| !old.parts.contains(part)).map_or_else(String::new, |part| format!(" (now with {part})"));
    format!(": {} {} has other content{came}", new.name, new.version)
}
