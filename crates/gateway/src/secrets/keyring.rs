//! The keyring of the Linux kernel: keys of type `user` named `bartizan:NAME`, of the session or of the user
//! (docs/decisions/0014-secrets-at-the-moment-of-use.md).

use bartizan_monitor::reason::Refusal;
use linux_keyutils::{KeyError, KeyRing, KeyRingIdentifier};
use zeroize::Zeroizing;

use super::answer;
use super::{missing, unavailable};
use crate::config::{Secret, secret};

/// What stands before the name of a key, so that a reference cannot name the keys of other programs.
const PREFIX: &str = "bartizan:";

/// Reads a key. Nothing is asked but the kernel, which answers at once.
pub(super) fn read(name: &str) -> Result<Secret, Refusal> {
    let description = format!("{PREFIX}{name}");
    let mut last = KeyError::KeyDoesNotExist;
    for ring in [KeyRingIdentifier::Session, KeyRingIdentifier::User] {
        match KeyRing::from_special_id(ring, false).and_then(|ring| ring.search(&description)) {
            Ok(key) => return value(key),
            // A ring that cannot be searched says more than one that has no such key.
            Err(KeyError::KeyDoesNotExist | KeyError::KeyringDoesNotExist) => {}
            Err(error) => last = error,
        }
    }
    Err(refusal(last))
}

fn value(key: linux_keyutils::Key) -> Result<Secret, Refusal> {
    let mut buffer = Zeroizing::new(vec![0; secret::MAX]);
    let length = key.read(&mut *buffer).map_err(refusal)?;
    let bytes = buffer.get(..length).ok_or_else(|| missing("the key is too large"))?;
    let text = std::str::from_utf8(bytes).map_err(|_| missing("the key is not valid UTF-8"))?;
    answer::whole(Secret::new(text.strip_suffix('\n').unwrap_or(text).to_owned()))
}

fn refusal(error: KeyError) -> Refusal {
    match error {
        KeyError::KeyDoesNotExist | KeyError::KeyringDoesNotExist => {
            missing("the keyring has no such key; put it there: keyctl padd user bartizan:NAME @u")
        }
        KeyError::KeyExpired | KeyError::KeyRevoked | KeyError::KeyRejected => missing("the key has expired or was revoked"),
        KeyError::AccessDenied => missing("the key may not be read by the gateway's user"),
        other => unavailable(format!("the keyring cannot be read: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_kernel_are_read_and_follow_their_owner() {
        let name = format!("unit-test-{}", std::process::id());
        let refused = read(&name).expect_err("no such key");
        let ring = match KeyRing::from_special_id(KeyRingIdentifier::Process, true) {
            Ok(_) => KeyRing::from_special_id(KeyRingIdentifier::Session, true),
            Err(error) => Err(error),
        };
        let key = ring.and_then(|ring| ring.add_key(&format!("{PREFIX}{name}"), "v4lue\n"));
        let key = match key {
            Ok(key) => key,
            Err(error) => {
                eprintln!("SKIPPED: the kernel gives no keyring here ({error:?}), so that reading one is not tested");
                return;
            }
        };
        assert_eq!(refused.reason.code(), "secret.missing");
        assert_eq!(read(&name).map(|secret| secret.expose().to_owned()).expect("found"), "v4lue");
        key.update(&"n3w").expect("updated");
        assert_eq!(read(&name).map(|secret| secret.expose().to_owned()).expect("found"), "n3w");
        key.update(&[0xff_u8, 0xfe]).expect("updated");
        assert!(read(&name).expect_err("binary").detail.contains("UTF-8"));
        key.revoke().expect("revoked");
        assert_eq!(read(&name).expect_err("gone").reason.code(), "secret.missing");
    }
}
