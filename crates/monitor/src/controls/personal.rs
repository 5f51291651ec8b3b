//! Personal data is masked where the operator says so.
//!
//! Threat: answers with people's addresses, accounts and numbers in them, which then stand in a model's context, in its
//! provider's logs and in whatever it writes next. Found is what has a form: mail addresses, phone numbers, IBANs,
//! payment cards, US social security numbers, IPv4 addresses. Names of people have none.
//!
//! Nothing is masked by default, except accounts, cards and social security numbers in answers whose entry in the lock
//! file says `returns = "private"`: there they are meant, and elsewhere every tenth number of sixteen digits that is
//! no card has the check digit of one. A tool that is told an order's number masked cannot look the order up.

use std::collections::BTreeMap;
use std::ops::Range;

use bartizan_detect::pii::{self, Data};

use crate::case::{Case, Changed, Cover, Event, Labels, Part, Reply, Role, Texts};
use crate::control::{Control, Edit, Judged, Mask, Tools, Verdict};
use crate::lock::Returns;
use crate::reason::{Class, Refusal, reasons};
use crate::wire::json::Json;

/// The threat, in one sentence.
pub const THREAT: &str = "People's numbers and addresses in a model's context.";

reasons! {
    DATA = "personal.data", Class::Denied,
        "The answer had personal data in it and was withheld.",
        "The answer has personal data of a kind for which `[controls.personal]` says `refuse`.",
        "The record has the kinds. Use `mask` if the rest of the answer is needed.";
    KEY = "personal.key", Class::Denied,
        "The answer had personal data where it cannot be masked, and was withheld.",
        "The key of an object is personal data that is to be masked, or a text that is a JSON document would be none any more. Keys cannot be edited without changing what the answer means.",
        "Let the server answer in another form, or choose `off` for this kind and tool.";
}

/// What is done with each kind of personal data.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// In everything that is not listed.
    pub results: Choice,
    /// In answers whose entry in the lock file says `returns = "private"`, and which are not listed.
    pub private: Choice,
    /// In answers of some tools, prompts or resources: `server/name`, or `server/*`.
    pub tools: Tools<Choice>,
}

impl Default for Config {
    fn default() -> Self {
        let private = Choice { iban: Action::Mask, card: Action::Mask, us_ssn: Action::Mask, ..Choice::default() };
        Self { results: Choice::default(), private, tools: Tools::default() }
    }
}

/// What is done with each kind.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Choice {
    /// Mail addresses.
    pub email: Action,
    /// Phone numbers.
    pub phone: Action,
    /// Account numbers whose check digits are right.
    pub iban: Action,
    /// Payment cards.
    pub card: Action,
    /// Social security numbers of the United States.
    pub us_ssn: Action,
    /// IPv4 addresses.
    pub ip: Action,
}

impl Choice {
    const fn of(self, data: Data) -> Action {
        match data {
            Data::Email => self.email,
            Data::Phone => self.phone,
            Data::Iban => self.iban,
            Data::Card => self.card,
            Data::Ssn => self.us_ssn,
            Data::Ip => self.ip,
        }
    }
}

/// What is done with one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    #[default]
    Off,
    /// It is masked.
    Mask,
    /// The answer is withheld.
    Refuse,
}

/// Builds the control.
pub fn build(config: Config) -> Result<Personal, toml::de::Error> {
    Ok(Personal(config))
}

/// The control.
#[derive(Debug)]
pub struct Personal(Config);

impl Control for Personal {
    fn on_reply(&self, case: &Case, reply: &Reply) -> Judged {
        let Some(server) = case.server() else { return Ok(Verdict::Pass) };
        let (name, private) = case.item().map_or((None, false), |item| {
            (Some(item.pin.name.as_str()), item.pin.contract.returns() == Returns::Private)
        });
        let usual = if private { &self.0.private } else { &self.0.results };
        Ok(judge(*self.0.tools.get(server, name).unwrap_or(usual), &case.facts().cover, || reply.texts()))
    }

    fn on_event(&self, event: &Event) -> Judged {
        Ok(judge(*self.0.tools.get(&event.server, None).unwrap_or(&self.0.results), &event.facts.cover, || event.texts()))
    }
}

fn judge<'t>(choice: Choice, cover: &Cover, texts: impl Fn() -> &'t Texts) -> Verdict {
    let wanted: Vec<Data> = Data::ALL.iter().copied().filter(|data| choice.of(*data) != Action::Off).collect();
    if wanted.is_empty() {
        return Verdict::Pass;
    }
    let texts = texts();
    let mut found = pii::find(texts.all(), &wanted);
    let matters = |part: &Part| !matches!(part.role, Role::Opaque | Role::Blob);
    found.retain(|personal| texts.touched(&personal.place).any(matters));
    if found.is_empty() {
        return Verdict::Pass;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    found.iter().for_each(|personal| *counts.entry(personal.data.name()).or_default() += 1);
    let note = counts.iter().map(|(kind, count)| format!("{kind}:{count}")).collect::<Vec<_>>().join(" ");
    let in_key = found.iter().any(|personal| texts.touched(&personal.place).any(|part| part.role == Role::Key));
    let refused = if found.iter().any(|personal| choice.of(personal.data) == Action::Refuse) { Some(DATA) } else { in_key.then_some(KEY) };
    if let Some(reason) = refused {
        return Verdict::Deny(Refusal::new(reason, note));
    }
    let changes: Vec<(Range<usize>, String)> =
        found.iter().map(|personal| (personal.place.clone(), personal.placeholder(texts.all(), cover.key()))).collect();
    let changed: Vec<Changed<'_>> = texts.replaced(&changes).into_iter().filter(|changed| matters(changed.part)).collect();
    if changed.iter().any(|changed| changed.is_broken_by(&changed.text)) {
        return Verdict::Deny(Refusal::new(KEY, note));
    }
    let masks = changed.into_iter().map(|changed| Mask::replace(changed.part.span.clone(), Json::string(&changed.text))).collect();
    Verdict::Edit(Edit { masks, note, labels: Labels::default() })
}
