//! What stands in a question to a person.

use std::borrow::Cow;

use bartizan_detect::asks::{Field, Shape, secret_asked};
use bartizan_detect::names::Name;
use bartizan_format::Leads;

use crate::control::Mask;
use crate::wire::json::{Json, Kind, View};

/// The secret that a form asks for, if it asks for one, in words for the operator.
pub(super) fn form(params: View<'_>) -> Option<String> {
    let said = |view: View<'_>, member: &str| view.get(member).and_then(View::as_str).map(Cow::into_owned);
    let schema = params.get("requestedSchema");
    let mut fields = Vec::new();
    schema.into_iter().for_each(|schema| collect(schema, &mut fields));
    if schema.is_none_or(|schema| schema.get("properties").is_none()) {
        // What a client makes of a form without fields is not known.
        fields.push(Field { name: Cow::default(), title: Cow::default(), description: Cow::default(), shape: Shape::Text });
    }
    let texts = [said(params, "message"), schema.and_then(|schema| said(schema, "title")), schema.and_then(|schema| said(schema, "description"))];
    let messages: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
    let (secret, at) = secret_asked(&messages, &fields)?;
    let place = match at.and_then(|at| fields.get(at)) {
        Some(field) => format!("the field {:?}", field.name.chars().take(80).collect::<String>()),
        None => "the message".to_owned(),
    };
    Some(format!("{place} asks for a {}", secret.name()))
}

/// The fields of a schema, also of one that has more levels than the protocol allows.
fn collect<'v>(schema: View<'v>, fields: &mut Vec<Field<'v>>) {
    match schema.kind() {
        Kind::Object => {
            let properties = schema.get("properties").filter(|properties| properties.kind() == Kind::Object);
            fields.extend(properties.into_iter().flat_map(View::members).map(|(name, field)| read(name, field)));
            schema.members().for_each(|(_, member)| collect(member, fields));
        }
        Kind::Array => schema.items().for_each(|item| collect(item, fields)),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => {}
    }
}

fn read<'v>(name: Cow<'v, str>, field: View<'v>) -> Field<'v> {
    let text = |member: &str| field.get(member).and_then(View::as_str).unwrap_or_default();
    Field { name, title: text("title"), description: text("description"), shape: shape(field) }
}

fn shape(field: View<'_>) -> Shape {
    // What a client does not understand it passes over: only what leaves nothing to type in any reading is closed.
    let given = |field: View<'_>| field.get("enum").is_some_and(|values| values.items().next().is_some()) || field.get("const").is_some();
    let listed = |field: View<'_>, member: &str| {
        let mut items = field.get(member).into_iter().flat_map(View::items).peekable();
        items.peek().is_some() && items.all(given)
    };
    let chosen = |field: View<'_>| given(field) || listed(field, "oneOf") || listed(field, "anyOf");
    let says = |member: &str| field.get(member).and_then(View::as_str).unwrap_or_default();
    match (&*says("type"), &*says("format")) {
        (_, "password") => Shape::Masked,
        ("array", _) if field.get("items").is_some_and(chosen) => Shape::Closed,
        _ if chosen(field) => Shape::Closed,
        ("string", "date" | "date-time" | "time" | "email") | ("boolean" | "null", _) => Shape::Closed,
        ("integer" | "number", _) => Shape::Number,
        _ => Shape::Text,
    }
}

/// Puts the host of a link before what the server says of it.
pub(super) fn link(body: &Json, params: View<'_>) -> Result<Mask, String> {
    let url = params.get("url").and_then(View::as_str).ok_or("there is no URL")?;
    let Leads { host, read } = bartizan_format::opens(&url).map_err(|refused| refused.why())?;
    if url.chars().any(bartizan_detect::names::is_unseen) {
        return Err("the URL has characters that cannot be seen".to_owned());
    }
    if let Some(disguise) = read.split('.').filter(|label| !label.is_ascii()).find_map(|label| Name::new(label).disguise()) {
        return Err(format!("the host is made of look-alikes ({disguise:?})"));
    }
    let message = params.get("message").ok_or("there is no message")?;
    let said = message.as_str().ok_or("the message is no text")?;
    Ok(Mask::replace(body.span(message), Json::string(&format!("Opens {host}\n{said}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn json(text: &str) -> Json {
        Json::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text)
    }

    #[test]
    fn fields_are_found_at_every_level_and_read_for_what_can_be_entered() {
        for (schema, asks) in [
            (r#"{"type":"object","properties":{"api_key":{"type":"string"}}}"#, true),
            (r#"{"properties":{"x":{"type":"string","format":"password"}}}"#, true),
            (r#"{"properties":{"x":{"type":"string","title":"Password"}}}"#, true),
            (r#"{"properties":{"x":{"title":"Password"}}}"#, true),
            (r#"{"properties":{"x":{"type":["string","null"],"title":"Password"}}}"#, true),
            (r#"{"properties":{"x":{"type":"array","items":{"type":"string"},"title":"Passwords"}}}"#, true),
            (r#"{"properties":{"login":{"type":"object","properties":{"password":{"type":"string"}}}}}"#, true),
            (r#"{"allOf":[{"properties":{"password":{"type":"string"}}}]}"#, true),
            (r#"{"properties":{"x":{"type":"string"}},"description":"Enter your password"}"#, true),
            (r#"{"properties":{"x":{"type":"string","title":"Password","items":{"enum":["a"]}}}}"#, true),
            (r#"{"properties":{"x":{"type":"string","title":"Password","enum":[]}}}"#, true),
            (r#"{"properties":{"x":{"type":"string","title":"Password","anyOf":[{}]}}}"#, true),
            (r#"{"properties":{"x":{"type":"string","title":"Password","oneOf":[{"const":"a","title":"A"}]}}}"#, false),
            (r#"{"properties":{"password":{"type":"boolean"}}}"#, false),
            (r#"{"properties":{"secret":{"type":"string","enum":["a","b"]}}}"#, false),
            (r#"{"properties":{"token":{"type":"array","items":{"enum":["a"]}}}}"#, false),
            (r#"{"properties":{"password_changed":{"type":"string","format":"date"}}}"#, false),
            (r#"{"properties":{"token_count":{"type":"integer"}}}"#, false),
            (r#"{"properties":{"properties":{"type":"string"}}}"#, false),
            (r#"{"properties":{}}"#, false),
        ] {
            let params = json(&format!(r#"{{"message":"Go on?","requestedSchema":{schema}}}"#));
            assert_eq!(form(params.view()).is_some(), asks, "{schema}: {:?}", form(params.view()));
        }
        let bare = json(r#"{"message":"Your password?"}"#);
        assert_eq!(form(bare.view()).as_deref(), Some("the message asks for a password"));
        let named = json(r#"{"message":"m","requestedSchema":{"properties":{"api_key":{"type":"string"}}}}"#);
        assert_eq!(form(named.view()).as_deref(), Some("the field \"api_key\" asks for a key"));
        assert!(form(json(r#"{"message":"Your password?","requestedSchema":{"properties":{}}}"#).view()).is_none(), "nothing to type into");
    }

    #[test]
    fn the_host_of_a_link_stands_before_what_is_said_of_it() {
        let link = |url: &str| {
            let params = Json::object([("message", Json::string("Opens bank.example\nLog in")), ("url", Json::string(url))]);
            link(&params, params.view()).map(|mask| (mask.at == params.span(params.view().get("message").expect("there")), mask.with.view().as_str().unwrap_or_default().into_owned()))
        };
        assert_eq!(link("https://auth.example.com/x?y"), Ok((true, "Opens auth.example.com\nOpens bank.example\nLog in".to_owned())));
        assert_eq!(link("https://m\u{fc}nchen.example/").map(|(_, text)| text.lines().next().map(str::to_owned)), Ok(Some("Opens xn--mnchen-3ya.example".to_owned())));
        for bad in ["https://p\u{430}ypal.example/", "https://xn--pypal-4ve.example/", "https://a@b.example/", "http://b.example/", "https://b.example/\u{200b}x", "javascript:1", ""] {
            assert!(link(bad).is_err(), "{bad}: {:?}", link(bad));
        }
        let none = json(r#"{"url":"https://a.example/"}"#);
        assert!(super::link(&none, none.view()).is_err(), "nowhere to say it");
    }
}
