//! Once: a call that changes something happens once, also when it is sent twice.
//!
//! Threat: a client that hears no answer sends its call again, and the money is transferred twice. Nobody
//! can know from outside whether a call was carried out that went out and was not answered; so such a
//! call is *ambiguous*, and is not made again before somebody has looked. Reading is never in question.
//! What was done before is kept by the gateway, and comes with the case.

use crate::case::{Before, Case, Deed, Effect, Moment};
use crate::control::{Control, Judged, Verdict};
use crate::reason::{Class, Reason, Refusal, reasons};
use crate::wire::envelope::Message;

/// The threat, in one sentence.
pub const THREAT: &str = "A write that happens twice, because its answer was lost and it was sent again.";

reasons! {
    AMBIGUOUS = "once.ambiguous", Class::Denied,
        "This call was sent before and no answer came: it may have been carried out. Do not send it again; find out with a reading tool, or ask the person.",
        "The same call went out before, and the gateway does not know what became of it: a time-out, a cancellation, a server or a gateway that died. Sending it again could do it twice.",
        "Find out at the server whether it happened. If it did not, or may happen again: `bartizan once forget CALL` (the detail and `bartizan once list` name the call), or a new idempotency key from the client.";
    RUNNING = "once.in-flight", Class::Limit,
        "The same call is still running. Wait for its answer.",
        "The same call is being made and did not end while this one waited for it.",
        "Wait. If two of them are meant, the client can give each an idempotency key of its own; `once = \"key\"` in the tool's entry lets all calls without a key pass.";
    UNKEPT = "once.unkept", Class::Denied,
        "This call was carried out before; its answer was not kept. Do not send it again.",
        "A repeat of a call that was carried out is answered with the recorded answer. This one was too large to be kept, has made room for newer ones, or was given in another protocol era.",
        "Read what the call changed. `controls.once.result_bytes` says how large an answer may be to be kept.";
    MISMATCH = "once.mismatch", Class::Denied,
        "This idempotency key was used for another call. Use a new key.",
        "A client used one idempotency key for two different calls: another tool, or other arguments.",
        "Mend the client: a key belongs to one call and its retries.";
    KEY = "once.key", Class::Params,
        "The idempotency key is not a text of 1 to 255 bytes.",
        "`_meta` holds `io.github.bartizan-security/idempotency-key`, and it is no key.",
        "Mend the client.";
    FULL = "once.full", Class::Limit,
        "Too many calls are remembered for this client. Ask the person who runs the gateway.",
        "So many calls of this client are ambiguous or running that no other can be remembered, and a write that is not remembered is not made.",
        "`bartizan once list` shows what is ambiguous, `bartizan once forget` clears it. Find out why so many calls get no answer.";
    RECORD = "once.record", Class::Fault,
        "Calls that change something cannot be made at the moment. Ask the person who runs the gateway.",
        "What was done before cannot be read, or what is done now cannot be written down: the directory `once` in the state directory.",
        "The gateway's log names the file. Mend it, or move it away when nothing in it matters any more, and start the gateway again.";
    STORE = "once.store", Class::Fault,
        "Calls that change something cannot be made at the moment; reading can. Try again later, or ask the person who runs the gateway.",
        "The database in which gateways remember together what was done cannot be asked, or did not take it that this call is made; so it was not made.",
        "The gateway's log says why. Writes are made again, without a restart, when the database answers.";
}

/// How long things are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long after a call that was carried out a retry without a key is answered with its answer.
    pub window_seconds: u32,
    /// How long a repeat waits for the first one to end.
    pub wait_seconds: u32,
    /// How long calls with a key, and ambiguous ones, are remembered.
    pub keep_hours: u32,
    /// The largest answer that is kept.
    pub result_bytes: usize,
    /// How many calls of one client may run or be ambiguous.
    pub open_calls: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { window_seconds: 30, wait_seconds: 10, keep_hours: 24, result_bytes: 64 * 1024, open_calls: 512 }
    }
}

/// The most of each.
const MOST: Config = Config { window_seconds: 86_400, wait_seconds: 300, keep_hours: 24 * 366, result_bytes: 1024 * 1024, open_calls: 65_536 };

/// Builds the control.
pub fn build(config: Config) -> Result<Once, toml::de::Error> {
    let bad = |what: &str| Err(serde::de::Error::custom(what));
    if config.keep_hours == 0 || config.keep_hours > MOST.keep_hours {
        return bad("keep_hours is 1 to 8784");
    }
    if config.open_calls == 0 || config.open_calls > MOST.open_calls {
        return bad("open_calls is 1 to 65536");
    }
    if config.window_seconds > MOST.window_seconds || config.wait_seconds > MOST.wait_seconds || config.result_bytes > MOST.result_bytes {
        return bad("window_seconds is at most 86400, wait_seconds 300, result_bytes 1048576");
    }
    Ok(Once)
}

/// The control.
#[derive(Debug)]
pub struct Once;

fn deny(reason: Reason, detail: impl Into<String>) -> Verdict {
    Verdict::Deny(Refusal::new(reason, detail))
}

/// How long to wait before asking again for what still runs.
const AGAIN_MS: u64 = 2000;

impl Control for Once {
    fn on_call(&self, case: &Case) -> Judged {
        let Some(item) = case.tool().filter(|_| case.effect() != Effect::Read && !case.rehearses()) else { return Ok(Verdict::Pass) };
        let Message::Request { id, params, .. } = case.message() else { return Ok(Verdict::Pass) };
        let facts = case.facts();
        let moment =
            Moment { call: facts.id, session: &facts.session, request: id.key(), era: case.version().era(), now_ms: facts.now_ms };
        let Ok(deed) = Deed::of(case.caller(), item, params.as_ref(), &case.arguments_digest(), moment) else {
            return Ok(deny(KEY, ""));
        };
        let target = deed.target.clone();
        let first = |call: u64| format!("{target}: the first is call {call:016x}");
        Ok(match facts.once.enter(deed) {
            Before::Claimed => Verdict::Pass,
            Before::Ambiguous(call) => deny(AMBIGUOUS, first(call)),
            Before::Running(call) => Verdict::Deny(Refusal::new(RUNNING, first(call)).retry_after(AGAIN_MS)),
            Before::Unkept(call) => deny(UNKEPT, first(call)),
            Before::Other(call) => deny(MISMATCH, first(call)),
            Before::Full => deny(FULL, target.to_string()),
            Before::Lost => deny(RECORD, target.to_string()),
            Before::Away => deny(STORE, target.to_string()),
        })
    }
}
