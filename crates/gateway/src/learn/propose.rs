//! The smallest confinement in which a server gets what it asked for, item by item, each graded.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Book, Call, Want, Wish, named};
use crate::config::{Confine, Host, grantable, is_direct};

/// From so many files of one directory on, the directory is proposed.
const MANY: usize = 8;
/// The port of a host that was only asked for by name.
const USUAL_PORT: u16 = 443;

/// What is somebody's on this machine.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The home directory of the gateway's own user.
    pub home: Option<PathBuf>,
    /// The gateway's own files and directories.
    pub own: Vec<PathBuf>,
}

/// Which list of a confinement something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// `read`.
    Read,
    /// `write`.
    Write,
    /// `run`.
    Run,
    /// `hosts`.
    Hosts,
}

impl Key {
    /// As the configuration has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Run => "run",
            Self::Hosts => "hosts",
        }
    }

    /// As `bartizan run` has it.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Read => "--read",
            Self::Write => "--write",
            Self::Run => "--run",
            Self::Hosts => "--host",
        }
    }
}

/// One thing that a server could be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// In which list.
    pub key: Key,
    /// What would be written there. It was chosen by the server: show it inert.
    pub value: String,
    /// What it really is, when that is more than a server has a reason to ask for.
    pub overreach: Option<String>,
    /// More about it.
    pub note: Option<String>,
    /// Whether it can be given; some things are only told.
    pub grantable: bool,
    /// Whether a person said no to it before.
    pub declined: bool,
}

impl Item {
    /// Under which a no is remembered.
    #[must_use]
    pub fn word(&self) -> String {
        format!("{} {}", self.key.name(), self.value)
    }

    /// Whether somebody has to say something to it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.grantable && !self.declined
    }
}

/// What would have to be given, beside what is.
#[must_use]
pub fn items(book: &Book, confine: &Confine, world: &World) -> Vec<Item> {
    let wanted = wanted(book, confine);
    let mut items: Vec<Item> = wanted.iter().filter_map(|(key, path)| item(*key, path, world)).collect();
    items.extend(told(book, world));
    items.extend(book.calls.iter().filter(|call| !is_named_again(call, book)).filter_map(|call| host(call, confine)));
    for item in &mut items {
        item.declined = book.declined.contains(&item.word());
    }
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert((item.key, item.value.clone(), item.grantable)));
    items.sort_by(|a, b| (a.overreach.is_some(), a.key, &a.value).cmp(&(b.overreach.is_some(), b.key, &b.value)));
    items
}

/// Paths by list: those that are there, not yet given, and not merely on the way to others.
fn wanted(book: &Book, confine: &Confine) -> BTreeSet<(Key, PathBuf)> {
    let wishes: Vec<&Wish> = book.wishes.iter().filter(|wish| !wish.at_home).collect();
    let places = wishes.iter().map(|wish| Path::new(&wish.path)).chain(confine.read.iter().chain(&confine.write).map(PathBuf::as_path));
    let places: Vec<&Path> = places.collect();
    let leads_on = |wish: &&&Wish| {
        let path = Path::new(&wish.path);
        matches!(wish.want, Want::Look | Want::Make) && places.iter().any(|other| *other != path && other.starts_with(path))
    };
    let keyed = wishes.iter().filter(|wish| !leads_on(wish)).filter_map(|wish| keyed(wish));
    let mut keyed: BTreeSet<(Key, PathBuf)> = keyed.filter(|(key, path)| !is_given(*key, path, confine)).collect();
    collapse(&mut keyed);
    let all = keyed.clone();
    let within = |key: Key, path: &Path| all.iter().any(|(other, above)| *other == key && above != path && path.starts_with(above));
    let is_written = |path: &Path| within(Key::Write, path) || all.contains(&(Key::Write, path.to_owned()));
    keyed.retain(|(key, path)| !(within(*key, path) || *key == Key::Read && is_written(path)));
    keyed
}

/// The list that a wish belongs to, if what was wished for is there.
fn keyed(wish: &Wish) -> Option<(Key, PathBuf)> {
    let path = PathBuf::from(&wish.path);
    let data = path.metadata().ok()?;
    let in_programs = path.parent().and_then(Path::file_name).is_some_and(|name| name == "bin" || name == "sbin");
    let key = match wish.want {
        // Whoever looks for a program wants to run it.
        Want::Look | Want::Read if in_programs && data.is_file() && data.permissions().mode() & 0o111 != 0 => Key::Run,
        Want::Look | Want::Read => Key::Read,
        Want::Make | Want::Write => Key::Write,
        Want::Run => Key::Run,
    };
    Some((key, path))
}

fn is_given(key: Key, path: &Path, confine: &Confine) -> bool {
    let below = |list: &[PathBuf]| list.iter().any(|given| path.starts_with(given));
    match key {
        Key::Read => below(&confine.read) || below(&confine.write),
        Key::Write => below(&confine.write),
        Key::Run => confine.run.iter().any(|given| Path::new(given) == path || path.file_name().is_some_and(|name| *name == **given)),
        Key::Hosts => false,
    }
}

/// Many files of one directory are the directory, unless that is more than one program's.
fn collapse(keyed: &mut BTreeSet<(Key, PathBuf)>) {
    let mut counts: BTreeMap<(Key, PathBuf), usize> = BTreeMap::new();
    for (key, path) in keyed.iter().filter(|(key, _)| matches!(key, Key::Read | Key::Write)) {
        if let Some(parent) = path.parent() {
            let count = counts.entry((*key, parent.to_owned())).or_default();
            *count = count.saturating_add(1);
        }
    }
    for ((key, directory), _) in counts.into_iter().filter(|(_, count)| *count > MANY) {
        if named::directory(&directory, &World::default()).is_none() && grantable(&directory).is_ok() {
            keyed.retain(|(other, path)| *other != key || path.parent() != Some(&directory));
            keyed.insert((key, directory));
        }
    }
}

fn item(key: Key, path: &Path, world: &World) -> Option<Item> {
    // A link that a server could have made is not followed; where it leads can be given.
    let real = path.canonicalize().ok()?;
    let direct = grantable(path).is_ok_and(|path| is_direct(&path));
    let chosen = if direct { path } else { &real };
    let note = (!direct && real != path)
        .then(|| format!("named as {}, which is a link; the server has to be told the real place", path.display()));
    let named = named::path_or_settings(&real, world).or_else(|| named::path_or_settings(path, world)).map(str::to_owned);
    let overreach = match key {
        Key::Run => named::program(&real).or_else(|| named::program(path)).map(str::to_owned).or(named),
        _ if real.is_dir() => named.or_else(|| named::directory(&real, world)),
        _ => named,
    };
    let grantable = grantable(chosen).is_ok();
    // What can never be given, and is nothing to speak of, is no news.
    (grantable || overreach.is_some()).then(|| Item {
        key,
        value: chosen.to_string_lossy().into_owned(),
        overreach,
        note,
        grantable,
        declined: false,
    })
}

/// What was looked for at home, where nothing is. It has a name in words, or it would not have been kept.
fn told(book: &Book, world: &World) -> Vec<Item> {
    let at_home = book.wishes.iter().filter(|wish| wish.at_home);
    let item = |wish: &Wish| {
        let overreach = named::path(Path::new(&wish.path), world)?.to_owned();
        let key = if matches!(wish.want, Want::Write | Want::Make) { Key::Write } else { Key::Read };
        let note = Some("looked for in its own, empty home directory".to_owned());
        Some(Item { key, value: wish.path.clone(), overreach: Some(overreach), note, grantable: false, declined: false })
    };
    at_home.filter_map(item).collect()
}

/// Whether the same host was asked for with its port, too.
fn is_named_again(call: &Call, book: &Book) -> bool {
    call.port.is_none() && book.calls.iter().any(|other| other.host == call.host && other.port.is_some())
}

fn host(call: &Call, confine: &Confine) -> Option<Item> {
    let port = call.port.unwrap_or(USUAL_PORT);
    let name = if call.host.contains(':') { format!("[{}]", call.host) } else { call.host.clone() };
    let value = format!("{name}:{port}");
    // What cannot be listed cannot be given either.
    let read = Host::read(&value)?;
    if confine.hosts.iter().any(|given| given.covers(&read.name, port)) {
        return None;
    }
    let note = call.port.is_none().then(|| "only the name was asked for; the port is a guess".to_owned());
    Some(Item { key: Key::Hosts, value, overreach: named::host(&read.name).map(str::to_owned), note, grantable: true, declined: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(wishes: &[(Want, &Path)]) -> Book {
        let wish = |(want, path): &(Want, &Path)| Wish { want: *want, path: path.to_str().expect("text").to_owned(), at_home: false };
        Book { wishes: wishes.iter().map(wish).collect(), ..Book::default() }
    }

    fn put(path: &Path) {
        crate::config::files::private_directory(path.parent().expect("a directory")).expect("made");
        crate::config::files::replace(path, b"", crate::config::files::Readers::Usual).expect("written");
    }

    fn said(book: &Book, confine: &Confine) -> Vec<(Key, String)> {
        items(book, confine, &World::default()).into_iter().map(|item| (item.key, item.value)).collect()
    }

    fn text(path: &Path) -> String {
        path.to_str().expect("text").to_owned()
    }

    #[test]
    fn the_way_to_something_is_not_asked_for_and_what_is_not_there_neither() {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path().canonicalize().expect("real");
        put(&root.join("a/b/file"));
        let (a, b, file) = (root.join("a"), root.join("a/b"), root.join("a/b/file"));
        let gone = root.join("a/gone");
        let asked = book(&[(Want::Look, &a), (Want::Make, &b), (Want::Read, &file), (Want::Read, &gone)]);
        assert_eq!(said(&asked, &Confine::default()), [(Key::Read, text(&file))]);
        assert_eq!(said(&book(&[(Want::Look, &b)]), &Confine::default()), [(Key::Read, text(&b))]);
        let given = Confine { read: vec![a.clone()], ..Confine::default() };
        assert_eq!(said(&asked, &given), []);
        assert_eq!(said(&book(&[(Want::Write, &file)]), &given), [(Key::Write, text(&file))]);
        assert_eq!(said(&book(&[(Want::Write, &a), (Want::Read, &file)]), &Confine::default()), [(Key::Write, text(&a))]);
    }

    #[test]
    fn many_files_are_their_directory() {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path().canonicalize().expect("real");
        let files: Vec<PathBuf> = (0..=MANY).map(|number| root.join(format!("x/{number}"))).collect();
        files.iter().for_each(|file| put(file));
        let asked = |files: &[PathBuf]| book(&files.iter().map(|file| (Want::Read, file.as_path())).collect::<Vec<_>>());
        assert_eq!(said(&asked(&files), &Confine::default()), [(Key::Read, text(&root.join("x")))]);
        assert_eq!(said(&asked(&files[1..]), &Confine::default()).len(), MANY);
    }

    #[test]
    fn overreach_is_named_and_comes_last() {
        let dir = tempfile::tempdir().expect("dir");
        let home = dir.path().canonicalize().expect("real");
        put(&home.join(".ssh/id_ed25519"));
        put(&home.join("zz/notes"));
        let (key, notes) = (home.join(".ssh/id_ed25519"), home.join("zz/notes"));
        let world = World { home: Some(home.clone()), own: Vec::new() };
        let mut asked = book(&[(Want::Read, &key), (Want::Read, &notes), (Want::Read, Path::new("/etc"))]);
        asked.calls =
            [("169.254.169.254", Some(80)), ("a.example", None), ("b.example", None), ("b.example", Some(8443)), ("bad host", Some(1))]
                .map(|(host, port)| Call { host: host.to_owned(), port })
                .into();
        let items = items(&asked, &Confine::default(), &world);
        let told: Vec<(&str, Option<&str>, bool)> =
            items.iter().map(|item| (item.value.as_str(), item.overreach.as_deref(), item.grantable)).collect();
        assert_eq!(told[0], (text(&notes).as_str(), None, true));
        assert_eq!((told[1].0, told[2].0), ("a.example:443", "b.example:8443"));
        assert!(told.contains(&(text(&key).as_str(), Some("your SSH keys"), true)), "{told:?}");
        assert!(told.iter().any(|one| one.0 == "/etc" && one.1.is_some() && !one.2), "{told:?}");
        assert!(told.iter().any(|one| one.0 == "169.254.169.254:80" && one.1.is_some_and(|words| words.contains("metadata"))));
        assert_eq!(told.len(), 6, "{told:?}");
    }

    #[test]
    fn a_link_is_proposed_by_its_real_place() {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path().canonicalize().expect("real");
        put(&root.join("real/file"));
        std::os::unix::fs::symlink("real", root.join("link")).expect("a link");
        let link = root.join("link/file");
        let found = items(&book(&[(Want::Read, &link)]), &Confine::default(), &World::default());
        assert_eq!(found[0].value, text(&root.join("real/file")));
        assert!(found[0].note.as_deref().expect("a note").contains("link"));
    }

    #[test]
    fn programs_are_run() {
        let asked = book(&[(Want::Look, Path::new("/usr/bin/env")), (Want::Run, Path::new("/usr/bin/env"))]);
        assert_eq!(said(&asked, &Confine::default()), [(Key::Run, "/usr/bin/env".to_owned())]);
        assert_eq!(said(&asked, &Confine { run: vec!["env".to_owned()], ..Confine::default() }), []);
    }
}
