//! Sizes: what fits on a page gets read.

use super::Findings;
use super::rules::{BUDGET_DIRS, FILE_LINES, FUNCTION_LINES, PARAMETERS, TOTAL_LINES};
use super::source::{Source, Token, closing};

pub(crate) fn check(sources: &[Source], f: &mut Findings) {
    for s in sources.iter().filter(|s| BUDGET_DIRS.iter().any(|d| s.path.starts_with(d))) {
        if s.product_lines > FILE_LINES {
            let advice = format!("{} lines without tests, at most {FILE_LINES}: split it", s.product_lines);
            f.add_unless_excused(&s.path, 1, "file-size", advice);
        }
        for function in functions(&s.product) {
            check_function(s, &function, f);
        }
    }
    for (prefix, most) in TOTAL_LINES {
        let lines: usize = sources.iter().filter(|s| s.path.starts_with(prefix)).map(|s| s.product_lines).sum();
        if lines > *most {
            let advice = format!("{lines} lines without tests, at most {most}: it has to stay small enough to examine");
            f.add_unless_excused(prefix, 1, "total-size", advice);
        }
    }
}

fn check_function(s: &Source, function: &Function, f: &mut Findings) {
    let place = format!("{}::{}", s.path, function.name);
    if function.lines > FUNCTION_LINES {
        let advice = format!("`{}` has {} lines, at most {FUNCTION_LINES}: split it", function.name, function.lines);
        f.add_unless_excused(&place, function.line, "function-size", advice);
    }
    if function.parameters > PARAMETERS {
        let advice = format!(
            "`{}` has {} parameters, at most {PARAMETERS}: group what belongs together in a struct",
            function.name, function.parameters
        );
        f.add_unless_excused(&place, function.line, "parameters", advice);
    }
}

/// A function with what is counted of it.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
    parameters: usize,
}

fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut out = Vec::new();
    for (i, t) in tokens.iter().enumerate().filter(|(_, t)| t.text == "fn") {
        let Some(name) = tokens.get(i + 1).filter(|n| n.text.starts_with(|c: char| c.is_alphabetic() || c == '_')) else {
            continue;
        };
        let Some(open) = parameters_open(tokens, i + 2) else {
            continue;
        };
        let end = body_end(tokens, closing(tokens, open));
        let last = tokens.get(end.saturating_sub(1)).map_or(t.line, |t| t.line);
        let inside = tokens.iter().take(closing(tokens, open) - 1).skip(open + 1).map(|t| t.text.as_str());
        out.push(Function { name: name.text.clone(), line: t.line, lines: last - t.line + 1, parameters: parameters(inside) });
    }
    out
}

/// The parenthesis after the name and its generics (which may hold parentheses of their own).
fn parameters_open(tokens: &[Token], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, t) in tokens.iter().enumerate().skip(at) {
        match t.text.as_str() {
            "<" => depth += 1,
            ">" => depth = depth.saturating_sub(1),
            "(" if depth == 0 => return Some(i),
            ";" | "{" => return None,
            _ => {}
        }
    }
    None
}

/// After the body, or after the semicolon of a function without one.
fn body_end(tokens: &[Token], at: usize) -> usize {
    let mut i = at;
    while let Some(t) = tokens.get(i) {
        match t.text.as_str() {
            ";" => return i + 1,
            "{" => return closing(tokens, i),
            "(" | "[" => i = closing(tokens, i),
            _ => i += 1,
        }
    }
    tokens.len()
}

/// How many parameters, without the receiver.
fn parameters<'a>(inside: impl Iterator<Item = &'a str>) -> usize {
    let mut depth = 0usize;
    let mut all: Vec<Vec<&str>> = vec![Vec::new()];
    for word in inside {
        match word {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" | ">" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                all.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(word);
        }
    }
    let receiver = |p: &Vec<&str>| p.iter().take_while(|w| **w != ":").any(|w| *w == "self");
    all.iter().filter(|p| !p.is_empty() && !receiver(p)).count()
}

#[cfg(test)]
mod tests {
    use super::super::source::tokens;
    use super::*;

    fn found(text: &str) -> Vec<(String, usize, usize, usize)> {
        functions(&tokens(text)).into_iter().map(|f| (f.name, f.line, f.lines, f.parameters)).collect()
    }

    #[test]
    fn functions_are_found_with_their_lines() {
        let text =
            "impl X {\n    fn a(&self) -> Result<(), E>\n    where\n        T: Fn(u8) -> u8,\n    {\n        b();\n    }\n}\nfn c();\n";
        assert_eq!(found(text), [("a".into(), 2, 6, 0), ("c".into(), 9, 1, 0)]);
        assert_eq!(found("type F = fn(u8) -> u8;"), []);
    }

    #[test]
    fn parameters_are_counted_without_the_receiver() {
        assert_eq!(
            found("fn a<'a, T: Fn(u8, u8) -> X>(&'a mut self, a: HashMap<A, B>, f: impl Fn(A, B) -> C,) {}"),
            [("a".into(), 1, 1, 2)]
        );
        assert_eq!(found("fn a((x, y): (u8, u8), z: [u8; 2]) {}"), [("a".into(), 1, 1, 2)]);
        assert_eq!(found("fn a(self: Arc<Self>, selfish: u8) {}"), [("a".into(), 1, 1, 1)]);
    }

    #[test]
    fn what_is_too_large_is_a_finding() {
        let long = format!("fn long(a: A, b: B, c: C, d: D, e: E, f: F) {{\n{}}}\n", "    x();\n".repeat(FILE_LINES));
        let s = [Source::new("crates/monitor/src/x.rs", &long)];
        let mut f = Findings::default();
        check(&s, &mut f);
        let rules: Vec<_> = f.all.iter().map(|f| f.rule).collect();
        assert_eq!(rules, ["file-size", "function-size", "parameters"]);
        let mut f = Findings::default();
        check(&[Source::new("crates/monitor/src/x.rs", &format!("#[cfg(test)]\n{long}"))], &mut f);
        assert_eq!(f.all, []);
    }

    #[test]
    fn the_whole_monitor_has_a_budget() {
        let text = "x();\n".repeat(201);
        let mut f = Findings::default();
        check(&[Source::new("crates/monitor/src/stages.rs", &text)], &mut f);
        assert_eq!(f.all.iter().map(|f| f.rule).collect::<Vec<_>>(), ["total-size"]);
    }
}
