//! Runs the package managers, which fetch what a server is made of and run none of it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use bartizan_sandbox::Launch;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// What package managers need to find their registry, and no secret of a server.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_registry",
    "npm_config_cache",
    "npm_config_userconfig",
    "PIP_INDEX_URL",
    "PIP_CONFIG_FILE",
    "PIP_CERT",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_CACHE_DIR",
    "UV_CONFIG_FILE",
    "UV_SYSTEM_CERTS",
    "UV_NATIVE_TLS",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
];
/// How much a package manager may say.
const MOST: u64 = 256 * 1024;

/// What one of them said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    /// The last lines of what went wrong, for a detail.
    pub(super) fn last_words(&self) -> String {
        let lines: Vec<&str> = self.err.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(4)..).unwrap_or_default().join(" / ");
        last.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect()
    }
}

/// The path in which programs are looked for: the server's own, else the gateway's.
pub(super) fn search_path() -> OsString {
    variable("PATH").unwrap_or_default()
}

fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "what package managers inherit is decided here, and only here")]
    std::env::var_os(name)
}

/// Runs a program to its end. Whether it succeeded is seen by what it left behind.
pub(super) async fn run(
    words: &[&OsStr],
    first: Option<&Path>,
    directory: Option<&Path>,
    (input, limit): (&str, Duration),
) -> Result<Said, String> {
    let mut environment: Vec<(OsString, OsString)> =
        INHERITED.iter().filter(|name| **name != "PATH").filter_map(|name| Some((OsString::from(name), variable(name)?))).collect();
    environment.push(("PATH".into(), joined(first, &search_path())));
    environment.push(("NO_COLOR".into(), "1".into()));
    let launch = Launch {
        command: words.iter().map(OsString::from).collect(),
        environment,
        directory: directory.map(Path::to_owned),
        confinement: None,
        contained: None,
    };
    let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let talk = async {
        let mut process = launch.start().map_err(|error| error.to_string())?;
        if let Some(mut stdin) = process.stdin.take() {
            // Who does not read it does not need it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let (out, err) = tokio::join!(read(process.stdout.take()), read(process.stderr.take()));
        process.wait().await.map_err(|error| error.to_string())?;
        Ok(Said { out, err })
    };
    let ended = tokio::time::timeout(limit, talk).await;
    ended
        .unwrap_or_else(|_| Err(format!("it did not end within {} s", limit.as_secs())))
        .map_err(|error: String| format!("{name}: {error}"))
}

/// A search path with one directory before the others.
pub(super) fn joined(first: Option<&Path>, path: &OsStr) -> OsString {
    let Some(first) = first else { return path.to_owned() };
    let mut whole = first.as_os_str().to_owned();
    whole.push(":");
    whole.push(path);
    whole
}

/// What is said, as far as it is kept; the rest is read and dropped, so that nobody waits for a reader.
async fn read<R: AsyncRead + Unpin>(pipe: Option<R>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut kept = Vec::new();
    // A pipe that breaks has said all that it will say.
    let _ = (&mut pipe).take(MOST).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}
