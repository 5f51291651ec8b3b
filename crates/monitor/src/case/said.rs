//! What servers say: replies, and what they say on their own.

use std::sync::{Arc, OnceLock};

use super::{Caller, Case, Facts, Texts};
use crate::wire::json::{Json, View};
use crate::wire::method::Method;

/// A body that is answered with again and again: its bytes never change, so neither does what is found out about them.
///
/// No verdict is kept here. A verdict depends on the case, on the policy, on the moment; every control is asked each time.
#[derive(Debug)]
pub struct Kept {
    body: Json,
    plain: OnceLock<bool>,
}

impl Kept {
    /// Nothing is known of it yet.
    #[must_use]
    pub fn new(body: Json) -> Arc<Self> {
        Arc::new(Self { body, plain: OnceLock::new() })
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Json {
        &self.body
    }
}

/// The error of a server that wants a person to open a link first.
const URL_REQUIRED: i64 = -32042;

/// What came back for a call.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Whether it is the `result` or the `error` member.
    pub form: ReplyForm,
    /// The member's value.
    pub body: Json,
    texts: OnceLock<Texts>,
    kept: Option<Arc<Kept>>,
}

impl Reply {
    /// A reply as it came.
    #[must_use]
    pub const fn new(form: ReplyForm, body: Json) -> Self {
        Self { form, body, texts: OnceLock::new(), kept: None }
    }

    /// A result that was made before. What a control makes of it is another body, of which nothing is known.
    #[must_use]
    pub fn of_kept(kept: &Arc<Kept>) -> Self {
        Self { kept: Some(kept.clone()), ..Self::new(ReplyForm::Result, kept.body.clone()) }
    }

    /// Whether it is known that all of the body can be seen; never of a body that is answered with once. What is remembered is
    /// the answer to this one question, so `unicode` alone asks it. `look` follows
    /// from nothing but the bytes, so one look is enough for the same bytes: those at the same place in memory, which
    /// cannot change, and whose place is nobody else's while they are kept.
    pub(crate) fn is_known_plain(&self, look: fn(&Json) -> bool) -> bool {
        let same = |kept: &&Arc<Kept>| kept.body.bytes().as_ptr_range() == self.body.bytes().as_ptr_range();
        self.kept.as_ref().filter(same).is_some_and(|kept| *kept.plain.get_or_init(|| look(&self.body)))
    }

    /// What a server asks inside of its answer (2026-07-28), and which server it is. What the gateway answers itself asks
    /// for nothing, and may be long: it is not walked.
    #[must_use]
    pub fn asks<'r>(&'r self, case: &'r Case) -> Option<(&'r Arc<str>, View<'r>)> {
        let server = case.server()?;
        Some((server, self.result()?.view().get("inputRequests")?))
    }

    /// What a server wants a person to open before it does what it was asked: links inside the error -32042 (2025-11-25),
    /// and which server it is.
    #[must_use]
    pub fn opens<'r>(&'r self, case: &'r Case) -> Option<(&'r Arc<str>, View<'r>)> {
        let server = case.server()?;
        if self.form != ReplyForm::Error || self.body.view().get("code").and_then(View::as_whole) != Some(URL_REQUIRED) {
            return None;
        }
        Some((server, self.body.view().at(&["data", "elicitations"])?))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static LOOKS: AtomicUsize = AtomicUsize::new(0);

    fn look(body: &Json) -> bool {
        LOOKS.fetch_add(1, Ordering::Relaxed);
        !body.bytes().contains(&b'!')
    }

    #[test]
    fn the_same_bytes_are_looked_at_once_and_others_are_not_taken_for_them() {
        let kept = Kept::new(Json::array([Json::string("a")]));
        let mut replies = [Reply::of_kept(&kept), Reply::of_kept(&kept)];
        assert!(replies.iter().all(|reply| reply.is_known_plain(look)));
        assert_eq!(LOOKS.load(Ordering::Relaxed), 1);
        // The same text at another place, a part of the same place, another text: of none of them anything is known.
        let part = kept.body().view().items().next().map(|item| kept.body().share(item)).expect("an item");
        for body in [Json::array([Json::string("a")]), part, Json::string("!")] {
            replies[0].body = body;
            assert!(!replies[0].is_known_plain(look), "{:?}", replies[0].body);
        }
        assert!(!Reply::new(ReplyForm::Result, kept.body().clone()).is_known_plain(look), "it was not kept");
        assert!(!Reply::of_kept(&Kept::new(Json::string("!"))).is_known_plain(look));
        assert_eq!(LOOKS.load(Ordering::Relaxed), 2);
    }
}
