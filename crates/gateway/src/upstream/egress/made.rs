//! A connection that a server was let out with, until it is in the record.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::pump::Passed;
use super::{Exit, Target};

/// A connection that was made. It is written down when it ends, however that comes about.
#[derive(Debug)]
pub(super) struct Made<'a> {
    exit: &'a Exit,
    pub(super) target: Target,
    address: SocketAddr,
    pub(super) onward: TcpStream,
    pub(super) passed: Passed,
    /// Whether it was written down as refused.
    refused: bool,
}

impl<'a> Made<'a> {
    pub(super) fn new(exit: &'a Exit, target: Target, onward: TcpStream) -> io::Result<Self> {
        let address = onward.peer_addr()?;
        Ok(Self { exit, target, address, onward, passed: Passed::default(), refused: false })
    }

    /// It comes to nothing, for what was said over it.
    pub(super) fn refuse(mut self, why: &str) {
        self.exit.refused(&self.target, why);
        self.refused = true;
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if !self.refused {
            let [sent, received] = [&mut self.passed.sent, &mut self.passed.received].map(|count| *count.get_mut());
            self.exit.passed(&self.target, self.address, sent, received);
        }
    }
}
