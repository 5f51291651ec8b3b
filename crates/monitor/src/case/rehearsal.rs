//! A call that is only tried: the server says what it would do, because the operator knows how to ask it.

use std::sync::OnceLock;

use super::{Case, Facts};
use crate::lock::Pin;
use crate::wire::canonical;
use crate::wire::envelope::Message;
use crate::wire::json::{Edits, Json, View};
use crate::wire::mirror::Mirror;

/// What of `_meta` belongs to every message of a client, and not to this call.
const PROTOCOL: &str = "io.modelcontextprotocol/";

impl Pin {
    /// Whether arguments have what makes the tool only say what it would do.
    #[must_use]
    pub fn rehearses(&self, arguments: Option<&Json>) -> bool {
        let (Some(wanted), Some(given)) = (self.preview(), arguments) else { return false };
        let same = |one: &Json, other: &Json| canonical::text(one) == canonical::text(other);
        wanted.view().members().all(|(key, value)| given.get(&key).is_some_and(|given| same(&given, &wanted.share(value))))
    }
}

impl Case {
    /// Whether its arguments have what makes the tool only say what it would do (`preview` in the tool's entry of the
    /// lock file). That this is so is the operator's word; the rest of the arguments may be anything.
    #[must_use]
    pub fn rehearses(&self) -> bool {
        self.tool().is_some_and(|tool| tool.pin.rehearses(self.arguments.as_ref()))
    }

    /// The number of the held call that is tried by this one.
    #[must_use]
    pub const fn tries(&self) -> Option<u64> {
        self.tries
    }

    /// The same call, only tried; none where the operator has not said how. It carries the arguments and what the
    /// protocol wants of every message, and nothing else: no progress is told, and no key makes the server take the
    /// call itself for a repeat of this.
    #[must_use]
    pub fn rehearsal(&self, facts: Facts) -> Option<Self> {
        let wanted = self.tool()?.pin.preview()?;
        let Message::Request { id, method, params: Some(params) } = &self.message else { return None };
        let arguments = with(self.arguments.as_ref().unwrap_or(&Json::empty_object()), wanted);
        let view = params.view();
        let meta = view.get("_meta").into_iter().flat_map(View::members).filter(|(key, _)| key.starts_with(PROTOCOL));
        let meta: Vec<_> = meta.map(|(key, value)| (key, params.share(value))).collect();
        let meta = (!meta.is_empty()).then(|| ("_meta", Json::object(meta.iter().map(|(key, value)| (&**key, value.clone())))));
        let members = [("name", params.share(view.get("name")?)), ("arguments", arguments.clone())];
        let params = Json::object(members.into_iter().chain(meta));
        Some(Self {
            caller: self.caller.clone(),
            facts,
            version: self.version,
            message: Message::Request { id: id.clone(), method: *method, params: Some(params) },
            target: self.target.clone(),
            arguments: Some(arguments),
            digest: OnceLock::new(),
            // Headers of the message that came say nothing of this one.
            mirror: Mirror::none(),
            tries: Some(self.facts.id),
            reads: None,
        })
    }
}

fn with(arguments: &Json, wanted: &Json) -> Json {
    let mut edits = Edits::of(arguments);
    wanted.view().members().for_each(|(key, value)| edits.set(arguments.view(), &key, &wanted.share(value)));
    edits.apply()
}
