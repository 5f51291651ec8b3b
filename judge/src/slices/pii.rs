//! Personal data, span by span: recall over the spans of the corpus, precision over the spans that were found.

use bartizan_detect::pii::{Data, find};
use serde_json::Value;

use super::{Item, judged};
use crate::corpus::text;

/// What the corpus calls each kind.
const fn label(data: Data) -> &'static str {
    match data {
        Data::Email => "EMAIL_ADDRESS",
        Data::Phone => "PHONE_NUMBER",
        Data::Iban => "IBAN_CODE",
        Data::Card => "CREDIT_CARD",
        Data::Ssn => "US_SSN",
        Data::Ip => "IP_ADDRESS",
    }
}

pub(super) fn pii(row: &Value) -> Vec<Item> {
    let given = text(row, "text");
    let byte_at = |count: u64| given.char_indices().nth(usize::try_from(count).unwrap_or(usize::MAX)).map_or(given.len(), |(at, _)| at);
    let spans: Vec<(&str, usize, usize)> = row
        .get("spans")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|span| Some((span.get("type")?.as_str()?, byte_at(span.get("start")?.as_u64()?), byte_at(span.get("end")?.as_u64()?))))
        .collect();
    let found = find(given, Data::ALL);
    let mut items = Vec::new();
    for data in Data::ALL {
        let mine: Vec<_> = found
            .iter()
            .filter(|personal| personal.data == *data)
            .map(|personal| (label(*data), personal.place.start, personal.place.end))
            .collect();
        let wanted = spans.iter().filter(|span| span.0 == label(*data));
        items.extend(wanted.map(|span| judged(row, true, mine.contains(span), vec![format!("{} recall", data.name())])));
        items.extend(mine.iter().map(|span| judged(row, true, spans.contains(span), vec![format!("{} precision", data.name())])));
    }
    if spans.is_empty() {
        items.push(judged(row, false, !found.is_empty(), vec!["clean texts: changed".into()]));
    }
    items
}
