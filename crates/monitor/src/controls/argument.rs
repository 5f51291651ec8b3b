//! Arguments: values are what the operator says they are, and hold no secret of the gateway.
//!
//! Threat: a value that the schema allows and the server takes for something else: a path that leaves its directory, a
//! URL of a cloud's metadata service, a statement that writes, a word that a shell takes for a command; and a credential
//! that leaked and is sent on. The entry in the lock file names the format of a value by JSON Pointer (`formats`);
//! what may be read in two ways is refused, not mended.
//!
//! A value that merely looks like a secret passes: people store keys with tools that are for it, and a masked value
//! would be written where the key belongs. One that the gateway itself holds never does: no client was ever given it.

use std::borrow::Cow;
use std::ops::Range;

use bartizan_detect::secrets::Secret;
use bartizan_format::{Dates, Format};

use crate::case::{Case, Labels, Role, Texts};
use crate::control::{Control, Edit, Judged, Mask, Tools, Verdict};
use crate::lock::Named;
use crate::reason::{Class, Reason, Refusal, reasons};
use crate::wire::json::{Json, Kind, View};

/// The threat, in one sentence.
pub const THREAT: &str = "A value that the schema allows and that means something else to the server.";

reasons! {
    FORMAT = "argument.format", Class::Denied,
        "An argument is not of the form that the operator allows, or may be read in two ways.",
        "The tool's entry in the lock file names a format for the value, and it is not of this format.",
        "The journal names the place and what is wrong. Change `formats` in the lock file if the rule is wrong.";
    RELATION = "argument.relation", Class::Denied,
        "An argument is greater than another that the operator says it may not exceed.",
        "The tool's entry in the lock file says `at_most` of the value, and the other value is less, missing, or of another type.",
        "The journal names the places.";
    SECRET = "argument.secret", Class::Denied,
        "An argument has a secret in it. Do not send it; tell the user.",
        "An argument holds a secret of the gateway, which no client was ever given; or looks like a secret, and `[controls.argument]` says `refuse` for this tool.",
        "The record has the kind and a keyed digest. If the gateway's own secret came by, replace it: somebody has it.";
}

/// Secrets shorter than this may stand in honest values.
const LONG: usize = 12;

/// What is done with secrets in arguments.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For every tool and prompt that is not listed.
    pub secrets: Action,
    /// For some tools or prompts: `server/name`, or `server/*`.
    pub tools: Tools<Action>,
}

/// What is done with a call that has a secret in its arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is refused if the gateway holds the secret.
    #[default]
    Known,
    /// The same, and what only looks like a secret is masked before anybody else judges the call.
    Mask,
    /// It is refused.
    Refuse,
}

/// Builds the control.
pub fn build(config: Config) -> Result<Argument, toml::de::Error> {
    Ok(Argument(config))
}

/// The control.
#[derive(Debug)]
pub struct Argument(Config);

impl Control for Argument {
    fn on_call(&self, case: &Case) -> Judged {
        let Some(item) = case.item() else { return Ok(Verdict::Pass) };
        let objection = item.pin.contract.formats.iter().find_map(|named| objection(named, case));
        if let Some((reason, why)) = objection {
            return Ok(Verdict::Deny(Refusal::new(reason, format!("{}/{}: {why}", item.server, item.pin.name))));
        }
        let action = self.0.tools.get(&item.server, Some(&item.pin.name)).copied().unwrap_or(self.0.secrets);
        let cover = &case.facts().cover;
        if action == Action::Known && !cover.knows() {
            return Ok(Verdict::Pass);
        }
        let uri = case.uri().and_then(|uri| Some(cover.secrets().find(&uri.view().as_str()?))).unwrap_or_default();
        let texts = case.arguments.as_ref().map(Texts::of_arguments).unwrap_or_default();
        let found = cover.secrets().find(texts.all());
        Ok(secrets(action, case, &texts, (found, &uri)))
    }
}

/// What is done about secrets: in the arguments, and in the URI that a request names.
fn secrets(action: Action, case: &Case, texts: &Texts, (mut found, uri): (Vec<Secret>, &[Secret])) -> Verdict {
    let key = case.facts().cover.key();
    let grave = |secret: &&Secret| action == Action::Refuse || (secret.is_known() && secret.place.len() >= LONG);
    let in_key = |secret: &&Secret| action == Action::Mask && texts.touched(&secret.place).any(|part| part.role == Role::Key);
    let tag = |secret: &Secret| secret.placeholder(key);
    if let Some(secret) = found.iter().chain(uri).find(grave).or_else(|| found.iter().find(in_key)) {
        return Verdict::Deny(Refusal::new(SECRET, tag(secret)));
    }
    found.retain(|secret| !secret.is_known());
    if action != Action::Mask || found.is_empty() {
        return Verdict::Pass;
    }
    let changes: Vec<(Range<usize>, String)> = found.iter().map(|secret| (secret.place.clone(), secret.placeholder(key))).collect();
    let masks = texts.replaced(&changes).into_iter().map(|changed| Mask::replace(changed.part.span.clone(), Json::string(&changed.text))).collect();
    Verdict::Edit(Edit { masks, note: found.iter().map(tag).collect::<Vec<_>>().join(" "), labels: Labels::default() })
}

/// What one rule has to say. A value that is not there is the schema's business.
fn objection(named: &Named, case: &Case) -> Option<(Reason, String)> {
    let arguments = case.arguments()?;
    let now = i64::try_from(case.facts().now_ms / 1000).ok()?;
    named.at.values(arguments).into_iter().find_map(|value| {
        if let Some(format) = &named.format {
            let format = match format {
                Format::Date(dates) if named.not_future => &Format::Date(Dates { not_after: Some(now), ..*dates }),
                other => other,
            };
            let why = match value.as_str() {
                None => Some("it is no text"),
                Some(text) => format.parse(&text).err().map(bartizan_format::Refused::why),
            };
            if let Some(why) = why {
                return Some((FORMAT, format!("arguments{}: {}: {why}", named.at.text(), format.name())));
            }
        }
        let other = named.at_most.as_ref()?;
        let fits = other.values(arguments).first().is_some_and(|other| at_most(value, *other));
        (!fits).then(|| (RELATION, format!("arguments{} is not at most arguments{}", named.at.text(), other.text())))
    })
}

/// Whether a number is no greater than another, or a date no later. What cannot be compared is not.
fn at_most(value: View<'_>, other: View<'_>) -> bool {
    match (value.kind(), other.kind()) {
        (Kind::Number, Kind::Number) => match (value.as_whole(), other.as_whole()) {
            (Some(value), Some(other)) => value <= other,
            _ => matches!((value.text().parse::<f64>(), other.text().parse::<f64>()), (Ok(value), Ok(other)) if value <= other),
        },
        (Kind::String, Kind::String) => matches!((day(value), day(other)), (Some(value), Some(other)) if value <= other),
        _ => false,
    }
}

/// A date without a time. These are in the order of their letters.
fn day(view: View<'_>) -> Option<Cow<'_, str>> {
    view.as_str().filter(|text| text.len() == 10 && Format::Date(ANY_DATE).parse(text).is_ok())
}

const ANY_DATE: Dates = Dates { not_after: None, not_before: None };
