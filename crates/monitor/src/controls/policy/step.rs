//! Stronger authentication: which of it would satisfy a rule, as the rule's author says.

use std::collections::BTreeSet;

use cedar_policy::Policy;

use crate::case::Strength;
use crate::wire::json::Json;

/// What a rule asks of the way in which a caller was recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    certificate: bool,
    second_factor: bool,
    /// How long ago the login may be, in seconds.
    fresh_login: Option<u64>,
    /// Names of the authentication that an issuer knows (OpenID Connect Core, `acr_values`).
    acr: BTreeSet<String>,
}

impl Steps {
    /// Reads `@stepup("mtls, second-factor, fresh-login 900")` and `@acr("NAME")`.
    pub(super) fn read(policy: &Policy) -> Result<Self, &'static str> {
        let mut steps = Self::default();
        for word in policy.annotation("stepup").into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            let seconds = word.strip_prefix("fresh-login ").and_then(|seconds| seconds.trim().parse().ok());
            match (word, seconds) {
                ("mtls", _) => steps.certificate = true,
                ("second-factor", _) => steps.second_factor = true,
                (_, Some(seconds)) => steps.fresh_login = Some(seconds),
                _ => return Err("a @stepup is a list of \"mtls\", \"second-factor\" and \"fresh-login SECONDS\""),
            }
        }
        let acr = policy.annotation("acr").into_iter().flat_map(str::split_ascii_whitespace);
        if steps.needs_login() {
            steps.acr.extend(acr.map(str::to_owned));
        }
        if steps.acr.iter().any(|name| name.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\\'))) {
            return Err("an @acr is a name without quotation marks");
        }
        Ok(steps)
    }

    /// Both together.
    pub(super) fn add(&mut self, other: &Self) {
        self.certificate |= other.certificate;
        self.second_factor |= other.second_factor;
        self.fresh_login = [self.fresh_login, other.fresh_login].into_iter().flatten().min();
        self.acr.extend(other.acr.iter().cloned());
    }

    /// Whether nothing is asked.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an issuer can bring it about.
    pub(super) const fn needs_login(&self) -> bool {
        self.second_factor || self.fresh_login.is_some()
    }

    /// Whether only an issuer is needed.
    #[must_use]
    pub const fn is_login_alone(&self) -> bool {
        self.needs_login() && !self.certificate
    }

    /// How a caller would be recognised who did all of it just now.
    pub(super) fn taken(&self, from: &Strength, now_ms: u64) -> Strength {
        Strength {
            certificate: from.certificate.clone().or_else(|| self.certificate.then(|| "any".into())),
            second_factor: from.second_factor || self.second_factor,
            logged_in_ms: if self.needs_login() { Some(now_ms) } else { from.logged_in_ms },
        }
    }

    /// What a challenge says (RFC 9470, section 3).
    pub(super) fn challenge(&self) -> Json {
        let acr = self.acr.iter().cloned().collect::<Vec<_>>().join(" ");
        let acr = (!acr.is_empty()).then(|| ("acr_values", Json::string(&acr)));
        Json::object(acr.into_iter().chain(self.fresh_login.map(|seconds| ("max_age", Json::number(seconds)))))
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fresh = self.fresh_login.map(|seconds| format!("a login within {seconds} seconds"));
        let all = [self.certificate.then(|| "a client certificate".to_owned()), self.second_factor.then(|| "a second factor".to_owned()), fresh];
        f.write_str(&all.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}
