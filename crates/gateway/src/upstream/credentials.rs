//! What a server is shown: its environment when it is started, headers with every request. Resolved when it is
//! needed, so that a secret that was replaced is used from the next request or the next process on.

use bartizan_monitor::case::Effect;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{SECRET_MISSING, SECRET_REFUSED};
use bartizan_monitor::stages::Recorded;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::Server;
use crate::config::{Access, Headers, How, Template};
use crate::secrets::{Filled, Speaker};

/// What a request is about, as far as credentials depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// A tool, and what it can do.
    Tool(&'a str, Effect),
    /// Anything else.
    Other,
}

impl<'a> Purpose<'a> {
    /// What a recorded call is about.
    pub(super) fn of(recorded: Option<&'a Recorded>) -> Self {
        match recorded.and_then(|recorded| recorded.case().tool()) {
            Some(tool) => Self::Tool(&tool.pin.name, tool.pin.effect),
            None => Self::Other,
        }
    }
}

/// The environment of a process, each variable's value resolved.
pub(super) type Environment = Vec<(String, Filled)>;

impl Server {
    /// Whether all that the server needs to be shown can be had now. The refusal names what cannot.
    pub async fn is_supplied(&self) -> Result<(), Refusal> {
        for (place, template) in self.settings.templates() {
            self.value(&place, template).await?;
        }
        Ok(())
    }

    async fn value(&self, place: &str, template: &Template) -> Result<Filled, Refusal> {
        Box::pin(self.keeper.fill(template, &self.blinds)).await.map_err(|mut refusal| {
            refusal.detail = format!("{}: {place}: {}", self.name(), refusal.detail);
            refusal
        })
    }

    /// The variables of its own that it is started with.
    pub(super) async fn environment(&self) -> Result<Environment, Refusal> {
        let How::Stdio { env, .. } = &self.settings.how else { return Ok(Vec::new()) };
        let mut environment = Vec::new();
        for (name, template) in env {
            let value = self.value(&format!("env.{name}"), template).await?;
            if value.expose().contains('\0') {
                let detail = format!("{}: env.{name}: a variable cannot hold a NUL character", self.name());
                return Err(Refusal::new(SECRET_MISSING, detail));
            }
            environment.push((name.clone(), value));
        }
        Ok(environment)
    }

    /// Whether a process that was started with this environment would be started with the same one now. A secret that
    /// cannot be had at the moment is no reason to end what runs.
    pub(super) async fn still_is(&self, started: &Environment) -> bool {
        let How::Stdio { env, .. } = &self.settings.how else { return true };
        if env.iter().all(|(_, template)| template.references().next().is_none()) {
            return true;
        }
        let same = |now: Environment| now.iter().map(|(_, value)| value.expose()).eq(started.iter().map(|(_, value)| value.expose()));
        self.environment().await.map_or(true, same)
    }

    /// The headers of a request: those of the tool over those of its effect over those of the server, over an access
    /// token that is asked for.
    pub(super) async fn headers(&self, purpose: Purpose<'_>, speaker: &Speaker) -> Result<HeaderMap, Refusal> {
        let How::Http { access, .. } = &self.settings.how else { return Err(self.unreachable("it has no URL")) };
        let mut headers = HeaderMap::new();
        let (effect, tool) = match purpose {
            Purpose::Tool(name, effect) => (access.effects.get(&effect), access.tools.get(name)),
            Purpose::Other => (None, None),
        };
        let parts: Vec<&Headers> = [Some(&access.headers), effect, tool].into_iter().flatten().collect();
        let authorized = parts.iter().any(|part| part.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")));
        if !authorized {
            self.authorize(access, speaker, &mut headers).await?;
        }
        for (name, template) in parts.into_iter().flatten() {
            let value = self.value(&format!("headers.{name}"), template).await?;
            let invalid = |what: &str| Refusal::new(SECRET_MISSING, format!("{}: headers.{name}: {what}", self.name()));
            let mut value = HeaderValue::try_from(value.expose())
                .map_err(|_| invalid("the value has characters that no header may have, such as a line feed"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(name).map_err(|_| invalid("this is not a header's name"))?, value);
        }
        Ok(headers)
    }

    async fn authorize(&self, access: &Access, speaker: &Speaker, headers: &mut HeaderMap) -> Result<(), Refusal> {
        let Some(login) = &access.login else { return Ok(()) };
        let token = self.logins.token((&self.keeper, &self.blinds), login, self.name(), speaker).await;
        let token = token.map_err(|mut refusal| {
            refusal.detail = format!("{}: oauth: {}", self.name(), refusal.detail);
            refusal
        })?;
        let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
        let mut value = HeaderValue::try_from(bearer.as_str()).map_err(|_| self.unreachable("its access token cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// The server said 401: what it was shown is fetched anew for the next request. This one is not repeated, because
    /// what it did is not known.
    pub(super) fn refused(&self, speaker: &Speaker) -> Refusal {
        self.settings.templates().for_each(|(_, template)| self.keeper.doubt(template));
        self.logins.doubt(self.name(), speaker);
        Refusal::new(SECRET_REFUSED, format!("{}: HTTP 401", self.name()))
    }
}
