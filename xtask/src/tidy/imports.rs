//! Who may import whom: `use` lines and paths in the code, against the tables in `rules.rs`.

use std::collections::{HashMap, HashSet};

use super::Findings;
use super::rules::{CONFINED, FILE, IMPORTS, Imports, Row};
use super::source::{Source, Token, closing, matches};

pub(crate) fn check(sources: &[Source], f: &mut Findings) {
    check_against(IMPORTS, sources, f);
}

fn check_against(tables: &[Imports], sources: &[Source], f: &mut Findings) {
    for s in sources {
        let Some((name, module)) = s.module() else {
            continue;
        };
        let uses = paths(&s.product);
        for path in &uses {
            check_confined(s, name, &module, path, f);
        }
        let Some(table) = tables.iter().find(|t| t.crate_name == name) else {
            continue;
        };
        let modules = modules(sources, name);
        // The root only lists the modules, and may say what they offer.
        if module.is_empty() {
            continue;
        }
        let Some(row) = row_of(table, &module) else {
            let advice = format!("say in {FILE} what `{}` may import", module.join("/"));
            f.add(&s.path, 1, "imports", advice);
            continue;
        };
        for path in &uses {
            check_row(s, &Place { module: &module, row, modules: &modules }, path, f);
        }
    }
}

/// A path somebody names.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Used {
    line: usize,
    words: Vec<String>,
    /// The modules written inside the file that the path stands in: `super` counts from there.
    inside: Vec<String>,
}

/// Where a path is read: the module, its row, and which modules there are.
struct Place<'a> {
    module: &'a [&'a str],
    row: &'a Row,
    modules: &'a HashSet<String>,
}

/// The modules of a crate, as `wire/json`.
fn modules(sources: &[Source], name: &str) -> HashSet<String> {
    sources.iter().filter_map(Source::module).filter(|(c, _)| *c == name).map(|(_, m)| m.join("/")).collect()
}

/// How many words of `module` a row covers as one unit, or `None` if it is not about it.
fn unit(row: &Row, module: &[&str]) -> Option<usize> {
    let parts = row.from.strip_suffix("/*");
    let words: Vec<&str> = parts.unwrap_or(row.from).split('/').collect();
    let length = words.len() + usize::from(parts.is_some());
    (module.len() >= length && module.starts_with(&words)).then_some(length)
}

fn row_of<'a>(table: &'a Imports, module: &[&str]) -> Option<&'a Row> {
    table.rows.iter().find(|r| unit(r, module).is_some())
}

fn check_row(s: &Source, place: &Place<'_>, path: &Used, f: &mut Findings) {
    let Some(target) = resolve(place, path) else {
        return;
    };
    let unit = unit(place.row, place.module).unwrap_or(0);
    let own: Vec<&str> = place.module.iter().take(unit).copied().collect();
    let own = own.join("/");
    if within(&target, &own) || place.row.may.iter().any(|m| allowed(m, &target)) {
        return;
    }
    let advice = if target.is_empty() {
        "name the module instead of the crate's root".to_string()
    } else {
        format!("`{own}` may not import `{target}` (the table is in {FILE})")
    };
    f.add_once(&s.path, path.line, "imports", advice);
}

fn within(target: &str, module: &str) -> bool {
    target == module || target.strip_prefix(module).is_some_and(|rest| rest.starts_with('/'))
}

fn allowed(may: &str, target: &str) -> bool {
    match may.strip_suffix("/*") {
        Some(module) => within(target, module),
        None => may == "*" || may == target,
    }
}

/// The module of this crate that a path leads to; `None` for other crates.
fn resolve(place: &Place<'_>, path: &Used) -> Option<String> {
    let (first, rest) = path.words.split_first()?;
    let mut base: Vec<&str> = place.module.iter().copied().chain(path.inside.iter().map(String::as_str)).collect();
    let mut rest: &[String] = rest;
    match first.as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            base.pop();
            while let Some((_, more)) = rest.split_first().filter(|(w, _)| *w == "super") {
                base.pop();
                rest = more;
            }
        }
        // A path that begins with one of our own parts.
        _ => {
            base.push(first);
            if !place.modules.contains(&base.join("/")) {
                return None;
            }
        }
    }
    base.extend(rest.iter().map(String::as_str));
    while !base.is_empty() && !place.modules.contains(&base.join("/")) {
        base.pop();
    }
    Some(base.join("/"))
}

fn check_confined(s: &Source, name: &str, module: &[&str], path: &Used, f: &mut Findings) {
    let here = module.join("/");
    for c in CONFINED.iter().filter(|c| c.crate_name == name) {
        let words: Vec<&str> = c.path.split("::").collect();
        let named = path.words.len() >= words.len() && words.iter().zip(&path.words).all(|(a, b)| a == b);
        if named && !c.only.iter().any(|m| within(&here, m)) {
            f.add(&s.path, path.line, "confined", format!("do not name `{}` here: {}", c.path, c.why));
        }
    }
}

/// Every path in `use` items, written out, and every path with `::` in the code, with the names that
/// `use` brought in replaced by what they stand for.
fn paths(tokens: &[Token]) -> Vec<Used> {
    let mut out = Vec::new();
    let mut aliases = HashMap::new();
    let mut rest = Vec::new();
    // Modules written inside the file, each with the index where it ends.
    let mut inside: Vec<(String, usize)> = Vec::new();
    let mut i = 0;
    while let Some(t) = tokens.get(i) {
        inside.retain(|(_, end)| *end > i);
        let here: Vec<String> = inside.iter().map(|(name, _)| name.clone()).collect();
        if t.text == "use" && !matches(tokens, i + 1, &["<"]) {
            let end = tokens.iter().skip(i).position(|t| t.text == ";").map_or(tokens.len(), |n| i + n);
            let from = out.len();
            expand(tokens.get(i + 1..end).unwrap_or_default(), &[], &mut out, &mut aliases);
            out.iter_mut().skip(from).for_each(|u| u.inside.clone_from(&here));
            i = end;
            continue;
        }
        if t.text == "mod" && matches(tokens, i + 2, &["{"]) {
            inside.extend(tokens.get(i + 1).map(|name| (name.text.clone(), closing(tokens, i + 2))));
        }
        rest.push((i, here));
        i += 1;
    }
    for (i, here) in rest {
        let begins = i == 0 || !matches(tokens, i - 1, &["::"]);
        if begins && matches(tokens, i + 1, &["::"]) {
            let found = inline(tokens, i, &aliases).filter(|u| u.words.len() > 1);
            out.extend(found.map(|u| Used { inside: here, ..u }));
        }
    }
    out
}

/// The path that begins at `at`: words joined by `::`.
fn inline(tokens: &[Token], at: usize, aliases: &HashMap<String, Vec<String>>) -> Option<Used> {
    let first = tokens.get(at)?;
    if !first.text.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    let mut words = aliases.get(&first.text).cloned().unwrap_or_else(|| vec![first.text.clone()]);
    let mut i = at + 1;
    while matches(tokens, i, &["::"]) {
        let Some(word) = tokens.get(i + 1).filter(|t| t.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')) else {
            break;
        };
        words.push(word.text.clone());
        i += 2;
    }
    Some(Used { line: first.line, words, inside: Vec::new() })
}

/// `a::{b, c::{self, d as e}, *}` → one path each.
fn expand(tree: &[Token], prefix: &[String], out: &mut Vec<Used>, aliases: &mut HashMap<String, Vec<String>>) {
    let mut words = prefix.to_vec();
    let mut name = None;
    let mut i = 0;
    while let Some(t) = tree.get(i) {
        match t.text.as_str() {
            "::" | "*" => {}
            "{" => {
                let end = closing(tree, i);
                let inside = tree.get(i + 1..end.saturating_sub(1)).unwrap_or_default();
                for branch in branches(inside) {
                    expand(branch, &words, out, aliases);
                }
                return;
            }
            "as" => {
                name = tree.get(i + 1).map(|t| t.text.clone());
                break;
            }
            // `a::{self}` is `a`.
            "self" if !words.is_empty() => {}
            word => words.push(word.to_string()),
        }
        i += 1;
    }
    if let (Some(first), Some(last)) = (tree.first(), words.last()) {
        aliases.insert(name.unwrap_or_else(|| last.clone()), words.clone());
        out.push(Used { line: first.line, words, inside: Vec::new() });
    }
}

/// Splits at the commas of this level.
fn branches(tree: &[Token]) -> Vec<&[Token]> {
    let mut out = Vec::new();
    let (mut begin, mut i) = (0, 0);
    while let Some(t) = tree.get(i) {
        match t.text.as_str() {
            "{" => {
                i = closing(tree, i);
                continue;
            }
            "," => {
                out.extend(tree.get(begin..i));
                begin = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    out.extend(tree.get(begin..).filter(|t| !t.is_empty()));
    out
}

#[cfg(test)]
mod tests {
    use super::super::source::tokens;
    use super::*;

    fn named(text: &str) -> Vec<String> {
        paths(&tokens(text)).into_iter().map(|u| u.words.join("::")).collect()
    }

    #[test]
    fn trees_are_written_out() {
        assert_eq!(named("use a::{b, c::{self, d as e}, f::*};"), ["a::b", "a::c", "a::c::d", "a::f"]);
        assert_eq!(named("pub(crate) use crate::x;"), ["crate::x"]);
        assert_eq!(named("fn f() -> impl A + use<'a> {}"), Vec::<String>::new());
    }

    #[test]
    fn names_in_the_code_stand_for_what_was_imported() {
        assert_eq!(named("use crate::wire; fn f() { wire::json::parse(x) }"), ["crate::wire", "crate::wire::json::parse"]);
        assert_eq!(named("fn f(x: std::fs::File) { x.a::<u8>() }"), ["std::fs::File"]);
    }

    /// Tables of the tests' own, because those of the product change with it.
    const TABLES: &[Imports] = &[
        Imports {
            crate_name: "monitor",
            rows: &[
                Row { from: "reason", may: &[] },
                Row { from: "case", may: &["reason/*"] },
                Row { from: "controls/*", may: &["case/*"] },
                Row { from: "wire", may: &["reason/*"] },
                Row { from: "stages", may: &["wire/*"] },
            ],
        },
        Imports {
            crate_name: "gateway",
            rows: &[
                Row { from: "config", may: &[] },
                Row { from: "store", may: &["config"] },
                Row { from: "serve", may: &["*"] },
                Row { from: "front", may: &[] },
                Row { from: "upstream", may: &[] },
            ],
        },
    ];

    fn advice(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(p, t)| Source::new(p, t)).collect();
        let mut f = Findings::default();
        check_against(TABLES, &sources, &mut f);
        f.all.iter().map(|f| format!("{}:{} {}", f.path, f.line, f.rule)).collect()
    }

    const CASE: (&str, &str) = ("crates/monitor/src/case.rs", "pub struct Case;");
    const WIRE: (&str, &str) = ("crates/monitor/src/wire.rs", "");
    const OTHER: (&str, &str) = ("crates/monitor/src/controls/other.rs", "");

    #[test]
    fn a_control_never_imports_another() {
        let path = "crates/monitor/src/controls/quota.rs";
        let broken = [format!("{path}:1 imports")];
        assert_eq!(advice(&[CASE, OTHER, (path, "use crate::case::Case;")]), Vec::<String>::new());
        assert_eq!(advice(&[OTHER, (path, "use crate::controls::other::X;")]), broken);
        assert_eq!(advice(&[OTHER, (path, "use super::other::X;")]), broken);
        assert_eq!(advice(&[OTHER, (path, "fn f() { super::other::x() }")]), broken);
        assert_eq!(advice(&[OTHER, (path, "#[cfg(test)]\nmod tests { use super::super::other; }")]), Vec::<String>::new());
    }

    #[test]
    fn a_layer_does_not_import_the_one_above() {
        let json = ("crates/monitor/src/wire/json.rs", "use crate::stages::Recorded;");
        let stages = ("crates/monitor/src/stages.rs", "use crate::wire::json::Json;");
        assert_eq!(advice(&[WIRE, json, stages]), ["crates/monitor/src/wire/json.rs:1 imports"]);
    }

    #[test]
    fn a_module_inside_the_file_is_part_of_it() {
        let path = "crates/monitor/src/reason.rs";
        assert_eq!(advice(&[CASE, (path, "pub mod list { use super::Class; }")]), Vec::<String>::new());
        assert_eq!(advice(&[CASE, (path, "pub mod list { use super::super::case::X; }")]), [format!("{path}:1 imports")]);
        assert_eq!(advice(&[CASE, (path, "mod list { }\nuse super::case::X;")]), [format!("{path}:2 imports")]);
    }

    #[test]
    fn a_module_has_a_row() {
        assert_eq!(advice(&[("crates/monitor/src/surprise.rs", "")]), ["crates/monitor/src/surprise.rs:1 imports"]);
        assert_eq!(advice(&[("crates/monitor/src/lib.rs", "pub use x::Y;")]), Vec::<String>::new());
    }

    #[test]
    fn siblings_of_the_gateway_see_faces_not_internals() {
        let dial = ("crates/gateway/src/config/parse.rs", "");
        let config = ("crates/gateway/src/config.rs", "use self::parse::X;");
        let face = ("crates/gateway/src/store.rs", "use crate::config::Settings;");
        assert_eq!(advice(&[config, dial, face]), Vec::<String>::new());
        let inside = ("crates/gateway/src/store.rs", "use crate::config::parse::X;");
        assert_eq!(advice(&[config, dial, inside]), ["crates/gateway/src/store.rs:1 imports"]);
    }

    #[test]
    fn one_module_may_see_everything() {
        let config = ("crates/gateway/src/config.rs", "");
        let parse = ("crates/gateway/src/config/parse.rs", "");
        let serve = ("crates/gateway/src/serve/run.rs", "use crate::config::parse::X;\nuse crate::config;");
        assert_eq!(advice(&[config, parse, serve]), Vec::<String>::new());
    }

    #[test]
    fn a_root_reexport_does_not_hide_a_module() {
        let store = ("crates/gateway/src/store.rs", "use crate::Settings;\nuse crate::Settings;");
        assert_eq!(advice(&[("crates/gateway/src/lib.rs", "pub use config::Settings;"), store]), ["crates/gateway/src/store.rs:1 imports"]);
    }

    #[test]
    fn the_monitor_has_no_clock() {
        let text = "use std::time::{Duration, Instant};";
        assert_eq!(advice(&[("crates/monitor/src/case.rs", text)]), ["crates/monitor/src/case.rs:1 confined"]);
        let text = "use bartizan_sandbox::start;";
        assert_eq!(advice(&[("crates/gateway/src/front.rs", text)]), ["crates/gateway/src/front.rs:1 confined"]);
        assert_eq!(advice(&[("crates/gateway/src/upstream/stdio.rs", text)]), Vec::<String>::new());
    }
}
