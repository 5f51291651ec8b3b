//! People are told that something waits: over the operator's webhook, and in a Slack channel.
//!
//! What is told is what a stranger may read: the server, the tool, what it does, who asks, how strongly somebody must be
//! known, until when, and a link. Arguments are not, because they may be secrets and personal data, and they say what a
//! model wants said; those that the operator names are, made inert. In Slack's messages every word of others is
//! `plain_text`, in which nothing is a mention, a link or markup.

use std::sync::{Mutex, PoisonError};

use bartizan_monitor::wire::json::{Json, View};

use super::desk::Card;
use super::link::Links;
use super::shown;
use crate::clock;
use crate::webhook::Hook;

/// How many messages leave in a minute. What comes after them is counted in the next one.
const MOST: u32 = 20;
const MINUTE_MS: u64 = 60_000;
/// How much of a name or a value is told.
const MAX_VALUE: usize = 80;

/// Who is told, and how.
#[derive(Debug)]
pub(super) struct Notices {
    /// Where the page is. Ends with a slash.
    pub(super) address: String,
    pub(super) links: Links,
    /// The operator's own program, which gets signed events.
    pub(super) hook: Option<Hook>,
    /// A Slack channel, or what takes the same messages.
    pub(super) slack: Option<Hook>,
    /// The arguments that may be told.
    pub(super) arguments: Vec<String>,
    pub(super) pace: Mutex<Pace>,
}

/// How many were told in this minute, and how many were not.
#[derive(Debug, Default)]
pub(super) struct Pace {
    minute: u64,
    told: u32,
    left_out: u32,
}

impl Notices {
    /// Tells that a call waits.
    pub(super) fn tell(&self, card: &Card) {
        if self.hook.is_none() && self.slack.is_none() {
            return;
        }
        let Some(left_out) = self.may(clock::now_ms()) else { return };
        let link = format!("{}link/{}", self.address, self.links.write(card));
        let facts = self.facts(card);
        if let Some(hook) = &self.hook {
            let members = facts.iter().map(|(label, value)| (label.as_str(), Json::string(value)));
            let more = [("id", Json::string(&card.id)), ("link", Json::string(&link)), ("left_out", Json::number(left_out.into()))];
            hook.post("confirm.waiting", &Json::object(members.chain(more)));
        }
        if let Some(slack) = &self.slack {
            slack.post_as_it_is(message(&facts, &link, left_out));
        }
    }

    /// Whether one more may leave, and how many did not since the last.
    fn may(&self, now_ms: u64) -> Option<u32> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_ms / MINUTE_MS;
        if pace.minute != minute {
            (pace.minute, pace.told) = (minute, 0);
        }
        if pace.told >= MOST {
            pace.left_out = pace.left_out.saturating_add(1);
            return None;
        }
        pace.told = pace.told.saturating_add(1);
        Some(std::mem::take(&mut pace.left_out))
    }

    /// What is told of a call.
    fn facts(&self, card: &Card) -> Vec<(String, String)> {
        let inert = |text: &str| shown::inert(text, MAX_VALUE);
        let mut facts: Vec<(String, String)> = [
            ("server", inert(&card.server)),
            ("tool", inert(&card.item.pin.name)),
            ("effect", card.effect.name().to_owned()),
            ("asked by", inert(&card.place.principal)),
            ("least assurance", card.hold.minimum.name().to_owned()),
            ("people", card.hold.approvers.to_string()),
            ("until", clock::utc(card.until_ms)),
        ]
        .map(|(label, value)| (label.to_owned(), value))
        .into();
        for name in &self.arguments {
            let value = card.arguments.as_ref().and_then(|arguments| arguments.view().get(name).map(told));
            facts.extend(value.map(|value| (format!("argument {}", inert(name)), value)));
        }
        facts
    }
}

fn told(value: View<'_>) -> String {
    let text = value.as_str().unwrap_or_else(|| value.text().into());
    let is_long = text.chars().nth(MAX_VALUE).is_some();
    format!("{}{}", shown::inert(&text, MAX_VALUE), if is_long { "…" } else { "" })
}

/// A message for Slack (`text` is for notifications, `blocks` for the channel). Nothing in it is looked up or unfolded.
fn message(facts: &[(String, String)], link: &str, left_out: u32) -> Json {
    let plain = |text: &str| {
        Json::object([("type", Json::string("plain_text")), ("text", Json::string(&escape(text))), ("emoji", Json::of(&false))])
    };
    let of = |label: &str| facts.iter().find(|(other, _)| other == label).map_or("", |(_, value)| value.as_str());
    let more = if left_out == 0 { String::new() } else { format!(" {left_out} more were not told of one by one.") };
    let head = format!("A call waits for a person: {}/{} ({}).{more}", of("server"), of("tool"), of("effect"));
    let section = Json::object([("type", Json::string("section")), ("text", plain(&head))]);
    // Slack takes ten of them.
    let fields = facts.iter().take(10).map(|(label, value)| plain(&format!("{label}: {value}")));
    let fields = Json::object([("type", Json::string("section")), ("fields", Json::array(fields))]);
    let button = Json::object([
        ("type", Json::string("button")),
        ("text", plain("Look and answer")),
        ("url", Json::string(link)),
        ("action_id", Json::string("bartizan-look")),
    ]);
    let actions = Json::object([("type", Json::string("actions")), ("elements", Json::array([button]))]);
    Json::object([
        ("text", Json::string(&format!("{} {link}", escape(&head)))),
        ("mrkdwn", Json::of(&false)),
        ("unfurl_links", Json::of(&false)),
        ("unfurl_media", Json::of(&false)),
        ("blocks", Json::array([section, fields, actions])),
    ])
}

/// The three letters that mean something in Slack's texts, whatever their kind.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_markup_of_others() {
        let nasty = "<!channel> <https://evil.example|ok> *b* & :smile:";
        let facts = [("server", "files"), ("tool", nasty), ("effect", "write")].map(|(label, value)| (label.to_owned(), value.to_owned()));
        let text = message(&facts, "https://a.example/link/x", 3).to_string();
        assert!(!text.contains("<!channel>") && !text.contains("<https") && text.contains("&lt;!channel&gt;"), "{text}");
        assert!(text.contains("3 more were not told") && !text.contains("\"type\":\"mrkdwn\""), "{text}");
    }
}
