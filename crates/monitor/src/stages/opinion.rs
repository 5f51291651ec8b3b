//! What others say of a call or of its answer, once every control has agreed. They can refuse and warn; they permit
//! nothing, because nothing reaches them that was not permitted, and they change nothing but a label of ours.
//!
//! Who is owed an opinion is fixed when the controls have been asked. Without it there is no [`super::Recorded`] and no
//! [`super::Released`], so a gateway that forgets to ask refuses.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Admitted, Released, ReleasedKind};
use crate::case::{Aside, Case, Cover, Item, Kind, Labels, Part, Reply, ReplyForm, Role, Step, Texts, told};
use crate::control::{Listed, Mask};
use crate::journal::{Outcome, Ticket};
use crate::reason::gateway::MONITOR_FAULT;
use crate::reason::{Class, Reason, Refusal, reasons};
use crate::wire::canonical::Digest;
use crate::wire::json::{Edits, Json};
use crate::wire::method::Method;

use super::judge::{Consent, edited};

reasons! {
    REFUSED = "judge.refused", Class::Denied,
        "An external judge of the operator's refused this. Do not ask for it in another way.",
        "Everything local had passed; a judge that is configured for this tool (`[judges]`) said `refuse`.",
        "The record names the judge and the classes it gave. The judge's own log has the number of the call.";
    UNHEARD = "judge.unavailable", Class::Denied,
        "An external judge that has to be heard about this could not be. Try again later.",
        "A judge that is configured for this tool did not answer in time, answered something else, was asked too much, or cannot be shown the content. What was not judged does not pass.",
        "The record says what happened. Check that the judge is up; `dangerous.judges_may_fail` lets calls pass when it is not, but not what it cannot be shown or is asked too often.";
    CHANGED = "judge.changed", Class::Limit,
        "What calls are judged by changed while this one was judged. Send it again.",
        "While external judges were asked, the lock file, the policy or the configuration was loaded anew, or the session read something that labels it, and now a person has to agree. What was admitted before that does not leave after it.",
        "Nothing to do: sent again, somebody is asked.";
}

/// The version of what judges are sent and answer.
pub const FORMAT: u64 = 1;

/// The member of an answer's `_meta` that says what judges found in it.
pub const NAME: &str = "io.github.bartizan-security/judges";

/// An external judge.
#[derive(Debug)]
pub struct Judge {
    /// Its name.
    pub name: Arc<str>,
    /// The tools, prompts and templates of resources for which it judges what clients send.
    pub arguments: Listed,
    /// The tools, prompts, resources and templates whose answers it judges.
    pub results: Listed,
    /// Whether a call goes on when it cannot be heard.
    pub without: Without,
}

/// What holds when a judge cannot be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// No.
    Refuse,
    /// The call goes on, and the record says so. A weakening: only `dangerous` can ask for it.
    Pass,
}

/// A judge's own name for something that it found: nothing that anybody could take for more than a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding(String);

impl Finding {
    /// Reads a name: `[a-z0-9][a-z0-9_.-]{0,63}`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let known = |symbol: char| matches!(symbol, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
        let begins = text.starts_with(|symbol: char| symbol.is_ascii_alphanumeric());
        (begins && text.len() <= 64 && text.chars().all(known)).then(|| Self(text.to_owned()))
    }
}

/// What a judge said.
#[derive(Debug, Clone)]
pub enum Said {
    /// No objection.
    Pass,
    /// No objection, and what it found.
    Findings(Vec<Finding>),
    /// No, and what it found.
    Refuse(Vec<Finding>),
    /// Nothing that can be used, and why; for the operator.
    Nothing(String),
    /// It was not asked, and why: whoever sends a call can bring that about, so that no option lets it pass.
    Unasked(String),
}

/// What one judge said of one brief.
#[derive(Debug)]
pub struct Opinion {
    by: Arc<str>,
    about: Digest,
    said: Said,
    took_ms: u64,
}

impl Opinion {
    /// States that a judge said so of a brief, and how long it took. Called in the gateway's `judges` only (tidy checks).
    #[must_use]
    pub fn assertion(by: Arc<str>, brief: &Brief, (said, took_ms): (Said, u64)) -> Self {
        Self { by, about: brief.digest, said, took_ms }
    }

    fn json(&self) -> Json {
        let names = |found: &[Finding]| Json::array(found.iter().map(|Finding(name)| Json::string(name)));
        let (said, beside) = match &self.said {
            Said::Pass => ("pass", None),
            Said::Findings(found) => ("findings", Some(("classes", names(found)))),
            Said::Refuse(found) => ("refuse", Some(("classes", names(found)))),
            Said::Nothing(why) => ("nothing", Some(("why", Json::string(&why.chars().take(200).collect::<String>())))),
            Said::Unasked(why) => ("unasked", Some(("why", Json::string(&why.chars().take(200).collect::<String>())))),
        };
        let members = [("judge", Json::string(&self.by)), ("said", Json::string(said)), ("took_ms", Json::number(self.took_ms))];
        Json::object(members.into_iter().chain(beside))
    }
}

/// What judges are sent of a call or of its answer: never who calls, nor anything that is a secret.
#[derive(Debug)]
pub struct Brief {
    judges: Vec<Arc<Judge>>,
    body: Result<Json, &'static str>,
    digest: Digest,
}

impl Brief {
    fn of(judges: &[Arc<Judge>], case: &Case, direction: &'static str, (content, texts): (&Json, &Texts)) -> Self {
        let text = |text: &str| Json::string(text);
        let tool = case.item().map_or("", |item| item.pin.name.as_str());
        let body = covered(content, texts, &case.facts().cover).map(|content| {
            Json::object([
                ("version", Json::number(FORMAT)),
                ("call", text(&crate::journal::call_name(case.facts().id))),
                ("direction", text(direction)),
                ("server", text(case.server().map_or("", |server| server))),
                ("tool", text(tool)),
                ("content", content),
            ])
        });
        let digest = Digest::of_bytes(body.as_ref().map_or(b"", |body| body.bytes()));
        Self { judges: judges.to_vec(), body, digest }
    }

    /// Who is to be asked.
    #[must_use]
    pub fn judges(&self) -> &[Arc<Judge>] {
        &self.judges
    }

    /// What they are sent, or why it cannot be shown to anybody.
    pub fn body(&self) -> Result<&Json, &'static str> {
        self.body.as_ref().map_err(|why| *why)
    }
}

/// What only looks like a secret is left out no longer than this in all: what a judge does not see, the other side may.
const LONGEST_LOOKALIKES: usize = 512;
/// States and cursors are left out no longer than this in all.
const LONGEST_OPAQUE: usize = 16 * 1024;

/// Content with every secret masked that could be in it, also where the tool itself may have it, and without what only
/// has to come back as it is: whoever has a state or a cursor may be able to use it. Content of which a judge would see too
/// little is not shown at all.
fn covered(content: &Json, texts: &Texts, cover: &Cover) -> Result<Json, &'static str> {
    let found = cover.secrets().find(texts.all());
    if found.iter().any(|secret| texts.touched(&secret.place).any(|part| part.role == Role::Key)) {
        return Err("it has a secret where it cannot be masked");
    }
    if found.iter().filter(|secret| !secret.is_known()).map(|secret| secret.place.len()).sum::<usize>() > LONGEST_LOOKALIKES {
        return Err("more of it than a judge could leave unread looks like secrets");
    }
    let is_token = |part: &Part| part.role == Role::Opaque && texts.text(part).bytes().all(|byte| byte.is_ascii_graphic());
    if texts.parts().iter().filter(|part| is_token(part)).map(|part| part.at.len()).sum::<usize>() > LONGEST_OPAQUE {
        return Err("it has longer states or cursors than a judge could leave unread");
    }
    let changes: Vec<_> = found.iter().map(|secret| (secret.place.clone(), secret.placeholder(cover.key()))).collect();
    let changed = texts.replaced(&changes).into_iter().filter(|changed| !is_token(changed.part));
    let opaque = texts.parts().iter().filter(|part| is_token(part));
    let masks = changed.map(|changed| Mask::replace(changed.part.span.clone(), Json::string(&changed.text)));
    let masks = masks.chain(opaque.map(|part| Mask::replace(part.span.clone(), Json::string("[opaque]"))));
    Ok(edited(content, masks.collect()))
}

/// Who judges what a client sends: the arguments of a tool or a prompt and what a task waited for, what is to be completed,
/// and the part of a URI that the client fills in. Nothing is sent where something kept is read.
pub(super) fn of_call(judges: &[Arc<Judge>], case: &Case) -> Vec<Arc<Judge>> {
    let sends = |kind: Kind| match case.method() {
        Some(Method::ToolsCall | Method::TasksUpdate) => kind == Kind::Tool,
        Some(Method::PromptsGet) => kind == Kind::Prompt,
        // Whatever it is completed for: what the client has typed is sent.
        Some(Method::Complete) => true,
        Some(Method::ResourcesRead) => kind == Kind::Template || says_more(case),
        Some(Method::Subscribe | Method::Unsubscribe) => kind == Kind::Template,
        _ => false,
    };
    owed(judges, case.item().filter(|item| case.reads().is_none() && sends(item.pin.kind)), |judge| &judge.arguments)
}

/// Whether a message about a resource carries anything beside its URI, such as answers to what the server asked.
fn says_more(case: &Case) -> bool {
    case.beside().is_some_and(|beside| beside.view().members().any(|(key, _)| key != "uri"))
}

/// Who judges what comes back, in whatever message that comes: from tools, prompts and resources.
fn of_answer(judges: &[Arc<Judge>], case: &Case) -> Vec<Arc<Judge>> {
    owed(judges, case.item(), |judge| &judge.results)
}

fn owed(judges: &[Arc<Judge>], item: Option<&Item>, of: fn(&Judge) -> &Listed) -> Vec<Arc<Judge>> {
    let Some(item) = item else { return Vec::new() };
    judges.iter().filter(|judge| of(judge).has(&item.server, Some(&item.pin.name))).cloned().collect()
}

/// All opinions that are owed.
struct Weighed<'o> {
    /// By judge.
    found: Vec<(&'o str, &'o [Finding])>,
    /// For the record.
    record: Json,
    /// The first no.
    refusal: Option<Refusal>,
}

impl Weighed<'_> {
    fn labels(&self) -> Labels {
        Labels { untrusted: !self.found.is_empty(), ..Labels::default() }
    }
}

fn weigh<'o>(owed: &[Arc<Judge>], about: Digest, opinions: &'o [Opinion]) -> Weighed<'o> {
    let (mut found, mut record, mut refusal) = (Vec::new(), Vec::new(), None);
    for judge in owed {
        // The least good one counts, should there be several.
        let of = opinions.iter().filter(|opinion| opinion.by == judge.name && opinion.about == about);
        let Some(opinion) = of.max_by_key(|opinion| opinion.said.gravity()) else {
            refusal.get_or_insert_with(|| Refusal::new(MONITOR_FAULT, format!("judge {} was not asked", judge.name)));
            continue;
        };
        record.push(opinion.json());
        let no = |reason: Reason, why: &str| Refusal::new(reason, format!("judge {}{why}", judge.name));
        match &opinion.said {
            Said::Pass => {}
            Said::Findings(classes) => found.push((&*opinion.by, classes.as_slice())),
            Said::Refuse(_) => drop(refusal.get_or_insert_with(|| no(REFUSED, ""))),
            Said::Nothing(_) if judge.without == Without::Pass => {}
            Said::Nothing(why) | Said::Unasked(why) => drop(refusal.get_or_insert_with(|| no(UNHEARD, &format!(": {why}")))),
        }
    }
    Weighed { found, record: Json::array(record), refusal }
}

impl Said {
    const fn gravity(&self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Findings(_) => 1,
            Self::Nothing(_) | Self::Unasked(_) => 2,
            Self::Refuse(_) => 3,
        }
    }
}

impl Admitted {
    /// What its judges are to be sent; none when nobody is owed an opinion, as for nearly all calls.
    #[must_use]
    pub fn brief(&self) -> Option<Brief> {
        let content = || {
            let arguments = self.case.arguments_json().cloned().unwrap_or_else(Json::empty_object);
            // What goes to the server beside the arguments is content as they are.
            match self.case.beside() {
                Some(beside) => Json::object([("arguments", arguments), ("beside", beside)]),
                None => Json::object([("arguments", arguments)]),
            }
        };
        let brief = |content: Json| Brief::of(&self.owed, &self.case, "arguments", (&content, &Texts::of_arguments(&content)));
        (!self.owed.is_empty()).then(|| brief(content()))
    }

    /// Its judges were heard. What they found labels the conversation.
    pub fn weighed(mut self, brief: &Brief, opinions: &[Opinion]) -> Result<(Self, Labels), Refusal> {
        let weighed = weigh(&self.owed, brief.digest, opinions);
        let mut edits = Edits::of(&self.decision);
        edits.set(self.decision.view(), "judges", &weighed.record);
        self.decision = edits.apply();
        let labels = weighed.labels();
        if let Some(refusal) = weighed.refusal {
            return Err(self.given_up(refusal));
        }
        self.owed.clear();
        Ok((self, labels))
    }

    /// The call, to be judged anew by what holds now. Who is owed an opinion then is fixed then.
    #[must_use]
    pub fn reopen(self) -> (Case, Ticket) {
        (self.case, self.ticket)
    }

    /// The call ended while its judges were asked.
    #[must_use]
    pub fn given_up(self, refusal: Refusal) -> Refusal {
        self.ticket.deny(&self.decision, &refusal);
        refusal
    }
}

/// An answer that every control agreed to. Nobody has seen it yet, unless its judges have.
#[derive(Debug)]
pub struct Screened {
    pub(super) case: Case,
    pub(super) ticket: Ticket,
    pub(super) reply: Reply,
    pub(super) trail: Vec<Step>,
    pub(super) labels: Labels,
    pub(super) asides: Vec<Aside>,
    pub(super) owed: Vec<Arc<Judge>>,
}

impl Screened {
    pub(super) fn new(judges: &[Arc<Judge>], (case, ticket): (Case, Ticket), (reply, trail, heard): (Reply, Vec<Step>, Consent)) -> Self {
        let owed = of_answer(judges, &case);
        Self { case, ticket, reply, trail, labels: heard.labels, asides: heard.asides, owed }
    }

    /// The call that it answers.
    #[must_use]
    pub const fn case(&self) -> &Case {
        &self.case
    }

    /// What its judges are to be sent; none when nobody is owed an opinion.
    #[must_use]
    pub fn brief(&self) -> Option<Brief> {
        let direction = match self.reply.form {
            ReplyForm::Result => "result",
            ReplyForm::Error => "error",
        };
        (!self.owed.is_empty()).then(|| Brief::of(&self.owed, &self.case, direction, (&self.reply.body, self.reply.texts())))
    }

    /// Nobody is owed an opinion.
    pub fn released(self) -> Result<Released, Refusal> {
        if let Some(judge) = self.owed.first() {
            let refusal = Refusal::new(MONITOR_FAULT, format!("judge {} was not asked", judge.name));
            return Err(self.given_up(refusal));
        }
        Ok(self.closed(None))
    }

    /// Its judges were heard. What they found is said in `_meta`, and labels the conversation.
    pub fn weighed(mut self, brief: &Brief, opinions: &[Opinion]) -> Result<Released, Refusal> {
        let weighed = weigh(&self.owed, brief.digest, opinions);
        if let Some(refusal) = weighed.refusal {
            self.ticket.withhold(&refusal, &self.trail, Some(("judges", weighed.record)));
            return Err(refusal);
        }
        self.labels = self.labels.and(weighed.labels());
        if let (ReplyForm::Result, false) = (self.reply.form, weighed.found.is_empty()) {
            let names =
                |found: &[Finding]| Json::array(found.iter().collect::<BTreeSet<_>>().into_iter().map(|Finding(name)| Json::string(name)));
            let found = Json::object(weighed.found.iter().map(|(judge, found)| (*judge, names(found))));
            let body = edited(&self.reply.body, vec![Mask::label(&self.reply.body, NAME, found)]);
            self.reply = Reply::new(ReplyForm::Result, body);
        }
        Ok(self.closed(Some(("judges", weighed.record))))
    }

    /// The call ended while its judges were asked: it had its effect, and nobody sees the answer.
    #[must_use]
    pub fn given_up(self, refusal: Refusal) -> Refusal {
        self.ticket.withhold(&refusal, &self.trail, None);
        refusal
    }

    fn closed(self, beside: Option<(&'static str, Json)>) -> Released {
        let Reply { form, body, .. } = self.reply;
        // Our own words about what is kept come last: nobody has to be heard about them.
        let body = told(body, &self.case, self.labels, &self.asides);
        self.ticket.close(Outcome::Answered { form, bytes: body.bytes().len() }, &self.trail, beside);
        Released { body, kind: ReleasedKind::Reply(form), labels: self.labels, asides: self.asides }
    }
}
