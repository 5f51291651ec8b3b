//! What is to be done before a server starts: read its command line, judge it, fetch, look.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_monitor::lock::artefact::Source;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{ARTEFACT_FLOATING, ARTEFACT_UNCLEAR, UPSTREAM_NOT_ALLOWED};

use super::{Fetch, Origin, Ready, Spec, file, npm, python, refusal, tool, tree, variables};
use crate::config::{Floating, How, ServerSettings, files};
use bartizan_monitor::lock::artefact::Artefact;

/// How long fetching a package may take.
const FETCH: Duration = Duration::from_secs(300);

/// What is to be done before a server starts.
pub(super) struct Plan {
    pub(super) settings: Arc<ServerSettings>,
    words: Vec<String>,
    from: usize,
    pub(super) origin: Origin,
    path: OsString,
    /// Variables that load code, and that somebody accepted.
    variables: Vec<Artefact>,
}

impl Plan {
    /// For servers that are started here. A floating one has none, unless that is accepted.
    pub(super) async fn of(settings: &Arc<ServerSettings>) -> Result<Option<Self>, Refusal> {
        let How::Stdio { command, env, .. } = &settings.how else { return Ok(None) };
        let (from, origin) = Origin::read(command).map_err(|unclear| refusal(ARTEFACT_UNCLEAR, settings, &unclear.to_string()))?;
        let variables = variables::pinned(settings).map_err(|unclear| refusal(ARTEFACT_UNCLEAR, settings, &unclear.to_string()))?;
        let own = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| OsString::from(value.plain()));
        let path = own.unwrap_or_else(tool::search_path);
        let plan = Self { settings: settings.clone(), words: command.clone(), from, origin, path, variables };
        plan.permit()?;
        if plan.floats() && settings.supply.floating == Floating::Refused {
            return Err(refusal(ARTEFACT_FLOATING, settings, &plan.how_to_pin().await));
        }
        Ok(Some(plan))
    }

    fn specs(&self) -> &[Spec] {
        match &self.origin {
            Origin::Npm(package) => &package.specs,
            Origin::Python(package) => &package.specs,
            Origin::Image(_) | Origin::File(_) => &[],
        }
    }

    pub(super) fn floats(&self) -> bool {
        let unpinned = matches!(&self.origin, Origin::Image(image) if image.digest.is_none());
        unpinned || self.specs().iter().any(|spec| spec.version.is_none())
    }

    /// Whether the organisation allows it, as far as that can be told before anything is fetched.
    fn permit(&self) -> Result<(), Refusal> {
        let Some(allowed) = &self.settings.supply.allowed else { return Ok(()) };
        let no = |what: &str, list: &str| {
            Err(refusal(UPSTREAM_NOT_ALLOWED, &self.settings, &format!("{what} is not among `servers_allowed.{list}`")))
        };
        let (source, list) = match &self.origin {
            Origin::Npm(_) => (Source::Npm, "npm"),
            Origin::Python(_) => (Source::Python, "python"),
            Origin::Image(image) if allowed.image(image.name()) => return Ok(()),
            Origin::Image(image) => return no(&image.reference, "image"),
            // Where its files are is known when they were found.
            Origin::File(_) => return Ok(()),
        };
        let refused = self.specs().iter().find(|spec| !allowed.package(source, &spec.name, spec.version.as_deref()));
        refused.map_or(Ok(()), |spec| no(&format!("{}{}", spec.name, spec.wanted), list))
    }

    /// The command line that pins what floats, for people.
    async fn how_to_pin(&self) -> String {
        let mut words = self.words.clone();
        let mut floating = Vec::new();
        let mut put = |at: usize, word: String| {
            if let Some(place) = words.get_mut(self.from.saturating_add(at)) {
                *place = word;
            }
        };
        if let Origin::Image(image) = &self.origin {
            floating.push(image.reference.clone());
            put(image.at, image.newest().await.unwrap_or_else(|| format!("{}@sha256:DIGEST", image.name())));
        }
        for spec in self.specs().iter().filter(|spec| spec.version.is_none()) {
            let newest = match &self.origin {
                Origin::Npm(package) => npm::newest(spec, &package.launcher).await,
                Origin::Python(package) => python::newest(package, spec).await,
                Origin::Image(_) | Origin::File(_) => None,
            };
            floating.push(spec.name.clone());
            put(spec.at, format!("{}{}{}{}", spec.before, spec.name, spec.joint, newest.as_deref().unwrap_or("VERSION")));
        }
        format!("{} has no fixed version. Write: {}", floating.join(", "), line(&words))
    }

    /// Where a package is installed.
    fn home(&self) -> PathBuf {
        let mut key: Vec<String> = self.specs().iter().map(Spec::pinned).collect();
        key.push(match &self.origin {
            Origin::Python(package) => format!("python {}", package.python.as_deref().unwrap_or_default()),
            Origin::Npm(_) | Origin::Image(_) | Origin::File(_) => "npm".to_owned(),
        });
        // With other scripts run it is another installation.
        if matches!(self.origin, Origin::Npm(_)) {
            key.extend(self.settings.supply.allow_scripts.iter().map(|name| format!("scripts of {name}")));
        }
        let digest = tree::text(&key.join("\n"));
        self.settings.supply.packages.join(digest.trim_start_matches("sha256:").get(..24).unwrap_or_default())
    }

    /// Installs what is not installed yet: of what comes along, the versions that are `expected`, where any are.
    pub(super) async fn fetch(&self, expected: &[Artefact]) -> Result<(), Refusal> {
        if self.floats() || self.specs().is_empty() {
            return Ok(());
        }
        let failed = |what: String| refusal(ARTEFACT_UNCLEAR, &self.settings, &format!("it cannot be fetched: {what}"));
        let home = self.home();
        let done = home.with_extension("done");
        // What was installed before another tree was approved is installed anew.
        let tree = match &self.origin {
            Origin::Npm(package) => npm::Tree::of(package, expected),
            Origin::Python(_) | Origin::Image(_) | Origin::File(_) => None,
        };
        let stands = || done.is_file() && tree.as_ref().is_none_or(|tree| tree.stands(&home));
        if stands() {
            return Ok(());
        }
        let (store, held) = (self.settings.supply.packages.clone(), home.with_extension("lock"));
        let hold = move || files::private_directory(&store).and_then(|()| files::hold(&held));
        // Another process may install the same; whoever comes second waits and finds it there.
        let held = blocking(hold).await.and_then(|held| held.map_err(|error| error.to_string())).map_err(failed)?;
        if !stands() {
            tracing::info!(server = %self.settings.name, "fetching what it is made of");
            tree::forget(&done)
                .and_then(|()| tree::remove(&home))
                .and_then(|()| files::private_directory(&home))
                .map_err(|error| failed(error.to_string()))?;
            let installed = match &self.origin {
                Origin::Npm(package) => npm::install(package, (tree.as_ref(), &self.settings.supply.allow_scripts), (&home, FETCH)).await,
                Origin::Python(package) => python::install(package, expected, (&home, FETCH)).await,
                Origin::Image(_) | Origin::File(_) => Ok(()),
            };
            installed.map_err(failed)?;
            files::replace(&done, b"", files::Readers::Owner).map_err(|error| failed(error.to_string()))?;
        }
        drop(held);
        Ok(())
    }

    /// Looks at everything, and says how exactly that is started.
    pub(super) async fn ready(&self, expected: &[Artefact]) -> Result<Ready, Refusal> {
        let mut ready = self.made(expected).await?;
        ready.artefacts.extend(self.variables.iter().cloned());
        Ok(ready)
    }

    async fn made(&self, expected: &[Artefact]) -> Result<Ready, Refusal> {
        let words = || self.words.iter().map(OsString::from).collect();
        if self.floats() {
            return Ok(Ready { command: words(), ..Ready::default() });
        }
        self.fetch(expected).await?;
        let (origin, home) = (self.origin.clone(), self.home());
        let rest = |arguments: usize| -> Vec<OsString> { self.own().iter().skip(arguments).map(OsString::from).collect() };
        let fetched = match origin {
            Origin::Npm(package) => {
                let allowed = self.settings.supply.allow_scripts.clone();
                self.looked(move || npm::look(&package, &allowed, &home)).await
            }
            Origin::Python(package) => self.looked(move || python::look(&package, &home)).await,
            Origin::Image(image) => {
                return Ok(Ready { artefacts: image.artefact().into_iter().collect(), command: words(), ..Ready::default() });
            }
            Origin::File(program) => return self.ready_file(program).await,
        }?;
        let arguments = match &self.origin {
            Origin::Npm(package) => rest(package.arguments),
            Origin::Python(package) => rest(package.arguments),
            Origin::Image(_) | Origin::File(_) => Vec::new(),
        };
        let command = self.preceded(fetched.start.iter().cloned().chain(arguments));
        let Fetch { artefacts, first, left_out, .. } = fetched;
        Ok(Ready { artefacts, command, first, environment: Vec::new(), left_out })
    }

    async fn ready_file(&self, program: file::Program) -> Result<Ready, Refusal> {
        let directory = match &self.settings.how {
            How::Stdio { directory, .. } => directory.clone(),
            How::Http { .. } => None,
        };
        let path = self.path.clone();
        let look = move || file::look(&program, &file::Around { directory: directory.as_deref(), path: &path });
        let found = self.looked(look).await?;
        if let Some(allowed) = &self.settings.supply.allowed {
            let refused = found.places.iter().find(|place| !allowed.path(place));
            let what =
                refused.map(|place| place.display().to_string()).or_else(|| found.inline.then(|| "code in a command line".to_owned()));
            if let Some(what) = what {
                return Err(refusal(UPSTREAM_NOT_ALLOWED, &self.settings, &format!("{what} is not among `servers_allowed.path`")));
            }
        }
        let rest = self.own().get(1..).unwrap_or_default();
        let unclear = |what: String| refusal(ARTEFACT_UNCLEAR, &self.settings, &what);
        let empty = if found.python { Some(python::no_byte_code(&self.settings.supply.packages).map_err(unclear)?) } else { None };
        let command = self.preceded(file::start(&found, rest, empty.as_deref()).into_iter());
        // The options on the command line are for this process; what it starts in turn reads the variables.
        let environment = empty.map(|empty| python::byte_code_variables(&empty)).unwrap_or_default();
        Ok(Ready { artefacts: found.artefacts, command, environment, ..Ready::default() })
    }

    /// Runs what reads many files where it holds nobody up.
    async fn looked<T: Send + 'static>(&self, look: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, Refusal> {
        let looked = blocking(look).await.and_then(|looked| looked);
        looked.map_err(|what| refusal(ARTEFACT_UNCLEAR, &self.settings, &what))
    }

    fn own(&self) -> &[String] {
        self.words.get(self.from..).unwrap_or_default()
    }

    /// `env NAME=VALUE …` stays in front.
    fn preceded(&self, command: impl Iterator<Item = OsString>) -> Vec<OsString> {
        self.words.iter().take(self.from).map(OsString::from).chain(command).collect()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

/// A command line to copy: words that a shell would take apart are quoted.
pub(super) fn line(words: &[String]) -> String {
    let plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "@/._-=:+,".contains(c));
    let quoted: Vec<String> =
        words.iter().map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) }).collect();
    quoted.join(" ")
}
