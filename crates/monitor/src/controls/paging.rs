//! A long answer comes in parts: the client gets as much as one answer may have, and asks for the rest.
//!
//! Threat: an answer that pushes everything else out of the model's context. To withhold it (`size`) loses it; so of a
//! tool's result the first part is handed out, and the rest is kept for whoever called, with a handle that the gateway's
//! own tool `bartizan_read_on` takes. It is cut after everything before has judged all of it: a secret or an order that lies across
//! a cut was masked or found, and what was found in one part is said with each. Each part is judged again when it is read.
//!
//! Texts are cut, and content between blocks. Structured content cannot be: a part of it means something else, or breaks
//! its schema. Pictures and sounds do not count, because they are no text; no part is larger than 4 MiB with them.

use crate::case::{Aside, Case, Labels, PART, Reply, Rest, Spot, Whole};
use crate::control::{Control, Edit, Judged, Mask, Tools, Verdict};
use crate::reason::{Class, Refusal, reasons};

/// The threat, in one sentence.
pub const THREAT: &str = "A long answer that is lost, or that pushes everything else out of the model's context.";

reasons! {
    WHOLE = "paging.whole", Class::Denied,
        "The answer was too long to be handed out at once, cannot be cut, and was withheld. Ask for less.",
        "The answer has more bytes than `controls.paging.part_bytes` (4 MiB, where nothing else is said). Only the texts of a tool's result can be handed out in parts: not structured content, nor one block or `_meta` that takes half of a part by itself, nor a block with two texts, nor resources and prompts.",
        "Ask for a smaller part, or raise `part_bytes` for this tool in `[controls.paging.tools]`.";
}

/// The least that makes a part: what stands around a text has to have room, too.
const LEAST: usize = 512;

/// How much is handed out at once.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of a tool's result, pictures and sounds aside, that reach the client at once.
    pub part_bytes: usize,
    /// The same for some tools, prompts or resources: `server/name`, or `server/*`.
    pub tools: Tools<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self { part_bytes: PART, tools: Tools::default() }
    }
}

/// Builds the control.
pub fn build(config: Config) -> Result<Paging, toml::de::Error> {
    if config.tools.all().chain([&config.part_bytes]).any(|bytes| *bytes < LEAST) {
        return Err(serde::de::Error::custom(format!("a part has at least {LEAST} bytes")));
    }
    Ok(Paging(config))
}

/// The control.
#[derive(Debug)]
pub struct Paging(Config);

impl Control for Paging {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        // What is read on was cut before.
        let Some(server) = case.server().filter(|_| !case.reads_on()) else { return Ok(Verdict::Pass) };
        let name = case.item().map(|item| item.pin.name.as_str());
        let own = self.0.tools.get(server, name).copied();
        let (size, most) = (reply.body.bytes().len(), own.unwrap_or(self.0.part_bytes));
        // The one number for all is meant for what can be cut.
        let most_whole = own.unwrap_or(most.max(PART));
        if size <= most || (!case.keeps() && size <= most_whole) {
            return Ok(Verdict::Pass);
        }
        let too_long = || Verdict::Deny(Refusal::new(WHOLE, format!("{size} bytes, at once go {most}")));
        let Some((body, whole)) = reply.result().filter(|_| case.keeps()).and_then(|body| Some((body, Whole::of(body, most)?))) else {
            return Ok(too_long());
        };
        let piece = whole.piece(Spot::default());
        // Pictures and sounds alone may be what is too much.
        if piece.counts > most {
            return Ok(too_long());
        }
        let Some(next) = piece.next else { return Ok(Verdict::Pass) };
        let (Some(old), Some(new)) = (body.view().get("content"), piece.body.get("content")) else { return Ok(too_long()) };
        let edit = Edit { masks: vec![Mask::replace(body.span(old), new)], note: format!("kept {}", piece.left), labels: Labels::default() };
        let [handle, _] = case.facts().cover.handles();
        Ok(Verdict::Keep(edit, Aside::Rest(Rest { whole, next, left: piece.left, handle })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_room_for_what_stands_around_a_text() {
        let tools = || toml::from_str("part_bytes = 600\n[tools]\n\"a/b\" = 100").expect("toml");
        assert!(build(Config { part_bytes: LEAST - 1, ..Config::default() }).is_err() && build(tools()).is_err());
        assert!(build(Config { part_bytes: LEAST, ..Config::default() }).is_ok());
    }
}
