//! What the gateway asks servers on its own account: a closed list. None of it carries text that a
//! client chose, so none of it needs a judgement.

use bartizan_monitor::case::Kind;
use bartizan_monitor::wire::envelope::{META_CAPABILITIES, META_VERSION};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::method::Method;
use bartizan_monitor::wire::version::{Era, Version};

/// What a client can do for a server: known capabilities, and nothing of what else it declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    flags: Vec<(&'static str, Vec<&'static str>)>,
}

/// Client capabilities and their options, over all legacy versions.
const KNOWN: &[(&str, &[&str])] = &[("roots", &["listChanged"]), ("sampling", &["tools", "context"]), ("elicitation", &["form", "url"])];

impl Capabilities {
    /// Reads what a client declares.
    #[must_use]
    pub fn read(declared: Option<View<'_>>) -> Self {
        let mut flags = Vec::new();
        for (name, options) in KNOWN {
            let Some(value) = declared.and_then(|declared| declared.get(name)) else { continue };
            let on = |option: &&&'static str| value.get(option).is_some_and(|option| option.as_bool() != Some(false));
            flags.push((*name, options.iter().filter(on).copied().collect()));
        }
        Self { flags }
    }

    /// Everything that a client can have: some servers offer a tool only to clients that can use it.
    #[must_use]
    pub fn all() -> Self {
        Self { flags: KNOWN.iter().map(|(name, options)| (*name, options.to_vec())).collect() }
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Json {
        Json::object(self.flags.iter().map(|(name, options)| {
            let value = |option: &str| if option == "listChanged" { Json::of(&true) } else { Json::empty_object() };
            (*name, Json::object(options.iter().map(|option| (*option, value(option)))))
        }))
    }
}

/// Log levels (RFC 5424), as `logging/setLevel` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(&'static str);

const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl Level {
    /// Reads a level.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        LEVELS.into_iter().find(|level| *level == name).map(Self)
    }
}

/// Something that the gateway asks or tells a server on its own account.
#[derive(Debug, Clone)]
pub enum Probe {
    /// Who are you, and do you speak the modern era?
    Discover,
    /// Opens a legacy session.
    Initialize {
        /// The version that the client speaks.
        version: Version,
        /// What the client can do.
        capabilities: Capabilities,
    },
    /// Completes the opening.
    Initialized,
    /// A page of a list; the cursor is the server's own.
    List(Kind, Option<Json>),
    /// How much the server should log.
    SetLevel(Level),
    /// The client's roots changed.
    RootsChanged,
    /// A call is no longer wanted.
    Cancelled(u64),
    /// Tell what changes: lists, and approved resources.
    Listen(Watch),
}

/// What to tell about. The URIs are pinned ones, not the client's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// Changes of these lists.
    pub lists: Vec<Kind>,
    /// Changes of these approved resources.
    pub resources: Vec<String>,
}

/// The names of the lists in a `subscriptions/listen` filter.
const LISTS: &[(Kind, &str)] =
    &[(Kind::Tool, "toolsListChanged"), (Kind::Prompt, "promptsListChanged"), (Kind::Resource, "resourcesListChanged")];

impl Watch {
    /// Reads a filter; `approved` says which resources may be watched.
    #[must_use]
    pub fn read(filter: View<'_>, approved: impl Fn(&str) -> bool) -> Self {
        let on = |name: &str| filter.get(name).and_then(View::as_bool) == Some(true);
        let uris = filter.get("resourceSubscriptions").into_iter().flat_map(View::items).filter_map(View::as_str);
        Self {
            lists: LISTS.iter().filter(|(_, name)| on(name)).map(|(kind, _)| *kind).collect(),
            resources: uris.filter(|uri| approved(uri)).map(std::borrow::Cow::into_owned).collect(),
        }
    }

    /// As a filter.
    #[must_use]
    pub fn json(&self) -> Json {
        let lists = LISTS.iter().filter(|(kind, _)| self.lists.contains(kind)).map(|(_, name)| (*name, Json::of(&true)));
        let resources = (!self.resources.is_empty()).then(|| ("resourceSubscriptions", Json::of(&self.resources)));
        Json::object(lists.chain(resources))
    }
}

impl Probe {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Discover => Method::Discover,
            Self::Initialize { .. } => Method::Initialize,
            Self::Initialized => Method::Initialized,
            Self::List(kind, _) => kind.list().unwrap_or(Method::ToolsList),
            Self::SetLevel(_) => Method::SetLevel,
            Self::RootsChanged => Method::RootsChanged,
            Self::Cancelled(_) => Method::Cancelled,
            Self::Listen(_) => Method::Listen,
        }
    }

    /// Its parameters.
    #[must_use]
    pub fn params(&self, era: Era) -> Option<Json> {
        let mut members = match self {
            Self::Discover | Self::Initialized | Self::RootsChanged | Self::List(_, None) => Vec::new(),
            Self::Initialize { version, capabilities } => {
                vec![("protocolVersion", Json::string(version.name())), ("capabilities", capabilities.json()), ("clientInfo", identity())]
            }
            Self::List(_, Some(cursor)) => vec![("cursor", cursor.clone())],
            Self::Listen(watch) => vec![("notifications", watch.json())],
            Self::SetLevel(level) => vec![("level", Json::string(level.0))],
            Self::Cancelled(id) => vec![("requestId", Json::number(*id)), ("reason", Json::string("no longer wanted"))],
        };
        if era == Era::Modern && !matches!(self, Self::Cancelled(_)) {
            let version = Json::string(Version::NEWEST.name());
            let meta =
                [(META_VERSION, version), ("io.modelcontextprotocol/clientInfo", identity()), (META_CAPABILITIES, Json::empty_object())];
            members.push(("_meta", Json::object(meta)));
        }
        (!members.is_empty()).then(|| Json::object(members))
    }
}

/// How the gateway introduces itself.
#[must_use]
pub fn identity() -> Json {
    Json::object([("name", Json::string("bartizan")), ("version", Json::string(env!("CARGO_PKG_VERSION")))])
}
