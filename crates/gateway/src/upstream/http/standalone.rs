//! The standalone stream of a legacy session: what a server says outside of calls.

use std::sync::{Arc, Weak};

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::UNSOLICITED;
use bartizan_monitor::wire::envelope::{self, Message};
use bartizan_monitor::wire::version::Version;
use bytes::Bytes;

use super::stream::{MAX_RETRY, RETRY, Stream};
use crate::upstream::{Link, Pipe};

/// Hears it until the server has no such stream, or nobody needs the link any more.
pub(super) async fn listen(link: Weak<Link>) {
    let mut last = None;
    let mut retry = RETRY;
    loop {
        let Some(strong) = link.upgrade().filter(|link| link.is_alive()) else { return };
        let Pipe::Http(pipe) = &strong.pipe else { return };
        let (server, version) = (pipe.server.clone(), strong.version());
        // In a place of its own, which is given back: hundreds of sessions hear nothing for hours.
        match Box::pin(pipe.get(last.as_deref(), version)).await {
            Ok(response) if response.status().is_success() => {
                // The link must be able to end while its stream is idle.
                drop(strong);
                let mut stream = Stream::new(response, server.message_bytes);
                while let Ok(Some(event)) = stream.next(&server).await {
                    let Some(link) = link.upgrade().filter(|link| link.is_alive()) else { return };
                    if !event.data.is_empty() {
                        hear(&link, event.data, version);
                    }
                }
                last = stream.last.take().or(last);
                retry = stream.retry;
            }
            // No such stream here (405), or none any more: what the server says comes with answers only.
            Ok(_) => return,
            Err(_) => retry = retry.saturating_mul(2).min(MAX_RETRY),
        }
        tokio::time::sleep(retry).await;
    }
}

fn hear(link: &Arc<Link>, data: Bytes, version: Version) {
    match envelope::parse_server(data, version) {
        Ok(messages) => {
            for message in messages {
                match message {
                    Message::Response { .. } => {
                        link.listener.stray(link, &Refusal::new(UNSOLICITED, "a response on the standalone stream"))
                    }
                    other if link.admits(&other) => link.listener.hear(link, None, other),
                    _ => {}
                }
            }
        }
        Err(refusal) => link.listener.stray(link, &refusal),
    }
}
