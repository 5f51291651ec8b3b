//! Secrets stay where they belong: what servers say is looked through for them, and they are masked.
//!
//! Threat: a tool that reads a file, a log or an environment with a key in it, and a model that then has the key and may
//! send it anywhere; a server that repeats what the gateway gave it. Found are values by their shape, by the names they
//! are assigned to, and every value that the gateway itself holds, also in base64, hexadecimal, URL and JSON escapes.
//! In their place stands `[secret:KIND:TAG]`, the same for equal values. The tag is keyed, so nobody can try values.
//!
//! Looked through are all strings of results, errors, notifications and questions. A secret that is the key of an
//! object cannot be edited without changing what the answer means, and one that the gateway holds cannot be edited
//! in a cursor or a state, which must come back as it is: such an answer is withheld.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bartizan_detect::secrets::Secret;

use crate::case::{Case, Changed, Cover, Event, Labels, Reply, Role, Texts};
use crate::control::{Control, Edit, Judged, Listed, Mask, Tools, Verdict};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::json::Json;

/// The threat, in one sentence.
pub const THREAT: &str = "A key in an answer, which a model may then send anywhere.";

reasons! {
    LEAK = "secrets.leak", Class::Denied,
        "The answer had a secret in it and was withheld. Do not ask for it in another way.",
        "Something in the answer looks like a secret, or is one that the gateway holds, and `[controls.secrets]` says `refuse` for this tool.",
        "The record has the kind and a keyed digest of each. Use `mask` if the rest of the answer is needed.";
    KEY = "secrets.key", Class::Denied,
        "The answer had a secret where it cannot be masked, and was withheld.",
        "The key of an object is a secret, a secret goes on over several texts, or a text that is a JSON document would be none any more; keys cannot be edited without changing what the answer means.",
        "The record has the kind and a keyed digest. Let the server answer in another form.";
    OPAQUE = "secrets.opaque", Class::Denied,
        "The answer repeated a secret of the gateway and was withheld.",
        "A cursor, a state or a task's name holds a secret that the gateway gave to a server. It must come back as it is and cannot be masked.",
        "The server leaks its credential: replace the secret, and report it to the server's author.";
}

/// What is done with answers that have secrets in them.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For everything that is not listed.
    pub results: Action,
    /// For some tools, prompts or resources: `server/name`, or `server/*`.
    pub tools: Tools<Action>,
    /// Weakenings.
    pub dangerous: Dangerous,
}

/// Whose answers are not looked through.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dangerous {
    /// These, except for secrets that the gateway holds: `server/name`, or `server/*`.
    pub off: Listed,
}

/// What is done with an answer that has a secret in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The secret is masked.
    #[default]
    Mask,
    /// The answer is withheld.
    Refuse,
}

/// Builds the control.
pub fn build(config: Config) -> Result<Masking, toml::de::Error> {
    Ok(Masking(config))
}

/// The control.
#[derive(Debug)]
pub struct Masking(Config);

impl Control for Masking {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        // What the gateway says itself was reviewed, and is shown as it was.
        let Some(server) = case.server() else { return Ok(Verdict::Pass) };
        let name = case.item().map(|item| item.pin.name.as_str());
        Ok(self.judge((server, name), &case.facts().cover, reply.texts()))
    }

    fn on_event(&self, event: &Event) -> Judged {
        Ok(self.judge((&event.server, None), &event.facts.cover, event.texts()))
    }
}

impl Masking {
    fn judge(&self, (server, name): (&str, Option<&str>), cover: &Cover, texts: &Texts) -> Verdict {
        let mut found = cover.secrets().find(texts.all());
        if found.is_empty() {
            return Verdict::Pass;
        }
        let off = self.0.dangerous.off.has(server, name);
        let matters = |secret: &Secret| !off && texts.touched(&secret.place).any(|part| part.role != Role::Opaque);
        found.retain(|secret| secret.is_known() || matters(secret));
        let changes: Vec<(Range<usize>, String)> =
            found.iter().map(|secret| (secret.place.clone(), secret.placeholder(cover.key()))).collect();
        let note = || changes.iter().map(|(_, placeholder)| placeholder.as_str()).collect::<Vec<_>>().join(" ");
        let touches = |role: Role| found.iter().any(|secret| texts.touched(&secret.place).any(|part| part.role == role));
        let refused = match self.0.tools.get(server, name).copied().unwrap_or(self.0.results) {
            _ if found.is_empty() => return Verdict::Pass,
            Action::Refuse => Some(LEAK),
            Action::Mask if touches(Role::Opaque) => Some(OPAQUE),
            Action::Mask if touches(Role::Key) => Some(KEY),
            Action::Mask => None,
        };
        if let Some(reason) = refused {
            return Verdict::Deny(Refusal::new(reason, note()));
        }
        let mask = |Changed { part, text, .. }: &Changed<'_>| {
            let from = changes.partition_point(|(place, _)| place.end <= part.at.start);
            let first = || changes.get(from).filter(|(place, _)| place.start < part.at.end);
            match part.role {
                Role::Blob => STANDARD.encode(first().map_or("", |(_, with)| with)),
                _ if off => text.clone(),
                // What is left may show something new at an edge, in adversarial text.
                _ => cover.secrets().mask(text, cover.key()).into_owned(),
            }
        };
        let changed: Vec<_> = texts.replaced(&changes).into_iter().map(|changed| (mask(&changed), changed)).collect();
        if changed.iter().any(|(text, changed)| changed.is_broken_by(text)) {
            return Verdict::Deny(Refusal::new(KEY, note()));
        }
        let masks = changed.into_iter().map(|(text, changed)| Mask::replace(changed.part.span.clone(), Json::string(&text))).collect();
        Verdict::Edit(Edit { masks, note: note(), labels: Labels::default() })
    }
}
