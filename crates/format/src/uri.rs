//! Which URIs an approved template covers (RFC 6570), and what a URI means once it is normal
//! (RFC 3986, section 6).
//!
//! Nothing is rewritten: what was judged is what is sent. The normal form is only compared, so that a
//! URI which another reader would take for something else is not sent at all.

/// Longer URIs than this are not matched.
const MAX_URI: usize = 8 * 1024;
/// How often escapes may be wrapped in escapes.
const MAX_LAYERS: usize = 4;
/// Delimiters that keep their escape: decoded, they would mean something else (RFC 3986, 2.2).
const DELIMITERS: &[u8] = b"?#[]@!$&'()*+,;=:";
/// Schemes whose hosts have more than one spelling (WHATWG URL).
const HOSTED: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// A template, ready to be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(Variable),
}

/// What one variable of an expression may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Variable {
    /// What it begins with, when it stands for something.
    prefix: Option<u8>,
    /// What it never holds.
    without: &'static [u8],
    /// Whether it may stand for nothing.
    optional: bool,
    /// Whether only a new part of the URI may begin with it.
    apart: Apart,
}

/// What stands before a variable that takes slashes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apart {
    /// Nothing to look at.
    No,
    /// A path: a slash that follows a slash starts at the root for whoever joins paths.
    Path,
    /// A host, which must end where the literal does.
    Host,
}

impl Template {
    /// Reads a template. What is not one stands for itself.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (mut pieces, mut rest, mut before) = (Vec::new(), text, String::new());
        while let Some((literal, (expression, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
            before.push_str(literal);
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.extend(variables(expression, &before).into_iter().map(Piece::Variable));
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Self(pieces)
    }

    /// Whether a URI is an expansion. A simple variable stands for one path segment, a reserved one
    /// (`{+x}`, `{/x*}`) for several, and none for a way out of the namespace. Linear in the URI.
    #[must_use]
    pub fn covers(&self, uri: &str) -> bool {
        if uri.len() > MAX_URI || has_dots(uri) {
            return false;
        }
        let text = uri.as_bytes();
        // Which places of the URI can be reached with the pieces so far.
        let mut reached = vec![false; text.len().saturating_add(1)];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for piece in &self.0 {
            reached = match piece {
                Piece::Literal(literal) => {
                    let ends = |at: usize| {
                        let start = at.checked_sub(literal.len())?;
                        (reached.get(start) == Some(&true) && text.get(start..at) == Some(literal.as_bytes())).then_some(())
                    };
                    (0..reached.len()).map(|at| ends(at).is_some()).collect()
                }
                Piece::Variable(variable) => variable.extend(text, &reached),
            };
        }
        reached.last() == Some(&true)
    }
}

impl Variable {
    fn extend(self, text: &[u8], reached: &[bool]) -> Vec<bool> {
        let mut out = if self.optional { reached.to_vec() } else { vec![false; reached.len()] };
        let mut open = false;
        for (at, byte) in text.iter().enumerate() {
            let here = reached.get(at) == Some(&true);
            let begins = match self.prefix {
                Some(prefix) => *byte == prefix,
                None => self.may_begin(*byte, at.checked_sub(1).and_then(|at| text.get(at))),
            };
            // Goes on from a place before, or begins here.
            open = (open && !self.without.contains(byte)) || (here && begins && (self.prefix.is_some() || !self.without.contains(byte)));
            if let (true, Some(next)) = (open, out.get_mut(at.saturating_add(1))) {
                *next = true;
            }
        }
        out
    }

    fn may_begin(self, byte: u8, before: Option<&u8>) -> bool {
        match self.apart {
            Apart::No => true,
            Apart::Path => !(byte == b'/' && before == Some(&b'/')),
            Apart::Host => b"/?#".contains(&byte),
        }
    }
}

/// The variables of an expression, each as what it may stand for (RFC 6570, 3.2).
fn variables(expression: &str, before: &str) -> Vec<Variable> {
    let many = expression.contains('*');
    let count = if many { 1 } else { expression.split(',').count() };
    let one = |prefix, without, optional| Variable { prefix, without, optional, apart: Apart::No };
    match expression.bytes().next() {
        Some(b'+') => vec![Variable { apart: apart(before), ..one(None, b"", true) }],
        Some(b'#') => vec![one(Some(b'#'), b"", true)],
        // Several segments are one variable that takes slashes; else each takes one segment.
        Some(b'/') if many => vec![one(Some(b'/'), b"?#", true)],
        Some(b'/') => vec![one(Some(b'/'), b"/?#", true); count],
        Some(b'.') => vec![one(Some(b'.'), b"/?#", true)],
        Some(b';') => vec![one(Some(b';'), b"/?#", true)],
        Some(b'?') => vec![one(Some(b'?'), b"#", true)],
        Some(b'&') => vec![one(Some(b'&'), b"#", true)],
        _ => vec![one(None, b"/?#", false)],
    }
}

fn apart(before: &str) -> Apart {
    match before.split_once("://") {
        Some((_, "")) | None => Apart::No,
        Some((_, rest)) if rest.contains(['/', '?', '#']) => Apart::Path,
        Some(_) => Apart::Host,
    }
}

/// Whether a path segment is `.` or `..`, with path parameters or without.
fn has_dots(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

/// What a URI means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normal {
    /// Its normal form.
    pub form: String,
    /// Whether dot segments were resolved, however they were spelt. Readers resolve them differently
    /// where segments are empty or slashes escaped, so that nothing with them is an expansion.
    pub dotted: bool,
}

/// The one spelling of a URI, for rules that compare it with text. The error says what no URI has.
pub fn normal_form(uri: &str) -> Result<String, &'static str> {
    normal(uri).map(|normal| normal.form)
}

/// The normal form of a URI or a template: scheme and host in their one spelling, no user, no default
/// port, nothing escaped that need not be (however often it was), no dot segments. The error says what
/// no URI has. Only good to be compared.
pub fn normal(uri: &str) -> Result<Normal, &'static str> {
    if uri.len() > MAX_URI {
        return Err("it is too long");
    }
    if uri.chars().any(|symbol| symbol.is_control() || symbol.is_whitespace() || symbol == '\\') {
        return Err("it has a backslash, white space or a control character");
    }
    let (head, rest) = head(uri)?;
    let text = decoded(rest)?;
    let (path, tail) = text.find(['?', '#']).and_then(|at| text.split_at_checked(at)).unwrap_or((text.as_str(), ""));
    Ok(Normal { form: format!("{head}{}{tail}", without_dots(path)), dotted: has_dots(path) })
}

/// Scheme and authority in their normal form, and the rest as it is.
fn head(uri: &str) -> Result<(String, &str), &'static str> {
    let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else { return Ok((String::new(), uri)) };
    let scheme = scheme.to_ascii_lowercase();
    let split = rest.strip_prefix("//").map(|rest| rest.split_at(rest.find(['/', '?', '#', '{']).unwrap_or(rest.len())));
    match split {
        // Where a variable is part of the host, there is no host to speak of yet.
        Some((authority, rest)) if HOSTED.contains(&scheme.as_str()) && !rest.starts_with('{') => {
            Ok((format!("{scheme}://{}", host(&scheme, authority)?), rest))
        }
        Some((authority, rest)) if scheme == "file" => {
            let local = authority.eq_ignore_ascii_case("localhost");
            Ok((format!("file://{}", if local { String::new() } else { authority.to_ascii_lowercase() }), rest))
        }
        None if scheme == "file" => Ok(("file://".to_owned(), rest)),
        None if HOSTED.contains(&scheme.as_str()) => Err("it has no host"),
        _ => Ok((format!("{scheme}:"), rest)),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|symbol: char| symbol.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Host and port in their one spelling: lower case, addresses as numbers with dots, no default port.
fn host(scheme: &str, authority: &str) -> Result<String, &'static str> {
    let parsed = url::Url::parse(&format!("{scheme}://{authority}/")).map_err(|_| "it has no host that can be read")?;
    let host = parsed.host_str().unwrap_or_default().trim_end_matches('.');
    Ok(parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Without escapes that need not be there, layer by layer.
fn decoded(text: &str) -> Result<String, &'static str> {
    let mut text = text.to_owned();
    for layer in 0..MAX_LAYERS {
        let next = one_layer(&text, layer == 0)?;
        if next == text {
            return Ok(next.replace(['\u{ff0e}', '\u{2024}'], ".").replace('\u{2025}', "..").replace('\u{ff0f}', "/"));
        }
        text = next;
    }
    Err("its escapes are wrapped in escapes")
}

fn one_layer(text: &str, outermost: bool) -> Result<String, &'static str> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digits = bytes.clone();
        match (digits.next().and_then(hex), digits.next().and_then(hex)) {
            (Some(high), Some(low)) => {
                bytes = digits;
                let value = high << 4 | low;
                if DELIMITERS.contains(&value) {
                    out.extend(format!("%{value:02X}").bytes());
                } else if value < 0x20 || matches!(value, b'\\' | 0x7f) {
                    return Err("it has an escaped backslash or control character");
                } else {
                    out.push(value);
                }
            }
            // Inside another layer it is a plain sign: `100%25`.
            _ if outermost => return Err("it has a broken escape"),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| "its escapes are not UTF-8")
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// RFC 3986, section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in path.split('/') {
        folder = true;
        match segment.split(';').next() {
            Some(".") => {}
            // The first is what stands before the first slash.
            Some("..") => kept.truncate(kept.len().saturating_sub(1).max(1)),
            _ => {
                kept.push(segment);
                folder = false;
            }
        }
    }
    if folder {
        kept.push("");
    }
    kept.join("/")
}

#[cfg(test)]
mod tests;
