//! Gives away every privilege for good.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// Drops all capabilities, also those that programs could bring back, and makes set-user-id programs powerless.
pub(super) fn drop_all() -> Result<(), String> {
    let failed = |error: Errno| format!("privileges cannot be dropped: {error}");
    set_no_new_privs(true).map_err(failed)?;
    clear_ambient_capability_set().map_err(failed)?;
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // Newer than the kernel; or not ours to remove, and then no program can bring it back either.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).map_err(failed)
}
