//! A Rust file as words: comments and the insides of literals are gone, so that no rule mistakes prose for code.
//!
//! This is a lexer, not a parser. It has to be right about where strings and comments end; about
//! everything else the compiler has the last word.

/// A word, a number, a lifetime, a literal (always `""`), or one of `::`, `->`, `=>`, or a single sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// One file.
pub(crate) struct Source {
    /// From the top of the checkout.
    pub(crate) path: String,
    /// All of it.
    pub(crate) tokens: Vec<Token>,
    /// Without what is under `#[cfg(test)]`.
    pub(crate) product: Vec<Token>,
    /// Lines without what is under `#[cfg(test)]`.
    pub(crate) product_lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let tokens = tokens(text);
        if is_test_file(path) {
            return Source { path: path.into(), tokens, product: Vec::new(), product_lines: 0 };
        }
        let (product, test_lines) = without_tests(&tokens);
        let product_lines = text.lines().count().saturating_sub(test_lines);
        Source { path: path.into(), tokens, product, product_lines }
    }

    /// `crates/monitor/src/wire/json.rs` → `("monitor", ["wire", "json"])`; `None` outside `crates/`.
    pub(crate) fn module(&self) -> Option<(&str, Vec<&str>)> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once("/src/")?;
        let rest = rest.strip_suffix(".rs")?;
        if rest == "lib" || rest == "main" {
            return Some((name, Vec::new()));
        }
        Some((name, rest.split('/').collect()))
    }
}

/// `foo/tests.rs` and `foo/tests/…` hold the tests of `foo`.
fn is_test_file(path: &str) -> bool {
    path.starts_with("crates/") && (path.ends_with("/tests.rs") || path.contains("/tests/"))
}

/// The words of a text.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut l = Lexer { chars: text.chars().collect(), at: 0, line: 1, out: Vec::new() };
    while l.step() {}
    l.out
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn skip(&mut self, n: usize) {
        for _ in 0..n {
            self.next();
        }
    }

    fn push(&mut self, text: impl Into<String>, line: usize) {
        self.out.push(Token { text: text.into(), line });
    }

    fn step(&mut self) -> bool {
        let Some(c) = self.peek(0) else { return false };
        match (c, self.peek(1)) {
            ('/', Some('/')) => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.next();
                }
            }
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.quote(),
            (':', Some(':')) | ('-' | '=', Some('>')) => {
                let pair: String = self.chars.iter().skip(self.at).take(2).collect();
                self.push(pair, self.line);
                self.skip(2);
            }
            _ if c.is_whitespace() => self.skip(1),
            _ if c.is_alphanumeric() || c == '_' => self.word(),
            _ => {
                self.push(c, self.line);
                self.skip(1);
            }
        }
        true
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.skip(2);
                }
                (Some('*'), Some('/')) => {
                    depth = depth.saturating_sub(1);
                    self.skip(2);
                    if depth == 0 {
                        return;
                    }
                }
                (Some(_), _) => self.skip(1),
                (None, _) => return,
            }
        }
    }

    fn string(&mut self) {
        self.push("\"\"", self.line);
        self.skip(1);
        while let Some(c) = self.next() {
            match c {
                '\\' => self.skip(1),
                '"' => return,
                _ => {}
            }
        }
    }

    /// `r"…"`, `r#"…"#`: standing on the first `#` or the quote.
    fn raw_string(&mut self) {
        self.push("\"\"", self.line);
        let mut hashes = 0;
        while self.peek(0) == Some('#') {
            hashes += 1;
            self.skip(1);
        }
        self.skip(1);
        while let Some(c) = self.next() {
            if c == '"' && (0..hashes).all(|i| self.peek(i) == Some('#')) {
                self.skip(hashes);
                return;
            }
        }
    }

    /// A character or a lifetime.
    fn quote(&mut self) {
        let line = self.line;
        if self.peek(1) == Some('\\') {
            self.push("\"\"", line);
            self.skip(3);
            while self.next().is_some_and(|c| c != '\'') {}
        } else if self.peek(2) == Some('\'') {
            self.push("\"\"", line);
            self.skip(3);
        } else {
            self.skip(1);
            let name = self.ident();
            self.push(format!("'{name}"), line);
        }
    }

    fn ident(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
            self.skip(1);
        }
        word
    }

    fn word(&mut self) {
        let line = self.line;
        let word = self.ident();
        let hashes = (0..).take_while(|i| self.peek(*i) == Some('#')).count();
        let quoted = self.peek(hashes) == Some('"');
        match word.as_str() {
            "r" | "br" | "cr" if quoted => self.raw_string(),
            // The prefix of a plain literal says nothing; `r#type` is the word `type`.
            "b" | "c" if quoted && hashes == 0 => {}
            "b" if self.peek(0) == Some('\'') => {}
            "r" if hashes == 1 => self.skip(1),
            _ => self.push(word, line),
        }
    }
}

/// The index just after the bracket that closes the one at `open`.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (i, t) in tokens.iter().enumerate().skip(open) {
        match t.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Does `words` stand at `at`?
pub(crate) fn matches(tokens: &[Token], at: usize, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(i, w)| tokens.get(at + i).is_some_and(|t| t.text == *w))
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Drops every item under `#[cfg(test)]`; answers how many lines they took.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize) {
    let mut product = Vec::new();
    let mut lines = 0;
    let mut i = 0;
    while let Some(t) = tokens.get(i) {
        if !matches(tokens, i, &CFG_TEST) {
            product.push(t.clone());
            i += 1;
            continue;
        }
        let end = item_end(tokens, i + CFG_TEST.len());
        let last = tokens.get(end.saturating_sub(1)).map_or(t.line, |t| t.line);
        lines += last - t.line + 1;
        i = end;
    }
    (product, lines)
}

/// The index after the item that begins at `at`: after its block, or its semicolon.
fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut i = at;
    let mut import = false;
    while let Some(t) = tokens.get(i) {
        match t.text.as_str() {
            ";" => return i + 1,
            "{" if !import => return closing(tokens, i),
            "use" => import = true,
            "(" | "[" | "{" => {
                i = closing(tokens, i);
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn comments_and_literals_hold_no_words() {
        let text = "let a = \"unsafe // \\\" x\"; /* unsafe /* nested */ unsafe */ b // unsafe\n;";
        assert_eq!(words(text), ["let", "a", "=", "\"\"", ";", "b", ";"]);
        assert_eq!(words("r#\"unsafe \" x\"# br\"unsafe\" b\"unsafe\" c"), ["\"\"", "\"\"", "\"\"", "c"]);
    }

    #[test]
    fn a_quote_is_a_character_or_a_lifetime() {
        assert_eq!(words("'a' '\\'' b'\\n' '\"' x"), ["\"\"", "\"\"", "\"\"", "\"\"", "x"]);
        assert_eq!(words("&'a str, 'static"), ["&", "'a", "str", ",", "'static"]);
    }

    #[test]
    fn raw_identifiers_are_words() {
        assert_eq!(words("r#type r#\"x\"#"), ["type", "\"\""]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let t = tokens("a\n/* \n */ b \"\n\n\" c");
        let lines: Vec<usize> = t.iter().map(|t| t.line).collect();
        assert_eq!(lines, [1, 3, 3, 5]);
    }

    #[test]
    fn what_is_under_cfg_test_is_not_product() {
        let text = "fn a() {}\n#[cfg(test)]\nuse x::{y, z};\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let s = Source::new("crates/monitor/src/x.rs", text);
        let product: Vec<&str> = s.product.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(product, ["fn", "a", "(", ")", "{", "}", "fn", "c", "(", ")", "{", "}"]);
        assert_eq!(s.product_lines, 2);
        assert_eq!(Source::new("crates/monitor/src/x/tests.rs", text).product_lines, 0);
    }

    #[test]
    fn a_path_names_a_module() {
        let module = |p| Source::new(p, "").module().map(|(c, m)| (c.to_string(), m.join("::")));
        assert_eq!(module("crates/monitor/src/wire/json.rs"), Some(("monitor".into(), "wire::json".into())));
        assert_eq!(module("crates/monitor/src/lib.rs"), Some(("monitor".into(), String::new())));
        assert_eq!(module("xtask/src/main.rs"), None);
    }
}
