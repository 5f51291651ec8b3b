//! What exists: the reviewed definitions, compared with what the servers offer now.

mod called;
mod definition;
mod effect;
mod kept;
mod renew;
mod resources;
mod shadow;
pub use bartizan_format::uri::normal_form;
pub use called::watched;
pub use definition::{Definition, Offer, Rejected};
pub use effect::{propose, reaches_out};
pub use shadow::Shadows;

use std::sync::{Arc, OnceLock};

use called::{is_task, with_own_name};
use resources::{Found, Resources};

use crate::case::{Caller, Case, Facts, Item, Kind, Standing, Target};
use crate::lock::{Lock, Pin};
use crate::reason::{Class, Refusal, reasons};
use crate::wire::envelope::{Message, Parsed};
use crate::wire::json::{Edits, Json, View};
use crate::wire::method::Method;

reasons! {
    UNKNOWN = "catalog.unknown", Class::Unknown,
        "There is nothing of this name.",
        "The name, URI or task does not exist, was not approved, or is not visible to this caller. The answer is the same for all three, so that nobody learns what exists by asking.",
        "`bartizan diff` shows what is not approved yet; `bartizan token list` shows what a credential is good for.";
    UNAPPROVED = "catalog.unapproved", Class::Denied,
        "Nothing of this server has been approved yet. Ask the person who runs this client to run `bartizan approve`.",
        "First contact: nobody has reviewed the server's definitions, so none is visible and none can be called.",
        "Run `bartizan approve SERVER`; the gateway's log names the server.";
    URI = "catalog.uri", Class::Params,
        "This URI can be read in more than one way. Write it as the list of resources shows it.",
        "The URI is not in its normal form (dot segments, needless or repeated escapes, another spelling of scheme or host, backslashes, control characters), and its normal form is judged differently. It is refused and not rewritten, because what is judged is what is sent.",
        "Ask for the normal form. If the server itself uses this spelling, approve the resource under it.";
    SHARED = "catalog.shared", Class::Denied,
        "Several servers have this resource. Ask at the endpoint of one server, /mcp/NAME.",
        "The approved resources or templates of more than one server cover the URI equally, so that it is not known which of them is meant.",
        "Use `/mcp/NAME` instead of `/mcp`, or approve the exact resource at one server: it wins over templates.";
}

/// What one server behind the endpoint has to offer at this moment.
#[derive(Debug, Clone)]
pub struct Menu {
    /// The server's name.
    pub server: Arc<str>,
    /// What it offers, or why that cannot be known.
    pub offer: Result<Arc<Offer>, Refusal>,
}

/// Where a message arrived, as far as routing goes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// How the endpoint shows names.
    pub naming: Naming,
    /// The servers of the endpoint that the message concerns, and what they offer.
    pub menus: &'a [Menu],
    /// Whose the task is that the message names, or the request that it answers, as the gateway
    /// remembers it.
    pub owner: Option<&'a Owner>,
}

/// Whose something is that a client names by an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The server.
    pub server: Arc<str>,
    /// The tool, for a task: its call began it.
    pub tool: Option<Arc<str>>,
}

/// The reviewed definitions, and how names are told apart where several servers share an endpoint.
#[derive(Debug, Clone)]
pub struct Catalog {
    lock: Arc<Lock>,
    separator: Arc<str>,
    shadows: Arc<Shadows>,
    resources: Arc<Resources>,
}

/// What an endpoint shows of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// One server: its own names.
    Plain,
    /// Several servers: `server__name`.
    Prefixed,
}

impl Catalog {
    /// A catalogue over a lock file.
    #[must_use]
    pub fn new(lock: Arc<Lock>, separator: &str) -> Self {
        Self { shadows: Arc::new(Shadows::of(&lock)), resources: Arc::new(Resources::of(&lock)), lock, separator: separator.into() }
    }

    /// The reviewed definitions.
    #[must_use]
    pub const fn lock(&self) -> &Arc<Lock> {
        &self.lock
    }

    /// Which of the endpoint's servers a message is about: all of them for a list, none for what the
    /// gateway answers alone. Routing only; [`Self::case`] decides.
    #[must_use]
    pub fn concerns<'s>(&self, parsed: &Parsed, owner: Option<&Owner>, (naming, servers): (Naming, &'s [Arc<str>])) -> Vec<&'s Arc<str>> {
        let Message::Request { method, params, .. } = parsed.message() else { return Vec::new() };
        if let Some(Owner { server, tool: Some(_) }) = owner {
            return servers.iter().filter(|name| *name == server).collect();
        }
        if *method == Method::Listen {
            let covers =
                |server: &&Arc<str>| watched(params.as_ref()).any(|uri| !matches!(self.resources.find(server, &uri), Found::Nothing));
            return servers.iter().filter(covers).collect();
        }
        let named = |name: Option<&str>| -> Vec<&'s Arc<str>> {
            let mine = |server: &&Arc<str>| name.is_some_and(|name| self.bare(server, naming, name).is_some());
            servers.iter().filter(mine).collect()
        };
        match Reference::read(*method, params.as_ref()) {
            Some(Reference::Name(_, name)) => named(Some(&name)),
            Some(Reference::Uri(uri)) => {
                servers.iter().filter(|server| !matches!(self.resources.find(server, &uri), Found::Nothing)).collect()
            }
            Some(Reference::Template(uri)) => servers.iter().filter(|server| self.template(server, &uri).is_some()).collect(),
            None if is_list(*method).is_some() => servers.iter().collect(),
            None => Vec::new(),
        }
    }

    /// Makes the case of a message: its target exists, was approved, and its name is the server's own.
    pub fn case(&self, parsed: Parsed, caller: &Caller, place: Place<'_>, facts: Facts) -> Result<Case, Refusal> {
        let Place { naming, menus, owner } = place;
        let (version, mirror) = (parsed.version(), parsed.mirror().clone());
        let mut message = parsed.into_message();
        let target = match &message {
            Message::Request { method, params, .. } => match Reference::read(*method, params.as_ref()) {
                Some(reference) => Target::Item(self.item(&reference, naming, menus, caller)?),
                None if is_task(*method) => self.task(owner, menus)?,
                None => Target::Gateway,
            },
            Message::Notification { .. } => owner.map_or(Target::Gateway, |owner| Target::Server(owner.server.clone())),
            Message::Response { .. } if owner.is_some_and(Owner::is_gateway) => Target::Gateway,
            Message::Response { .. } => Target::Server(owner.ok_or_else(|| unknown("no such request"))?.server.clone()),
        };
        if let (Target::Item(item), Message::Request { method, params: Some(params), .. }) = (&target, &mut message) {
            *params = with_own_name(*method, params, &item.pin.name);
        }
        let arguments = match &message {
            Message::Request { method: Method::ToolsCall | Method::PromptsGet, params: Some(params), .. } => params.get("arguments"),
            Message::Request { .. } | Message::Notification { .. } | Message::Response { .. } => None,
        };
        Ok(Case {
            caller: caller.clone(),
            facts,
            version,
            message,
            target,
            arguments,
            digest: OnceLock::new(),
            mirror,
            tries: None,
            reads: None,
        })
    }

    /// The approved definitions of one kind that the servers still offer as reviewed, in order, with
    /// the names of this endpoint.
    #[must_use]
    pub fn listed(&self, kind: Kind, naming: Naming, menus: &[Menu]) -> Vec<(Item, Json)> {
        let mut found = Vec::new();
        for menu in menus {
            let Ok(offer) = &menu.offer else { continue };
            // The server's own order, which clients and people may know; the lock file's is another.
            for definition in offer.of(kind) {
                let Some(pin) = self.lock.get(&menu.server, kind, &definition.name).filter(|pin| pin.digest == definition.digest) else {
                    continue;
                };
                let item = self.as_item(&menu.server, pin, Standing::Pinned);
                let shown = self.shown(&menu.server, kind, naming, definition);
                found.push((item, shown));
            }
        }
        found
    }

    fn shown(&self, server: &str, kind: Kind, naming: Naming, definition: &Definition) -> Json {
        if naming == Naming::Plain || !matches!(kind, Kind::Tool | Kind::Prompt) {
            return definition.json.clone();
        }
        let mut edits = Edits::of(&definition.json);
        let name = format!("{server}{}{}", self.separator, definition.name);
        edits.set(definition.json.view(), "name", &Json::string(&name));
        edits.apply()
    }

    fn bare<'n>(&self, server: &str, naming: Naming, name: &'n str) -> Option<&'n str> {
        match naming {
            Naming::Plain => Some(name),
            Naming::Prefixed => name.strip_prefix(server)?.strip_prefix(&*self.separator),
        }
    }

    fn item(&self, reference: &Reference, naming: Naming, menus: &[Menu], caller: &Caller) -> Result<Item, Refusal> {
        let found = match reference {
            Reference::Name(kind, name) => menus.iter().find_map(|menu| Some((menu, self.named(*kind, name, naming, &menu.server)?))),
            Reference::Uri(_) | Reference::Template(_) => self.addressed(reference, menus, caller)?,
        };
        let Some((menu, pin)) = found else {
            let lacking = menus.iter().find(|menu| self.lock.lacks(&menu.server) && caller.may_see(&menu.server));
            return Err(lacking.filter(|_| menus.len() == 1).map_or_else(
                || not_found(reference),
                |menu| Refusal::new(UNAPPROVED, format!("nothing of {} is approved; run: bartizan approve {}", menu.server, menu.server)),
            ));
        };
        self.standing(menu, pin)
    }

    /// A task is judged as what began it.
    fn task(&self, owner: Option<&Owner>, menus: &[Menu]) -> Result<Target, Refusal> {
        let Owner { server, tool } = owner.ok_or_else(|| unknown("a task that this caller did not start"))?;
        let Some(tool) = tool else { return Ok(Target::Server(server.clone())) };
        let menu = menus.iter().find(|menu| menu.server == *server);
        let pin = self.lock.get(server, Kind::Tool, tool);
        let (menu, pin) = menu.zip(pin).ok_or_else(|| unknown("a task of a tool that is not approved any more"))?;
        self.standing(menu, pin).map(Target::Item)
    }

    /// The case of one resource that a client wants to hear of in `subscriptions/listen`: it is judged
    /// as a subscription of its own (2026-07-28, subscriptions).
    pub fn watch(&self, listening: &Case, uri: &str, menus: &[Menu]) -> Result<Case, Refusal> {
        let item = self.item(&Reference::Uri(uri.to_owned()), Naming::Plain, menus, &listening.caller)?;
        let params = Json::object([("uri", Json::string(uri))]);
        let Message::Request { id, .. } = &listening.message else { return Err(unknown("only a request watches")) };
        Ok(Case {
            caller: listening.caller.clone(),
            facts: listening.facts.clone(),
            version: listening.version,
            message: Message::Request { id: id.clone(), method: Method::Subscribe, params: Some(params) },
            target: Target::Item(item),
            arguments: None,
            digest: OnceLock::new(),
            mirror: listening.mirror.clone(),
            tries: None,
            reads: None,
        })
    }

    fn standing(&self, menu: &Menu, pin: &Arc<Pin>) -> Result<Item, Refusal> {
        let offer = menu.offer.as_ref().map_err(Clone::clone)?;
        let standing = match offer.get(pin.kind, &pin.name) {
            Some(definition) if definition.digest == pin.digest => Standing::Pinned,
            Some(_) => Standing::Changed,
            None => Standing::Removed,
        };
        Ok(self.as_item(&menu.server, pin, standing))
    }

    fn as_item(&self, server: &Arc<str>, pin: &Arc<Pin>, standing: Standing) -> Item {
        Item { server: server.clone(), pin: pin.clone(), standing, shadow: self.shadows.get(server, pin.kind, &pin.name).cloned() }
    }

    fn named(&self, kind: Kind, name: &str, naming: Naming, server: &str) -> Option<&Arc<Pin>> {
        self.lock.get(server, kind, self.bare(server, naming, name)?)
    }

    fn template(&self, server: &str, template: &str) -> Option<&Arc<Pin>> {
        self.lock.get(server, Kind::Template, template).or_else(|| self.lock.get(server, Kind::Resource, template))
    }

    /// What was approved of a server.
    pub fn approved(&self, server: &Arc<str>) -> impl Iterator<Item = Item> {
        self.lock.of(server).map(move |pin| self.as_item(server, pin, Standing::Pinned))
    }

    /// The approved resource or template that a URI of a server is of.
    #[must_use]
    pub fn resource(&self, server: &Arc<str>, uri: &str) -> Option<Item> {
        self.resources.find(server, uri).pin().map(|pin| self.as_item(server, pin, Standing::Pinned))
    }

    /// What was approved and a message names, whether or not it can be had now, and the URI that it names it by.
    #[must_use]
    pub fn meant(&self, parsed: &Parsed, naming: Naming, menus: &[Menu]) -> (Vec<Item>, Option<Json>) {
        let Message::Request { method, params, .. } = parsed.message() else { return (Vec::new(), None) };
        // One server that is there gives no reason that tells of it.
        if matches!(menus, [] | [Menu { offer: Ok(_), .. }]) {
            return (Vec::new(), None);
        }
        let Some(reference) = Reference::read(*method, params.as_ref()) else { return (Vec::new(), None) };
        let pin = |menu: &Menu| match &reference {
            Reference::Name(kind, name) => self.named(*kind, name, naming, &menu.server),
            Reference::Uri(uri) => self.resources.find(&menu.server, uri).pin(),
            Reference::Template(uri) => self.template(&menu.server, uri),
        };
        let items = menus.iter().filter_map(|menu| Some(self.as_item(&menu.server, pin(menu)?, Standing::Pinned))).collect();
        (items, params.as_ref().and_then(|params| params.get("uri")))
    }

    /// What a URI or a template addresses. An exact resource wins over templates; of two servers that
    /// have a claim neither does. A server that the caller may not see counts only where there is no
    /// other, and is refused by the control `visibility`: nobody learns of it by asking.
    fn addressed<'m>(&self, reference: &Reference, menus: &'m [Menu], caller: &Caller) -> Result<Claim<'m, '_>, Refusal> {
        let find = |menu: &Menu| match reference {
            Reference::Uri(uri) => self.resources.find(&menu.server, uri),
            Reference::Template(uri) => self.template(&menu.server, uri).map_or(Found::Nothing, Found::Exact),
            Reference::Name(..) => Found::Nothing,
        };
        let (seen, hidden): (Vec<&Menu>, Vec<&Menu>) = menus.iter().partition(|menu| caller.may_see(&menu.server));
        if seen.is_empty() {
            return Ok(hidden.into_iter().find_map(|menu| Some((menu, find(menu).pin()?))));
        }
        let (mut exact, mut covered, mut why) = (Vec::new(), Vec::new(), None);
        for menu in seen {
            match find(menu) {
                Found::Exact(pin) => exact.push((menu, pin)),
                Found::Covered(pin) => covered.push((menu, pin)),
                Found::Ambiguous => why = Some(&menu.server),
                Found::Nothing => {}
            }
        }
        match (exact.as_slice(), covered.as_slice(), why) {
            ([one], ..) | ([], [one], None) => Ok(Some(*one)),
            ([], [], None) => Ok(None),
            ([], _, Some(server)) => Err(Refusal::new(URI, format!("{reference} is judged differently at {server} in its normal form"))),
            ([(a, _), (b, _), ..], ..) | ([], [(a, _), (b, _), ..], None) => {
                Err(Refusal::new(SHARED, format!("{reference} is of {} and of {}", a.server, b.server)))
            }
        }
    }
}

/// The server and its definition that a reference means.
type Claim<'m, 'c> = Option<(&'m Menu, &'c Arc<Pin>)>;

fn unknown(detail: &str) -> Refusal {
    Refusal::new(UNKNOWN, detail)
}

/// The kind that a list method lists.
#[must_use]
pub fn is_list(method: Method) -> Option<Kind> {
    Kind::LISTED.into_iter().find(|kind| kind.list() == Some(method))
}

/// A resource that is not found is named in the error (2026-07-28, resources, error handling).
fn not_found(reference: &Reference) -> Refusal {
    let refusal = unknown(&reference.to_string());
    match reference {
        Reference::Uri(uri) => refusal.echo("uri", Json::string(uri)),
        Reference::Name(..) | Reference::Template(_) => refusal,
    }
}

/// How a request names its target.
#[derive(Debug)]
enum Reference {
    Name(Kind, String),
    Uri(String),
    Template(String),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(kind, name) => write!(f, "{} {name:?}", kind.name()),
            Self::Uri(uri) => write!(f, "resource {uri:?}"),
            Self::Template(uri) => write!(f, "template {uri:?}"),
        }
    }
}

impl Reference {
    fn read(method: Method, params: Option<&Json>) -> Option<Self> {
        let view = params.map(Json::view)?;
        let text = |path: &[&str]| view.at(path).and_then(View::as_str).map(std::borrow::Cow::into_owned).unwrap_or_default();
        match method {
            Method::ToolsCall => Some(Self::Name(Kind::Tool, text(&["name"]))),
            Method::PromptsGet => Some(Self::Name(Kind::Prompt, text(&["name"]))),
            Method::ResourcesRead | Method::Subscribe | Method::Unsubscribe => Some(Self::Uri(text(&["uri"]))),
            Method::Complete if text(&["ref", "type"]) == "ref/prompt" => Some(Self::Name(Kind::Prompt, text(&["ref", "name"]))),
            Method::Complete => Some(Self::Template(text(&["ref", "uri"]))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
