//! Bytes in an answer are of a type that is allowed, and begin like it.
//!
//! Threat: a picture that is a program (SVG, HTML), an archive or a document with macros, which a client opens because a
//! tool sent it; bytes that say they are a picture and are something else. Pictures, sounds and resources come as base64 with a
//! `mimeType` (2025-06-18, server/tools, "Tool Result"). Allowed are a few types that show or sound and do nothing else, or
//! those that the configuration or the entry in the lock file (`binary`) names; what is allowed and known must begin as its type does.
//!
//! Instead of anything else the client gets a text that says what was withheld. The pictures themselves are not looked at:
//! words in them reach a model as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bartizan_format::media;

use crate::case::{Case, Event, Labels, Reply};
use crate::control::{Control, Edit, Judged, Listed, Mask, Tools, Verdict};
use crate::reason::{Class, Reason, Refusal, reasons};
use crate::wire::json::{Json, Kind, View};

/// The threat, in one sentence.
pub const THREAT: &str = "A picture that is a program, or bytes that are not what they say.";

reasons! {
    TYPE = "binary.type", Class::Denied,
        "The answer had a picture, a sound or a file of a type that the operator does not allow, and was withheld.",
        "`[controls.binary]` says `refuse`, and the media type is neither in `types` nor in `binary` of the entry in the lock file, or there is none.",
        "The journal has the type. Allow it in the lock file if clients are safe with it, or choose `replace` to withhold only this part.";
    MISMATCH = "binary.mismatch", Class::Denied,
        "The answer had a picture, a sound or a file that is not what it says it is, and was withheld.",
        "`[controls.binary]` says `refuse`, and the bytes do not begin as those of their media type do, or are not valid base64.",
        "Report it to the server's author, or choose `replace` to withhold only this part.";
}

/// Which bytes may come back.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Media types that are allowed where the lock file does not say which.
    pub types: Vec<String>,
    /// What is done with others.
    pub results: Action,
    /// The same for some tools, prompts or resources: `server/name`, or `server/*`.
    pub tools: Tools<Action>,
    /// Weakenings.
    pub dangerous: Dangerous,
}

impl Default for Config {
    fn default() -> Self {
        Self { types: media::INERT.map(str::to_owned).to_vec(), results: Action::default(), tools: Tools::default(), dangerous: Dangerous::default() }
    }
}

/// Whose bytes are not looked at.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dangerous {
    /// These: `server/name`, or `server/*`.
    pub off: Listed,
}

/// What is done with bytes that may not come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A text stands in their place, and says so.
    #[default]
    Replace,
    /// The answer is withheld.
    Refuse,
}

/// Builds the control.
pub fn build(mut config: Config) -> Result<Binary, toml::de::Error> {
    for allowed in &mut config.types {
        let name = media::name(allowed).ok_or_else(|| serde::de::Error::custom(format!("{allowed:?} is no media type")))?;
        *allowed = name;
    }
    Ok(Binary(config))
}

/// The control.
#[derive(Debug)]
pub struct Binary(Config);

impl Control for Binary {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        let (Some(server), Some(body)) = (case.server(), reply.result()) else { return Ok(Verdict::Pass) };
        let own = case.item().and_then(|item| item.pin.contract.binary.as_deref());
        Ok(self.judge((server, case.item().map(|item| item.pin.name.as_str())), own, body))
    }

    fn on_event(&self, event: &Event) -> Judged {
        Ok(event.params.as_ref().map_or(Verdict::Pass, |params| self.judge((&event.server, None), None, params)))
    }
}

impl Binary {
    fn judge(&self, (server, name): (&str, Option<&str>), own: Option<&[String]>, body: &Json) -> Verdict {
        if self.0.dangerous.off.has(server, name) {
            return Verdict::Pass;
        }
        let allowed = own.unwrap_or(&self.0.types);
        let action = self.0.tools.get(server, name).copied().unwrap_or(self.0.results);
        let (mut masks, mut notes) = (Vec::new(), Vec::new());
        for part in parts(body.view()) {
            let Some((reason, what)) = objection(part.holder, part.bytes, allowed) else { continue };
            if action == Action::Refuse {
                return Verdict::Deny(Refusal::new(reason, what));
            }
            masks.push(Mask::replace(body.span(part.holder), part.told(body, &what)));
            notes.push(what);
        }
        notes.dedup();
        notes.truncate(8);
        if masks.is_empty() { Verdict::Pass } else { Verdict::Edit(Edit { masks, note: notes.join("; "), labels: Labels::default() }) }
    }
}

/// Why these bytes may not come back, and what they are.
fn objection(holder: View<'_>, bytes: View<'_>, allowed: &[String]) -> Option<(Reason, String)> {
    let declared = holder.get("mimeType").and_then(View::as_str).unwrap_or_default();
    let Some(name) = media::name(&declared).filter(|name| allowed.contains(name)) else {
        let shown = if declared.is_empty() { "no type".to_owned() } else { bartizan_detect::inert(&declared, 80) };
        return Some((TYPE, format!("{shown} is not allowed")));
    };
    match bytes.as_str().and_then(|text| STANDARD.decode(text.as_bytes()).ok()) {
        None => Some((MISMATCH, format!("{name} is not valid base64"))),
        Some(decoded) => (!media::fits(&name, &decoded)).then(|| (MISMATCH, format!("not {name} by its first bytes"))),
    }
}

/// Bytes, and the object that holds them and says what they are.
struct Part<'v> {
    holder: View<'v>,
    bytes: View<'v>,
    shape: Shape,
}

/// What the object is.
#[derive(Clone, Copy)]
enum Shape {
    Block,
    Resource,
}

impl Part<'_> {
    /// What stands in its place: a text of the same shape.
    fn told(&self, body: &Json, what: &str) -> Json {
        let size = self.bytes.text().len().saturating_sub(2);
        let text = ("text", Json::string(&format!("[Bartizan: {size} bytes of base64 were withheld: {what}.]")));
        match self.shape {
            Shape::Block => Json::object([("type", Json::string("text")), text]),
            Shape::Resource => {
                let uri = self.holder.get("uri").map_or_else(|| Json::string(""), |uri| body.share(uri));
                Json::object([("uri", uri), ("mimeType", Json::string("text/plain")), text])
            }
        }
    }
}

/// All bytes of a result, of the messages of a prompt or a question, and of the result that a task brings with it.
fn parts(body: View<'_>) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    for top in [Some(body), body.get("result")].into_iter().flatten() {
        top.get("content").into_iter().for_each(|content| blocks(content, 1, &mut found));
        let messages = top.get("messages").into_iter().flat_map(View::items).filter_map(|message| message.get("content"));
        messages.for_each(|content| blocks(content, 1, &mut found));
        found.extend(top.get("contents").into_iter().flat_map(several).filter_map(resource));
    }
    found
}

/// One value, or those of an array.
fn several(view: View<'_>) -> Vec<View<'_>> {
    if view.kind() == Kind::Array { view.items().collect() } else { vec![view] }
}

fn resource(holder: View<'_>) -> Option<Part<'_>> {
    holder.get("blob").map(|bytes| Part { holder, bytes, shape: Shape::Resource })
}

/// How deeply content stands in content: a message has blocks, and one of them what a tool returned.
const DEEPEST: usize = 4;

fn blocks<'v>(content: View<'v>, depth: usize, found: &mut Vec<Part<'v>>) {
    for holder in several(content) {
        let is_text = holder.get("type").and_then(View::as_str).is_some_and(|kind| kind == "text");
        // What stands too deeply for anybody to look for it there is not looked through: it does not come back.
        let data = if depth > DEEPEST { Some(holder) } else { holder.get("data").filter(|_| !is_text) };
        if let Some(bytes) = data {
            // All of it is replaced, so nothing inside is looked for.
            found.push(Part { holder, bytes, shape: Shape::Block });
            continue;
        }
        found.extend(holder.get("resource").and_then(resource));
        // What a tool returned, in a question to a model.
        holder.get("content").into_iter().for_each(|inner| blocks(inner, depth.saturating_add(1), found));
    }
}
