//! What a control is: a pure judgement with four possible verdicts.

mod tools;
pub use tools::{Listed, Tools};

use std::ops::Range;

use crate::case::{Aside, Assurance, Caller, Case, Event, Item, Labels, Reply, Scope};
use crate::reason::{Reason, Refusal};
use crate::wire::json::{Json, Kind};

/// What a control says. There is no *allow*: a control cannot overrule another.
#[derive(Debug)]
pub enum Verdict {
    /// No objection.
    Pass,
    /// No objection, and by which rules, for the record.
    Because(Json),
    /// No objection once these parts are replaced. The monitor edits, never the control; the controls after it judge
    /// what it made of them.
    Mask(Vec<Mask>),
    /// The same, with what the record says of it and what whoever hears it has seen by it.
    Edit(Edit),
    /// The same, and this is kept instead of being handed out.
    Keep(Edit, Aside),
    /// A person must agree.
    Hold(Hold),
    /// No.
    Deny(Refusal),
}

/// What a person is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Why.
    pub reason: Reason,
    /// For how much one yes is good.
    pub scope: Scope,
    /// How strongly it must be known that somebody agreed.
    pub minimum: Assurance,
    /// How many different people must agree, none of them the one who asks where it is more than one.
    pub approvers: u8,
}

impl Hold {
    /// Both together: the first reason, the narrower scope, the stronger assurance, the greater number.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (scope, minimum) = (self.scope.min(other.scope), self.minimum.max(other.minimum));
        Self { reason: self.reason, scope, minimum, approvers: self.approvers.max(other.approvers) }
    }
}

/// An edit that is more than a replacement.
#[derive(Debug, Default)]
pub struct Edit {
    /// What is replaced; nothing, where something is only noted.
    pub masks: Vec<Mask>,
    /// For the record, without content.
    pub note: String,
    /// What whoever hears it has seen.
    pub labels: Labels,
}

/// A change of a body: a whole JSON value, or a member of an object, and what it is from now on.
#[derive(Debug, Clone)]
pub struct Mask {
    /// Where the value stands in the body's text.
    pub at: Range<usize>,
    /// The member of the object there; none for the value itself.
    pub member: Option<&'static str>,
    /// What it is from now on.
    pub with: Json,
}

impl Mask {
    /// Puts a value where another stands.
    #[must_use]
    pub const fn replace(at: Range<usize>, with: Json) -> Self {
        Self { at, member: None, with }
    }

    /// Says something of a body under a name of ours in its `_meta`, whatever the server said under that name.
    #[must_use]
    pub fn label(body: &Json, name: &'static str, with: Json) -> Self {
        match body.view().get("_meta").filter(|meta| meta.kind() == Kind::Object) {
            Some(meta) => Self { at: body.span(meta), member: Some(name), with },
            None => Self { at: body.span(body.view()), member: Some("_meta"), with: Json::object([(name, with)]) },
        }
    }
}

/// A control that could not decide. It is a denial.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// A verdict, or the inability to give one.
pub type Judged = Result<Verdict, Fault>;

/// One control. Pure: no I/O, no clock, no randomness; the time is in the case. What needs I/O was
/// fetched before or is consulted after.
pub trait Control: Send + Sync {
    /// Judges a call before it leaves.
    fn on_call(&self, _case: &Case) -> Judged {
        Ok(Verdict::Pass)
    }

    /// Judges what came back.
    fn on_reply(&self, _case: &Case, _reply: &Reply) -> Judged {
        Ok(Verdict::Pass)
    }

    /// Judges what the controls after this one made of structured content. It was judged as it came; an edit now is
    /// not made.
    fn on_changed(&self, _case: &Case, _reply: &Reply) -> Judged {
        Ok(Verdict::Pass)
    }

    /// Judges whether a caller sees an approved definition in a list.
    fn on_list(&self, _caller: &Caller, _item: &Item) -> Judged {
        Ok(Verdict::Pass)
    }

    /// Whether an approved definition does not exist for a caller, whatever it does with it. A refusal of
    /// what is hidden, by whatever control, is answered like what does not exist.
    fn hides(&self, _caller: &Caller, _item: &Item) -> bool {
        false
    }

    /// Judges what a server says on its own.
    fn on_event(&self, _event: &Event) -> Judged {
        Ok(Verdict::Pass)
    }
}

/// A control's table of the configuration, with places for error messages.
pub type Section<'i> = toml::Spanned<toml::de::DeValue<'i>>;

/// Makes a control from its table, or from its defaults when there is none.
pub type Build = fn(Option<Section<'_>>) -> Result<Box<dyn Control>, toml::de::Error>;

/// A control's line in the registry.
pub struct Entry {
    /// The table `[controls.NAME]`, the area of its reasons, the name in the record.
    pub name: &'static str,
    /// The threat it answers, in one sentence.
    pub threat: &'static str,
    /// Every reason it can give.
    pub reasons: &'static [Reason],
    /// Makes it.
    pub build: Build,
}

/// Reads a control's table.
pub(crate) fn settings<T: serde::de::DeserializeOwned + Default>(section: Option<Section<'_>>) -> Result<T, toml::de::Error> {
    use serde::de::IntoDeserializer as _;
    section.map_or_else(|| Ok(T::default()), |section| T::deserialize(section.into_deserializer()))
}
