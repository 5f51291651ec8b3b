//! Programs and scripts of this machine: `node PATH`, `python PATH`, `python -m MODULE`, a path to a binary.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bartizan_monitor::lock::artefact::{Artefact, Source};

use super::words::{Options, Unclear};
use super::{npm, python, tree, variables};
use crate::config::files;

const NODE: Options = Options {
    program: "node",
    flags: &[
        "--enable-source-maps",
        "--no-warnings",
        "--no-deprecation",
        "--trace-warnings",
        "--use-system-ca",
        "--experimental-strip-types",
    ],
    values: &["--max-old-space-size", "--unhandled-rejections", "--stack-trace-limit"],
    code: &["-e", "--eval"],
};
const PYTHON: Options = Options {
    program: "python",
    flags: &["-u", "-B", "-E", "-I", "-s", "-S", "-O", "-OO", "-q", "-P"],
    values: &["-X", "-W"],
    code: &["-m", "-c"],
};
const SHELL: Options = Options { program: "a shell", flags: &["-e", "-u"], values: &[], code: &["-c"] };

/// Programs that fetch what they run, in ways that are not understood here.
const FETCHERS: &[&str] = &["bunx", "bun", "pnpm", "pnpx", "yarn", "deno", "go", "cargo", "dotnet", "dnx", "jbang"];

/// Programs that start another one, named by their arguments or by files around them. Those that are understood
/// where they come first are here, too: in other places, or in other letters, they are not.
const WRAPPERS: &[&str] = &[
    "env", "nice", "nohup", "timeout", "sudo", "doas", "setsid", "stdbuf", "xargs", "time", "chroot", "unshare", "bwrap", "busybox",
    "poetry", "pdm", "hatch", "pipenv", "conda", "mamba", "nix", "mise", "asdf", "volta", "fnm", "corepack", "npx", "npm", "uvx", "uv",
    "pipx", "docker", "podman",
];

/// Interpreters whose options are not understood here, so that their code cannot be told from their data.
const INTERPRETERS: &[&str] = &["java", "perl", "ruby", "php", "lua", "tsx", "ts-node", "ksh", "fish"];

/// What a program runs beside itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Code {
    /// Nothing, or data: files that such a program is given may change while it is the same program.
    Nothing,
    /// A file.
    Script(String),
    /// A Python module, of the working directory or of the environment.
    Module(String),
    /// A Python module of the environment: `-I` and `-P` keep Python from the working directory.
    Installed(String),
    /// A text in the command line.
    Inline(String),
}

/// A program of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// As it was written.
    pub(super) program: String,
    code: Code,
}

impl Program {
    /// Reads the command line that begins at `from`.
    pub(super) fn read(words: &[String], from: usize) -> Result<Self, Unclear> {
        let program = words.get(from).cloned().unwrap_or_default();
        // Some file systems ignore case.
        let name = program.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        let options = match plain {
            "node" | "nodejs" => &NODE,
            "python" | "pypy" => &PYTHON,
            "sh" | "bash" | "dash" | "zsh" => &SHELL,
            _ => {
                judge(&name)?;
                return Ok(Self { program, code: Code::Nothing });
            }
        };
        let (given, at) = options.read(words, from.saturating_add(1))?;
        let is_isolated = given.iter().any(|given| given.name.contains(['I', 'P']));
        let next =
            || words.get(at.saturating_add(1)).cloned().ok_or_else(|| Unclear::new(format!("{name} is given no code"), "name a script"));
        let code = match words.get(at).map(String::as_str) {
            None | Some("-") => return Err(Unclear::new(format!("{name} would run what it is sent"), "name a script")),
            Some("-m") if is_isolated => Code::Installed(next()?),
            Some("-m") => Code::Module(next()?),
            Some(word) if options.code.contains(&word) => Code::Inline(next()?),
            Some(script) => Code::Script(script.to_owned()),
        };
        Ok(Self { program, code })
    }
}

/// Refuses the name of a program that runs something else, in a way that is not understood here.
fn judge(name: &str) -> Result<(), Unclear> {
    let is_one_of = |list: &[&str]| is_named(name, list);
    if is_one_of(FETCHERS) {
        let what = format!("{name} fetches what it runs, and what that is cannot be pinned here");
        return Err(Unclear::new(what, "write npx -y NAME@VERSION or uvx NAME@VERSION, or start the installed program by its path"));
    }
    if is_one_of(WRAPPERS) {
        let what = format!("{name} starts another program, and which one is not understood here");
        return Err(Unclear::new(what, "leave it out and begin the command with that program"));
    }
    // `python3.11d` and `node-nightly` are interpreters; `dashboard` and `shop` are none.
    let is_variant = ["node", "python", "pypy"].iter().any(|known| name.starts_with(known));
    let is_shell = ["sh", "bash", "dash", "zsh"]
        .iter()
        .any(|known| name.strip_prefix(known).is_some_and(|rest| rest.starts_with(|c: char| !c.is_ascii_alphabetic())));
    if is_variant || is_shell || is_one_of(INTERPRETERS) {
        let what = format!("{name} looks like an interpreter whose command line is not understood here");
        return Err(Unclear::new(what, "start a script of yours by its own path, or with node, python or sh"));
    }
    Ok(())
}

/// What a program is made of, and the files whose places an allowlist judges.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) artefacts: Vec<Artefact>,
    pub(super) places: Vec<PathBuf>,
    /// The program, found.
    pub(super) program: PathBuf,
    /// Code that stands in no file: nothing can be said about its place.
    pub(super) inline: bool,
    /// Whether Python runs it.
    pub(super) python: bool,
    /// What runs the program, with its options, where that is a Python script.
    interpreter: Vec<OsString>,
}

/// Where relative names begin, and where programs are looked for.
pub(super) struct Around<'a> {
    pub(super) directory: Option<&'a Path>,
    pub(super) path: &'a OsStr,
}

impl Around<'_> {
    fn place(&self, word: &str) -> PathBuf {
        self.directory.map_or_else(|| PathBuf::from(word), |directory| directory.join(word))
    }

    /// Finds a program as the system would, so that it is the one that is started.
    pub(super) fn program(&self, word: &str) -> Result<PathBuf, String> {
        let runs = |path: &PathBuf| path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
        let found = if word.contains('/') {
            Some(self.place(word)).filter(runs)
        } else {
            std::env::split_paths(self.path).map(|directory| directory.join(word)).find(runs)
        };
        let found = found.ok_or_else(|| format!("there is no program {word}"))?;
        std::path::absolute(&found).map_err(|error| format!("{word}: {error}"))
    }
}

/// Looks at everything that a program is made of.
pub(super) fn look(program: &Program, around: &Around<'_>) -> Result<Found, String> {
    let path = around.program(&program.program)?;
    let python = is_python(&program.program);
    let mut found = Found { program: path.clone(), python, ..Found::default() };
    add_file(&mut found, &program.program, &path)?;
    shim(&path, &program.program)?;
    shebang(&mut found, &path, around)?;
    let env = python::environment_of(&path);
    match &program.code {
        Code::Nothing => {}
        Code::Script(script) => add_script(&mut found, script, &around.place(script))?,
        Code::Inline(text) => {
            found.inline = true;
            found.artefacts.push(artefact(Source::Inline, "code", tree::text(text)));
        }
        Code::Module(module) => {
            if !add_module(&mut found, module, around)? {
                check_installed(module, env.as_deref())?;
            }
        }
        Code::Installed(module) => check_installed(module, env.as_deref())?,
    }
    if let Some(env) = env {
        found.artefacts.push(python::environment(&env)?);
    }
    Ok(found)
}

fn artefact(source: Source, name: &str, integrity: String) -> Artefact {
    Artefact { source, name: name.to_owned(), version: String::new(), integrity, files: String::new(), parts: Vec::new() }
}

fn add_file(found: &mut Found, name: &str, path: &Path) -> Result<(), String> {
    let digest = tree::file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    found.artefacts.push(artefact(Source::File, name, digest));
    found.places.push(path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?);
    Ok(())
}

/// A script, and the packages that it can load, where npm installed it.
fn add_script(found: &mut Found, name: &str, path: &Path) -> Result<(), String> {
    add_file(found, name, path)?;
    let real = found.places.last().cloned().unwrap_or_default();
    if let Some(package) = npm::around(&real) {
        found.artefacts.extend(package?);
    }
    Ok(())
}

/// The first name of a module, which decides where all of it comes from.
fn first_name(module: &str) -> Result<&str, String> {
    let first = module.split('.').next().unwrap_or_default();
    if first.is_empty() || !module.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
        return Err(format!("{module:?} is not a module"));
    }
    Ok(first)
}

/// A module, which Python looks for in the working directory first. Says whether it is there.
fn add_module(found: &mut Found, module: &str, around: &Around<'_>) -> Result<bool, String> {
    let first = first_name(module)?;
    let all = files::list(&around.place("."), "").map_err(|error| format!("the working directory: {error}"))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // An extension may have a tag before its ending, as in `a.cpython-311-x86_64-linux-gnu.so`.
    let is_module = |path: &PathBuf| match name(path).strip_prefix(first) {
        Some("") => path.is_dir(),
        Some(".py" | ".pyc") => true,
        Some(rest) => rest.starts_with('.') && rest.ends_with(".so"),
        None => false,
    };
    let here: Vec<PathBuf> = all.into_iter().filter(is_module).collect();
    let path = match here.as_slice() {
        [] => return Ok(false),
        [path] => path,
        [one, other, ..] => {
            return Err(format!("the module {first} is {} or {}; remove or rename one", name(one), name(other)));
        }
    };
    if !path.is_dir() {
        add_file(found, &name(path), path)?;
        return Ok(true);
    }
    let skip = |place: &Path| place.file_name().is_some_and(|name| name == "__pycache__");
    let lines = tree::list(path, Path::new(""), &skip).map_err(|error| format!("{}: {error}", path.display()))?;
    found.artefacts.push(artefact(Source::File, &format!("{first}/"), tree::text(&lines.join("\n"))));
    found.places.push(path.canonicalize().map_err(|error| error.to_string())?);
    Ok(true)
}

/// A module that does not stand beside has to come from an environment, which is looked at as a whole.
fn check_installed(module: &str, env: Option<&Path>) -> Result<(), String> {
    let first = first_name(module)?;
    let missing = || {
        format!(
            "the module {first} comes from the system's packages, which cannot be pinned; use the python of a virtual environment, or uvx NAME@VERSION"
        )
    };
    env.map(|_| ()).ok_or_else(missing)
}

/// The words after `#!` in the first line of a script; nothing for what is none.
fn first_line(path: &Path) -> Result<Option<Vec<String>>, String> {
    let mut line = String::new();
    let open = files::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // What is not text has no first line.
    let read = BufReader::new(open.take(512)).read_line(&mut line).is_ok();
    let rest = line.strip_prefix("#!").filter(|_| read);
    Ok(rest.map(|rest| rest.split_whitespace().map(str::to_owned).collect()))
}

/// A program that is itself a script: what runs it belongs to it.
fn shebang(found: &mut Found, path: &Path, around: &Around<'_>) -> Result<(), String> {
    let Some(words) = first_line(path)? else { return Ok(()) };
    let words = through_env(&words).map_err(|what| format!("{}: its first line {what}", path.display()))?;
    let Some((interpreter, options)) = words.split_first() else { return Ok(()) };
    let name = interpreter.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    if is_named(&name, FETCHERS) || is_named(&name, WRAPPERS) {
        return Err(format!("{}: its first line starts {name}, which decides by itself what runs", path.display()));
    }
    let program = around.program(interpreter)?;
    shim(&program, interpreter)?;
    add_file(found, interpreter, &program)?;
    if is_python(interpreter) {
        found.python = true;
        found.interpreter = std::iter::once(program.clone().into_os_string()).chain(options.iter().map(OsString::from)).collect();
    }
    if let Some(env) = python::environment_of(&program) {
        found.artefacts.push(python::environment(&env)?);
    }
    let real = path.canonicalize().map_err(|error| error.to_string())?;
    if let Some(package) = npm::around(&real) {
        found.artefacts.extend(package?);
    }
    Ok(())
}

/// The interpreter and its options, where `env` looks for it: `env NAME` and `env -S [NAME=VALUE …] NAME OPTIONS`.
fn through_env(words: &[String]) -> Result<&[String], String> {
    match words {
        [env, rest @ ..] if env.ends_with("/env") => {
            let rest = match rest {
                [split, rest @ ..] if matches!(split.as_str(), "-S" | "--split-string") => rest,
                // The system hands over all of it as one word, which is no program's name.
                [_, _, ..] => return Err("gives env more than a name; write env -S".to_owned()),
                rest => rest,
            };
            let is_setting = |word: &&String| word.contains('=') && !word.starts_with('-');
            let settings: Vec<&String> = rest.iter().take_while(is_setting).collect();
            if let Some(word) =
                settings.iter().find(|word| word.split('=').next().is_some_and(|name| name == "PATH" || variables::loads_code(name)))
            {
                return Err(format!("sets {word}, which could change what runs"));
            }
            match rest.get(settings.len()..).unwrap_or_default() {
                [] => Err("gives env no program".to_owned()),
                [first, ..] if first.starts_with('-') || first.contains(['"', '\'', '\\', '$']) => {
                    Err(format!("gives env {first}, which is not understood here"))
                }
                // Python is started without env below, and the settings would get lost.
                [first, ..] if is_python(first) && !settings.is_empty() => {
                    Err("sets variables for Python; write them into the server's `env`".to_owned())
                }
                rest => Ok(rest),
            }
        }
        words => Ok(words),
    }
}

/// Refuses what a version manager puts in the place of a program: it chooses another one at each start, by files and
/// variables that nobody reviewed.
fn shim(path: &Path, word: &str) -> Result<(), String> {
    let asked = word.rsplit('/').next().unwrap_or_default();
    let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let leads_to_manager = name(&real) != asked.to_ascii_lowercase() && MANAGERS.contains(&name(&real).as_str());
    let is_script = first_line(path)?.is_some();
    let stands_with_shims = path.parent().is_some_and(|parent| name(parent) == "shims");
    let is_interpreter = INTERPRETED.iter().any(|known| asked.to_ascii_lowercase().starts_with(known));
    if leads_to_manager || (is_script && (stands_with_shims || is_interpreter)) {
        return Err(format!(
            "{} starts another program, which a version manager chooses anew each time; name the real one, as `pyenv which {asked}`, `asdf which {asked}`, `mise which {asked}` or `volta which {asked}` shows it",
            path.display()
        ));
    }
    Ok(())
}

/// Programs to which the shims of version managers are links.
const MANAGERS: &[&str] = &["volta-shim", "volta", "mise", "rtx", "asdf", "proto", "proto-shim", "fnm"];

/// How the names of interpreters begin that are binaries everywhere.
const INTERPRETED: &[&str] = &["python", "pypy", "node"];

fn is_named(name: &str, list: &[&str]) -> bool {
    let is_version = |rest: &str| rest.is_empty() || rest.trim_start_matches(['-', '.']).starts_with(|c: char| c.is_ascii_digit());
    list.iter().any(|known| name.strip_prefix(known).is_some_and(is_version))
}

fn is_python(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    name.starts_with("python") || name.starts_with("pypy")
}

/// The command line with its program where it was found. Python is told to look for byte code in `empty`.
pub(super) fn start(found: &Found, rest: &[String], empty: Option<&Path>) -> Vec<OsString> {
    let options = || empty.into_iter().flat_map(python::byte_code_options);
    let rest = rest.iter().map(OsString::from);
    let program = found.program.clone().into_os_string();
    if found.interpreter.is_empty() {
        return std::iter::once(program).chain(options()).chain(rest).collect();
    }
    // Of two equal options Python takes the first.
    let (first, own) = found.interpreter.split_at(1);
    first.iter().cloned().chain(options()).chain(own.iter().cloned()).chain([program]).chain(rest).collect()
}

#[cfg(test)]
mod tests;
