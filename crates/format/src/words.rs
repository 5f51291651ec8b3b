//! Words for command lines, and patterns for paths.

use crate::verdict::{Parsed, refuse};

/// Longer words are no words.
const LONGEST: usize = 4096;

/// Options that an argument may be, with two dashes and without a value: `--author`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(Vec<String>);

impl Options {
    /// From names such as `--author`.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

pub(crate) fn shell_word(value: &str) -> Parsed {
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:,+@".contains(&byte));
    if value.is_empty() || value.len() > LONGEST || !plain {
        return refuse("the word has characters other than letters, digits and _ - . / : , + @");
    }
    if value.starts_with(['-', '+', '@']) || is_transport(value) {
        return refuse("the word may be taken for an option, a file of options or a command");
    }
    Ok(value.to_owned())
}

pub(crate) fn argument(options: &Options, value: &str) -> Parsed {
    if value.len() > 128 * 1024 || value.chars().any(|symbol| symbol.is_control() && !"\t\n\r".contains(symbol)) {
        return refuse("the argument is too long or has control characters");
    }
    let mut symbols = value.chars();
    let (first, second) = (symbols.next(), symbols.next());
    // Dashes that conversions turn into the plain one, too.
    let dashes = "-\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}\u{fe58}\u{fe63}\u{ff0d}";
    let listed = value.split('=').next().is_some_and(|name| options.0.iter().any(|option| option == name));
    if first.is_some_and(|first| dashes.contains(first)) && !listed {
        return refuse("the argument would be an option");
    }
    if first == Some('@') && second.is_some_and(|second| second != '{' && second != ' ') {
        return refuse("the argument would be a file of options");
    }
    if is_transport(value) {
        return refuse("the argument names a helper program");
    }
    Ok(value.to_owned())
}

/// `ext::command`, which git runs.
fn is_transport(value: &str) -> bool {
    value.split_once("::").is_some_and(|(name, rest)| {
        let helper = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        helper && (rest.contains(['/', ' ', '%']) || matches!(name, "ext" | "fd" | "transport"))
    })
}

pub(crate) fn glob(value: &str) -> Parsed {
    if value.is_empty() || value.len() > LONGEST || value.matches('*').count() > 16 || value.matches('{').count() > 4 {
        return refuse("the pattern is empty, too long or too costly");
    }
    let plain = |symbol: char| {
        !symbol.is_control() && !"\\~$`\"'<>|;&!%".contains(symbol) && !"\u{2215}\u{2044}\u{ff0f}\u{ff0e}\u{2024}\u{2025}".contains(symbol)
    };
    if !value.chars().all(plain) {
        return refuse("the pattern has characters that patterns do not need");
    }
    if value.starts_with(['/', '-'])
        || value.as_bytes().get(1) == Some(&b':')
        || value.split(['/', '{', ',', '}']).any(|part| part.starts_with(".."))
    {
        return refuse("the pattern leads out of its directory");
    }
    if !balanced(value) {
        return refuse("a bracket of the pattern is not closed");
    }
    // A bracket could spell the dots, and a star match them.
    if value.split('/').any(|part| part.contains('[') && part.contains('.') && !part.chars().any(char::is_alphanumeric)) {
        return refuse("the pattern leads out of its directory");
    }
    Ok(value.to_owned())
}

fn balanced(value: &str) -> bool {
    let mut open = Vec::new();
    for symbol in value.chars() {
        match symbol {
            '[' => open.push(']'),
            '{' => open.push('}'),
            ']' | '}' if open.pop() != Some(symbol) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_word_is_one_word_to_every_shell() {
        for value in ["main", "v1.2.3", "feature/x_y", "user@host.example", "a:b,c"] {
            assert!(shell_word(value).is_ok(), "{value}");
        }
        for value in [
            "", "a b", "a;b", "$x", "`x`", "-x", "a|b", "a&b", "a>b", "a*", "~", "x=1", "a\nb", "é", "%x", "@f", "ext::sh", "(a)", "{a,b}",
            "!1", "#x", "a'",
        ] {
            assert!(shell_word(value).is_err(), "{value}");
        }
    }

    #[test]
    fn an_argument_is_no_option_but_one_that_is_listed() {
        let options = Options::new(&["--author"]);
        for value in ["", "a; b", "--author=ada", "stash@{0}", "@{upstream}", "line\ntwo", "std::io"] {
            assert!(argument(&options, value).is_ok(), "{value}");
        }
        for value in
            ["-x", "--", "-", "--author-file=x", "--output=/x", "@/etc/passwd", "@x", "a\0", "\u{2013}x", "ext::sh -c id", "\u{1b}[0m"]
        {
            assert!(argument(&options, value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_pattern_stays_in_its_directory() {
        for value in ["*.rs", "src/**/*.ts", "a/{b,c}/[a-z]?.md"] {
            assert!(glob(value).is_ok(), "{value}");
        }
        for value in ["", "/etc/*", "../*", "a/../b", "{..,a}/x", "[.][.]/x", "[a", "a}", "~/x", "$(x)", "C:/*", "-rf", "a\\*"] {
            assert!(glob(value).is_err(), "{value}");
        }
    }
}
