//! Events for a program of the operator's: posted to one address, signed, in order, never in the way
//! of a call.
//!
//! Signed as Standard Webhooks 1.0 says: `webhook-id`, `webhook-timestamp`, and in `webhook-signature`
//! `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bartizan_monitor::wire::json::Json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc;
use url::Url;

use crate::clock;
use crate::config::{Network, Webhook};
use crate::identity::random_id;
use crate::upstream::Fetcher;

/// How many events may wait. More are dropped, and said to be in the log.
const QUEUE: usize = 1024;
/// How long to wait before the next try. After the last the event is given up.
const PAUSES: [Duration; 4] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// Takes events.
#[derive(Debug, Clone)]
pub struct Hook {
    events: mpsc::Sender<Event>,
}

#[derive(Debug)]
struct Event {
    body: Json,
}

/// Where events go.
#[derive(Debug)]
enum Target {
    /// To a program that looks at signatures.
    Signed(Arc<Webhook>),
    /// To an address that is a secret itself, as chat services give them out.
    Secret(Url),
}

impl Target {
    fn url(&self) -> &Url {
        match self {
            Self::Signed(webhook) => &webhook.url,
            Self::Secret(url) => url,
        }
    }

    /// The headers of a delivery at this time: receivers refuse what was signed minutes ago. The event says when it was.
    fn headers(&self, id: &str, event: &Event) -> Vec<(&'static str, String)> {
        match self {
            Self::Signed(webhook) => signed(webhook.secret.expose(), id, clock::now_ms() / 1000, event.body.bytes()).into(),
            Self::Secret(_) => Vec::new(),
        }
    }

    /// What is wrong, without what is secret.
    fn told(&self, error: &str) -> String {
        match self {
            Self::Signed(_) => error.to_owned(),
            Self::Secret(url) => error.replace(url.as_str(), "the address of the channel"),
        }
    }
}

impl Hook {
    /// Starts to deliver to an address. Ends when nobody has events any more.
    #[must_use]
    pub fn start(settings: Arc<Webhook>) -> Self {
        Self::to(Target::Signed(settings))
    }

    /// The same to an address that is a secret itself; nothing is signed.
    #[must_use]
    pub fn start_unsigned(url: Url) -> Self {
        Self::to(Target::Secret(url))
    }

    fn to(target: Target) -> Self {
        let (events, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(deliver(target, waiting));
        Self { events }
    }

    /// Takes an event. It holds names and digests, never text that a server wrote beyond them.
    pub fn post(&self, kind: &str, data: &Json) {
        let at_ms = clock::now_ms();
        let body = Json::object([("type", Json::string(kind)), ("timestamp", Json::string(&clock::utc(at_ms))), ("data", data.clone())]);
        self.post_as_it_is(body);
    }

    /// Takes a message that its receiver understands.
    pub fn post_as_it_is(&self, body: Json) {
        if self.events.try_send(Event { body }).is_err() {
            tracing::error!("an event for a webhook is dropped: too many wait");
        }
    }
}

async fn deliver(target: Target, mut waiting: mpsc::Receiver<Event>) {
    let fetcher = Fetcher::default();
    while let Some(event) = waiting.recv().await {
        let Some(id) = random_id() else {
            tracing::error!("an event for the webhook is dropped: the system gives no random numbers");
            continue;
        };
        for pause in PAUSES.iter().map(Some).chain([None]) {
            let headers = target.headers(&id, &event);
            let delivered = fetcher.deliver(target.url(), Network::Any, &headers, event.body.bytes().clone()).await;
            match (delivered.map_err(|error| target.told(&error)), pause) {
                (Ok(()), _) => break,
                (Err(error), Some(pause)) => {
                    tracing::warn!(%error, "the webhook does not take an event; it is tried again");
                    tokio::time::sleep(*pause).await;
                }
                (Err(error), None) => tracing::error!(%error, "the webhook does not take an event; it is given up"),
            }
        }
    }
}

/// The headers of a delivery.
fn signed(secret: &str, id: &str, seconds: u64, body: &[u8]) -> [(&'static str, String); 3] {
    // Secrets that such services make begin with `whsec_` and are base64; any other text is used as it is.
    let key = secret.strip_prefix("whsec_").and_then(|rest| STANDARD.decode(rest).ok()).unwrap_or_else(|| secret.as_bytes().to_vec());
    let content = [id.as_bytes(), b".", seconds.to_string().as_bytes(), b".", body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &content);
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(tag.as_ref()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let body = br#"{"test": 2432232314}"#;
        let headers = signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
