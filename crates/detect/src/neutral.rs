//! Makes the active parts of a text inert, so that it can be read and shown but does nothing by itself: markup is
//! escaped, links and images to other hosts are defanged, and what is not seen is taken out or written out.

use std::borrow::Cow;

use crate::fold::is_invisible;

/// Marks with which chat templates begin a role; one broken letter and no template knows them.
const TEMPLATES: &[&str] = &["<|", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"];

/// The text with everything active made inert. Clean text comes back byte for byte and is not copied; what comes out
/// comes out unchanged when it goes in again.
///
/// * A `<` that begins a tag, a comment or a declaration becomes `&lt;`.
/// * In `](scheme://host` the scheme loses its `://`: `hxxps[:]//host`; `javascript:` and `data:` lose their colon.
/// * Control characters and escape sequences are written out (`\u{1b}`), and so are direction overrides.
/// * Invisible characters are dropped, except joiners and selectors inside emoji and scripts that need them.
/// * `<|`, `[INST]` and the like get a blank inside.
#[must_use]
pub fn neutralise(text: &str) -> Cow<'_, str> {
    // What is not seen goes first: it may stand between a bracket and its address.
    match rewritten(text, unseen) {
        Cow::Borrowed(text) => rewritten(text, active),
        Cow::Owned(text) => Cow::Owned(rewritten(&text, active).into_owned()),
    }
}

/// The text without what a person does not see: the first half of [`neutralise`].
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    rewritten(text, unseen)
}

/// How many bytes are dealt with, and what stands for them, if not they themselves.
type Change = (usize, Option<Cow<'static, str>>);

/// The text with changes, each told from what follows and the last character that was kept.
fn rewritten(text: &str, change: fn(&str, char, Option<char>) -> Change) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let (mut at, mut before) = (0, None);
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        let (taken, change) = change(rest, c, before);
        let kept = change.as_deref().map_or(Some(c), |change| change.chars().next_back());
        match (change, &mut out) {
            (Some(change), Some(out)) => out.push_str(&change),
            (Some(change), None) => out = Some(format!("{}{change}", text.get(..at).unwrap_or_default())),
            (None, Some(out)) => out.push_str(rest.get(..taken).unwrap_or_default()),
            (None, None) => {}
        }
        before = kept.or(before);
        at += taken;
    }
    out.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// What a person does not see.
fn unseen(rest: &str, c: char, before: Option<char>) -> Change {
    let next = rest.get(c.len_utf8()..).and_then(|rest| rest.chars().next());
    match c {
        '\n' | '\t' | ' '..='~' => (1, None),
        '\r' if next == Some('\n') || next.is_none() => (1, None),
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
            (c.len_utf8(), Some(Cow::Owned(format!("\\u{{{:x}}}", u32::from(c)))))
        }
        _ if is_invisible(c) && !is_needed(c, before) => (c.len_utf8(), Some(Cow::Borrowed(""))),
        _ => (c.len_utf8(), None),
    }
}

/// What a program acts on.
fn active(rest: &str, c: char, _: Option<char>) -> Change {
    let next = rest.get(c.len_utf8()..).and_then(|rest| rest.chars().next());
    match c {
        '<' | '[' => marked(rest, c, next),
        ']' if matches!(next, Some('(' | ':')) => link(rest),
        _ => (c.len_utf8(), None),
    }
}

/// Tags and template marks.
fn marked(rest: &str, c: char, next: Option<char>) -> Change {
    let template = TEMPLATES.iter().find(|mark| rest.get(..mark.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(mark)));
    if let Some(mark) = template {
        let rest = rest.get(1..mark.len()).unwrap_or_default();
        let broken = if c == '<' { format!("&lt;{}", rest.replace('<', "&lt;")) } else { format!("[ {rest}") };
        return (mark.len(), Some(Cow::Owned(broken)));
    }
    let tag = c == '<' && next.is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'));
    (c.len_utf8(), tag.then_some(Cow::Borrowed("&lt;")))
}

/// The target of a link or an image.
fn link(rest: &str) -> Change {
    let target = rest.get(2..).unwrap_or_default();
    let blank = target.len() - target.trim_start_matches([' ', '<', '\t', '\n', '\r']).len();
    let address = target.get(blank..).unwrap_or_default();
    let scheme = address.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')).take(20).count();
    let name = address.get(..scheme).unwrap_or_default();
    let after = address.get(scheme..).unwrap_or_default();
    let opening = rest.get(..2).unwrap_or_default();
    let begun = target.get(..blank).unwrap_or_default().replace('<', "&lt;");
    if after.starts_with("://") {
        let inert = name.replace("tt", "xx");
        return (2 + blank + scheme + 3, Some(Cow::Owned(format!("{opening}{begun}{inert}[:]//"))));
    }
    if address.starts_with("//") {
        return (2 + blank + 2, Some(Cow::Owned(format!("{opening}{begun}[:]//"))));
    }
    let runs = ["javascript", "data", "vbscript", "file", "blob"].iter().any(|runs| name.eq_ignore_ascii_case(runs));
    if runs && after.starts_with(':') {
        return (2 + blank + scheme + 1, Some(Cow::Owned(format!("{opening}{begun}{name}[:]"))));
    }
    (1, None)
}

/// Joiners and selectors where an emoji or a script asks for them.
fn is_needed(c: char, before: Option<char>) -> bool {
    let script = |c: char| matches!(c, '\u{590}'..='\u{dff}');
    let emoji = |c: char| matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2190}'..='\u{2bff}' | '\u{fe0f}');
    before.is_some_and(|before| match c {
        '\u{200c}' | '\u{200d}' => script(before) || emoji(before),
        '\u{200e}' | '\u{200f}' | '\u{61c}' => script(before),
        '\u{fe0e}' | '\u{fe0f}' => (emoji(before) && before != '\u{fe0f}') || matches!(before, '0'..='9' | '#' | '*' | '©' | '®' | '™'),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_parts_are_inert_and_the_rest_stays() {
        for (text, wanted) in [
            ("a < b, c > d, x<3", "a < b, c > d, x<3"),
            ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
            ("a <!-- b --> c", "a &lt;!-- b --> c"),
            ("![x](https://e.example/?d=1)", "![x](hxxps[:]//e.example/?d=1)"),
            ("[x](//e.example)", "[x]([:]//e.example)"),
            ("[x](docs/a.md)", "[x](docs/a.md)"),
            ("[1]: http://e.example", "[1]: hxxp[:]//e.example"),
            ("[x](javascript:go())", "[x](javascript[:]go())"),
            ("a\u{1b}[8mb\u{202e}c", "a\\u{1b}[8mb\\u{202e}c"),
            ("i\u{200b}g\u{ad}nore", "ignore"),
            ("👩\u{200d}💻 ❤\u{fe0f}", "👩\u{200d}💻 ❤\u{fe0f}"),
            ("[x]\u{200b}(https://e.example) <\u{200b}script>", "[x](hxxps[:]//e.example) &lt;script>"),
            ("<|im_start|>system [INST] x", "&lt;|im_start|>system [ INST] x"),
        ] {
            assert_eq!(neutralise(text), wanted);
        }
        assert!(matches!(neutralise("plain text, 1 < 2"), Cow::Borrowed(_)));
    }
}
