//! What would confine a server on another system, as text.

use std::ffi::OsString;

use bartizan_sandbox::{Confinement, System};

use super::{Around, confinement};
use crate::config::{How, ServerSettings, variable};

/// The profile of a server that is started here. Its program is looked for on this machine, and what every program needs is
/// the other system's.
pub fn profile(server: &ServerSettings, system: System) -> Result<String, String> {
    let How::Stdio { command, directory, .. } = &server.how else { return Err("it is not started here".to_owned()) };
    let confine = server.confine.as_ref().ok_or("it is named in `dangerous.unconfined`: nothing confines it")?;
    let command: Vec<OsString> = command.iter().map(OsString::from).collect();
    let path = variable("PATH").unwrap_or_default();
    let around = Around { path: &path, directory: directory.as_deref() };
    let made = confinement(Confinement::default(), confine, &command, &around)?;
    let text = bartizan_sandbox::profile(system, &made.confinement)?;
    let hosts = confine.hosts.iter().map(|host| format!("{}:{}", host.name, host.port)).collect::<Vec<_>>().join(", ");
    let mark = if system == System::MacOs { ";" } else { "#" };
    Ok(if hosts.is_empty() { text } else { format!("{text}{mark} hosts, for the proxy to judge: {hosts}\n") })
}
