//! The words of a command line, read strictly: a word that is not understood could change what runs.

/// A command line that does not say what it would run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {instead}")]
pub struct Unclear {
    /// What is not understood.
    pub what: String,
    /// What to do instead.
    pub instead: String,
}

impl Unclear {
    pub(super) fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into() }
    }
}

/// The options of a program that are known to be harmless or understood.
pub(super) struct Options {
    pub(super) program: &'static str,
    /// Without a value.
    pub(super) flags: &'static [&'static str],
    /// With a value.
    pub(super) values: &'static [&'static str],
    /// With which the options end, because what follows is code.
    pub(super) code: &'static [&'static str],
}

/// An option that was given, and where its value stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// The word that holds the value.
    pub(super) at: usize,
    /// What stands before the value in that word.
    pub(super) before: &'a str,
}

impl Options {
    /// Reads the options that begin at `from`; returns them and where the first word stands that is none.
    pub(super) fn read<'a>(&self, words: &'a [String], from: usize) -> Result<(Vec<Given<'a>>, usize), Unclear> {
        let mut given = Vec::new();
        let mut at = from;
        while let Some(word) = words.get(at).map(String::as_str) {
            if word == "--" {
                return Ok((given, at.saturating_add(1)));
            }
            if !word.starts_with('-') || word == "-" || self.code.contains(&word) {
                break;
            }
            if self.is_flag(word) {
                given.push(Given { name: word, value: "", at, before: word });
            } else if self.values.contains(&word) {
                at = at.saturating_add(1);
                let value = words.get(at).ok_or_else(|| Unclear::new(format!("{word} has no value"), "give it one"))?;
                given.push(Given { name: word, value, at, before: "" });
            } else {
                given.push(self.joined(word, at)?);
            }
            at = at.saturating_add(1);
        }
        Ok((given, at))
    }

    /// A flag, or several of one letter in one word.
    fn is_flag(&self, word: &str) -> bool {
        let letters = || word.strip_prefix('-').filter(|rest| !rest.starts_with('-') && !rest.is_empty());
        self.flags.contains(&word)
            || letters().is_some_and(|rest| rest.chars().all(|letter| self.flags.contains(&format!("-{letter}").as_str())))
    }

    /// `--name=value`, or `-nvalue`.
    fn joined<'a>(&self, word: &'a str, at: usize) -> Result<Given<'a>, Unclear> {
        let long = word.split_once('=').filter(|(name, _)| self.values.contains(name));
        let short = || word.split_at_checked(2).filter(|(name, _)| !name.starts_with("--") && self.values.contains(name));
        let (name, value) = long.or_else(short).ok_or_else(|| self.unknown(word))?;
        let before = word.strip_suffix(value).unwrap_or(word);
        Ok(Given { name, value, at, before })
    }

    fn unknown(&self, word: &str) -> Unclear {
        let known: Vec<&str> = self.flags.iter().chain(self.values).copied().collect();
        Unclear::new(
            format!("the option {word:?} of {} could change what runs", self.program),
            format!("leave it out; understood are {}", known.join(", ")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { program: "x", flags: &["-i", "-r", "--rm"], values: &["-e", "--env"], code: &["-c"] };

    fn read(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (given, rest) = OPTIONS.read(&words, 1).map_err(|unclear| unclear.what)?;
        let given: Vec<String> = given.iter().map(|given| format!("{}={}@{}", given.name, given.value, given.at)).collect();
        Ok(format!("{} | {}", given.join(" "), words[rest..].join(" ")))
    }

    #[test]
    fn options_end_where_the_first_other_word_stands() {
        assert_eq!(read("x -ir --rm -e A=b --env=C=d -eE y -z").as_deref(), Ok("-ir=@1 --rm=@2 -e=A=b@4 --env=C=d@5 -e=E@6 | y -z"));
        assert_eq!(read("x -i -- -z").as_deref(), Ok("-i=@1 | -z"));
        assert_eq!(read("x -i -c -z").as_deref(), Ok("-i=@1 | -c -z"));
        assert_eq!(read("x - y").as_deref(), Ok(" | - y"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in ["x -z y", "x -iz y", "x --rm=yes y", "x --environment=a y", "x -e"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
