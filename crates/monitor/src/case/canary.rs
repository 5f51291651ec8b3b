//! Values that lie about to be touched.

use std::fmt::Debug;
use std::sync::Arc;

use super::Caller;

/// What a message shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// It holds the canary of this name.
    Now(Arc<str>),
    /// Its session held one before.
    Before,
}

/// Who knows the values, and who touched them. Kept outside of the monitor; asked by the control `canary` only.
pub trait Wires: Debug + Send + Sync {
    /// Whether a text of a session holds a canary, or another one did before.
    fn touched(&self, caller: &Caller, session: &str, text: &str) -> Option<Touch>;
}
