//! Going back to what was approved before. No server is started: what it offers then is drift, until it
//! offers that version again.

use bartizan_monitor::case::Kind;
use bartizan_monitor::lock::{Lock, Pin};
use bartizan_monitor::wire::canonical::Digest;

use crate::exit::Exit;
use crate::paint::visible;
use crate::target::Target;

/// Restores an older version of each wanted definition: the newest, or the one whose digest begins so.
pub(super) fn restore(wanted: &[Target], prefix: &str, lock: &mut Lock) -> Result<(), Exit> {
    for target in wanted {
        let (server, pin) = find(target, lock)?;
        let digest = choose(&pin, prefix).map_err(|why| Exit::usage(&format!("{target}: {why}")))?;
        let Some(restored) = pin.restored(&digest) else {
            return Err(Exit::usage(&format!("{target}: that version is not kept")));
        };
        eprintln!(
            "{}: {} [{}] is approved in the place of {} [{}].",
            visible(&target.to_string()),
            digest,
            restored.effect,
            pin.digest,
            pin.effect
        );
        lock.put(&server, restored);
    }
    Ok(())
}

fn find(target: &Target, lock: &Lock) -> Result<(String, Pin), Exit> {
    let servers: Vec<String> = lock.servers().filter(|server| target.is_of(server)).map(str::to_owned).collect();
    let named = servers.iter().flat_map(|server| lock.of(server).map(move |pin| (server, pin)));
    let mut named: Vec<_> = named.filter(|(server, pin)| target.is_single() && target.means(server, &pin.name)).collect();
    // A tool and a prompt of one name: the tool is meant.
    named.sort_by_key(|(_, pin)| pin.kind != Kind::Tool);
    match named.first() {
        Some((server, pin)) => Ok(((*server).clone(), (***pin).clone())),
        None if target.is_single() => Err(Exit::usage(&format!("{target} is not in the lock file"))),
        None => Err(Exit::usage(&format!("say which definition of {target} is meant: {target}/NAME"))),
    }
}

fn choose(pin: &Pin, prefix: &str) -> Result<Digest, String> {
    let begins = |digest: &Digest| {
        let text = digest.to_string();
        text.starts_with(prefix) || text.strip_prefix("sha256:").is_some_and(|hex| hex.starts_with(prefix))
    };
    let kept = || pin.previous.iter().map(|version| format!("\n  {} [{}]", version.digest, version.effect)).collect::<String>();
    let mut found = pin.previous.iter().filter(|version| begins(&version.digest));
    match (found.next(), found.next()) {
        (None, _) if pin.previous.is_empty() => Err("no older version of it was approved".to_owned()),
        (None, _) => Err(format!("no kept version has a digest that begins so; these are kept, newest first:{}", kept())),
        (Some(version), _) if prefix.is_empty() => Ok(version.digest),
        (Some(version), None) => Ok(version.digest),
        (Some(_), Some(_)) => Err(format!("several digests begin so:{}", kept())),
    }
}
