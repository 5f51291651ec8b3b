//! What a command line of `docker run` asks of its engine, as far as that may be asked for a confined server.
//!
//! What is read here is not what is started: the command line that is, is made anew out of this, so that an option
//! that is not listed cannot slip through in a spelling that is read otherwise by the engine's client.

use std::path::{Component, Path, PathBuf};

use super::image::{self, Image};
use super::words::{Given, Options, Unclear};

/// What is understood. Nothing of it gives a container more than it would have without.
const ASKED: Options = Options {
    program: "a confined docker run",
    flags: &["-i", "--interactive", "--rm", "--init", "--read-only", "-q", "--quiet", "--no-healthcheck"],
    values: &[
        "-e",
        "--env",
        "-v",
        "--volume",
        "--mount",
        "--tmpfs",
        "-u",
        "--user",
        "-w",
        "--workdir",
        "--entrypoint",
        "--platform",
        "--pull",
        "--network",
        "--net",
        "--cap-drop",
        "--security-opt",
        "--log-driver",
        "-m",
        "--memory",
        "--cpus",
        "--pids-limit",
        "--env-file",
    ],
    code: &[],
};

/// What may be done with something that is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is read.
    Read,
    /// It is read and written.
    Write,
}

/// Something of this machine that is to be seen in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is on this machine.
    pub host: PathBuf,
    /// Where it is to be in the container.
    pub inside: String,
    /// What is to be done with it.
    pub access: Access,
}

/// A container as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// The image by its digest: `NAME@sha256:…` or `sha256:…`.
    pub image: String,
    /// What comes behind it.
    pub arguments: Vec<String>,
    /// Variables: `NAME`, which is taken from the client's own, or `NAME=VALUE`.
    pub env: Vec<String>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// Places that can be written to, and are forgotten.
    pub scratch: Vec<String>,
    /// User and group, neither of them root.
    pub user: Option<(u32, u32)>,
    /// Options that say nothing about what the container may do, each joined with its value.
    pub plain: Vec<String>,
}

impl Container {
    /// Reads `docker run [options] IMAGE …`, whose first word is the engine's client.
    pub fn read(words: &[String]) -> Result<Self, Unclear> {
        let (given, at) = ASKED.read(words, image::options(words, 1)?)?;
        let mut read = Self { image: pinned(&Image::named(words, at)?)?, ..Self::default() };
        read.arguments = words.get(at.saturating_add(1)..).unwrap_or_default().to_vec();
        given.iter().filter(|one| ASKED.values.contains(&one.name)).try_for_each(|one| read.take(one))?;
        Ok(read)
    }

    fn take(&mut self, given: &Given<'_>) -> Result<(), Unclear> {
        let value = given.value;
        let checked = |is_good: bool, instead: &str| if is_good { Ok(value.to_owned()) } else { Err(no(given, instead)) };
        match given.name {
            "-e" | "--env" => self.env.push(checked(is_variable(value), "write -e NAME, and the variable into the server's `env`")?),
            "-v" | "--volume" => self.mounts.push(volume(given)?),
            "--mount" => match mount(given)? {
                Some(mount) => self.mounts.push(mount),
                None => self.scratch.push(tmpfs(given)?),
            },
            "--tmpfs" => {
                self.scratch.push(checked(is_inside(value), "write a path alone; its size is `scratch` of the server's `confine`")?)
            }
            "-u" | "--user" => self.user = Some(user(given)?),
            "-w" | "--workdir" => self.plain.push(format!("--workdir={}", checked(is_inside(value), "write an absolute path")?)),
            "--entrypoint" => self.plain.push(format!("--entrypoint={}", checked(!value.is_empty(), "name a program of the image")?)),
            "--platform" => self.plain.push(format!("--platform={}", checked(is_platform(value), "write it as in linux/amd64")?)),
            "--pull" => {
                let known = matches!(value, "always" | "missing" | "never");
                self.plain.push(format!("--pull={}", checked(known, "write always, missing or never")?));
            }
            _ => drop(checked(is_had(given), instead(given.name))?),
        }
        Ok(())
    }
}

/// Whether every confined container has this anyway.
fn is_had(given: &Given<'_>) -> bool {
    match given.name {
        "--network" | "--net" | "--log-driver" => given.value == "none",
        "--cap-drop" => !given.value.is_empty(),
        "--security-opt" => matches!(given.value, "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true"),
        _ => false,
    }
}

/// Where what an option asks for is written, when a command line is not the place.
fn instead(name: &str) -> &'static str {
    match name {
        "-m" | "--memory" => "leave it out, and write `memory` into the server's `confine`",
        "--cpus" => "leave it out, and write `cpu` into the server's `confine`",
        "--pids-limit" => "leave it out, and write `processes` into the server's `confine`",
        "--env-file" => "write the variables into the server's `env`, and name each with -e NAME",
        "--network" | "--net" => "a confined container has no network; one that needs it is named in `dangerous.unconfined`",
        _ => "leave it out",
    }
}

fn no(given: &Given<'_>, instead: &str) -> Unclear {
    Unclear::new(format!("{} {:?} cannot be had in a confined container", given.name, given.value), instead)
}

/// The image by its digest alone: a tag beside it says nothing, and names that engines read as something other than a
/// repository (`oci:DIRECTORY`, `docker-archive:FILE`) are not read at all.
fn pinned(image: &Image) -> Result<String, Unclear> {
    let what = || format!("the image {:?} is not named by its digest", image.reference);
    let digest = image.digest.as_deref().ok_or_else(|| Unclear::new(what(), "write IMAGE@sha256:DIGEST"))?;
    let name = image.name();
    if name.is_empty() && image.reference == digest {
        return Ok(digest.to_owned());
    }
    if image.reference.matches('@').count() != 1 || !is_repository(name) {
        return Err(Unclear::new(format!("{:?} is not the name of an image", image.reference), "write IMAGE@sha256:DIGEST"));
    }
    Ok(format!("{name}@{digest}"))
}

/// Segments of letters, digits and single marks between them. Only a host with a dot, or `localhost`, has a port.
fn is_repository(name: &str) -> bool {
    let is_plain = |text: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        ends(text.chars().next())
            && ends(text.chars().last())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let host = match first.rsplit_once(':') {
        None => is_plain(first),
        Some((host, port)) => {
            let is_port = !port.is_empty() && port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit());
            rest.is_some() && is_port && is_plain(host) && (host.contains('.') || host == "localhost")
        }
    };
    host && rest.is_none_or(|rest| rest.split('/').all(is_plain))
}

/// `NAME` or `NAME=VALUE`. Nothing else: podman reads `NAME*` as all variables that begin so.
fn is_variable(value: &str) -> bool {
    let name = value.split_once('=').map_or(value, |(name, _)| name);
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !name.is_empty() && name.chars().all(is_good) && !name.starts_with('-')
}

fn is_platform(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_')) && value.contains('/')
}

/// A place in a container: absolute, without detours, not the root, not what the kernel shows, and nothing that an
/// option's own grammar takes apart.
fn is_inside(path: &str) -> bool {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let kernel = ["/proc", "/sys", "/dev"].iter().any(|own| Path::new(path).starts_with(own));
    let legible = path.chars().all(|c| !c.is_control() && !matches!(c, ',' | ':' | '"'));
    path.starts_with('/') && plain && !kernel && legible && Path::new(path).components().count() > 1
}

fn mounted(given: &Given<'_>, (host, inside): (&str, &str), access: Access) -> Result<Mount, Unclear> {
    if !host.starts_with('/') {
        return Err(no(given, "only an absolute path of this machine is mounted; an engine's own volume is not"));
    }
    let legible = host.chars().all(|c| !c.is_control() && !matches!(c, ',' | ':' | '"'));
    if !legible || !is_inside(inside) {
        return Err(no(given, "write -v HOST:CONTAINER:ro with plain absolute paths"));
    }
    Ok(Mount { host: PathBuf::from(host), inside: inside.to_owned(), access })
}

/// `HOST:CONTAINER[:ro|rw]`.
fn volume(given: &Given<'_>) -> Result<Mount, Unclear> {
    let parts: Vec<&str> = given.value.split(':').collect();
    match parts[..] {
        [host, inside] | [host, inside, "rw"] => mounted(given, (host, inside), Access::Write),
        [host, inside, "ro"] => mounted(given, (host, inside), Access::Read),
        _ => Err(no(given, "write -v HOST:CONTAINER:ro")),
    }
}

/// The members of `--mount`, each with its value.
fn members<'a>(given: &Given<'a>) -> Vec<(&'a str, &'a str)> {
    given.value.split(',').map(|member| member.split_once('=').unwrap_or((member, ""))).collect()
}

/// `type=bind,source=HOST,target=CONTAINER[,readonly]`; nothing when it is `type=tmpfs`.
fn mount(given: &Given<'_>) -> Result<Option<Mount>, Unclear> {
    let (mut kind, mut host, mut inside, mut access) = (None, None, None, Access::Write);
    for (name, value) in members(given) {
        // What is said twice could be read in two ways.
        let twice = match name {
            "type" => kind.replace(value).is_some(),
            "source" | "src" => host.replace(value).is_some(),
            "target" | "destination" | "dst" => inside.replace(value).is_some(),
            "readonly" | "ro" if matches!(value, "" | "true" | "1") => {
                access = Access::Read;
                false
            }
            "readonly" | "ro" if matches!(value, "false" | "0") => false,
            _ => true,
        };
        if twice {
            return Err(no(given, "write --mount type=bind,source=HOST,target=CONTAINER,readonly"));
        }
    }
    match (kind, host, inside) {
        (Some("bind"), Some(host), Some(inside)) => mounted(given, (host, inside), access).map(Some),
        (Some("tmpfs"), None, Some(_)) => Ok(None),
        _ => Err(no(given, "write --mount type=bind,source=HOST,target=CONTAINER,readonly")),
    }
}

fn tmpfs(given: &Given<'_>) -> Result<String, Unclear> {
    let inside = members(given).into_iter().find(|(name, _)| matches!(*name, "target" | "destination" | "dst")).map(|(_, path)| path);
    inside.filter(|path| is_inside(path)).map(str::to_owned).ok_or_else(|| no(given, "write --tmpfs /PATH"))
}

/// `UID:GID`, two numbers, neither of them root's. A name would be looked up in the image, which may call root so; a user
/// without a group would be in root's.
fn user(given: &Given<'_>) -> Result<(u32, u32), Unclear> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|number| digits && (1..u32::try_from(i32::MAX).unwrap_or_default()).contains(number))
    };
    let read = given.value.split_once(':').and_then(|(user, group)| Some((number(user)?, number(group)?)));
    read.ok_or_else(|| no(given, "write -u UID:GID, two numbers, neither of them 0"))
}

#[cfg(test)]
mod tests;
