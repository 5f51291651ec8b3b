//! Bytes in both directions.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{IDLE, MOST};

/// Carries bytes both ways, and counts them, until both sides are done, too much passed, or nobody says anything.
pub(super) async fn pump(near: &mut TcpStream, far: &mut TcpStream, (sent, received): (&mut u64, &mut u64)) -> io::Result<()> {
    let (mut ours, mut theirs) = (vec![0_u8; 32 * 1024], vec![0_u8; 32 * 1024]);
    let (mut near_read, mut near_write) = near.split();
    let (mut far_read, mut far_write) = far.split();
    let (mut near_open, mut far_open) = (true, true);
    while near_open || far_open {
        tokio::select! {
            read = near_read.read(&mut ours), if near_open => match read? {
                0 => {
                    near_open = false;
                    far_write.shutdown().await?;
                }
                length => {
                    far_write.write_all(ours.get(..length).unwrap_or_default()).await?;
                    *sent = sent.saturating_add(u64::try_from(length).unwrap_or_default());
                }
            },
            read = far_read.read(&mut theirs), if far_open => match read? {
                0 => {
                    far_open = false;
                    near_write.shutdown().await?;
                }
                length => {
                    near_write.write_all(theirs.get(..length).unwrap_or_default()).await?;
                    *received = received.saturating_add(u64::try_from(length).unwrap_or_default());
                }
            },
            () = tokio::time::sleep(IDLE) => return Err(io::ErrorKind::TimedOut.into()),
        }
        if sent.saturating_add(*received) > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    Ok(())
}
