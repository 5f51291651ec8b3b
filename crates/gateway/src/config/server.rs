//! From what was written of a server to what can be used.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use url::Url;

use super::access;
use super::confine::{self, Confine};
use super::credential;
use super::file;
use super::judge::{self, PlainHttp};
use super::problem::Problems;
use super::secret::{Lookup, Template};
use super::settings::{How, ServerSettings, Supply};
use super::stores;
use crate::learn::{Learning, World};

const TIMEOUT: Duration = Duration::from_secs(60);
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What judging a server needs to know beside what was written of it.
pub(super) struct Surroundings<'a> {
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    /// The environment.
    pub(super) variables: Lookup<'a>,
    /// Where secrets are kept.
    pub(super) stores: stores::Known,
    /// Whether plain HTTP may leave this machine.
    pub(super) plain: PlainHttp,
    /// What is asked of the things that servers are made of.
    pub(super) supply: Supply,
    /// Where it is kept what servers ask for, when somebody wants to know.
    pub(super) learning: Option<Learnt>,
    /// Which servers are not confined; `*` is all that have no table of their own.
    pub(super) unconfined: Vec<String>,
}

/// Where it is kept what servers ask for, and what of it is somebody's.
pub(super) struct Learnt {
    pub(super) state: PathBuf,
    pub(super) world: World,
}

pub(super) type Values = BTreeMap<Spanned<String>, Spanned<String>>;

impl Surroundings<'_> {
    /// Judges one server; `at` is where its name stands.
    pub(super) fn server(&self, name: &str, written: file::Server, at: Range<usize>, problems: &mut Problems) -> Option<ServerSettings> {
        let timeout = judge::time(written.timeout, TIMEOUT, problems);
        let start_timeout = judge::time(written.start_timeout, START_TIMEOUT, problems);
        let confine = written.confine;
        let how = match (written.given, written.command, written.url) {
            (Some(words), _, _) => {
                let (env, directory) = (self.env(written.env, problems), self.directory(written.directory, problems));
                given(words, problems).map(|command| How::Stdio { command, env, directory })
            }
            (None, Some(command), None) => {
                no(&written.headers, "`headers` are for a server with a `url`; a server with a `command` takes `env`", problems);
                let parts = written.tools.keys().chain(written.effects.keys()).map(Spanned::span);
                for at in parts.chain(written.oauth.as_ref().map(Spanned::span)) {
                    let what =
                        "credentials for tools and effects, and `oauth`, are for a server with a `url`: a process has one environment";
                    problems.add(Some(at), what, "configure the command twice, under two names, each with its own `env`");
                }
                let (env, directory) = (self.env(written.env, problems), self.directory(written.directory, problems));
                command_line(command, problems).map(|command| How::Stdio { command, env, directory })
            }
            (None, None, Some(url)) => {
                no(&written.env, "`env` is for a server with a `command`; a server with a `url` takes `headers`", problems);
                if let Some(directory) = written.directory {
                    problems.add(Some(directory.span()), "`directory` is for a server with a `command`", "");
                }
                let url = self.url(&url, problems);
                let (headers, effects, tools, oauth) = (written.headers, written.effects, written.tools, written.oauth);
                let access = self.access(access::Written { headers, effects, tools, oauth }, url.as_ref(), problems);
                url.map(|url| How::Http { url, access: Box::new(access) })
            }
            (None, Some(_), Some(url)) => {
                problems.add(Some(url.span()), format!("the server {name:?} has both a `command` and a `url`"), "keep one of them");
                None
            }
            (None, None, None) => {
                problems.add(
                    Some(at),
                    format!("the server {name:?} has neither a `command` nor a `url`"),
                    "give one: command = [\"npx\", \"-y\", \"PACKAGE@VERSION\"]",
                );
                None
            }
        };
        let learning = self.learning.as_ref().map(|world| Arc::new(Learning::new(&world.state, name, world.world.clone())));
        let confine = self.confine(name, how.as_ref(), confine, problems);
        how.map(|how| ServerSettings { name: Arc::from(name), how, timeout, start_timeout, supply: self.supply.clone(), confine, learning })
    }

    /// What is started here is confined, whatever else is written beside its command.
    fn confine(
        &self,
        name: &str,
        how: Option<&How>,
        written: Option<Spanned<confine::Written>>,
        problems: &mut Problems,
    ) -> Option<Confine> {
        // Who wants to know what a server asks for confines it, or everything would be given.
        let is_named = |open: &str| self.learning.is_none() && self.unconfined.iter().any(|name| name == open);
        let is_elsewhere = matches!(how, Some(How::Http { .. }));
        match written {
            Some(written) if is_elsewhere => {
                problems.add(Some(written.span()), "`confine` is for a server with a `command`", "");
                None
            }
            Some(written) if is_named(name) => {
                let what = format!("what {name:?} may have is said here, and `dangerous.unconfined` names it");
                problems.add(Some(written.span()), what, "keep one of them");
                None
            }
            Some(written) => Some(written.into_inner().judge(self.base, problems)),
            None => (!is_elsewhere && !is_named(name) && !is_named("*")).then(Confine::default),
        }
    }

    fn env(&self, written: Values, problems: &mut Problems) -> Vec<(String, Template)> {
        let name = |name: &str| {
            let begins = name.starts_with(|symbol: char| symbol.is_ascii_alphabetic() || symbol == '_');
            let valid = begins && name.chars().all(|symbol| symbol.is_ascii_alphanumeric() || symbol == '_');
            if valid { Ok(()) } else { Err("a variable's name is letters, digits and `_`, and does not begin with a digit") }
        };
        for (_, path) in written.iter().filter(|(name, value)| name.get_ref() == "PATH" && value.get_ref().contains("${")) {
            problems.add(Some(path.span()), "`PATH` decides which programs run and holds no reference", "");
        }
        let value = |value: &str| if value.contains('\0') { Err("a variable cannot hold a NUL character") } else { Ok(()) };
        self.values(written, name, value, problems)
    }

    /// Values, each read and none resolved. What is written between references is judged here; the whole is, when it is
    /// used.
    pub(super) fn values(
        &self,
        written: Values,
        name: impl Fn(&str) -> Result<(), &'static str>,
        value: impl Fn(&str) -> Result<(), &'static str>,
        problems: &mut Problems,
    ) -> Vec<(String, Template)> {
        let mut good = Vec::new();
        for (key, text) in written {
            if let Err(what) = name(key.get_ref()) {
                problems.add(Some(key.span()), what, "");
            }
            if let Err((what, help)) = literal(key.get_ref(), text.get_ref()) {
                problems.add(Some(text.span()), what, &help);
                continue;
            }
            let read = Template::read(text.get_ref(), self.base).and_then(|template| {
                self.stores.covers(&template)?;
                template.own().try_for_each(&value).map_err(str::to_owned)?;
                Ok(template)
            });
            match read {
                Ok(template) => good.push((key.into_inner(), template)),
                Err(what) => problems.add(Some(text.span()), what, ""),
            }
        }
        good
    }

    fn directory(&self, written: Option<Spanned<PathBuf>>, problems: &mut Problems) -> Option<PathBuf> {
        let written = written?;
        let path = self.base.join(written.get_ref());
        if !path.is_dir() {
            problems.add(Some(written.span()), format!("{} is not a directory", path.display()), "");
        }
        Some(path)
    }

    pub(super) fn url(&self, written: &Spanned<String>, problems: &mut Problems) -> Option<Url> {
        let mut no = |what: &str, help: &str| {
            problems.add(Some(written.span()), what, help);
            None
        };
        if credential::looks_like(written.get_ref()).is_some() {
            return no("the address holds what looks like a credential", "send it in `headers`, as a reference: \"Bearer ${env:VAR}\"");
        }
        let url = match Url::parse(written.get_ref()) {
            Ok(url) => url,
            Err(error) => return no(&format!("this is not an address: {error}"), ""),
        };
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return no("the address of a server begins with `http://` or `https://`", "");
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return no("the address of a server has no user and no fragment", "credentials go into `headers`, as references");
        }
        if url.scheme() == "http" && self.plain == PlainHttp::Loopback && !judge::is_loopback(&url) {
            let help = "use https; `dangerous.plain_http_beyond_loopback = true` accepts the risk";
            return no("calls and credentials would travel to this server in clear text", help);
        }
        Some(url)
    }
}

/// Whether a value may be written as it is.
fn literal(key: &str, value: &str) -> Result<(), (String, String)> {
    let what = match credential::looks_like(value) {
        Some(what) => format!("this looks like {what}, and the configuration holds no secrets"),
        None if credential::is_named_like(key) && !value.contains("${") && credential::could_be(value) => {
            format!("{key} is made for a credential, and the configuration holds no secrets")
        }
        None => return Ok(()),
    };
    let variable = key.to_ascii_uppercase().replace('-', "_");
    Err((
        what,
        format!("write a reference, such as \"${{env:{variable}}}\" or \"${{file:PATH}}\"; if this was a real credential, replace it"),
    ))
}

fn no(values: &Values, what: &str, problems: &mut Problems) {
    if let Some((key, _)) = values.iter().next() {
        problems.add(Some(key.span()), what, "");
    }
}

/// A command line that somebody typed: it is on a command line already.
fn given(words: Vec<String>, problems: &mut Problems) -> Option<Vec<String>> {
    if words.first().is_none_or(String::is_empty) {
        problems.add(None, "a command begins with a program", "bartizan run -- npx -y PACKAGE@VERSION");
        return None;
    }
    Some(words)
}

fn command_line(written: Spanned<Vec<Spanned<String>>>, problems: &mut Problems) -> Option<Vec<String>> {
    let at = written.span();
    let words = written.into_inner();
    if words.first().is_none_or(|program| program.get_ref().is_empty()) {
        problems.add(Some(at), "a command begins with a program", "command = [\"npx\", \"-y\", \"PACKAGE@VERSION\"]");
        return None;
    }
    for word in &words {
        if let Some((what, help)) = exposed(word.get_ref()) {
            problems.add(Some(word.span()), what, help);
        }
    }
    Some(words.into_iter().map(Spanned::into_inner).collect())
}

/// What must not stand on a command line, which every process of the machine can read.
fn exposed(word: &str) -> Option<(String, &'static str)> {
    let help = "pass it in `env`, as a reference: env = { KEY = \"${env:KEY}\" }";
    if let Some(what) = credential::looks_like(word) {
        return Some((format!("this looks like {what}, and every program on this machine can read command lines"), help));
    }
    if word.contains('\0') {
        return Some(("an argument cannot hold a NUL character".to_owned(), ""));
    }
    let references = ["${env:", "${file:", "${vault:", "${aws-sm:", "${keyring:"];
    let found = references.iter().any(|reference| word.contains(reference));
    found.then(|| {
        ("references are not replaced in a command, because every program on this machine can read command lines".to_owned(), help)
    })
}

/// What a command line shows to every program of the machine, in words.
pub(super) fn shown_by(command: &[String]) -> Option<String> {
    let what = command.iter().find_map(|word| credential::looks_like(word))?;
    Some(format!(
        "the server's command line holds what looks like {what}; every program on this machine can read it. Pass it in the server's `env`"
    ))
}
