//! Stronger authentication: which of it would satisfy a rule, as the rule's author says.

use std::collections::BTreeSet;

use cedar_policy::Policy;

/// What a rule asks of the way in which a caller was recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// A client certificate.
    pub certificate: bool,
    /// A second factor.
    pub second_factor: bool,
    /// How long ago the login may be, in seconds.
    pub fresh_login: Option<u64>,
    /// Names of the authentication that an issuer knows (OpenID Connect Core, `acr_values`).
    pub acr: BTreeSet<String>,
}

impl Steps {
    /// Reads `@stepup("mtls, second-factor, fresh-login 900")` and `@acr("NAME")`.
    pub(crate) fn read(policy: &Policy) -> Result<Self, &'static str> {
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
    pub fn add(&mut self, other: &Self) {
        self.certificate |= other.certificate;
        self.second_factor |= other.second_factor;
        self.fresh_login = [self.fresh_login, other.fresh_login].into_iter().flatten().min();
        self.acr.extend(other.acr.iter().cloned());
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an issuer can bring it about.
    #[must_use]
    pub const fn needs_login(&self) -> bool {
        self.second_factor || self.fresh_login.is_some()
    }

    /// Whether only an issuer is needed.
    #[must_use]
    pub const fn is_login_alone(&self) -> bool {
        self.needs_login() && !self.certificate
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fresh = self.fresh_login.map(|seconds| format!("a login within {seconds} seconds"));
        let all =
            [self.certificate.then(|| "a client certificate".to_owned()), self.second_factor.then(|| "a second factor".to_owned()), fresh];
        f.write_str(&all.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}
