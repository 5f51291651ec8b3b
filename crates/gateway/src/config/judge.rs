//! From what was written to what can be used: `names`, `limits`.

use std::time::Duration;

use bartizan_meter::MOST;
use toml::Spanned;
use url::{Host, Url};

use super::file::{self, Length};
use super::problem::Problems;
use super::settings::{Limits, Names};

const SEPARATOR: &str = "__";

/// Whether plain HTTP may leave this machine. Only `dangerous` can say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlainHttp {
    /// Only between programs of this machine.
    Loopback,
    /// Everywhere.
    Anywhere,
}

/// Whether an address names this machine and no other.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Judges how names are told apart.
pub(super) fn names(written: file::Names, problems: &mut Problems) -> Names {
    let Some(separator) = written.separator else { return Names { separator: SEPARATOR.to_owned() } };
    let text = separator.get_ref();
    if text.is_empty() || text.len() > 8 || !text.chars().all(|symbol| matches!(symbol, '_' | '-' | '.')) {
        let what = "a separator is one to eight of the characters `_`, `-` and `.`, because all clients take those in a tool's name";
        problems.add(Some(separator.span()), what, "");
    }
    Names { separator: separator.into_inner() }
}

/// Judges a server's name: `[a-z0-9][a-z0-9_-]{0,63}`, and `name` + separator can be read in one way only.
pub(super) fn server_name(name: &Spanned<String>, separator: &str, problems: &mut Problems) {
    let text = name.get_ref();
    let known = |symbol: char| matches!(symbol, 'a'..='z' | '0'..='9' | '_' | '-');
    if text.is_empty() || text.len() > 64 || !text.chars().all(known) || text.starts_with(['_', '-']) {
        let what = format!("{text:?} cannot be a server's name");
        problems.add(Some(name.span()), what, "a name is 1 to 64 of a-z, 0-9, `_` and `-`, and begins with a letter or digit");
        return;
    }
    // `a_` + `__x` and `a` + `___x` would be the same tool.
    if format!("{text}{separator}").find(separator) != Some(text.len()) {
        let what = format!("{text:?} runs into the separator {separator:?}, so that a tool's name could belong to two servers");
        problems.add(Some(name.span()), what, "choose another name, or another `names.separator`");
    }
}

/// Whether a text can be a label of a token or the name of an environment:
/// `[A-Za-z0-9][A-Za-z0-9._@-]{0,63}`, and nothing that could be taken for a token's id.
pub fn is_label(text: &str) -> bool {
    let known = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '.' | '_' | '@' | '-');
    let shape = text.len() <= 64 && text.starts_with(|symbol: char| symbol.is_ascii_alphanumeric()) && text.chars().all(known);
    let id = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    shape && !id
}

/// Judges the environment's name, which is also that of the tokens that are good here.
pub(super) fn environment(written: Option<Spanned<String>>, problems: &mut Problems) -> Option<String> {
    let written = written?;
    if !is_label(written.get_ref()) {
        let help = "a name is 1 to 64 of letters, digits, `.`, `_`, `@` and `-`, and begins with a letter or digit";
        problems.add(Some(written.span()), format!("{:?} cannot be an environment's name", written.get_ref()), help);
    }
    Some(written.into_inner())
}

/// Judges the limits.
pub(super) fn limits(written: file::Limits, problems: &mut Problems) -> Limits {
    let usual = Limits::default();
    let mut count = |value: Option<Spanned<usize>>, usual: usize, least: usize, most: usize| {
        let Some(value) = value else { return usual };
        if !(least..=most).contains(value.get_ref()) {
            problems.add(Some(value.span()), format!("{} is not between {least} and {most}", value.get_ref()), "");
        }
        value.into_inner()
    };
    let message_bytes = count(written.message_bytes, usual.message_bytes, 1024, 1 << 30);
    let sessions = count(written.sessions, usual.sessions, 1, 1_000_000);
    let sessions_per_principal = count(written.sessions_per_principal, usual.sessions_per_principal, 1, 1_000_000);
    let concurrent_calls = count(written.concurrent_calls, usual.concurrent_calls, 1, 1_000_000);
    // What one may take follows from what there is: nobody can take all of it unless somebody wrote so.
    let calls_per_principal = count(written.calls_per_principal, concurrent_calls.div_ceil(4), 1, 1_000_000);
    let calls_per_session = count(written.calls_per_session, calls_per_principal.div_ceil(2), 1, 1_000_000);
    let children_per_server = count(written.children_per_server, usual.children_per_server, 1, 100_000);
    let kept_bytes = count(written.kept_bytes, usual.kept_bytes, 1024, 1 << 40);
    let queued_calls = count(written.queued_calls, usual.queued_calls, 0, 1_000_000);
    let mut rate =
        |value: Option<Spanned<usize>>, usual: u32| u32::try_from(count(value, usual as usize, 1, MOST as usize)).unwrap_or(MOST);
    let messages_per_minute = rate(written.messages_per_minute, usual.messages_per_minute);
    let offences_per_minute = rate(written.offences_per_minute, usual.offences_per_minute);
    let circuit_failures = rate(written.circuit_failures, usual.circuit_failures);
    Limits {
        message_bytes,
        sessions,
        sessions_per_principal,
        concurrent_calls,
        calls_per_principal,
        calls_per_session,
        children_per_server,
        children_per_principal: count(written.children_per_principal, children_per_server.div_ceil(2), 1, 100_000),
        streams_per_principal: count(written.streams_per_principal, usual.streams_per_principal, 1, 1_000_000),
        connections: count(written.connections, usual.connections, 1, 1_000_000),
        connections_per_address: count(written.connections_per_address, usual.connections_per_address, 1, 1_000_000),
        body_bytes: count(written.body_bytes, usual.body_bytes, 1024, 1 << 40).max(message_bytes),
        session_idle: time(written.session_idle, usual.session_idle, problems),
        drain: time(written.drain, usual.drain, problems),
        header_timeout: time(written.header_timeout, usual.header_timeout, problems),
        body_timeout: time(written.body_timeout, usual.body_timeout, problems),
        write_timeout: time(written.write_timeout, usual.write_timeout, problems),
        queued_calls,
        queue_wait: time(written.queue_wait, usual.queue_wait, problems),
        list_age: time(written.list_age, usual.list_age, problems),
        messages_per_minute,
        offences_per_minute,
        offence_pause: time(written.offence_pause, usual.offence_pause, problems),
        circuit_failures,
        circuit_pause: time(written.circuit_pause, usual.circuit_pause, problems),
        kept_bytes,
        kept_for: time(written.kept_for, usual.kept_for, problems),
        quarantined_for: time(written.quarantined_for, usual.quarantined_for, problems),
    }
}

/// How long anything here may take at most: what waits longer has been forgotten.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Judges a time limit.
pub(super) fn time(written: Option<Spanned<Length>>, usual: Duration, problems: &mut Problems) -> Duration {
    let Some(written) = written else { return usual };
    let length = written.get_ref().0;
    if length.is_zero() || length > LONGEST {
        problems.add(Some(written.span()), "a time limit is more than nothing and at most a year", "");
    }
    length
}
