//! Rules about single words: `unsafe`, `assertion`, suppressed lints, names of files.

use super::Findings;
use super::rules::{ASSERTIONS, CAPABILITY_HOMES, EMPTY_NAMES, FILE, UNSAFE_HOMES};
use super::source::{Source, closing, matches};

pub(crate) fn check(sources: &[Source], f: &mut Findings) {
    for s in sources {
        unsafe_words(s, f);
        assertions(s, f);
        suppressions(s, f);
        names(s, f);
    }
    for home in CAPABILITY_HOMES {
        if !sources.iter().any(|s| s.path == *home && capability(s).is_some()) {
            f.add(FILE, 1, "capability", format!("{home} carries no such #[expect] any more: remove it from the list"));
        }
    }
}

fn unsafe_words(s: &Source, f: &mut Findings) {
    if UNSAFE_HOMES.iter().any(|home| s.path.starts_with(home)) {
        return;
    }
    for t in s.tokens.iter().filter(|t| t.text == "unsafe") {
        f.add(&s.path, t.line, "unsafe", format!("move this below {}, or do without", UNSAFE_HOMES.join(" or ")));
    }
}

/// `Type::assertion`, however the type is spelled: an alias must not open a second door.
fn assertions(s: &Source, f: &mut Findings) {
    let Some((name, module)) = s.module() else {
        return;
    };
    let here = std::iter::once(name).chain(module).collect::<Vec<_>>().join("/");
    for (i, t) in s.product.iter().enumerate() {
        if !matches(&s.product, i + 1, &["::", "assertion"]) {
            continue;
        }
        let allowed = ASSERTIONS.iter().find(|a| a.of == t.text);
        if !allowed.is_some_and(|a| here == a.only || here.starts_with(&format!("{}/", a.only))) {
            let only = allowed.map_or("no module", |a| a.only);
            f.add(&s.path, t.line, "assertion", format!("{}::assertion belongs to {only}, and nobody else", t.text));
        }
    }
}

/// The line of the first suppression of the capability policy.
fn capability(s: &Source) -> Option<usize> {
    let policy = |w: &str| w == "disallowed_methods" || w == "disallowed_types";
    attributes(s).into_iter().find(|a| a.words.iter().any(|w| policy(w))).map(|a| a.line)
}

/// A suppression inside an attribute: `allow(…)` or `expect(…)`.
struct Suppression<'a> {
    line: usize,
    words: Vec<&'a str>,
}

fn attributes(s: &Source) -> Vec<Suppression<'_>> {
    let mut out = Vec::new();
    for (i, t) in s.tokens.iter().enumerate().filter(|(_, t)| t.text == "#") {
        let open = i + 1 + usize::from(matches(&s.tokens, i + 1, &["!"]));
        if !matches(&s.tokens, open, &["["]) {
            continue;
        }
        let end = closing(&s.tokens, open);
        for at in open..end {
            if matches(&s.tokens, at, &["allow", "("]) || matches(&s.tokens, at, &["expect", "("]) {
                let inside = s.tokens.iter().take(closing(&s.tokens, at + 1)).skip(at);
                out.push(Suppression { line: t.line, words: inside.map(|t| t.text.as_str()).collect() });
            }
        }
    }
    out
}

fn suppressions(s: &Source, f: &mut Findings) {
    for a in attributes(s).iter().filter(|a| !a.words.contains(&"reason")) {
        f.add(&s.path, a.line, "reason", "add `reason = \"…\"`: a suppressed lint says why");
    }
    if let Some(line) = capability(s).filter(|_| s.path.starts_with("crates/"))
        && !CAPABILITY_HOMES.contains(&s.path.as_str())
    {
        let advice = format!("use the home of this capability, or add the file to CAPABILITY_HOMES in {FILE}");
        f.add(&s.path, line, "capability", advice);
    }
}

fn names(s: &Source, f: &mut Findings) {
    let file = s.path.rsplit('/').next().unwrap_or(&s.path);
    if file == "mod.rs" {
        f.add(&s.path, 1, "mod-rs", "name the file after its module, beside its folder");
    }
    let empty = |name: &str| EMPTY_NAMES.contains(&name);
    if file.strip_suffix(".rs").is_some_and(empty) {
        f.add(&s.path, 1, "name", "name the module after what it is for");
    }
    for (i, t) in s.tokens.iter().enumerate() {
        if matches(&s.tokens, i.wrapping_sub(1), &["mod"]) && empty(&t.text) {
            f.add(&s.path, t.line, "name", format!("name the module `{}` after what it is for", t.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let mut f = Findings::default();
        let s = Source::new(path, text);
        unsafe_words(&s, &mut f);
        assertions(&s, &mut f);
        suppressions(&s, &mut f);
        names(&s, &mut f);
        f.all.iter().map(|f| (f.rule, f.line)).collect()
    }

    #[test]
    fn unsafe_has_one_home() {
        let text = "// unsafe\nfn f() {\n    unsafe { g() }\n}";
        assert_eq!(rules("crates/gateway/src/x.rs", text), [("unsafe", 3)]);
        assert_eq!(rules("crates/sandbox/src/x.rs", text), []);
        assert_eq!(rules("crates/gateway/src/x.rs", "#![forbid(unsafe_code)]"), []);
    }

    #[test]
    fn an_assertion_is_made_in_one_module() {
        let text = "fn f() { Caller::assertion(id) }";
        assert_eq!(rules("crates/gateway/src/identity.rs", text), []);
        assert_eq!(rules("crates/gateway/src/identity/jwt.rs", text), []);
        assert_eq!(rules("crates/gateway/src/front/http.rs", text), [("assertion", 1)]);
        assert_eq!(rules("crates/gateway/src/identity.rs", "fn f() { Alias::assertion(id) }"), [("assertion", 1)]);
        assert_eq!(rules("crates/gateway/src/front.rs", "#[cfg(test)]\nmod tests { fn f() { Caller::assertion() } }"), []);
    }

    #[test]
    fn a_suppression_has_a_reason() {
        assert_eq!(rules("xtask/src/x.rs", "#[allow(dead_code)]\nfn f() {}"), [("reason", 1)]);
        assert_eq!(rules("xtask/src/x.rs", "\n#![expect(\n    a,\n    b\n)]"), [("reason", 2)]);
        assert_eq!(rules("xtask/src/x.rs", "#[cfg_attr(test, allow(a))]"), [("reason", 1)]);
        assert_eq!(rules("xtask/src/x.rs", "#[allow(a, reason = \"x\")] fn f() { o.expect(1) }"), []);
    }

    #[test]
    fn a_capability_has_a_home() {
        let text = "#[expect(clippy::disallowed_methods, reason = \"the only dialer\")]\nfn f() {}";
        assert_eq!(rules("crates/gateway/src/nowhere.rs", text), [("capability", 1)]);
        assert_eq!(rules("xtask/src/nowhere.rs", text), []);
    }

    #[test]
    fn a_name_says_something() {
        assert_eq!(rules("crates/cli/src/mod.rs", ""), [("mod-rs", 1)]);
        assert_eq!(rules("crates/cli/src/utils.rs", ""), [("name", 1)]);
        assert_eq!(rules("crates/cli/src/x.rs", "\nmod helpers { }"), [("name", 2)]);
        assert_eq!(rules("crates/cli/src/x.rs", "let utils = 1; mod good;"), []);
    }
}
