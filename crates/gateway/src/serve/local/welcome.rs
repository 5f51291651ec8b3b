//! How the gateway introduces the servers behind it. What a model reads of it was approved.

use std::sync::Arc;

use bartizan_monitor::case::Kind;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::json::{Json, Kind as JsonKind, View};
use bartizan_monitor::wire::version::Version;

use super::super::seen::shows;
use super::unapproved;
use crate::artefact;
use crate::session::Talk;
use crate::snapshot::Snapshot;
use crate::upstream::{Link, identity};

/// Server capabilities that are judged and relayed here. Others are not announced: a client would
/// rely on what is then refused.
const CAPABILITIES: &[&str] = &["tools", "prompts", "resources", "logging", "completions", "tasks"];

/// The links to the servers, and why some were not opened.
pub(super) type Opened<'a> = (&'a [Arc<Link>], &'a [Refusal]);

/// The result of `initialize`.
pub(super) fn initialized(talk: &Talk, snapshot: &Snapshot, version: Version, (links, refused): Opened<'_>) -> Json {
    let mut members = vec![
        ("protocolVersion", Json::string(version.name())),
        ("capabilities", capabilities(links)),
        ("serverInfo", server_info(talk, snapshot)),
    ];
    members.extend(instructions(talk, snapshot, (links, refused)).map(|text| ("instructions", Json::string(&text))));
    Json::object(members)
}

/// The result of `server/discover`.
pub(super) fn discovered(talk: &Talk, snapshot: &Snapshot, (links, refused): Opened<'_>) -> Json {
    let key = "io.modelcontextprotocol/serverInfo";
    let mut members =
        vec![("supportedVersions", Json::array([Json::string(Version::NEWEST.name())])), ("capabilities", capabilities(links))];
    members.extend(instructions(talk, snapshot, (links, refused)).map(|text| ("instructions", Json::string(&text))));
    members.extend([
        ("resultType", Json::string("complete")),
        ("ttlMs", Json::number(0)),
        ("cacheScope", Json::string("private")),
        ("_meta", Json::object([(key, server_info(talk, snapshot))])),
    ]);
    Json::object(members)
}

/// What the server was called when it was reviewed: a client may show it, and a model may read it.
fn server_info(talk: &Talk, snapshot: &Snapshot) -> Json {
    let pin = talk.endpoint.sole().and_then(|server| snapshot.catalog.lock().get(server.name(), Kind::Server, Kind::Server.name()));
    pin.map_or_else(identity, |pin| named(pin.definition.view()))
}

/// Name and version, and nothing else that a server says of itself.
fn named(info: View<'_>) -> Json {
    let text = |key: &str| info.get(key).and_then(View::as_str).map(|text| Json::string(&text.chars().take(200).collect::<String>()));
    Json::object(["name", "version"].into_iter().filter_map(|key| Some((key, text(key)?))))
}

/// The capabilities of all servers together. Where none speaks yet, what there is to be listed comes with an
/// approval, and the client is told then.
fn capabilities(links: &[Arc<Link>]) -> Json {
    if links.is_empty() {
        let changes = || Json::object([("listChanged", Json::of(&true))]);
        return Json::object(["tools", "prompts", "resources"].map(|name| (name, changes())));
    }
    Json::object(CAPABILITIES.iter().filter_map(|name| {
        let offered: Vec<View<'_>> = links.iter().filter_map(|link| link.hello().view().at(&["capabilities", name])).collect();
        match offered.as_slice() {
            [] => None,
            several => Some((*name, union(several))),
        }
    }))
}

/// An option is there when one server has it; options that are objects are joined by name.
fn union(several: &[View<'_>]) -> Json {
    let mut options: Vec<(String, Json)> = Vec::new();
    for (key, value) in several.iter().flat_map(|one| one.members()) {
        let on = value.kind() == JsonKind::Object || value.as_bool() == Some(true);
        if on && !options.iter().any(|(other, _)| *other == key) {
            options.push((key.into_owned(), Json::of(&value.to_value())));
        }
    }
    Json::object(options.iter().map(|(key, value)| (key.as_str(), value.clone())))
}

/// The approved instructions, and what to do where nothing was approved.
fn instructions(talk: &Talk, snapshot: &Snapshot, (links, refused): Opened<'_>) -> Option<String> {
    let lock = snapshot.catalog.lock();
    let mut texts = Vec::new();
    for server in talk.servers() {
        if !shows(snapshot, &talk.caller, server.name()) {
            continue;
        }
        if lock.lacks(server.name()) {
            texts.push(unapproved(server));
            // Who started the gateway wrote the command, and reads here what is wrong with it.
            let own = refused.iter().filter(|refusal| talk.transport == "stdio" && artefact::is_reason(refusal.reason));
            texts.extend(own.map(|refusal| format!("{} {}", refusal.reason.page().hint, refusal.detail)));
            continue;
        }
        let Some(link) = links.iter().find(|link| link.server().name() == server.name()) else { continue };
        let said = link.hello().view().get("instructions").and_then(View::as_str);
        let pinned =
            lock.get(server.name(), Kind::Instructions, "instructions").and_then(|pin| pin.definition.view().get("instructions")?.as_str());
        if let Some(text) = pinned.filter(|pinned| said.as_ref() == Some(pinned)) {
            texts.push(if talk.endpoint.sole().is_some() { text.into_owned() } else { format!("{}: {text}", server.name()) });
        }
    }
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}
