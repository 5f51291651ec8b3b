//! One JSON-RPC message a line, answered in order.

use std::io::{BufRead as _, BufReader, Result, Write as _};

use crate::rpc::{Answer, Server};

/// Serves until the input ends.
pub(crate) fn serve(server: &Server) -> Result<()> {
    let mut input = BufReader::with_capacity(1 << 18, std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let marker = memchr::memmem::Finder::new("io.modelcontextprotocol/protocolVersion");
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // A 2026-07-28 request names its revision in its own _meta.
        let modern = marker.find(&line).is_some();
        if let Answer::Body(mut out) | Answer::Initialized(mut out) = server.answer(&line, modern) {
            out.push(b'\n');
            output.write_all(&out)?;
            output.flush()?;
        }
    }
}
