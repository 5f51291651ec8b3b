//! A proposal for the effect class. The operator decides; a server's hints may only raise it.

use crate::case::{Effect, Kind};
use crate::wire::json::View;

use super::Definition;

const READS: &[&str] = &[
    "get", "list", "read", "search", "find", "show", "describe", "query", "fetch", "view", "check", "count", "lookup", "status", "diff",
    "log", "echo", "ping", "convert", "compare", "inspect", "explain", "validate", "resolve", "tree", "info", "stat", "head",
];
const DESTROYS: &[&str] = &[
    "delete",
    "remove",
    "drop",
    "destroy",
    "purge",
    "wipe",
    "erase",
    "truncate",
    "kill",
    "terminate",
    "reset",
    "revoke",
    "uninstall",
    "overwrite",
    "format",
    "shutdown",
    "exec",
    "execute",
    "run",
    "eval",
    "shell",
    "force",
    "transfer",
    "pay",
];

/// Fields for text that is a program: whoever may fill them may do anything that the server can.
const PROGRAMS: &[&str] = &["command", "cmd", "shell_command", "bash", "script", "sql"];
/// Switches that turn something harmless into something that cannot be undone.
const SWITCHES: &[&str] = &["delete", "remove", "drop", "purge", "truncate", "overwrite", "overwrite_existing", "force"];

/// Proposes an effect class from name, hints and fields. What is not recognised is a write.
#[must_use]
pub fn propose(definition: &Definition) -> Effect {
    if definition.kind != Kind::Tool {
        return Effect::Read;
    }
    let words = words(&definition.name);
    let by_name = if words.iter().any(|word| DESTROYS.contains(&word.as_str())) {
        Effect::Destructive
    } else if words.first().is_some_and(|word| READS.contains(&word.as_str()))
        || words.last().is_some_and(|word| READS.contains(&word.as_str()))
    {
        Effect::Read
    } else {
        Effect::Write
    };
    by_name.max(by_hints(definition)).max(by_fields(definition))
}

fn by_fields(definition: &Definition) -> Effect {
    let fields = definition.json.view().at(&["inputSchema", "properties"]);
    let destroys = fields.into_iter().flat_map(View::members).any(|(name, field)| {
        let (name, kind) = (name.to_lowercase(), field.get("type").and_then(View::as_str));
        match kind.as_deref() {
            Some("boolean") => SWITCHES.contains(&name.as_str()),
            Some("string") | None => PROGRAMS.contains(&name.as_str()),
            Some(_) => false,
        }
    });
    if destroys { Effect::Destructive } else { Effect::Read }
}

fn by_hints(definition: &Definition) -> Effect {
    let hint = |name: &str| definition.json.view().at(&["annotations", name]).and_then(View::as_bool);
    match (hint("readOnlyHint"), hint("destructiveHint")) {
        (_, Some(true)) => Effect::Destructive,
        (Some(false), _) => Effect::Write,
        (Some(true) | None, _) => Effect::Read,
    }
}

/// Splits `snake_case`, `kebab-case`, `camelCase` and `dotted.names` into lower-case words.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for symbol in name.chars() {
        let border = !symbol.is_alphanumeric() || (symbol.is_uppercase() && before.is_lowercase());
        if border && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| symbol.is_alphanumeric()) {
            word.extend(symbol.to_lowercase());
        }
        before = symbol;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Arguments that say where something goes.
const ADDRESSES: &[&str] = &[
    "url",
    "uri",
    "urls",
    "href",
    "endpoint",
    "webhook",
    "host",
    "hostname",
    "domain",
    "to",
    "cc",
    "bcc",
    "recipient",
    "recipients",
    "email",
    "channel",
    "callback",
];

/// Whether a tool's reviewed definition shows that data can leave through it, beside its effect. It only ever adds: that a
/// server calls its world closed proves nothing.
#[must_use]
pub fn reaches_out(definition: View<'_>) -> bool {
    let open = definition.at(&["annotations", "openWorldHint"]).and_then(View::as_bool) == Some(true);
    let fields = definition.at(&["inputSchema", "properties"]);
    let addressed = |(name, field): (std::borrow::Cow<'_, str>, View<'_>)| {
        let format = field.get("format").and_then(View::as_str);
        let is_address =
            format.is_some_and(|format| matches!(&*format, "uri" | "uri-reference" | "iri" | "email" | "idn-email" | "hostname"));
        let words = words(&name);
        // `to` alone is somebody; in `path_to_file` it is not.
        is_address || words.iter().any(|word| ADDRESSES.contains(&word.as_str()) && (word != "to" || words.len() == 1))
    };
    open || fields.into_iter().flat_map(View::members).any(addressed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Json;
    use bytes::Bytes;

    fn effect(name: &str, annotations: &str) -> Effect {
        let text = format!(r#"{{"name":"{name}","inputSchema":{{}},"annotations":{annotations}}}"#);
        propose(&Definition::read(Kind::Tool, &Json::parse(Bytes::from(text)).expect("json")).expect("tool"))
    }

    #[test]
    fn names_propose() {
        assert_eq!(effect("read_file", "{}"), Effect::Read);
        assert_eq!(effect("directoryTree", "{}"), Effect::Read);
        assert_eq!(effect("create_issue", "{}"), Effect::Write);
        assert_eq!(effect("git_reset", "{}"), Effect::Destructive);
        assert_eq!(effect("get_and_delete", "{}"), Effect::Destructive);
        assert_eq!(effect("frobnicate", "{}"), Effect::Write);
    }

    #[test]
    fn definitions_only_add_ways_out() {
        let of = |text: &str| reaches_out(Json::parse(Bytes::from(text.to_owned())).expect("json").view());
        assert!(!of("{}") && !of(r#"{"annotations":{"openWorldHint":false},"inputSchema":{"properties":{"path":{},"total":{}}}}"#));
        assert!(of(r#"{"annotations":{"openWorldHint":true}}"#));
        assert!(of(r#"{"annotations":{"openWorldHint":false},"inputSchema":{"properties":{"callback_url":{}}}}"#));
        assert!(of(r#"{"inputSchema":{"properties":{"a":{"type":"string","format":"email"}}}}"#));
    }

    #[test]
    fn fields_only_raise() {
        let of = |name: &str, fields: &str| {
            let text = format!(r#"{{"name":"{name}","inputSchema":{{"properties":{fields}}}}}"#);
            propose(&Definition::read(Kind::Tool, &Json::parse(Bytes::from(text)).expect("json")).expect("tool"))
        };
        assert_eq!(of("query", r#"{"sql":{"type":"string"}}"#), Effect::Destructive);
        assert_eq!(of("write_file", r#"{"overwrite":{"type":"boolean"}}"#), Effect::Destructive);
        assert_eq!(of("read_file", r#"{"path":{"type":"string"},"dry_run":{"type":"boolean"},"script":{"type":"integer"}}"#), Effect::Read);
        assert_eq!(of("delete_file", r#"{"path":{"type":"string"}}"#), Effect::Destructive);
    }

    #[test]
    fn hints_only_raise() {
        assert_eq!(effect("delete_all", r#"{"readOnlyHint":true}"#), Effect::Destructive);
        assert_eq!(effect("frobnicate", r#"{"readOnlyHint":true}"#), Effect::Write);
        assert_eq!(effect("read_file", r#"{"readOnlyHint":false}"#), Effect::Write);
        assert_eq!(effect("read_file", r#"{"destructiveHint":true}"#), Effect::Destructive);
    }
}
