//! What a server gets of the machine's resources, as far as one process can be limited.

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::confinement::{Confinement, Level};
use crate::report::{Layer, State};

/// Limits this process and all that it starts. Not the address space: some run-times reserve far more than they use.
pub(super) fn set(confinement: &Confinement, level: Level) -> Result<Layer, String> {
    let limit = |resource: Resource, value: u64| {
        let current = rustix::process::getrlimit(resource);
        // Nobody may raise what is lower already.
        let value = current.maximum.map_or(value, |most| value.min(most));
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).map_err(|error| format!("limits: {error}"))
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, confinement.open_files)?;
    limit(Resource::Fsize, confinement.file_size)?;
    if level != Level::Native {
        // Outside a namespace all processes of this user count.
        return Ok(Layer::new("limits", State::Partial, "the number of processes is not limited by rlimits"));
    }
    limit(Resource::Nproc, confinement.processes)?;
    Ok(Layer::new("limits", State::Enforced, ""))
}
