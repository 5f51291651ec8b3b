//! JSON Pointers (RFC 6901) in which `*` stands for every member or item.

use super::{Json, Kind, View};

/// A pointer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl Pointer {
    /// Reads a pointer. The empty one is the whole value.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if !text.is_empty() && !text.starts_with('/') {
            return None;
        }
        let steps = text.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        Some(Self { text: text.to_owned(), steps })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All values that it leads to.
    #[must_use]
    pub fn values<'v>(&self, view: View<'v>) -> Vec<View<'v>> {
        let mut found = vec![view];
        for step in &self.steps {
            found = found.into_iter().flat_map(|view| inside(view, step)).collect();
        }
        found
    }
}

fn inside<'v>(view: View<'v>, step: &str) -> Vec<View<'v>> {
    match view.kind() {
        Kind::Object if step == "*" => view.members().map(|(_, value)| value).collect(),
        Kind::Object => view.get(step).into_iter().collect(),
        Kind::Array if step == "*" => view.items().collect(),
        Kind::Array => step.parse().ok().and_then(|at| view.items().nth(at)).into_iter().collect(),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => Vec::new(),
    }
}

/// What of a value some pointers lead to, in the value's own order, and nothing else. Objects and arrays on the way
/// stay; items of an array that nothing leads to are left out.
#[must_use]
pub fn project(json: &Json, pointers: &[Pointer]) -> Json {
    let all: Vec<&[String]> = pointers.iter().map(|pointer| pointer.steps.as_slice()).collect();
    kept(json, json.view(), &all).unwrap_or_else(|| if json.view().kind() == Kind::Array { Json::array([]) } else { Json::empty_object() })
}

fn kept(json: &Json, view: View<'_>, pointers: &[&[String]]) -> Option<Json> {
    if pointers.iter().any(|steps| steps.is_empty()) {
        return Some(json.share(view));
    }
    let below = |key: &str| -> Vec<&[String]> {
        let next = |steps: &&&[String]| steps.first().is_some_and(|step| step == key || step == "*");
        pointers.iter().filter(next).filter_map(|steps| steps.get(1..)).collect()
    };
    let inner = |key: &str, value: View<'_>| Some(below(key)).filter(|below| !below.is_empty()).and_then(|below| kept(json, value, &below));
    match view.kind() {
        Kind::Object => {
            let members: Vec<_> = view.members().filter_map(|(key, value)| Some((key.clone(), inner(&key, value)?))).collect();
            Some(Json::object(members.iter().map(|(key, value)| (&**key, value.clone()))))
        }
        Kind::Array => Some(Json::array(view.items().enumerate().filter_map(|(at, value)| inner(&at.to_string(), value)))),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn json(text: &'static str) -> Json {
        Json::parse(Bytes::from_static(text.as_bytes())).expect("json")
    }

    fn pointers(texts: &[&str]) -> Vec<Pointer> {
        texts.iter().map(|text| Pointer::read(text).expect("a pointer")).collect()
    }

    #[test]
    fn pointers_lead_where_rfc_6901_says_and_a_star_everywhere() {
        let value = json(r#"{"a":[{"b":1},{"b":2},{"c":3}],"x/y":{"~":4},"n":null}"#);
        let at = |text: &str| {
            Pointer::read(text).expect("a pointer").values(value.view()).iter().map(|view| view.text().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(at("/a/1/b"), ["2"]);
        assert_eq!(at("/a/*/b"), ["1", "2"]);
        assert_eq!(at("/x~1y/~0"), ["4"]);
        assert_eq!(at("/a/7/b"), [""; 0]);
        assert_eq!(at("/n/b"), [""; 0]);
        assert_eq!(at(""), [value.to_string()]);
        assert_eq!(Pointer::read("a"), None);
    }

    #[test]
    fn a_projection_has_what_was_named_and_nothing_else() {
        let value = json(r#"{"id": 1.0, "items":[{"name":"a","token":"t"},{"token":"u"}],"more":{"x":1,"y":[1,2]}}"#);
        assert_eq!(project(&value, &pointers(&["/items/*/name", "/id"])).to_string(), r#"{"id":1.0,"items":[{"name":"a"},{}]}"#);
        assert_eq!(project(&value, &pointers(&["/more/y/1"])).to_string(), r#"{"more":{"y":[2]}}"#);
        assert_eq!(project(&value, &pointers(&["/none", "/id/deeper"])).to_string(), "{}");
        assert_eq!(project(&json("[1,2]"), &pointers(&["/x"])).to_string(), "[]");
        assert_eq!(project(&value, &pointers(&[""])), value);
    }
}
