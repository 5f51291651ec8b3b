//! Which tool a call names, before it is a case.

use super::{Catalog, Menu, Naming, Reference};
use crate::case::{Caller, Item};
use crate::wire::envelope::{Message, Parsed};
use crate::wire::json::{Edits, Json, View};
use crate::wire::method::Method;

impl Catalog {
    /// The approved tool that a call names. Routing only; [`Self::case`] decides.
    #[must_use]
    pub fn called(&self, parsed: &Parsed, caller: &Caller, (naming, menus): (Naming, &[Menu])) -> Option<Item> {
        let Message::Request { method: Method::ToolsCall, params, .. } = parsed.message() else { return None };
        self.item(&Reference::read(Method::ToolsCall, params.as_ref())?, naming, menus, caller).ok()
    }
}

/// Whether a method is about a task.
pub(super) fn is_task(method: Method) -> bool {
    matches!(method, Method::TasksGet | Method::TasksResult | Method::TasksCancel | Method::TasksUpdate)
}

/// The resources that a `subscriptions/listen` names.
pub fn watched(params: Option<&Json>) -> impl Iterator<Item = String> {
    let uris = params.and_then(|params| params.view().at(&["notifications", "resourceSubscriptions"]));
    uris.into_iter().flat_map(View::items).filter_map(View::as_str).map(std::borrow::Cow::into_owned)
}

/// Puts the server's own name where the endpoint's name stood.
pub(super) fn with_own_name(method: Method, params: &Json, name: &str) -> Json {
    let view = params.view();
    let place = match method {
        Method::ToolsCall | Method::PromptsGet => view.get("name"),
        Method::Complete => view.at(&["ref", "name"]),
        _ => None,
    };
    let Some(place) = place.filter(|place| place.as_str().as_deref() != Some(name)) else { return params.clone() };
    let mut edits = Edits::of(params);
    edits.replace(place, &Json::string(name));
    edits.apply()
}
