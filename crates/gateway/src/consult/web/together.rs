//! Several calls of one tool, shown together: a yes for each, or one for all that are shown.
//!
//! Each is answered by itself, with the digest of what was shown of it, and has its own record. What came in the
//! meantime was not shown, and is not answered.

use std::sync::Arc;

use http::StatusCode;

use super::door::{Form, Page};
use super::login::Session;
use super::pages::{self, Again, Detailed};
use super::{Web, outcome, words_of};
use crate::clock;
use crate::consult::answer::{self, Said, Side, Who};
use crate::consult::desk::Card;
use crate::consult::shown;

/// How many are shown together: more than these nobody reads.
pub(super) const MOST: usize = 20;

impl Web {
    /// The calls of the same tool as one of them, that somebody may agree to; the oldest first.
    pub(super) fn alike(&self, who: &Who, card: &Card) -> Vec<Arc<Card>> {
        let mut cards = self.cards(who);
        cards.retain(|other| other.server == card.server && other.item.pin.digest == card.item.pin.digest);
        cards.retain(|other| who.assurance(&self.house, other) >= other.hold.minimum);
        cards.truncate(MOST);
        cards
    }

    /// Shows them.
    pub(super) fn together(&self, session: &Session, who: &Who, card: &Card) -> Page {
        let (cards, now_ms) = (self.alike(who, card), clock::now_ms());
        let html = pages::frame("Calls of one tool", (Some(session), Again::Never), |html| {
            html.raw("<h1 class=\"head\">");
            pages::title(html, card);
            html.raw(" <span class=\"count\">").text(&cards.len().to_string()).raw("</span></h1><form method=\"post\" action=\"/in/");
            html.text(&session.place).raw("/together\">").hidden("form", &session.form);
            for card in &cards {
                let agreed = self.house.consult.desk.agreed(&card.id);
                html.raw("<section class=\"together\">");
                html.hidden("shown", &format!("{} {}", card.id, card.shown.digest));
                pages::facts(html, &Detailed { card, given: who.assurance(&self.house, card), agreed: &agreed, mine: false, now_ms });
                pages::contents(html, card);
                pages::whole(html, session, card);
                html.raw("<label class=\"pick\"><input type=\"checkbox\" name=\"pick\" value=\"")
                    .text(&card.id)
                    .raw("\">This one</label></section>");
            }
            html.raw("<div class=\"answer\"><button class=\"yes\" name=\"what\" value=\"grant\">Grant what is ticked</button>");
            html.raw("<button class=\"no\" name=\"what\" value=\"refuse\">Refuse what is ticked</button>");
            html.raw("<button class=\"all\" name=\"what\" value=\"grant-all\">Grant all ").text(&cards.len().to_string());
            html.raw(" that are shown</button></div></form>");
        });
        Page::html(StatusCode::OK, html)
    }

    /// Answers those that were ticked, or all that were shown.
    pub(super) fn settle(&self, session: &Session, form: &Form) -> Page {
        let who = Who::Approver(session.approver.clone());
        let side = match form.get("what") {
            "grant" | "grant-all" => Side::Grant,
            "refuse" => Side::Refuse,
            _ => return super::nothing(Some(session)),
        };
        let all = form.get("what") == "grant-all";
        let picked: Vec<&str> = form.all("pick").collect();
        let shown = form.all("shown").filter_map(|pair| pair.split_once(' ')).filter(|(id, _)| all || picked.contains(id));
        let answers: Vec<(String, String)> = shown
            .take(MOST)
            .map(|(id, shown)| {
                let told = answer::answer(&self.house, &who, Said { id, shown, side, channel: "web-together" });
                let words = match told {
                    Ok(done) => outcome(&done, side).1,
                    Err(why) => words_of(&why).1.to_owned(),
                };
                (shown::inert(id, 32), words)
            })
            .collect();
        let html = pages::frame("Answered", (Some(session), Again::Never), |html| {
            html.raw("<h1>Answered</h1>");
            if answers.is_empty() {
                html.raw("<p class=\"note\">Nothing was ticked, so nothing was answered.</p>");
            }
            html.raw("<dl>");
            for (id, words) in &answers {
                html.raw("<dt class=\"digest\">").text(id).raw("</dt><dd>").text(words).raw("</dd>");
            }
            html.raw("</dl><p><a href=\"/in/").text(&session.place).raw("/\">Back to what waits</a></p>");
        });
        Page::html(StatusCode::OK, html)
    }
}
