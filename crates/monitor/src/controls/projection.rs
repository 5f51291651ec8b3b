//! A tool returns what is needed, and no more.
//!
//! Threat: an answer with everything that a record has, when three fields were wanted: more for a model to leak, more
//! for an attacker to write orders into, more to pay for. The entry in the lock file names what stays by JSON Pointers
//! (`project`), of the structured content and of texts that are JSON documents. Other texts cannot be cut to size, so
//! an answer with one is withheld, unless the tool says that it failed.

use bytes::Bytes;

use crate::case::{Case, Reply};
use crate::control::{Control, Judged, Mask, Verdict};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::json::{Json, project};

/// The threat, in one sentence.
pub const THREAT: &str = "Everything that a record has, where three fields were wanted.";

reasons! {
    SHAPE = "projection.shape", Class::Denied,
        "The answer has parts that the operator did not name, and was withheld.",
        "The tool's entry in the lock file says which parts of the answer stay (`project`), and the answer has content that is no JSON document.",
        "Remove `project` from the entry, or let the server answer with structured content.";
}

/// No settings: the lock file says it of each tool.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Builds the control.
pub fn build(_config: Config) -> Result<Projection, toml::de::Error> {
    Ok(Projection)
}

/// The control.
#[derive(Debug)]
pub struct Projection;

impl Control for Projection {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        let (Some(item), Some(result)) = (case.item(), reply.result()) else { return Ok(Verdict::Pass) };
        let (pointers, view) = (&item.pin.contract.project, result.view());
        // Of what is read on the whole was looked at.
        if pointers.is_empty() || case.reads().is_some() || view.get("isError").and_then(|failed| failed.as_bool()) == Some(true) {
            return Ok(Verdict::Pass);
        }
        let mut masks = Vec::new();
        if let Some(structured) = view.get("structuredContent") {
            masks.push(Mask::replace(result.span(structured), project(&result.share(structured), pointers)));
        }
        for block in view.get("content").into_iter().flat_map(|content| content.items()) {
            let text = block.get("text");
            let document = text.and_then(|text| text.as_str()).and_then(|text| Json::parse(Bytes::from(text.into_owned())).ok());
            let (Some(text), Some(document)) = (text, document) else {
                return Ok(Verdict::Deny(Refusal::new(SHAPE, format!("{}/{}", item.server, item.pin.name))));
            };
            masks.push(Mask::replace(result.span(text), Json::string(&project(&document, pointers).to_string())));
        }
        Ok(if masks.is_empty() { Verdict::Pass } else { Verdict::Mask(masks) })
    }
}
