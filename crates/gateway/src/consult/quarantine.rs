//! A person's word about quarantined texts, over the line to this machine's gateways: who it is, whether it counts, and
//! what is written down before anything follows from it.
//!
//! A client's credential releases nothing, whoever shows it: clients have it, and the models that drive them may come
//! to a command line.

use std::io;

use bartizan_monitor::case::{Assurance, Standing};
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::{Json, View};

use super::answer::Who;
use crate::clock;
use crate::kept::quarantine::{Item, State, Word, decide};
use crate::serve::House;

/// Somebody lets texts go, or throws them away.
pub(super) async fn heard(house: &House, question: View<'_>) -> Result<Json, String> {
    let text = |key: &str| question.get(key).and_then(View::as_str).map(std::borrow::Cow::into_owned).unwrap_or_default();
    let to = match &*text("to") {
        "release" => State::Released,
        "drop" => State::Dropped,
        _ => return Err("not a question".to_owned()),
    };
    let who = Who::of(house, &text("token")).await.map_err(|refusal| format!("{}: {}", refusal.reason, refusal.detail))?;
    if matches!(who, Who::Client(_)) {
        return Err("a client's credential releases nothing: use a token that `bartizan token issue --approver` has made".to_owned());
    }
    let (by, handle, shown) = (who.principal(), text("handle"), text("shown"));
    let word = Word { state: &house.settings.places.state, handle: &handle, shown: &shown, by: &by, now_ms: clock::now_ms() };
    let mut given = Assurance::Local;
    let noted = |item: &Item| {
        given = who.assurance_for(house, &item.principal);
        may(house, &who, item, to).map_err(io::Error::other)?;
        house.journal.must_note(&record(item, (to, &by, given))).map_err(io::Error::other)
    };
    let item = decide(word, to, noted).map_err(|why| why.to_string())?;
    Ok(Json::object([
        ("done", Json::string(to.name())),
        ("server", Json::string(&item.server)),
        ("tool", Json::string(&item.tool)),
        ("by", Json::string(&by)),
        ("assurance", Json::string(given.name())),
    ]))
}

/// Whether somebody has a say in it. Throwing away takes nothing but being here.
fn may(house: &House, who: &Who, item: &Item, to: State) -> Result<(), String> {
    if to == State::Dropped {
        return Ok(());
    }
    let reviewed = Digest::read(&item.reviewed).ok_or_else(|| "its file is not what was written".to_owned())?;
    let tool = house.snapshot().catalog.kept(&item.server.as_str().into(), &item.tool, (&reviewed, Standing::Pinned));
    let tool = tool.ok_or_else(|| "the tool is not approved any more as it was: nobody could read it".to_owned())?;
    if who.may_agree_to(house, &tool) { Ok(()) } else { Err(format!("{} has no say in this tool", who.principal())) }
}

/// For the journal: who, how strongly it is known, and what was shown; no text, and not the handle, which is for one client.
fn record(item: &Item, (to, by, given): (State, &str, Assurance)) -> Json {
    Json::object([
        ("event", Json::string("quarantine")),
        ("answer", Json::string(to.name())),
        ("by", Json::string(by)),
        ("assurance", Json::string(given.name())),
        ("channel", Json::string("quarantine")),
        ("principal", Json::string(&item.principal)),
        ("session", Json::string(&item.session)),
        ("server", Json::string(&item.server)),
        ("item", Json::string(&item.tool)),
        ("of", Json::string(&item.call)),
        ("shown", Json::string(&item.shown().to_string())),
    ])
}
