//! Has the kernel tell of every call that names a path, before it is carried out.
//!
//! This filter decides nothing: whoever listens lets every call go on, and the confinement beneath answers it as it
//! would have without. What the other filters refuse is refused first, and nobody is told.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::asked::CALLS;
use crate::report::{Layer, RECORDING, State};

/// What this machine's calls are numbered by (`AUDIT_ARCH_*`). Calls of another numbering end the process in the
/// filters that refuse.
#[cfg(target_arch = "x86_64")]
const NUMBERING: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NUMBERING: u32 = 0xc000_00b7;

/// Where `struct seccomp_data` has the number of a call, and the numbering.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// Has everything told that is asked for from here on. A kernel that cannot do that confines as well.
pub(super) fn begin(layers: &mut Vec<Layer>) -> Option<OwnedFd> {
    match start() {
        Ok(listener) => {
            layers.push(Layer::new(RECORDING, State::Enforced, ""));
            Some(listener)
        }
        Err(error) => {
            layers.push(Layer::new(RECORDING, State::Absent, error));
            None
        }
    }
}

/// Tells whoever holds the result of what this process, and all that it starts, names from now on. Such calls wait until
/// they are let go on.
fn start() -> io::Result<OwnedFd> {
    let killable = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match install(killable) {
        // Before 5.19 a signal may interrupt a call that is being told of; it is made again.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
        installed => installed,
    }
}

fn install(flags: libc::c_ulong) -> io::Result<OwnedFd> {
    let mut lines = program();
    let length = u16::try_from(lines.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: lines.as_mut_ptr() };
    // SAFETY: the program and its lines outlive the call, which only reads them.
    #[expect(unsafe_code, reason = "no library offers a filter with a listener")]
    let made = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let number = i32::try_from(made).ok().filter(|number| *number >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the call made this descriptor, and nobody else knows its number. It is closed on exec.
    #[expect(unsafe_code, reason = "what the call returns is a number")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Tells of the calls that are listed, and lets all others go on unseen.
fn program() -> Vec<libc::sock_filter> {
    let line = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k };
    let load = |at: u32| line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let equals = |k: u32, jt: u8, jf: u8| line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, jt, jf);
    let end = |k: u32| line(libc::BPF_RET | libc::BPF_K, k, 0, 0);
    let mut lines = vec![load(ARCH), equals(NUMBERING, 1, 0), end(libc::SECCOMP_RET_ALLOW), load(NUMBER)];
    for (index, call) in CALLS.iter().enumerate() {
        // Over the lines of the other calls and the one that allows.
        let over = u8::try_from(CALLS.len().saturating_sub(index)).unwrap_or_default();
        lines.push(equals(u32::try_from(call.number).unwrap_or(u32::MAX), over, 0));
    }
    lines.extend([end(libc::SECCOMP_RET_ALLOW), end(libc::SECCOMP_RET_USER_NOTIF)]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_tells_of_what_is_listed_and_of_nothing_else() {
        let lines = program();
        let run = |numbering: u32, number: u32| {
            let (mut at, mut loaded) = (0_usize, 0);
            loop {
                let line = lines[at];
                match u32::from(line.code) & 7 {
                    libc::BPF_LD => loaded = if line.k == ARCH { numbering } else { number },
                    libc::BPF_JMP => at += usize::from(if loaded == line.k { line.jt } else { line.jf }),
                    _ => return line.k,
                }
                at += 1;
            }
        };
        for call in CALLS {
            assert_eq!(run(NUMBERING, u32::try_from(call.number).expect("a number")), libc::SECCOMP_RET_USER_NOTIF, "{}", call.number);
        }
        let listed = |number: &u32| CALLS.iter().any(|call| call.number == i64::from(*number));
        assert!((0..600).filter(|number| !listed(number)).all(|number| run(NUMBERING, number) == libc::SECCOMP_RET_ALLOW));
        let open = u32::try_from(libc::SYS_openat).expect("a number");
        assert_eq!(run(1, open), libc::SECCOMP_RET_ALLOW, "another numbering is not ours to read");
    }
}
