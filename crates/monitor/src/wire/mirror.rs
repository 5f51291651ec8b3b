//! Headers that mirror the body (2026-07-28, transports; SEP-2243): they only ever confirm.
//!
//! Decisions are made on the body. But something between client and gateway may have decided on the
//! headers, so headers that disagree with the body are refused.

use base64::Engine as _;
use bytes::Bytes;

use crate::reason::Refusal;

use super::HEADER_MISMATCH;
use super::json::{Json, Kind, View};
use super::version::Version;

/// One header: absent, given once, or unusable (given twice, or not visible ASCII).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Header {
    /// Not there.
    #[default]
    Absent,
    /// There once.
    Once(String),
    /// There, but it cannot be read in one way only.
    Unusable,
}

impl Header {
    /// The value when there is exactly one.
    #[must_use]
    pub fn once(&self) -> Option<&str> {
        match self {
            Self::Once(value) => Some(value),
            Self::Absent | Self::Unusable => None,
        }
    }
}

/// What the transport said about a message beside the message.
#[derive(Debug, Clone, Default)]
pub struct Mirror {
    /// Whether the transport has headers at all (HTTP) or not (stdio).
    pub http: bool,
    /// `MCP-Protocol-Version`.
    pub version: Header,
    /// `Mcp-Method`.
    pub method: Header,
    /// `Mcp-Name`.
    pub name: Header,
    /// `Mcp-Param-…`: the part after the prefix in lower case, and the value.
    pub params: Vec<(String, Header)>,
}

impl Mirror {
    /// No headers: stdio.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Checks the headers of a modern request against what its body says.
    pub fn confirm(&self, version: Version, method: &str, name: Option<&str>) -> Result<(), Refusal> {
        if !self.http {
            return Ok(());
        }
        same("MCP-Protocol-Version", &self.version, version.name())?;
        same("Mcp-Method", &self.method, method)?;
        match (name, &self.name) {
            (Some(name), header) => same_decoded("Mcp-Name", header, name),
            (None, Header::Absent) => Ok(()),
            (None, _) => Err(mismatch("Mcp-Name", "the message has no name")),
        }
    }

    /// Checks `Mcp-Param-…` headers against the arguments, for the parameters that the tool's schema
    /// names (`x-mcp-header`: header name, then property name). Others are no concern of ours.
    pub fn confirm_params(&self, declared: &[(String, String)], arguments: Option<View<'_>>) -> Result<(), Refusal> {
        if !self.http {
            return Ok(());
        }
        for (header, property) in declared {
            let value = arguments.and_then(|arguments| arguments.get(property)).filter(|value| !value.is_null());
            let given = self.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, header)| header);
            match (value, given) {
                (None, None | Some(Header::Absent)) => {}
                (Some(value), Some(Header::Once(text))) if says(text, value) => {}
                _ => return Err(mismatch(&format!("Mcp-Param-{header}"), "not what the argument says")),
            }
        }
        Ok(())
    }
}

/// The parameters of a tool that HTTP headers mirror (`x-mcp-header`, SEP-2243): header name and
/// property name. An annotation that breaks the rules excludes the tool.
pub fn mirrored(definition: &Json) -> Result<Vec<(String, String)>, &'static str> {
    let mut found: Vec<(String, String)> = Vec::new();
    let Some(properties) = definition.view().at(&["inputSchema", "properties"]) else { return Ok(found) };
    for (property, schema) in properties.members() {
        let Some(annotation) = schema.get("x-mcp-header") else { continue };
        let header = annotation.as_str().ok_or("an x-mcp-header is not a string")?;
        if header.is_empty() || !header.bytes().all(is_token) {
            return Err("an x-mcp-header is not a header name");
        }
        let kind = schema.get("type").and_then(View::as_str);
        if !matches!(kind.as_deref(), Some("string" | "integer" | "boolean")) {
            return Err("an x-mcp-header is on a parameter that is not string, integer or boolean");
        }
        if found.iter().any(|(other, _)| other.eq_ignore_ascii_case(&header)) {
            return Err("two parameters have the same x-mcp-header");
        }
        found.push((header.into_owned(), property.into_owned()));
    }
    Ok(found)
}

/// RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Whether a parameter header says what the argument says; integers are compared as numbers.
fn says(text: &str, value: View<'_>) -> bool {
    let Some(text) = decode(text) else { return false };
    match value.kind() {
        Kind::String => value.as_str().is_some_and(|value| value == text),
        Kind::Bool => value.text() == text,
        Kind::Number => number(value.text()).is_some_and(|value| number(&text) == Some(value)),
        Kind::Object | Kind::Array | Kind::Null => false,
    }
}

/// The canonical text of a JSON number: `1`, `1.0` and `1e0` are the same, and no digit is lost.
fn number(text: &str) -> Option<String> {
    let json = Json::parse(Bytes::copy_from_slice(text.as_bytes())).ok()?;
    (json.view().kind() == Kind::Number).then(|| super::canonical::text(&json))
}

fn same(name: &str, header: &Header, expected: &str) -> Result<(), Refusal> {
    match header {
        Header::Once(value) if value == expected => Ok(()),
        Header::Once(_) => Err(mismatch(name, "not what the message says")),
        Header::Absent => Err(mismatch(name, "missing")),
        Header::Unusable => Err(mismatch(name, "given twice or not readable")),
    }
}

fn same_decoded(name: &str, header: &Header, expected: &str) -> Result<(), Refusal> {
    let decoded = match header {
        Header::Once(value) => decode(value).map_or(Header::Unusable, Header::Once),
        Header::Absent => Header::Absent,
        Header::Unusable => Header::Unusable,
    };
    same(name, &decoded, expected)
}

fn mismatch(name: &str, what: &str) -> Refusal {
    Refusal::new(HEADER_MISMATCH, format!("{name}: {what}"))
}

const SENTINEL: (&str, &str) = ("=?base64?", "?=");

/// Decodes a header value: as it stands, or between the case-sensitive base64 sentinels.
fn decode(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix(SENTINEL.0).and_then(|rest| rest.strip_suffix(SENTINEL.1)) else {
        return Some(value.to_owned());
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok()
}

/// Encodes a value for a header: as it stands where it is safe there, else between the sentinels.
#[must_use]
pub fn encode(value: &str) -> String {
    let visible = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let plain = visible && !value.is_empty() && value.trim() == value && !value.starts_with(SENTINEL.0);
    if plain {
        return value.to_owned();
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(value);
    format!("{}{encoded}{}", SENTINEL.0, SENTINEL.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(text: &str) -> Header {
        Header::Once(text.to_owned())
    }

    fn mirror(name: Header) -> Mirror {
        Mirror { http: true, version: once("2026-07-28"), method: once("tools/call"), name, params: Vec::new() }
    }

    #[test]
    fn names_are_compared_decoded_and_exactly() {
        let confirm = |header: Header, name: &str| mirror(header).confirm(Version::NEWEST, "tools/call", Some(name)).is_ok();
        assert!(confirm(once("read_file"), "read_file"));
        assert!(confirm(once("=?base64?0YfQuNGC0LDRgtGM?="), "читать"));
        assert!(!confirm(once("=?BASE64?cmVhZF9maWxl?="), "read_file"));
        assert!(!confirm(once("=?base64?!!!?="), "read_file"));
        assert!(!confirm(once("Read_File"), "read_file"));
        assert!(!confirm(Header::Absent, "read_file"));
        assert!(!confirm(Header::Unusable, "read_file"));
    }

    #[test]
    fn encode_and_decode_agree() {
        for value in ["read_file", "читать", "a\nb", " x", "=?base64?x?=", ""] {
            assert_eq!(decode(&encode(value)).as_deref(), Some(value));
        }
    }

    #[test]
    fn declared_parameters_must_match_and_others_are_ignored() {
        let declared = [("Region".to_owned(), "region".to_owned())];
        let arguments = Json::parse(Bytes::from_static(br#"{"region":"eu","n":1}"#)).expect("json");
        let confirm = |params: Vec<(String, Header)>| {
            let mirror = Mirror { http: true, params, ..Mirror::default() };
            mirror.confirm_params(&declared, Some(arguments.view())).is_ok()
        };
        assert!(confirm(vec![("region".into(), once("eu")), ("other".into(), once("x"))]));
        assert!(!confirm(vec![("region".into(), once("us"))]));
        assert!(!confirm(vec![]));
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_to_the_last_digit() {
        let says = |text: &str, value: &str| says(text, Json::parse(Bytes::copy_from_slice(value.as_bytes())).expect("json").view());
        assert!(says("42", "42") && says("42.0", "42") && says("42", "4.2e1") && says("0", "-0"));
        assert!(!says("9007199254740992", "9007199254740993"));
        for text in ["", "inf", "+42", "0x2a", "42 43", "\"42\"", "forty-two"] {
            assert!(!says(text, "42"), "{text}");
        }
    }
}
