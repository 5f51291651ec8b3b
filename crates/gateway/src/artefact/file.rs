//! Programs and scripts of this machine: `node PATH`, `python PATH`, `python -m MODULE`, a path to a binary.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bartizan_monitor::lock::artefact::{Artefact, Source};

use super::words::{Options, Unclear};
use super::{npm, python, tree};
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

/// What a program runs beside itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Code {
    /// Nothing, or data.
    Nothing,
    /// A file.
    Script(String),
    /// A Python module.
    Module(String),
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
        let name = program.rsplit('/').next().unwrap_or_default();
        let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        if FETCHERS.contains(&name) {
            let what = format!("{name} fetches what it runs, and what that is cannot be pinned here");
            return Err(Unclear::new(what, "write npx -y NAME@VERSION or uvx NAME@VERSION, or start the installed program by its path"));
        }
        let options = match plain {
            "node" | "nodejs" => &NODE,
            "python" | "pypy" => &PYTHON,
            "sh" | "bash" | "dash" | "zsh" => &SHELL,
            _ => return Ok(Self { program, code: Code::Nothing }),
        };
        let (_, at) = options.read(words, from.saturating_add(1))?;
        let next =
            || words.get(at.saturating_add(1)).cloned().ok_or_else(|| Unclear::new(format!("{name} is given no code"), "name a script"));
        let code = match words.get(at).map(String::as_str) {
            None | Some("-") => return Err(Unclear::new(format!("{name} would run what it is sent"), "name a script")),
            Some("-m") => Code::Module(next()?),
            Some(word) if options.code.contains(&word) => Code::Inline(next()?),
            Some(script) => Code::Script(script.to_owned()),
        };
        Ok(Self { program, code })
    }
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
    let mut found = Found { program: path.clone(), ..Found::default() };
    add_file(&mut found, &program.program, &path)?;
    shebang(&mut found, &path, around)?;
    let env = python::environment_of(&path);
    match &program.code {
        Code::Nothing => {}
        Code::Script(script) => add_script(&mut found, script, &around.place(script))?,
        Code::Inline(text) => {
            found.inline = true;
            found.artefacts.push(artefact(Source::Inline, "code", tree::text(text)));
        }
        Code::Module(module) => add_module(&mut found, module, around, env.is_some())?,
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

/// A module, which Python looks for in the working directory first.
fn add_module(found: &mut Found, module: &str, around: &Around<'_>, in_environment: bool) -> Result<(), String> {
    let first = module.split('.').next().unwrap_or_default();
    if first.is_empty() || !module.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
        return Err(format!("{module:?} is not a module"));
    }
    let file = around.place(&format!("{first}.py"));
    if file.is_file() {
        return add_file(found, &format!("{first}.py"), &file);
    }
    let directory = around.place(first);
    if directory.is_dir() {
        let skip = |place: &Path| place.file_name().is_some_and(|name| name == "__pycache__");
        let lines = tree::list(&directory, Path::new(""), &skip).map_err(|error| format!("{}: {error}", directory.display()))?;
        found.artefacts.push(artefact(Source::File, &format!("{first}/"), tree::text(&lines.join("\n"))));
        found.places.push(directory.canonicalize().map_err(|error| error.to_string())?);
        return Ok(());
    }
    if in_environment {
        return Ok(());
    }
    Err(format!(
        "the module {first} comes from the system's packages, which cannot be pinned; use the python of a virtual environment, or uvx NAME@VERSION"
    ))
}

/// A program that is itself a script: what runs it belongs to it.
fn shebang(found: &mut Found, path: &Path, around: &Around<'_>) -> Result<(), String> {
    let mut line = String::new();
    let open = files::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // What is not text has no first line.
    let read = BufReader::new(open.take(512)).read_line(&mut line).is_ok();
    let Some(rest) = line.strip_prefix("#!").filter(|_| read) else { return Ok(()) };
    let words: Vec<&str> = rest.split_whitespace().filter(|word| *word != "-S").collect();
    let interpreter = match words.as_slice() {
        [env, name, ..] if env.ends_with("/env") => *name,
        [interpreter, ..] => *interpreter,
        [] => return Ok(()),
    };
    let program = around.program(interpreter)?;
    add_file(found, interpreter, &program)?;
    if let Some(env) = python::environment_of(&program) {
        found.artefacts.push(python::environment(&env)?);
    }
    let real = path.canonicalize().map_err(|error| error.to_string())?;
    if let Some(package) = npm::around(&real) {
        found.artefacts.extend(package?);
    }
    Ok(())
}

/// The command line with its program where it was found.
pub(super) fn start(found: &Found, rest: &[String]) -> Vec<OsString> {
    std::iter::once(found.program.clone().into_os_string()).chain(rest.iter().map(OsString::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::put;
    use super::*;

    fn read(line: &str) -> Result<Code, Unclear> {
        Program::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 0).map(|program| program.code)
    }

    #[test]
    fn code_is_told_from_arguments() {
        for (line, code) in [
            ("/opt/server --data /x", Code::Nothing),
            ("node /srv/a.js --inspect", Code::Script("/srv/a.js".to_owned())),
            ("/usr/bin/node --no-warnings --max-old-space-size=200 a.js", Code::Script("a.js".to_owned())),
            ("node -e x", Code::Inline("x".to_owned())),
            ("python3.11 -u a.py", Code::Script("a.py".to_owned())),
            ("/v/bin/python -m a.b -v", Code::Module("a.b".to_owned())),
            ("python -X utf8 -c x", Code::Inline("x".to_owned())),
            ("sh -c x", Code::Inline("x".to_owned())),
            ("bash run.sh", Code::Script("run.sh".to_owned())),
        ] {
            assert_eq!(read(line), Ok(code), "{line}");
        }
    }

    #[test]
    fn what_loads_more_or_nothing_is_refused() {
        for line in [
            "node",
            "node -",
            "node -r ./x a.js",
            "node --import=x a.js",
            "node --loader x a.js",
            "node --inspect a.js",
            "python",
            "python -i a.py",
            "python -m",
            "sh -s",
            "bash --rcfile x y",
            "bunx a",
            "deno run a",
            "pnpm dlx a",
            "/usr/bin/go run a",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn programs_scripts_and_what_runs_them_are_looked_at() {
        let dir = tempfile::tempdir().expect("dir");
        let at = |name: &str| dir.path().join(name);
        let tool = |name: &str, text: &str| {
            put(&at(name), text);
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).expect("mode");
        };
        tool("node", "binary");
        tool("serve", "#!/usr/bin/env node\n");
        put(&at("a.js"), "one");
        let path = dir.path().as_os_str().to_owned();
        let around = Around { directory: Some(dir.path()), path: &path };
        let of = |line: &str| {
            let program = Program::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), 0).expect(line);
            look(&program, &around)
        };
        let names = |found: &Found| found.artefacts.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        let script = of("node a.js").expect("found");
        assert_eq!(names(&script), ["node", "a.js"]);
        assert_eq!(script.program, at("node"));
        assert_eq!(names(&of("./serve").expect("found")), ["./serve", "node"]);
        put(&at("a.js"), "two");
        assert_ne!(of("node a.js").expect("found").artefacts, script.artefacts);
        assert!(of("node gone.js").is_err() && of("./gone").is_err() && of("gone").is_err());
        assert!(of("./a.js").is_err(), "it cannot be executed");
    }

    #[test]
    fn a_module_is_looked_for_where_python_does() {
        let dir = tempfile::tempdir().expect("dir");
        put(&dir.path().join("python"), "");
        std::fs::set_permissions(dir.path().join("python"), std::fs::Permissions::from_mode(0o755)).expect("mode");
        let around = Around { directory: Some(dir.path()), path: OsStr::new("") };
        let program = Program::read(&["./python".to_owned(), "-m".to_owned(), "a.b".to_owned()], 0).expect("read");
        assert!(look(&program, &around).expect_err("nowhere").contains("virtual environment"));

        put(&dir.path().join("a/b.py"), "one");
        let before = look(&program, &around).expect("found").artefacts;
        assert_eq!(before[1].name, "a/");
        put(&dir.path().join("a/b.py"), "two");
        assert_ne!(look(&program, &around).expect("found").artefacts, before);
    }
}
