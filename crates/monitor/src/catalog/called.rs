//! Which tool a call names, before it is a case.

use super::{Catalog, Menu, Naming, Reference};
use crate::case::{Caller, Item};
use crate::wire::envelope::{Message, Parsed};
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
