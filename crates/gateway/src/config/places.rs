//! Where things are: configuration, state, lock file.

use std::io;
use std::path::{Path, PathBuf};

use super::files;

/// The configuration's usual name.
pub const CONFIG: &str = "bartizan.toml";
/// The lock file's usual name.
pub const LOCK: &str = "bartizan.lock";

/// Where things are, as far as somebody said it.
#[derive(Debug, Clone, Default)]
pub struct PlacesArgs {
    /// The state directory.
    pub state: Option<PathBuf>,
    /// The lock file.
    pub lock: Option<PathBuf>,
}

/// Where things are. Absolute paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The state directory: journal, tokens. It may not exist yet.
    pub state: PathBuf,
    /// The reviewed definitions. May not exist yet.
    pub lock: PathBuf,
    /// The configuration, if there is one.
    pub config: Option<PathBuf>,
}

impl Places {
    /// Finds the places. An existing state directory that others may write to is an error, because
    /// they could then make themselves tokens.
    pub fn find(args: &PlacesArgs, config: Option<&Path>) -> Result<Self, PlaceError> {
        let config = config.map(absolute).transpose()?;
        let state = match &args.state {
            Some(state) => absolute(state)?,
            None => usual_state(&super::variable)?,
        };
        if state.exists() {
            files::check_private(&state).map_err(|error| PlaceError::State { path: state.clone(), error })?;
        }
        let beside = config.as_deref().and_then(Path::parent).unwrap_or(&state).join(LOCK);
        let lock = args.lock.as_deref().map_or(Ok(beside), absolute)?;
        Ok(Self { state, lock, config })
    }
}

/// The configuration to use: the one that was named, else `bartizan.toml` here if there is one.
#[must_use]
pub fn config(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Some(PathBuf::from(CONFIG)).filter(|path| path.is_file()))
}

/// A place that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The state directory.
    #[error("the state directory {path} cannot be used: {error}")]
    State {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// Nobody said where the state directory is, and there is no usual place.
    #[error("there is no place for the state directory: neither XDG_STATE_HOME nor HOME is an absolute path; use --state DIR")]
    Homeless,
    /// A relative path where nothing is relative to anything.
    #[error("{path} is not a usable path: {error}")]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

fn absolute(path: &Path) -> Result<PathBuf, PlaceError> {
    std::path::absolute(path).map_err(|error| PlaceError::Path { path: path.to_owned(), error })
}

fn usual_state(variables: super::secret::Lookup<'_>) -> Result<PathBuf, PlaceError> {
    let directory = |name: &str| variables(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let home = || directory("HOME").map(|home| home.join(".local/state"));
    // The XDG specification: a relative path is invalid and to be ignored.
    directory("XDG_STATE_HOME").or_else(home).map(|state| state.join("bartizan")).ok_or(PlaceError::Homeless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(variables: &[(&str, &str)]) -> Option<PathBuf> {
        usual_state(&|name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())).ok()
    }

    #[test]
    fn state_has_the_platforms_place() {
        assert_eq!(usual(&[("HOME", "/home/a")]), Some("/home/a/.local/state/bartizan".into()));
        assert_eq!(usual(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")]), Some("/s/bartizan".into()));
        assert_eq!(usual(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "s")]), Some("/home/a/.local/state/bartizan".into()));
        assert_eq!(usual(&[("HOME", "")]), None);
    }

    #[test]
    fn the_lock_file_stands_beside_the_configuration() {
        let args = PlacesArgs { state: Some("/nowhere/s".into()), lock: None };
        let places = Places::find(&args, Some(Path::new("/c/x.toml"))).expect("places");
        assert_eq!(places.lock, Path::new("/c/bartizan.lock"));
        assert_eq!(Places::find(&args, None).expect("places").lock, Path::new("/nowhere/s/bartizan.lock"));
        let args = PlacesArgs { lock: Some("/l".into()), ..args };
        assert_eq!(Places::find(&args, Some(Path::new("/c/x.toml"))).expect("places").lock, Path::new("/l"));
    }

    #[test]
    fn state_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("dir");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).expect("chmod");
        let args = PlacesArgs { state: Some(dir.path().to_owned()), lock: None };
        assert!(matches!(Places::find(&args, None), Err(PlaceError::State { .. })));
    }
}
