//! How a link comes about: the introduction, in either era.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::UPSTREAM_INVALID;
use bartizan_monitor::wire::envelope::Outcome;
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::version::{Era, Version};

use super::circuit::Trying;
use super::desk::Desk;
use super::server::NO;
use super::{Capabilities, Hello, Holder, Link, Listener, Pipe, Probe, Server, http, patience, shelf, stdio};
use crate::config::How;

impl Link {
    /// Opens a link for `holder`, a principal: starts or reaches the server and introduces the gateway.
    pub async fn open(server: &Arc<Server>, hello: &Hello, listener: Arc<dyn Listener>, holder: &Holder) -> Result<Arc<Self>, Refusal> {
        server.gate.prepare(&server.settings).await?;
        let attempt = server.attempt(&holder.principal, Trying::Opening)?;
        let limit = server.settings.start_timeout;
        let opened = tokio::time::timeout(limit, Self::introduce(server, hello, listener, holder)).await;
        let opened =
            opened.unwrap_or_else(|_| Err(server.unreachable(format_args!("no answer to the introduction within {} s", limit.as_secs()))));
        attempt.ended(opened.as_ref().err());
        opened.inspect(|link| server.linked(link))
    }

    async fn introduce(server: &Arc<Server>, hello: &Hello, listener: Arc<dyn Listener>, holder: &Holder) -> Result<Arc<Self>, Refusal> {
        if matches!(hello, Hello::Modern) && server.modern.load(Ordering::Relaxed) == NO {
            return Err(server.legacy_only());
        }
        if let (Hello::Legacy(..), Some((pipe, desk))) = (hello, server.spare())
            && pipe.is_current().await
        {
            // Some servers take a discovery for a decision and speak nothing else from then on: then
            // a fresh process is started below.
            if let Ok(link) = Self::greet(Self::draft(server, hello, pipe, desk, listener.clone()), hello).await {
                return Ok(link);
            }
        }
        let desk = Arc::new(Desk::default());
        let pipe = match &server.settings.how {
            How::Stdio { .. } => Pipe::Stdio(stdio::Pipe::start(server, &desk, Self::newest(hello), &holder.principal).await?),
            How::Http { .. } => Pipe::Http(http::Pipe::new(server, hello.era(), holder.speaker.clone())),
        };
        Self::greet(Self::draft(server, hello, pipe, desk, listener), hello).await
    }

    fn draft(server: &Arc<Server>, hello: &Hello, pipe: Pipe, desk: Arc<Desk>, listener: Arc<dyn Listener>) -> Self {
        if let Pipe::Stdio(pipe) = &pipe {
            pipe.speak(Self::newest(hello));
        }
        Self {
            server: server.clone(),
            era: hello.era(),
            version: Self::newest(hello),
            pipe,
            desk,
            hello: Json::null(),
            shelf: shelf::Shelf::default(),
            listener,
            patience: patience::Patience::default(),
        }
    }

    async fn greet(mut link: Self, hello: &Hello) -> Result<Arc<Self>, Refusal> {
        match hello {
            Hello::Modern => {
                let Some(discovered) = link.discover().await? else {
                    let refusal = link.server.legacy_only();
                    link.set_aside();
                    return Err(refusal);
                };
                link.hello = discovered;
            }
            Hello::Legacy(version, capabilities) => link.initialize(*version, capabilities).await?,
        }
        let link = Arc::new(link);
        link.desk.attend(&link);
        if let Pipe::Http(pipe) = &link.pipe {
            pipe.listen(&link);
        }
        Ok(link)
    }

    const fn newest(hello: &Hello) -> Version {
        match hello {
            Hello::Legacy(version, _) => *version,
            Hello::Modern => Version::NEWEST,
        }
    }

    /// What the server says of itself in the modern era; nothing when it does not speak it.
    async fn discover(&self) -> Result<Option<Json>, Refusal> {
        let answer = self.ask(&Probe::Discover, self.later()).await;
        match answer {
            Ok(Outcome::Result(result)) if supports(result.view(), Version::NEWEST) => Ok(Some(result)),
            Ok(_) => Ok(None),
            // An answer that is not understood (a web page, an empty 404) is not the modern era; no answer
            // says nothing about eras.
            Err(refusal) if refusal.reason == UPSTREAM_INVALID => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// A deadline that never comes: that of the whole opening is sooner, and says what did not happen.
    fn later(&self) -> Duration {
        self.server.settings.start_timeout.saturating_mul(2)
    }

    /// Keeps a process that does not speak the modern era for whoever speaks the legacy one.
    fn set_aside(self) {
        self.server.modern.store(NO, Ordering::Relaxed);
        if matches!(self.pipe, Pipe::Stdio(_)) && self.is_alive() {
            *self.server.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.pipe, self.desk));
        }
    }

    async fn initialize(&mut self, version: Version, capabilities: &Capabilities) -> Result<(), Refusal> {
        let probe = Probe::Initialize { version, capabilities: capabilities.clone() };
        let result = match self.ask(&probe, self.later()).await? {
            Outcome::Result(result) => result,
            Outcome::Error(error) => {
                // Covered before it is cut: half a secret is not recognised.
                let said: String = self.server.blinds.cover(message_of(&error)).chars().take(200).collect();
                return Err(self.server.invalid(format_args!("initialize was refused: {said}")));
            }
        };
        let named = result.view().get("protocolVersion").and_then(View::as_str).unwrap_or_default();
        self.version = Version::read(&named)
            .filter(|version| version.era() == Era::Legacy)
            .ok_or_else(|| self.server.invalid("initialize was answered with a version that is not spoken here"))?;
        if let Pipe::Stdio(pipe) = &self.pipe {
            pipe.speak(self.version);
        }
        self.hello = result;
        self.tell(&Probe::Initialized).await
    }
}

fn supports(discovered: View<'_>, version: Version) -> bool {
    let versions = discovered.get("supportedVersions");
    versions.is_some_and(|versions| versions.items().any(|item| item.as_str().as_deref() == Some(version.name())))
}

fn message_of(error: &Json) -> String {
    error.view().get("message").and_then(View::as_str).unwrap_or_default().into_owned()
}
