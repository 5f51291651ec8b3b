//! Stronger authentication: who a caller would be after it, and how it is asked for.

use bartizan_rules::Steps;

use crate::case::Strength;
use crate::wire::json::Json;

/// How a caller would be recognised who did all of it just now.
pub(super) fn taken(steps: &Steps, from: &Strength, now_ms: u64) -> Strength {
    Strength {
        certificate: from.certificate.clone().or_else(|| steps.certificate.then(|| "any".into())),
        second_factor: from.second_factor || steps.second_factor,
        logged_in_ms: if steps.needs_login() { Some(now_ms) } else { from.logged_in_ms },
    }
}

/// What a challenge says (RFC 9470, section 3).
pub(super) fn challenge(steps: &Steps) -> Json {
    let acr = steps.acr.iter().cloned().collect::<Vec<_>>().join(" ");
    let acr = (!acr.is_empty()).then(|| ("acr_values", Json::string(&acr)));
    Json::object(acr.into_iter().chain(steps.fresh_login.map(|seconds| ("max_age", Json::number(seconds)))))
}
