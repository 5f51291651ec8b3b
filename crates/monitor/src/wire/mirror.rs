//! Headers that mirror the body (2026-07-28, transports; SEP-2243): they only ever confirm.
//!
//! Decisions are made on the body. But something between client and gateway may have decided on the
//! headers, so headers that disagree with the body are refused.

use base64::Engine as _;

use crate::reason::Refusal;

use super::HEADER_MISMATCH;
use super::json::{Kind, View};
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

/// Whether a parameter header says what the argument says; integers are compared as numbers.
fn says(text: &str, value: View<'_>) -> bool {
    let Some(text) = decode(text) else { return false };
    match value.kind() {
        Kind::String => value.as_str().is_some_and(|value| value == text),
        Kind::Bool => value.text() == text,
        Kind::Number => match (value.text().parse::<f64>(), text.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b).is_eq(),
            _ => false,
        },
        Kind::Object | Kind::Array | Kind::Null => false,
    }
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
    use crate::wire::json::Json;
    use bytes::Bytes;

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
}
