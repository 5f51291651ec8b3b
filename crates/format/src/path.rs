//! Paths below allowed roots. The text alone is judged: links are for whoever opens the file.

use unicode_normalization::UnicodeNormalization as _;

use crate::verdict::{Parsed, Refused, refuse};

/// Longer paths are longer than systems allow.
const LONGEST: usize = 4096;
/// How many layers of escapes are undone.
const LAYERS: usize = 4;

/// Directories that paths must be in; absolute, with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots(Vec<Vec<String>>);

impl Roots {
    /// From absolute paths, the first of which relative values are relative to.
    ///
    /// # Errors
    ///
    /// When there is none, or one is not absolute or has dots in it.
    pub fn new(roots: &[&str]) -> Result<Self, Refused> {
        let read = |root: &&str| match root.strip_prefix('/') {
            Some(rest) if !rest.split('/').any(|part| part == "." || part == "..") => {
                Ok(rest.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            _ => refuse("a root is absolute and has no dots"),
        };
        let roots: Vec<Vec<String>> = roots.iter().map(read).collect::<Result<_, _>>()?;
        if roots.is_empty() { refuse("there is no root") } else { Ok(Self(roots)) }
    }
}

pub(crate) fn parse(roots: &Roots, value: &str) -> Parsed {
    spelling(value)?;
    layers(value)?;
    let segments: Vec<&str> = value.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    segments.iter().try_for_each(|segment| name(segment))?;
    let absolute = value.starts_with('/');
    let whole: Vec<&str> = match roots.0.first() {
        Some(first) if !absolute => first.iter().map(String::as_str).chain(segments).collect(),
        _ => segments,
    };
    let inside = roots.0.iter().any(|root| whole.len() >= root.len() && root.iter().zip(&whole).all(|(a, b)| a == b));
    if inside { Ok(format!("/{}", whole.join("/"))) } else { refuse("the path is in none of the allowed directories") }
}

/// What no path has that means one thing everywhere.
fn spelling(value: &str) -> Result<(), Refused> {
    if value.is_empty() || value.len() > LONGEST {
        return refuse("the path is empty or too long");
    }
    if value.chars().any(|symbol| symbol.is_control() || is_invisible(symbol)) {
        return refuse("the path has control or invisible characters");
    }
    if value.contains('\\') {
        return refuse("the path has a backslash");
    }
    if value.starts_with('~') {
        return refuse("the path begins with a home directory");
    }
    let drive = value.as_bytes().get(1) == Some(&b':') && matches!(value.as_bytes().get(2), None | Some(b'/'));
    if drive || value.starts_with("//") {
        return refuse("the path begins with a drive or a network name");
    }
    if value.contains("://") {
        return refuse("the path is a URL");
    }
    let dressed = |symbol: char| {
        !symbol.is_ascii()
            && ("\u{2044}\u{2215}\u{29f8}\u{29f5}\u{fe68}\u{2216}".contains(symbol) || symbol.nfkc().any(|plain| "./\\:".contains(plain)))
    };
    if value.chars().any(dressed) {
        return refuse("the path has a character that others take for a dot or a slash");
    }
    Ok(())
}

/// Percent escapes: somebody may undo them, as often as there are layers, and each layer must be as harmless, with the
/// same directories.
fn layers(value: &str) -> Result<(), Refused> {
    const ESCAPED: Refused = Refused("the path has percent escapes that others take for dots, slashes or worse");
    let mut now = value.to_owned();
    for _ in 0..LAYERS {
        let Some(next) = unescaped(&now)? else { return Ok(()) };
        if next.matches('/').count() != now.matches('/').count() || spelling(&next).is_err() {
            return Err(ESCAPED);
        }
        next.split('/').filter(|part| *part != ".").try_for_each(name).map_err(|_| ESCAPED)?;
        now = next;
    }
    Err(ESCAPED)
}

/// One layer of escapes undone, if there is one. What is no UTF-8, and what only some readers undo, is refused.
fn unescaped(value: &str) -> Result<Option<String>, Refused> {
    const ODD: Refused = Refused("the path has escapes that are not those of URLs");
    let (mut out, mut rest, mut found) = (Vec::new(), value.as_bytes(), false);
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(0));
                rest = after.get(2..).unwrap_or_default();
                found = true;
            }
            (b'%', _, _) if after.first().is_some_and(|next| b"uU%".contains(next)) => return Err(ODD),
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    let text = String::from_utf8(out).map_err(|_| ODD)?;
    Ok(found.then_some(text))
}

/// Zero-width and direction marks.
fn is_invisible(symbol: char) -> bool {
    matches!(symbol, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// One name of a path.
fn name(segment: &str) -> Result<(), Refused> {
    // Some systems leave out dots and spaces at the end; `..0x2f..` is for readers who know other escapes.
    // Path parameters are left out by some servers, too.
    let stem = segment.split(';').next().unwrap_or_default();
    let nothing = !segment.is_empty() && stem.trim_end_matches(['.', ' ']).trim_start().is_empty();
    if nothing || segment.matches("..").count() > 1 {
        return refuse("the path has dots that lead out of a directory");
    }
    if is_device(segment) {
        return refuse("the path names a device");
    }
    Ok(())
}

/// Names that Windows takes for devices, in every directory and with every ending.
fn is_device(segment: &str) -> bool {
    let stem = segment.split(['.', ':']).next().unwrap_or_default().trim_end();
    let is = |name: &str| stem.eq_ignore_ascii_case(name);
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].into_iter().any(is) {
        return true;
    }
    let numbered = |prefix: &str| {
        let head = stem.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
        let mut tail = stem.chars().skip(3);
        head && tail.next().is_some_and(|digit| "123456789\u{b9}\u{b2}\u{b3}".contains(digit)) && tail.next().is_none()
    };
    numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Parsed {
        parse(&Roots::new(&["/srv/data", "/tmp/x"]).expect("roots"), value)
    }

    #[test]
    fn paths_below_a_root_are_allowed_in_one_spelling() {
        assert_eq!(of("a/./b//c.txt").as_deref(), Ok("/srv/data/a/b/c.txt"));
        assert_eq!(of("/tmp/x/y").as_deref(), Ok("/tmp/x/y"));
        assert_eq!(of("/srv/data/").as_deref(), Ok("/srv/data"));
        assert_eq!(of("100% sure.txt").as_deref(), Ok("/srv/data/100% sure.txt"));
        assert_eq!(of("a%20b/..x").as_deref(), Ok("/srv/data/a%20b/..x"));
        assert_eq!(of("Grüße/日本.md").as_deref(), Ok("/srv/data/Grüße/日本.md"));
    }

    #[test]
    fn ways_out_are_refused() {
        for value in [
            "",
            "/",
            "/srv",
            "/srv/database",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "..\\x",
            "~/x",
            "C:/x",
            "//host/x",
            "a\0",
            "a/%2e%2e/x",
            "%252e%252e",
            "a/..;/x",
            "\u{ff0e}\u{ff0e}/x",
            "a\u{2215}b",
            "\u{2025}/x",
            "con",
            "a/NUL.txt",
            "com1",
            "LPT\u{b9}.log",
            "...",
            ".. /x",
            "a%00",
            "%2e%2e",
            "%25252525252e",
            "%u2215",
            "..0x2f..0x2f",
            "file:///srv/data/x",
        ] {
            assert!(of(value).is_err(), "{value:?}");
        }
    }
}
