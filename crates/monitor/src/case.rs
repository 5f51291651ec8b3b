//! All that a control may see: who calls what, where, when, and what came back.

mod agreed;
mod aside;
mod beside;
mod caller;
mod canary;
mod cover;
mod labels;
mod once;
mod rehearsal;
mod said;
mod step;
mod stops;
mod texts;
mod whole;
pub use agreed::{Agreed, Agreement, Assurance, Scope};
pub(crate) use aside::told;
pub use aside::{Aside, Quarantined, READ_ON, Reading, Reads, Rest};
pub use beside::is_transient;
pub use caller::{Badge, Caller, Means, Reach, Strength};
pub use canary::{Touch, Wires};
pub use cover::{Cover, Lent};
pub use labels::Labels;
pub use once::{Answered, BadKey, Before, Claim, Deed, Deeds, KEY, Moment, Once};
pub use said::{Event, Kept, Read, Reply, ReplyForm};
pub use step::{Mark, Step};
pub use stops::{Stopped, Stops};
pub use texts::{Changed, Part, Role, Texts};
pub use whole::{PART, Piece, Spot, Whole};

use core::net::IpAddr;
use std::fmt;
use std::sync::{Arc, OnceLock};

pub use bartizan_meter::Tally;

use crate::wire::canonical::Digest;
use crate::wire::envelope::Message;
use crate::wire::json::{Edits, Json, View};
use crate::wire::method::Method;
use crate::wire::version::Version;

/// What a call can do to the world. The operator decides it, in the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Looks, changes nothing.
    Read,
    /// Changes something that can be changed back.
    Write,
    /// Changes something that cannot.
    Destructive,
}

impl Effect {
    /// The name in files, policies and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Destructive].into_iter().find(|effect| effect.name() == name)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of definition a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Which program the server says it is, and what it can do: reviewed, never called.
    Server,
    /// What the server tells the model about itself.
    Instructions,
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// One resource.
    Resource,
    /// A family of resources.
    Template,
}

impl Kind {
    /// The kinds that have a list method.
    pub const LISTED: [Self; 4] = [Self::Tool, Self::Prompt, Self::Resource, Self::Template];

    /// The name in the lock file and the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Instructions => "instructions",
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Template => "template",
        }
    }

    /// The method that lists this kind.
    #[must_use]
    pub const fn list(self) -> Option<Method> {
        match self {
            Self::Server | Self::Instructions => None,
            Self::Tool => Some(Method::ToolsList),
            Self::Prompt => Some(Method::PromptsList),
            Self::Resource => Some(Method::ResourcesList),
            Self::Template => Some(Method::TemplatesList),
        }
    }

    /// The member of the list's result that holds the definitions.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Instructions => "instructions",
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Resource => "resources",
            Self::Template => "resourceTemplates",
        }
    }

    /// The member of a definition that names it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Server | Self::Tool | Self::Prompt => "name",
            Self::Resource => "uri",
            Self::Template => "uriTemplate",
        }
    }
}

/// How an approved definition compares with what its server offers now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what was reviewed.
    Pinned,
    /// The server offers something else under this name.
    Changed,
    /// The server offers it no more.
    Removed,
}

/// One approved thing of one server.
#[derive(Debug, Clone)]
pub struct Item {
    /// The server's name in the configuration.
    pub server: Arc<str>,
    /// What was approved.
    pub pin: Arc<crate::lock::Pin>,
    /// What the server offers of it now.
    pub standing: Standing,
    /// Why its name may not stand beside the other approved ones, if that is so.
    pub shadow: Option<Arc<str>>,
}

/// Where a message goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// The gateway answers it itself.
    Gateway,
    /// One server, without a definition of its own: lists of tasks, notifications, answers.
    Server(Arc<str>),
    /// An approved definition of a server.
    Item(Item),
}

/// When and where a message arrived: what the gateway knows and the monitor cannot.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The number of the call, unique in a journal.
    pub id: u64,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The session, or for the modern era what stands for it. Never the session id itself, which is
    /// half a credential.
    pub session: Arc<str>,
    /// How the client is connected: `stdio` or `http`.
    pub transport: &'static str,
    /// Where the client's connection comes from; none over a pipe.
    pub peer: Option<IpAddr>,
    /// What the conversation has seen.
    pub labels: Labels,
    /// What the operator has stopped.
    pub stops: Arc<Stops>,
    /// What the call takes of what there is only so much of; given back unless the call is made.
    pub tally: Arc<Tally>,
    /// The tools that somebody agreed to in this session, under the policy of this moment.
    pub agreed: Arc<Agreed>,
    /// What was done before.
    pub once: Once,
    /// Who knows values that nobody has a reason to send, where there are some.
    pub wires: Option<Arc<dyn Wires>>,
    /// What texts are covered with.
    pub cover: Cover,
}

/// One message of a verified caller about something that exists and was approved.
///
/// Made by [`crate::catalog::Catalog::case`] only.
#[derive(Debug)]
pub struct Case {
    pub(crate) caller: Caller,
    pub(crate) facts: Facts,
    pub(crate) version: Version,
    pub(crate) message: Message,
    pub(crate) target: Target,
    pub(crate) arguments: Option<Json>,
    pub(crate) digest: OnceLock<Digest>,
    pub(crate) mirror: crate::wire::mirror::Mirror,
    pub(crate) tries: Option<u64>,
    pub(crate) reads: Option<Reads>,
}

impl Case {
    /// Who calls.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When and where.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The protocol version of the message. For records: no control may branch on it.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The method; none for the answer to a server's request.
    #[must_use]
    pub const fn method(&self) -> Option<Method> {
        match &self.message {
            Message::Request { method, .. } | Message::Notification { method, .. } => Some(*method),
            Message::Response { .. } => None,
        }
    }

    /// The message, as it will be sent.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// Where it goes.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The approved definition it is about.
    #[must_use]
    pub const fn item(&self) -> Option<&Item> {
        match &self.target {
            Target::Item(item) => Some(item),
            Target::Gateway | Target::Server(_) => None,
        }
    }

    /// The approved tool that is called, for `tools/call` only: who reads on calls nothing.
    #[must_use]
    pub fn tool(&self) -> Option<&Item> {
        self.item().filter(|_| self.method() == Some(Method::ToolsCall) && self.reads.is_none())
    }

    /// What somebody agreed to earlier in this session and covers the call.
    #[must_use]
    pub fn agreed(&self) -> Option<&Agreement> {
        self.facts.agreed.covers(self.tool()?, self.facts.now_ms)
    }

    /// Whether it ends what was begun: it can only lessen what happens, so a change of the definition
    /// does not stand in its way.
    #[must_use]
    pub fn withdraws(&self) -> bool {
        matches!(self.method(), Some(Method::TasksCancel | Method::Unsubscribe))
    }

    /// The server it goes to.
    #[must_use]
    pub const fn server(&self) -> Option<&Arc<str>> {
        match &self.target {
            Target::Gateway => None,
            Target::Server(server) => Some(server),
            Target::Item(item) => Some(&item.server),
        }
    }

    /// What it can do to the world, as the operator decided. Reading a resource or a prompt reads, and
    /// so does looking after a task; input that a task waited for does what its tool does.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match (self.item(), self.method()) {
            (Some(_), _) if self.reads.is_some() => Effect::Read,
            (Some(_), Some(Method::TasksGet | Method::TasksResult | Method::TasksCancel)) | (None, _) => Effect::Read,
            (Some(item), _) => item.pin.effect,
        }
    }

    /// The arguments of a call, always an object when present.
    #[must_use]
    pub fn arguments(&self) -> Option<View<'_>> {
        self.arguments.as_ref().map(Json::view)
    }

    /// The same, to be kept.
    #[must_use]
    pub const fn arguments_json(&self) -> Option<&Json> {
        self.arguments.as_ref()
    }

    /// The digest of the arguments' canonical form; of `{}` when there are none.
    #[must_use]
    pub fn arguments_digest(&self) -> Digest {
        // Several controls and the record want it.
        *self.digest.get_or_init(|| digest_of(self.arguments.as_ref()))
    }

    /// The call whose recorded answer stands for this one: nothing is sent, so nobody has to agree to it.
    #[must_use]
    pub fn replays(&self) -> Option<u64> {
        self.facts.once.claim()?.replay().map(|(first, _)| first)
    }

    /// Puts other arguments in the place of those that came. Who judged them before judges no more: only what stands
    /// before everybody who reads them may ask for it.
    pub(crate) fn replace_arguments(&mut self, arguments: Json) {
        if let Message::Request { params: Some(params), .. } = &mut self.message
            && let Some(old) = params.view().get("arguments")
        {
            let mut edits = Edits::of(params);
            edits.replace(old, &arguments);
            *params = edits.apply();
        }
        self.arguments = Some(arguments);
    }

    /// The URI that a request names.
    #[must_use]
    pub fn uri(&self) -> Option<Json> {
        let Message::Request { params: Some(params), .. } = &self.message else { return None };
        params.get("uri")
    }

    /// The headers that mirror arguments.
    #[must_use]
    pub const fn mirror(&self) -> &crate::wire::mirror::Mirror {
        &self.mirror
    }
}

/// The digest of arguments; of `{}` when there are none.
#[must_use]
pub fn digest_of(arguments: Option<&Json>) -> Digest {
    arguments.map_or_else(|| Digest::of_bytes(b"{}"), Digest::of_json)
}
