//! A look at what a server offers, for a person to review: connect, list, leave.

use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::catalog::Offer;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::stages::Recorded;
use bartizan_monitor::wire::envelope::Message;
use bartizan_monitor::wire::json::Json;
use bartizan_monitor::wire::version::Version;

use super::{Capabilities, Confined, Hello, Holder, Link, Listener, Pulse, Server};
use crate::secrets::Speaker;

/// What a server says when nobody uses it.
#[derive(Debug)]
pub struct Surveyed {
    /// Everything that it offers.
    pub offer: Arc<Offer>,
    /// What it says of itself.
    pub hello: Json,
    /// The version that it was spoken to in.
    pub version: Version,
    /// How it was confined, when it was started here.
    pub confined: Option<Arc<Confined>>,
}

/// Connects to a server, reads all its lists, and leaves.
pub async fn survey(server: &Arc<Server>) -> Result<Surveyed, Refusal> {
    let listener: Arc<dyn Listener> = Arc::new(Deaf);
    let legacy = Hello::Legacy(Version::NEWEST_LEGACY, Capabilities::all());
    let holder = Holder { principal: "review".into(), speaker: Speaker::Gateway };
    let link = match Link::open(server, &Hello::Modern, listener.clone(), &holder).await {
        Ok(link) => link,
        // Whatever the reason was: the older way is tried before giving up.
        Err(_) => Link::open(server, &legacy, listener, &holder).await?,
    };
    let offer = link.offer(Duration::ZERO).await;
    let surveyed = offer.map(|offer| Surveyed { offer, hello: link.hello().clone(), version: link.version(), confined: server.confined() });
    link.end().await;
    surveyed
}

/// Nobody is there to hear what a server says of its own accord, or to do what it asks.
struct Deaf;

impl Listener for Deaf {
    fn hear(&self, link: &Arc<Link>, _: Option<&Recorded>, message: Message) {
        if let Message::Request { id, .. } = message {
            link.refuse_soon(&id, "this is a review: nobody is at the client");
        }
    }
    fn stray(&self, link: &Link, refusal: &Refusal) {
        tracing::warn!(server = %link.server().name(), reason = %refusal.reason, detail = %refusal.detail, "a server's message was dropped");
    }
    fn pulse(&self, _: Pulse) {}
}
