//! Which URIs an approved template covers (RFC 6570).

/// Whether `uri` is an expansion of `template`. A simple expression stands for one path segment, a
/// reserved one (`{+x}`, `{/x*}`, `{?q}`, …) for the rest; neither for a way out of the namespace.
pub(super) fn covers(template: &str, uri: &str) -> bool {
    !escapes(uri) && matches(template, uri, template.len())
}

/// Dot segments, in any spelling, and what no URI holds.
fn escapes(uri: &str) -> bool {
    let plain = uri.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
    let segments = plain.split(['/', '?', '#']).any(|segment| segment == "..");
    // An escaped percent sign would be unescaped to one of the spellings above by a second decoder.
    segments || plain.contains("%25") || plain.contains("%00") || uri.chars().any(|symbol| symbol.is_control() || symbol.is_whitespace())
}

fn matches(template: &str, uri: &str, budget: usize) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == uri };
    let Some(tail) = uri.strip_prefix(literal) else { return false };
    let Some((expression, after)) = rest.split_once('}') else { return false };
    let wide = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']) || expression.ends_with('*');
    let most = if wide { tail.len() } else { tail.find(['/', '?', '#']).unwrap_or(tail.len()) };
    if after.is_empty() {
        return most == tail.len() && (wide || most > 0);
    }
    let Some(budget) = budget.checked_sub(1) else { return false };
    // The expression ends where the next literal begins; every such place is tried.
    let next = after.split('{').next().unwrap_or_default();
    (0..=most)
        .filter(|end| tail.get(*end..).is_some_and(|rest| rest.starts_with(next)))
        .any(|end| (wide || end > 0) && matches(after, tail.get(end..).unwrap_or_default(), budget))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn templates_cover_their_namespace_and_no_more() {
        assert!(covers("test://template/{id}/data", "test://template/123/data"));
        assert!(!covers("test://template/{id}/data", "test://template/1/2/data"));
        assert!(!covers("test://template/{id}/data", "test://template//data"));
        assert!(covers("file:///{+path}", "file:///a/b.txt"));
        assert!(covers("demo://resource/{kind}/{id}", "demo://resource/text/7"));
        assert!(!covers("demo://resource/{kind}/{id}", "demo://other/text/7"));
        assert!(covers("db://t{?q}", "db://t?q=1"));
    }

    #[test]
    fn no_way_out() {
        for uri in [
            "file:///data/../etc/passwd",
            "file:///data/%2e%2E/x",
            "file:///data/..%2fx",
            "file:///data/%252e%252e/x",
            "file:///data/..\\x",
            "file:///a%00b",
            "file:///a\nb",
        ] {
            assert!(!covers("file:///{+path}", uri), "{uri}");
        }
    }
}
