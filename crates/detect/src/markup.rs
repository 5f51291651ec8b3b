//! Markup that is not shown when it is rendered, and links that carry data when they are.

use crate::finding::{Class, Weight};
use crate::fold::{head, is_written};

/// No more links than this are looked at: each is a search through what stands before it.
const LINKS: usize = 200;
/// And of each no more bytes than this.
const LINK: usize = 2000;

/// A part of a text that markup hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Veil<'a> {
    pub(crate) class: Class,
    pub(crate) weight: Weight,
    pub(crate) text: &'a str,
    pub(crate) kind: Kind,
}

/// Whether honest pages have it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A comment, a style, a title: pages are full of them, and what they say decides.
    Unshown,
    /// A reference that nothing refers to: a comment of people who know Markdown well.
    Reference,
    /// An address that carries data out, or more than is looked at.
    Carries,
}

/// Every hidden part; nothing, if the text has no markup at all.
pub(crate) fn veils(text: &str) -> Vec<Veil<'_>> {
    let mut veils = Vec::new();
    if text.contains('<') {
        elements(text, &mut veils);
    }
    if text.contains("](") || text.contains("]:") {
        links(text, &mut veils);
    }
    veils
}

const fn markup(weight: Weight, text: &str) -> Veil<'_> {
    Veil { class: Class::Markup, weight, text, kind: Kind::Unshown }
}

/// Comments, elements that are not shown, and elements that run.
fn elements<'a>(text: &'a str, veils: &mut Vec<Veil<'a>>) {
    const STYLES: &[&str] = &[
        "display:none",
        "visibility:hidden",
        "font-size:0",
        "opacity:0",
        "color:white",
        "color:#fff",
        "color:transparent",
        "text-indent:-",
        "left:-",
    ];
    const ACTIVE: &[&str] = &["<script", "<iframe", "<object", "<embed", "javascript:", "onerror=", "onload="];
    for part in text.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or(part);
        if part.starts_with("!--") {
            let inside = part.get(3..).unwrap_or_default();
            if inside.chars().filter(|c| is_written(*c)).count() >= 4 {
                veils.push(markup(Weight::Block, inside));
            }
        } else if tag.contains(['=', ' ']) {
            let plain: String = tag.to_ascii_lowercase().split_whitespace().collect();
            if STYLES.iter().any(|style| plain.contains(style)) || plain.ends_with("hidden") && plain.len() < 40 {
                veils.push(markup(Weight::Block, part));
            }
        }
    }
    let lower = text.to_ascii_lowercase();
    if ACTIVE.iter().any(|active| lower.contains(active)) {
        veils.push(markup(Weight::Warn, text));
    }
}

/// Reference definitions that serve as comments, titles of links, images and links with data in the address.
fn links<'a>(text: &'a str, veils: &mut Vec<Veil<'a>>) {
    for line in text.lines().map(str::trim_start).filter(|line| line.starts_with('[')) {
        if let Some((label, target)) = line.split_once("]:") {
            let target = target.trim_start();
            let comment = label.starts_with("[//") || label.starts_with("[comment") || target.starts_with('#') || target.starts_with("<>");
            if comment && target.chars().filter(|c| is_written(*c)).count() >= 4 {
                veils.push(Veil { kind: Kind::Reference, ..markup(Weight::Block, target) });
            }
        }
    }
    // Within a line it is shown, and meant to pass for a comment.
    for (at, mark) in text.match_indices("[//]:").take(LINKS) {
        let target = text.get(at + mark.len()..).unwrap_or_default().lines().next().unwrap_or_default().trim_start();
        veils.push(Veil { kind: Kind::Reference, ..markup(Weight::Block, target) });
    }
    let all = text.match_indices("](").filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + 2..)?)));
    for (i, (before, rest)) in all.enumerate() {
        let link = head(rest, LINK);
        if i == LINKS || (link.len() < rest.len() && !link.contains(')')) {
            veils.push(Veil { class: Class::Oversized, weight: Weight::Block, text: rest, kind: Kind::Carries });
        }
        if i == LINKS {
            return;
        }
        let target = link.split(')').next().unwrap_or(link);
        let (address, title) = target.split_once([' ', '\n']).unwrap_or((target, ""));
        if title.split_whitespace().count() >= 4 {
            veils.push(markup(Weight::Block, title));
        }
        // A link around an image ends with the image's address.
        let image = !before.ends_with(')') && before.rfind('[').and_then(|at| before.get(..at)).is_some_and(|before| before.ends_with('!'));
        if carries_data(address, image) {
            // A link waits for somebody to follow it, and links that install something carry a lot.
            let kind = if image || address.contains(['{', '$', '<']) { Kind::Carries } else { Kind::Unshown };
            veils.push(Veil { kind, ..markup(Weight::Block, address) });
        }
    }
}

/// Whether loading or following an address would hand over something.
fn carries_data(address: &str, image: bool) -> bool {
    let Some((_, query)) = address.split_once('?').filter(|(host, _)| host.contains("//")) else { return false };
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let long = if image { 16 } else { 24 };
    values
        .into_iter()
        .any(|value| value.contains(['{', '$', '<']) || (value.len() >= long && !value.contains(['/', '.']) && !is_word(value)))
}

/// The name of a colour or a logo is no data.
fn is_word(value: &str) -> bool {
    value.len() < 24 && value.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_found() {
        for text in [
            "a <!-- read the key --> b",
            "<span style=\"display: none\">read</span>",
            "[//]: # (read the key)",
            "[a](https://x.example \"first read the key\")",
            "![x](https://x.example/p?d={secret})",
        ] {
            assert_eq!(veils(text).first().map(|veil| veil.weight), Some(Weight::Block), "{text}");
        }
        for text in ["<img src=\"logo.png\" alt=\"Project logo\">", "a < b > c", "[a](https://x.example/?page=2)", "[1]: https://x.example"]
        {
            assert!(veils(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn nothing_is_beyond_a_cap_unless_that_is_told() {
        let classes = |text: &str| veils(text).iter().map(|veil| (veil.class, veil.weight)).collect::<Vec<_>>();
        assert_eq!(classes(&format!("{}<!-- read the key -->", "<b>".repeat(600))), [(Class::Markup, Weight::Block)]);
        assert_eq!(classes(&format!("{}<script>", "é".repeat(3000))), [(Class::Markup, Weight::Warn)]);
        let long = format!("<p style=\"display:none\">{}", "a".repeat(3000));
        assert_eq!(classes(&long), [(Class::Markup, Weight::Block)]);
        assert_eq!(classes(&"[a](b) ".repeat(LINKS)), []);
        assert_eq!(classes(&"[a](b) ".repeat(LINKS + 9)), [(Class::Oversized, Weight::Block)]);
        assert_eq!(classes(&format!("[a]({}?d=1)", "é".repeat(LINK))), [(Class::Oversized, Weight::Block)]);
    }
}
