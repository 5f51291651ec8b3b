//! Standard input and output without a thread in between.
//!
//! The usual way hands every read and every write to a thread that may block, which costs two changes of
//! threads each. Pipes and sockets can be waited for like any connection. What must not happen is that
//! they are switched to non-blocking: that would change them for every process that has them too. So a
//! pipe is opened once more, which makes a description of its own, and a socket is asked call by call.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

/// Standard input, as directly as what it is allows.
pub fn input() -> Box<dyn AsyncRead + Unpin + Send> {
    let direct = || -> io::Result<Box<dyn AsyncRead + Unpin + Send>> {
        Ok(match kind(io::stdin().as_fd())? {
            FileType::Fifo => Box::new(pipe::Receiver::from_file(again("/proc/self/fd/0", OFlags::RDONLY)?)?),
            FileType::Socket => Box::new(Socket::of(io::stdin().as_fd())?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    };
    direct().unwrap_or_else(|_| Box::new(tokio::io::stdin()))
}

/// Standard output, as directly as what it is allows.
pub fn output() -> Box<dyn AsyncWrite + Unpin + Send> {
    let direct = || -> io::Result<Box<dyn AsyncWrite + Unpin + Send>> {
        Ok(match kind(io::stdout().as_fd())? {
            FileType::Fifo => Box::new(pipe::Sender::from_file(again("/proc/self/fd/1", OFlags::WRONLY)?)?),
            FileType::Socket => Box::new(Socket::of(io::stdout().as_fd())?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    };
    direct().unwrap_or_else(|_| Box::new(tokio::io::stdout()))
}

fn kind(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// The same pipe under a description of its own.
fn again(path: &str, how: OFlags) -> io::Result<File> {
    #[expect(clippy::disallowed_methods, reason = "the process's own standard input and output, opened once more")]
    let fd = rustix::fs::open(path, how | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    Ok(File::from(fd))
}

/// A socket that stays as it was for everybody else.
struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        // A type could answer with another descriptor each time it is asked; this one is owned and does not.
        #[expect(deprecated, reason = "what takes its place is `unsafe`, which this crate does without")]
        AsyncFd::new(fd.try_clone_to_owned()?).map(Self)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled();
            let read = guard.try_io(|fd| Ok(rustix::net::recv(fd, &mut *room, RecvFlags::DONTWAIT)?.0));
            if let Ok(read) = read {
                return Poll::Ready(read.map(|length| buffer.advance(length)));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            let sent = guard.try_io(|fd| Ok(rustix::net::send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?));
            if let Ok(sent) = sent {
                return Poll::Ready(sent);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_socket_is_read_and_written_and_stays_blocking_for_others() {
        let (ours, theirs) = UnixStream::pair().expect("pair");
        let (mut near, mut far) = (Socket::of(ours.as_fd()).expect("near"), Socket::of(theirs.as_fd()).expect("far"));
        // More than fits: the writer has to wait for the reader.
        let long = vec![b'x'; 4 * 1024 * 1024];
        let sent = long.clone();
        let writer = tokio::spawn(async move {
            near.write_all(&sent).await.expect("written");
            near
        });
        let mut got = vec![0; long.len()];
        far.read_exact(&mut got).await.expect("read");
        assert_eq!(got, long);
        let near = writer.await.expect("joined");
        assert!(!rustix::fs::fcntl_getfl(&ours).expect("flags").contains(OFlags::NONBLOCK));
        drop((near, ours));
        assert_eq!(far.read(&mut [0; 8]).await.expect("end"), 0);
    }
}
