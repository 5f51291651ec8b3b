//! Which system calls a server may not make. A deny-list: what programs and their run-times need is too much to list.
//!
//! Namespaces, mounts, other processes' memory, the kernel's own programs, and sockets that are no part of what a
//! server may have. `io_uring` could do the same past this filter, so there is none.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter, sock_filter,
};

use crate::confinement::{Level, Sockets};

/// What makes a confinement, and what the gateway asks the kernel's keyring with: the gateway needs it, and no server.
const GATEWAYS: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
];

/// What nobody needs, the gateway neither.
const DENIED: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_personality,
    libc::SYS_fanotify_init,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_syslog,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// What reaches other processes of this user where they are not in another namespace: memory, messages and semaphores
/// of System V and POSIX.
const SHARED: &[libc::c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// `MFD_NOEXEC_SEAL`: a file in memory that can never be executed.
const NEVER_PROGRAM: u64 = 8;

/// Namespaces that `clone` could make. `clone3` hides its flags from filters, and so is not there at all.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// `ioctl`s that put words into somebody's terminal.
const TERMINAL: &[u64] = &[libc::TIOCSTI, 0x541c];

/// Refuses what nobody needs, in this thread and all that it starts.
pub(crate) fn deny_to_gateway() -> Result<(), String> {
    let program = || -> Result<BpfProgram, BackendError> {
        let denied = DENIED.iter().map(|call| (*call, Vec::new())).collect();
        let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        SeccompFilter::new(denied, SeccompAction::Allow, refused, std::env::consts::ARCH.try_into()?)?.try_into()
    };
    apply_filter(&program().map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    if cfg!(target_arch = "x86_64") {
        apply_filter(&no_x32()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Refuses these system calls from now on, in this process and all that it starts.
pub(super) fn deny(level: Level, allowed: Sockets) -> Result<(), String> {
    let programs = programs(level, allowed).map_err(|error| error.to_string())?;
    programs.iter().try_for_each(|program| apply_filter(program).map_err(|error| error.to_string()))
}

fn programs(level: Level, allowed: Sockets) -> Result<Vec<BpfProgram>, BackendError> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = GATEWAYS.iter().chain(DENIED).map(|call| (*call, Vec::new())).collect();
    let namespaces = NAMESPACES.iter().map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?])
    });
    denied.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    let terminal =
        TERMINAL.iter().map(|call| SeccompRule::new(vec![SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *call)?]));
    denied.insert(libc::SYS_ioctl, terminal.collect::<Result<_, _>>()?);
    denied.insert(libc::SYS_socket, sockets(level, allowed)?);
    // A file in memory lies at no path that could be judged, and could be run: without this, what is granted to run
    // would be no bound.
    let program = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(NEVER_PROGRAM), 0)?;
    denied.insert(libc::SYS_memfd_create, vec![SeccompRule::new(vec![program])?]);
    if level != Level::Native {
        denied.extend(SHARED.iter().map(|call| (*call, Vec::new())));
        // The limits of others; its own are those of process 0.
        let others = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?;
        denied.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![others])?]);
    }
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut programs = vec![
        SeccompFilter::new(no_clone3, SeccompAction::Allow, missing, arch)?.try_into()?,
        SeccompFilter::new(denied, SeccompAction::Allow, refused, arch)?.try_into()?,
    ];
    if cfg!(target_arch = "x86_64") {
        programs.push(no_x32());
    }
    Ok(programs)
}

/// Sockets that there are not: all families but these. With namespaces the network is the server's own and empty;
/// without, it is the machine's, and there is no socket at all.
fn sockets(level: Level, allowed: Sockets) -> Result<Vec<SeccompRule>, BackendError> {
    if level != Level::Native {
        return Ok(Vec::new());
    }
    let not = |family: i32| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(family.unsigned_abs()));
    let files = (allowed == Sockets::Files).then_some(libc::AF_UNIX);
    let others = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].into_iter().chain(files).map(not).collect::<Result<_, _>>()?;
    Ok(vec![SeccompRule::new(others)?])
}

/// A second numbering of all system calls (x32), which the lists above do not know.
fn no_x32() -> BpfProgram {
    const NUMBER: u32 = 0;
    const X32: u32 = 0x4000_0000;
    let line = |code: u32, k: u32, jt: u8, jf: u8| sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k };
    vec![
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NUMBER, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, X32, 0, 1),
        line(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(), 0, 0),
        line(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]
}
