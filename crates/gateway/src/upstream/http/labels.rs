//! What goes with a request beside its body.

use std::sync::Arc;

use bartizan_monitor::case::Claim;
use bartizan_monitor::wire::json::View;
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::mirror;
use bartizan_monitor::wire::version::{Era, Version};

use crate::upstream::credentials::Purpose;

/// What the headers of a request say beside the body.
pub(super) struct Labels<'a> {
    pub(super) version: Option<Version>,
    pub(super) method: Method,
    pub(super) params: Option<View<'a>>,
    pub(super) declared: &'a [(String, String)],
    pub(super) purpose: Purpose<'a>,
    /// What was claimed of the call.
    pub(super) claim: Option<&'a Arc<dyn Claim>>,
}

impl Labels<'_> {
    pub(super) fn headers(&self, era: Era) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if let Some(version) = self.version {
            headers.push(("mcp-protocol-version".to_owned(), version.name().to_owned()));
        }
        if era == Era::Legacy {
            return headers;
        }
        headers.push(("mcp-method".to_owned(), self.method.name().to_owned()));
        let named = match self.method {
            Method::ToolsCall | Method::PromptsGet => "name",
            Method::ResourcesRead => "uri",
            Method::TasksGet | Method::TasksCancel | Method::TasksUpdate => "taskId",
            _ => "",
        };
        if let Some(name) = self.params.and_then(|params| params.get(named)).and_then(View::as_str) {
            headers.push(("mcp-name".to_owned(), mirror::encode(&name)));
        }
        headers
            .extend(self.declared.iter().map(|(name, value)| (format!("mcp-param-{}", name.to_ascii_lowercase()), mirror::encode(value))));
        headers
    }
}
