//! What servers say: replies, and what they say on their own.

use std::sync::{Arc, OnceLock};

use super::{Caller, Facts, Texts};
use crate::wire::json::Json;
use crate::wire::method::Method;

/// What came back for a call.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Whether it is the `result` or the `error` member.
    pub form: ReplyForm,
    /// The member's value.
    pub body: Json,
    texts: OnceLock<Texts>,
}

impl Reply {
    /// A reply as it came.
    #[must_use]
    pub const fn new(form: ReplyForm, body: Json) -> Self {
        Self { form, body, texts: OnceLock::new() }
    }

    /// Its texts, walked when somebody first asks.
    pub fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| match self.form {
            ReplyForm::Result => Texts::of(&self.body),
            ReplyForm::Error => Texts::of_error(&self.body),
        })
    }

    /// The result; none for an error.
    #[must_use]
    pub fn result(&self) -> Option<&Json> {
        (self.form == ReplyForm::Result).then_some(&self.body)
    }
}

/// The two ways in which a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyForm {
    /// `result`
    Result,
    /// `error`
    Error,
}

/// Something that a server says on its own: a notification, or a request to the client.
#[derive(Debug)]
pub struct Event {
    /// Who would hear it.
    pub caller: Caller,
    /// Who says it.
    pub server: Arc<str>,
    /// What it is.
    pub method: Method,
    /// Its parameters.
    pub params: Option<Json>,
    /// What the client said it can do.
    pub capabilities: Option<Json>,
    /// When and where.
    pub facts: Facts,
    /// The texts of the parameters, once somebody has asked for them.
    pub read: Read,
}

/// Texts that are walked when somebody first asks.
#[derive(Debug, Default)]
pub struct Read(OnceLock<Texts>);

impl Event {
    /// The texts of the parameters.
    pub fn texts(&self) -> &Texts {
        self.read.0.get_or_init(|| self.params.as_ref().map(Texts::of).unwrap_or_default())
    }
}
