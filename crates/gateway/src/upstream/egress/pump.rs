//! Bytes in both directions. The kernel moves them from one connection to the other: nobody here looks at them any more.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{IDLE, MOST};

/// How much is moved at once: as much as a pipe holds.
const PART: usize = 64 * 1024;
/// How often it is looked whether anybody says anything while nobody does.
const LOOKS: u32 = 10;

/// What passed so far, in both directions.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl Passed {
    fn all(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).saturating_add(self.received.load(Ordering::Relaxed))
    }
}

/// Carries bytes both ways, and counts them, until both sides are done, too much passed, or nobody says anything.
pub(super) async fn pump(near: &TcpStream, far: &TcpStream, passed: &Passed) -> io::Result<()> {
    let both =
        async { tokio::try_join!(carry(near, far, u64::MAX, passed, &passed.sent), carry(far, near, u64::MAX, passed, &passed.received)) };
    tokio::select! {
        ended = both => ended.map(drop),
        () = silence(passed) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Carries so much of a request as is left, and its answer to the end, which may come before the request was taken.
pub(super) async fn exchange(near: &TcpStream, far: &TcpStream, left: u64, passed: &Passed) -> io::Result<()> {
    let asked = carry(near, far, left, passed, &passed.sent);
    let mut answered = pin!(carry(far, near, u64::MAX, passed, &passed.received));
    let both = async {
        tokio::select! {
            _ = asked => answered.as_mut().await,
            ended = answered.as_mut() => ended,
        }
    };
    tokio::select! {
        ended = both => ended,
        () = silence(passed) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Carries so many bytes one way, or what there is until that side is done.
async fn carry(from: &TcpStream, to: &TcpStream, mut left: u64, passed: &Passed, count: &AtomicU64) -> io::Result<()> {
    let (out, into) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    while left > 0 {
        let taken = take(from, &into, usize::try_from(left).unwrap_or(PART).min(PART)).await?;
        if taken == 0 {
            return end(to);
        }
        give(&out, to, taken, count).await?;
        left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
        if passed.all() > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    Ok(())
}

/// Says that nothing follows. To who is gone already nothing needs to be said, and what it sent may still be on its way.
fn end(to: &TcpStream) -> io::Result<()> {
    match shutdown(to, Shutdown::Write) {
        Ok(()) | Err(Errno::NOTCONN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes what is there into an empty pipe; nothing is the end.
async fn take(from: &TcpStream, pipe: &OwnedFd, most: usize) -> io::Result<usize> {
    from.async_io(Interest::READABLE, || Ok(splice(from, None, pipe, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)).await
}

/// Gives all that is in a pipe, and counts what was given.
async fn give(pipe: &OwnedFd, to: &TcpStream, mut left: usize, count: &AtomicU64) -> io::Result<()> {
    while left > 0 {
        let given = || Ok(splice(pipe, None, to, None, left, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?);
        match to.async_io(Interest::WRITABLE, given).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            given => {
                left = left.saturating_sub(given);
                count.fetch_add(u64::try_from(given).unwrap_or_default(), Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

/// Ends when nothing passed for as long as a connection may be silent.
async fn silence(passed: &Passed) {
    let (mut before, mut looks) = (0, 0_u32);
    while looks < LOOKS {
        tokio::time::sleep(IDLE / LOOKS).await;
        let now = passed.all();
        looks = if now == before { looks.saturating_add(1) } else { 0 };
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::dial;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// The two ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        listener.set_nonblocking(true).expect("nonblocking");
        let port = listener.local_addr().expect("an address").port();
        let listener = TcpListener::from_std(listener).expect("a listener");
        let connected = dial::listed("127.0.0.1", port, &|_| true).await.expect("connected");
        (connected, listener.accept().await.expect("accepted").0)
    }

    #[tokio::test]
    async fn every_byte_arrives_in_order_and_is_counted_and_ends_are_passed_on() {
        let ((mut client, near), (far, mut server)) = (pair().await, pair().await);
        let pumped = tokio::spawn(async move {
            let passed = Passed::default();
            pump(&near, &far, &passed).await.map(|()| (passed.sent.into_inner(), passed.received.into_inner()))
        });
        let large: Vec<u8> = (0..3_000_001_u32).map(|number| number.to_le_bytes()[1]).collect();
        let asked = large.clone();
        let client = tokio::spawn(async move {
            client.write_all(&asked).await.expect("written");
            client.shutdown().await.expect("shut");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("read");
            answer
        });
        let mut arrived = Vec::new();
        server.read_to_end(&mut arrived).await.expect("read");
        assert!(arrived == large, "{} bytes arrived", arrived.len());
        // After one end the other direction goes on.
        server.write_all(b"done").await.expect("written");
        drop(server);
        assert_eq!(client.await.expect("ended"), b"done");
        assert_eq!(pumped.await.expect("ended").expect("carried"), (3_000_001, 4));
    }

    #[tokio::test]
    async fn of_a_request_no_more_passes_than_was_judged_and_its_answer_to_the_end() {
        let ((mut client, near), (far, mut server)) = (pair().await, pair().await);
        let passed = Passed::default();
        let said = async {
            client.write_all(b"bodyGET /second HTTP/1.1").await.expect("written");
            let mut body = [0; 4];
            server.read_exact(&mut body).await.expect("read");
            server.write_all(b"answer").await.expect("written");
            drop(server);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("read");
            (body, answer)
        };
        let (ended, (body, answer)) = tokio::join!(exchange(&near, &far, 4, &passed), said);
        ended.expect("carried");
        assert_eq!((&body, answer.as_slice(), passed.all()), (b"body", b"answer".as_slice(), 10));
    }

    #[tokio::test]
    async fn a_side_that_is_gone_ends_it() {
        let ((client, near), (far, mut server)) = (pair().await, pair().await);
        let pumped = tokio::spawn(async move { pump(&near, &far, &Passed::default()).await });
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).await.expect("read"), 0);
        drop(server);
        pumped.await.expect("ended").expect("both ended");
    }

    #[tokio::test]
    async fn what_passed_is_counted_before_the_end_and_whoever_is_gone_is_told_nothing() {
        let ((mut client, near), (far, server)) = (pair().await, pair().await);
        let passed = Passed::default();
        let pumped = async {
            client.write_all(b"hello").await.expect("written");
            while passed.sent.load(Ordering::Relaxed) < 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = pump(&near, &far, &passed) => panic!("nobody ended it: {ended:?}"),
            () = pumped => {}
        }
        // Closed with something unread, which resets the connection.
        drop(server);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        end(&far).expect("who is gone needs no word");
    }
}
