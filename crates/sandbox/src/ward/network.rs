//! A network of its own: a loopback device and nothing else. The doors are listeners in it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::report::{Doors, PROXY};

/// How many connections may wait.
const BACKLOG: i32 = 64;

fn socket(kind: SocketType) -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

/// Switches the loopback device on.
pub(super) fn up() -> io::Result<()> {
    let socket = socket(SocketType::DGRAM)?;
    // SAFETY: zero is a value for every member of this structure.
    #[expect(unsafe_code, reason = "a structure of the kernel's")]
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo\0") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or_default();
    // SAFETY: the structure is a complete request with a name that ends in NUL, and outlives the call.
    #[expect(unsafe_code, reason = "no library offers this request")]
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the doors. They stay in this network, whoever holds them.
pub(super) fn doors() -> io::Result<Doors> {
    let listener = |address: Ipv4Addr, port: u16| {
        let socket = socket(SocketType::STREAM)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(address, port))?;
        listen(&socket, BACKLOG)?;
        Ok::<_, io::Error>(socket)
    };
    let names = socket(SocketType::DGRAM)?;
    bind(&names, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53))?;
    Ok(Doors {
        proxy: listener(Ipv4Addr::LOCALHOST, PROXY)?,
        names,
        http: listener(Ipv4Addr::UNSPECIFIED, 80)?,
        https: listener(Ipv4Addr::UNSPECIFIED, 443)?,
    })
}
