//! What a call carries beside name and arguments.

use super::Case;
use crate::wire::envelope::Message;
use crate::wire::json::Json;

impl Case {
    /// What a call carries to the server beside name and arguments: everything else of its parameters, without what
    /// differs each time and says nothing of what is done.
    #[must_use]
    pub fn beside(&self) -> Option<Json> {
        let Message::Request { params: Some(params), .. } = &self.message else { return None };
        let mut found = Vec::new();
        for (key, value) in params.view().members() {
            if key == "_meta" {
                let meta: Vec<_> = value.members().filter(|(key, _)| !is_transient(key)).collect();
                found.extend(meta.into_iter().map(|(key, value)| (format!("_meta.{key}"), params.share(value))));
            } else if !matches!(&*key, "name" | "arguments") {
                found.push((key.into_owned(), params.share(value)));
            }
        }
        (!found.is_empty()).then(|| Json::object(found.iter().map(|(key, value)| (key.as_str(), value.clone()))))
    }
}

/// Members of `_meta` that belong to one message: the protocol's own, progress, traces.
#[must_use]
pub fn is_transient(key: &str) -> bool {
    key.starts_with("io.modelcontextprotocol/") || matches!(key, "progressToken" | "traceparent" | "tracestate" | "baggage")
}
