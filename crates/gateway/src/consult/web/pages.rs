//! The pages. Each takes what is known and returns markup; a console can put the same parts elsewhere.

use std::sync::Arc;

use bartizan_monitor::case::{Assurance, Effect};
use bartizan_monitor::stages::Word;

use super::html::Html;
use super::login::Session;
use crate::clock;
use crate::consult::desk::Card;
use crate::consult::shown::{self, Detail};

/// How many calls stand on one page.
pub(super) const EACH: usize = 25;
/// How long the whole arguments may be to stand below the folded ones; longer ones have a page of their own.
const MAX_BELOW: usize = 64 * 1024;

/// A page with its title, for somebody who is logged in, or for whoever looks.
pub(super) fn frame(title: &'static str, (session, again): (Option<&Session>, Again), body: impl FnOnce(&mut Html)) -> Html {
    let mut html = Html::default();
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>").raw(title);
    html.raw(" · Bartizan</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">");
    match again {
        Again::Soon => html.raw("<meta http-equiv=\"refresh\" content=\"10\">"),
        Again::Never => &mut html,
    };
    html.raw("<link rel=\"stylesheet\" href=\"/style.css\"></head><body><header><span class=\"mark\">Bartizan</span>");
    if let Some(session) = session {
        html.raw("<a href=\"/in/").text(&session.place).raw("/\">Waiting calls</a><form method=\"post\" action=\"/in/");
        html.text(&session.place).raw("/logout\">").hidden("form", &session.form);
        html.raw("<span class=\"who\">").text(&person(session.approver.caller().principal()));
        html.raw("</span><button class=\"quiet\">Log out</button></form>");
    }
    html.raw("</header><main>");
    body(&mut html);
    html.raw("</main></body></html>");
    html
}

/// Whether a page loads itself again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Soon,
    Never,
}

/// Where people log in.
pub(super) fn login(note: Option<&'static str>) -> Html {
    frame("Log in", (None, Again::Never), |html| {
        html.raw("<h1>Log in</h1>");
        notice(html, note);
        html.raw("<form method=\"post\" action=\"/login\" class=\"login\">");
        credentials(html);
        html.raw("<button class=\"yes\">Log in</button></form>");
        html.raw("<p class=\"hint\">A token for answering comes from <code>bartizan token issue --label NAME --approver</code>. ");
        html.raw("A client's token does not work here. You are logged out after 30 minutes.</p>");
    })
}

/// Where a link leads: what the message said, and the way in. Whoever opens links by themselves changes nothing.
pub(super) fn led(card: &Card, link: &str) -> Html {
    frame("A call waits", (None, Again::Never), |html| {
        html.raw("<h1 class=\"head\">");
        title(html, card);
        html.raw("</h1><p>Asked by ").text(&person(&card.place.principal)).raw(", until ").text(&clock::utc(card.until_ms));
        html.raw(". Log in to see what would be sent, and to answer.</p>");
        html.raw("<form method=\"post\" action=\"/link/").text(link).raw("\" class=\"login\">");
        credentials(html);
        html.raw("<button class=\"yes\">Log in and look</button></form>");
    })
}

/// The fields that somebody is known by. Names and types are those that password managers know.
fn credentials(html: &mut Html) {
    html.raw(
        "<label>Name, for your password manager<input name=\"name\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"64\"></label>",
    );
    html.raw("<label>Token<input name=\"token\" type=\"password\" autocomplete=\"current-password\" required maxlength=\"200\"></label>");
}

fn notice(html: &mut Html, note: Option<&'static str>) {
    if let Some(note) = note {
        html.raw("<p class=\"note\" role=\"alert\">").raw(note).raw("</p>");
    }
}

/// A page that says one thing.
pub(super) fn told(session: Option<&Session>, title: &'static str, text: &str) -> Html {
    frame(title, (session, Again::Never), |html| {
        html.raw("<h1>").raw(title).raw("</h1><p role=\"status\">").text(text).raw("</p>");
        match session {
            Some(session) => html.raw("<p><a href=\"/in/").text(&session.place).raw("/\">Back to what waits</a></p>"),
            None => html.raw("<p><a href=\"/\">Log in</a></p>"),
        };
    })
}

/// What waits, one page of it, the oldest first.
pub(super) fn list(session: &Session, cards: &[Arc<Card>], (page, now_ms): (usize, u64)) -> Html {
    let pages = cards.len().div_ceil(EACH).max(1);
    let page = page.clamp(1, pages);
    let again = if page == 1 { Again::Soon } else { Again::Never };
    frame("Waiting calls", (Some(session), again), |html| {
        html.raw("<h1>Waiting calls <span class=\"count\">").text(&cards.len().to_string()).raw("</span></h1>");
        if cards.is_empty() {
            html.raw("<p class=\"empty\">Nothing waits.</p>");
        }
        html.raw("<ol class=\"calls\">");
        for card in cards.iter().skip(page.saturating_sub(1).saturating_mul(EACH)).take(EACH) {
            row(html, session, (card, now_ms));
        }
        html.raw("</ol>");
        if pages > 1 {
            html.raw("<nav class=\"pages\">");
            link(html, session, (page.checked_sub(1).filter(|page| *page > 0), "Older"));
            html.raw("<span>Page ").text(&format!("{page} of {pages}")).raw("</span>");
            link(html, session, (Some(page.saturating_add(1)).filter(|page| *page <= pages), "Newer"));
            html.raw("</nav>");
        }
    })
}

fn link(html: &mut Html, session: &Session, (page, words): (Option<usize>, &'static str)) {
    match page {
        Some(page) => {
            html.raw("<a href=\"/in/").text(&session.place).raw("/?page=").text(&page.to_string()).raw("\">").raw(words).raw("</a>")
        }
        None => html.raw("<span></span>"),
    };
}

fn row(html: &mut Html, session: &Session, (card, now_ms): (&Card, u64)) {
    html.raw("<li><a class=\"call\" href=\"/in/").text(&session.place).raw("/call/").text(&card.id).raw("\">");
    title(html, card);
    html.raw("<span class=\"by\">asked by ").text(&shown::inert(&card.place.principal, 80)).raw("</span><span class=\"time\">");
    html.text(&spoken(now_ms.saturating_sub(card.since_ms))).raw(" ago · ");
    html.text(&spoken(card.until_ms.saturating_sub(now_ms))).raw(" left</span></a></li>");
}

pub(super) fn title(html: &mut Html, card: &Card) {
    html.raw("<span class=\"tool\">").text(&shown::inert(&card.server, 80)).raw("<i>/</i>");
    html.text(&shown::inert(&card.item.pin.name, 80)).raw("</span><span class=\"effect ");
    html.raw(match card.effect {
        Effect::Read => "read\">read",
        Effect::Write => "write\">write",
        Effect::Destructive => "destructive\">destructive",
    });
    html.raw("</span>");
}

/// One call, as it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detailed<'a> {
    pub(super) card: &'a Card,
    /// How strongly whoever looks is known.
    pub(super) given: Assurance,
    /// Who has agreed so far.
    pub(super) agreed: &'a [Word],
    /// Whether whoever looks is one of them.
    pub(super) mine: bool,
    pub(super) now_ms: u64,
}

/// One call, and the two buttons; `alike` is how many of the same tool wait.
pub(super) fn detail(session: &Session, call: &Detailed<'_>, alike: usize) -> Html {
    frame("A call waits", (Some(session), Again::Never), |html| {
        let Detailed { card, given, mine, now_ms, .. } = *call;
        html.raw("<h1 class=\"head\">");
        title(html, card);
        html.raw("</h1>");
        if alike > 1 {
            html.raw("<p><a href=\"/in/").text(&session.place).raw("/call/").text(&card.id).raw("/together\">");
            html.text(&alike.to_string()).raw(" calls of this tool wait: look at them together</a></p>");
        }
        facts(html, call);
        contents(html, card);
        whole(html, session, card);
        html.raw("<div class=\"answer\">");
        if given < card.hold.minimum {
            html.raw("<p class=\"note\">This needs somebody else: you are the one who asks, or count as the same person.</p>");
        } else if mine {
            html.raw("<p class=\"note\">You have agreed. Somebody else must, too.</p>");
        } else {
            button(html, session, (card, "grant", "<button class=\"yes\">Grant: send exactly this, once</button>"));
        }
        button(html, session, (card, "refuse", "<button class=\"no\">Refuse</button>"));
        html.raw("</div><p class=\"hint\">Without an answer it is refused in ");
        html.text(&spoken(card.until_ms.saturating_sub(now_ms))).raw(".</p>");
    })
}

/// What is known of a call.
pub(super) fn facts(html: &mut Html, Detailed { card, agreed, now_ms, .. }: &Detailed<'_>) {
    html.raw("<dl>");
    for (label, value) in card.shown.facts() {
        html.raw("<dt>").text(label).raw("</dt><dd>").text(value).raw("</dd>");
    }
    html.raw("<dt>why</dt><dd>").text(card.hold.reason.code()).raw("</dd><dt>least assurance</dt><dd>").text(card.hold.minimum.name());
    if card.hold.approvers > 1 {
        html.text(&format!(", {} people; {} agreed", card.hold.approvers, agreed.len()));
        agreed.iter().for_each(|word| _ = html.raw("<br>").text(&person(&word.by)));
    }
    html.raw("</dd><dt>waits since</dt><dd>")
        .text(&clock::utc(card.since_ms))
        .raw(" (")
        .text(&spoken(now_ms.saturating_sub(card.since_ms)));
    html.raw(")</dd><dt>until</dt><dd>").text(&clock::utc(card.until_ms)).raw("</dd><dt>shown</dt><dd class=\"digest\">");
    html.text(&card.shown.digest.to_string()).raw("</dd></dl>");
}

/// What stands below the facts: the same lines as on every channel.
pub(super) fn contents(html: &mut Html, card: &Card) {
    let mut open = false;
    for line in card.shown.rest() {
        if let Some(entry) = line.strip_prefix("  ") {
            html.raw(if open { "<li>" } else { "<ul class=\"values\"><li>" }).text(entry).raw("</li>");
            open = true;
            continue;
        }
        let line = line.strip_suffix(':').unwrap_or(line);
        let (words, digest) = line.split_once(" (").map_or((line, ""), |(words, digest)| (words, digest.trim_end_matches(')')));
        html.raw(if open { "</ul><h2>" } else { "<h2>" }).text(words).raw(" <span class=\"digest\">").text(digest).raw("</span></h2>");
        open = false;
    }
    html.raw(if open { "</ul>" } else { "" });
}

/// All of it, where the lines above have not.
pub(super) fn whole(html: &mut Html, session: &Session, card: &Card) {
    let full = card.whole(Detail::Full);
    if full == card.whole(Detail::Folded) {
        return;
    }
    if full.len() <= MAX_BELOW {
        html.raw("<details><summary>Everything, not folded</summary><pre>").text(&full).raw("</pre></details>");
    } else {
        html.raw("<p><a href=\"/in/").text(&session.place).raw("/call/").text(&card.id).raw("/whole\">Everything, not folded (");
        html.text(&format!("{} KiB", full.len() / 1024)).raw(")</a></p>");
    }
}

/// All of a call, on a page of its own.
pub(super) fn all(session: &Session, card: &Card) -> Html {
    frame("All arguments", (Some(session), Again::Never), |html| {
        html.raw("<h1 class=\"head\">");
        title(html, card);
        html.raw("</h1><p><a href=\"/in/").text(&session.place).raw("/call/").text(&card.id).raw("\">Back to the call</a></p><pre>");
        html.text(&card.whole(Detail::Full)).raw("</pre>");
    })
}

fn button(html: &mut Html, session: &Session, (card, what, words): (&Card, &'static str, &'static str)) {
    html.raw("<form method=\"post\" action=\"/in/").text(&session.place).raw("/call/").text(&card.id).raw("/").raw(what).raw("\">");
    html.hidden("form", &session.form).hidden("shown", &card.shown.digest.to_string()).raw(words).raw("</form>");
}

/// A principal, made inert.
pub(super) fn person(principal: &str) -> String {
    shown::inert(principal, 80)
}

/// A time as people say it.
pub(super) fn spoken(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests;
