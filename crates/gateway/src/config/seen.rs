//! The servers that `run` has started, so that `bartizan approve NAME` knows them by their name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bartizan_monitor::wire::json::Json;
use bytes::Bytes;

use super::files::{self, Readers};

const FILE: &str = "servers.json";
const MAX_FILE: u64 = 16 * 1024 * 1024;

type Commands = BTreeMap<String, Vec<String>>;

fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

fn read(state: &Path) -> io::Result<Commands> {
    let text = match files::read(&path(state), MAX_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Commands::new()),
        text => text?,
    };
    let json = Json::parse(Bytes::from(text)).map_err(io::Error::other)?;
    serde_json::from_value(json.view().to_value()).map_err(io::Error::other)
}

/// Remembers how a server was started.
pub fn remember(state: &Path, name: &str, command: &[String]) -> io::Result<()> {
    files::private_directory(state)?;
    let _held = files::hold(&state.join("servers.lock"))?;
    let mut commands = read(state)?;
    if commands.get(name).is_some_and(|known| known == command) {
        return Ok(());
    }
    commands.insert(name.to_owned(), command.to_owned());
    files::replace(&path(state), Json::of(&commands).bytes(), Readers::Owner)
}

/// How a server was started last, if `run` has seen it.
pub fn recall(state: &Path, name: &str) -> io::Result<Option<Vec<String>>> {
    Ok(read(state)?.remove(name))
}

/// The names of all servers that `run` has seen, sorted.
pub fn names(state: &Path) -> io::Result<Vec<String>> {
    Ok(read(state)?.into_keys().collect())
}

/// Programs that start another, and the words of theirs that are not a server's name.
const LAUNCHERS: &[&str] = &[
    "npx", "npm", "pnpm", "yarn", "bunx", "bun", "deno", "node", "tsx", "uvx", "uv", "pipx", "python", "poetry", "docker", "podman", "env",
    "sh", "bash", "cargo", "go", "dotnet", "java", "run", "exec", "dlx", "tool", "start", "x",
];

/// A name for a server that was given none: its package or program, without scope, version and
/// extension, in the characters that a name has.
#[must_use]
pub fn name_for(command: &[String]) -> String {
    let mut words = command.iter().map(String::as_str).filter(|word| !word.starts_with('-') && !word.contains('='));
    let told = words.clone().find_map(|word| Some(cleaned(word)).filter(|name| !name.is_empty() && !is_launcher(name)));
    let name = told.or_else(|| words.next().map(cleaned)).unwrap_or_default();
    if name.is_empty() { "server".to_owned() } else { name }
}

fn is_launcher(name: &str) -> bool {
    // `python3.11` is `python`, too.
    let plain = name.trim_end_matches(|symbol: char| symbol.is_ascii_digit() || symbol == '-');
    LAUNCHERS.contains(&plain)
}

fn cleaned(word: &str) -> String {
    let last = word.rsplit(['/', '\\']).next().unwrap_or_default();
    let package = last.split(['@', ':']).next().unwrap_or_default();
    let (stem, extension) = package.rsplit_once('.').unwrap_or((package, ""));
    let known = matches!(extension, "js" | "mjs" | "cjs" | "ts" | "mts" | "py" | "sh" | "exe" | "cmd" | "bat" | "jar" | "rb" | "pyz");
    let plain = if known { stem } else { package }.to_ascii_lowercase();
    let mut name = String::new();
    for symbol in plain.chars() {
        let fits = symbol.is_ascii_lowercase() || symbol.is_ascii_digit();
        match symbol {
            symbol if fits => name.push(symbol),
            // One mark at a time: a doubled one could be the separator.
            symbol if !name.is_empty() && !name.ends_with(['-', '_']) => name.push(if symbol == '_' { '_' } else { '-' }),
            _ => {}
        }
    }
    name.truncate(64);
    name.trim_end_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(command: &str) -> String {
        name_for(&command.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn names_come_from_packages_and_programs() {
        for (command, expected) in [
            ("npx -y @modelcontextprotocol/server-filesystem@2026.7.10 /data", "server-filesystem"),
            ("uvx mcp-server-git --repository /x", "mcp-server-git"),
            ("uv tool run mcp-server-time", "mcp-server-time"),
            ("/usr/bin/python3 -m mcp_server_sqlite --db-path x", "mcp_server_sqlite"),
            ("node /srv/My Server.js", "my"),
            ("/opt/tools/files.exe", "files"),
            ("env A=b ./server__x.py", "server_x"),
            ("docker run --rm mcp/fetch:latest", "fetch"),
            ("python3.11 -m thing", "thing"),
            ("node", "node"),
            ("-", "server"),
        ] {
            assert_eq!(name(command), expected, "{command}");
        }
    }

    #[test]
    fn what_was_seen_is_remembered() {
        let dir = tempfile::tempdir().expect("dir");
        let state = dir.path().join("s");
        assert_eq!(recall(&state, "a").expect("none"), None);
        remember(&state, "a", &["x".to_owned()]).expect("first");
        remember(&state, "b", &["y".to_owned()]).expect("second");
        remember(&state, "a", &["z".to_owned()]).expect("changed");
        assert_eq!(recall(&state, "a").expect("a"), Some(vec!["z".to_owned()]));
        assert_eq!(names(&state).expect("names"), ["a", "b"]);
        files::replace(&path(&state), b"{\"a\":1,\"a\":2}", Readers::Owner).expect("break");
        assert!(remember(&state, "a", &[]).is_err(), "a file that is not understood is not overwritten");
    }
}
