//! A client at standard input: one message per line.

use std::sync::Arc;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::SIZE;
use bartizan_monitor::wire::envelope::{self, Arrival, Misread, Parsed};
use bartizan_monitor::wire::mirror::Mirror;
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Reply, UNREAD};
use crate::serve::{House, Visit, handle};
use crate::session::{Interim, Outbox, Talk};

/// Lines for the client, written whole and in order.
#[derive(Debug, Clone)]
pub struct Lines(mpsc::Sender<Bytes>);

/// How many lines wait for a client that does not read. Then notifications are dropped and answers
/// wait.
const BACKLOG: usize = 1024;

impl Lines {
    /// Starts writing to `output`.
    pub fn to<W: AsyncWrite + Unpin + Send + 'static>(mut output: W) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, mut lines) = mpsc::channel::<Bytes>(BACKLOG);
        let writer = tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                let mut text: Vec<u8> = line.to_vec();
                // Strict JSON has line ends only between tokens, where a space says the same.
                text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
                text.push(b'\n');
                if output.write_all(&text).await.is_err() || output.flush().await.is_err() {
                    return;
                }
            }
        });
        (Self(sender), writer)
    }

    async fn write(&self, line: Bytes) {
        // The client is gone: nobody is left to tell.
        let _ = self.0.send(line).await;
    }
}

impl Outbox for Lines {
    fn post(&self, message: Bytes) {
        let _ = self.0.try_send(message);
    }
}

/// Reads messages until the client leaves, each handled as it comes; waits for those that run.
pub async fn serve<R: AsyncRead + Unpin>(house: &Arc<House>, talk: &Arc<Talk>, input: R, lines: &Lines) -> std::io::Result<()> {
    let most = house.settings.limits.message_bytes;
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let line = tokio::select! {
            line = next_line(&mut input, most) => line?,
            () = house.drained() => break,
        };
        let Some(line) = line else { break };
        let arrival = match line {
            Line::Blank => continue,
            Line::Whole(bytes) => envelope::parse(bytes, &Mirror::none(), talk.negotiated().map(|settled| settled.version)),
            Line::TooLong => too_long(most),
        };
        accept(house, talk, lines, arrival, &mut running).await;
    }
    // The client is gone or is asked to wait: what runs gets until the deadline, and is then dropped.
    let _ = tokio::time::timeout(house.settings.limits.drain, async { while running.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn accept(house: &Arc<House>, talk: &Arc<Talk>, lines: &Lines, arrival: Arrival, running: &mut JoinSet<()>) {
    match arrival {
        Arrival::One(message) => {
            // What must be known before the next line is read is handled before it is read.
            if is_settling(&message) {
                one(house.clone(), talk.clone(), lines.clone(), *message).await;
            } else {
                running.spawn(one(house.clone(), talk.clone(), lines.clone(), *message));
            }
        }
        Arrival::Batch(messages) => {
            running.spawn(batch(house.clone(), talk.clone(), lines.clone(), messages));
        }
    }
}

/// Whether the meaning of later messages depends on this one: the handshake settles the version, and
/// notifications take effect in the order in which they were sent.
fn is_settling(message: &Result<Parsed, Misread>) -> bool {
    message
        .as_ref()
        .is_ok_and(|parsed| parsed.id().is_none() || parsed.method() == Some(bartizan_monitor::wire::method::Method::Initialize))
}

async fn one(house: Arc<House>, talk: Arc<Talk>, lines: Lines, message: Result<Parsed, Misread>) {
    if let Some(reply) = run(&house, &talk, &lines, message).await.filter(|reply| reply.awaited) {
        lines.write(reply.message).await;
    }
}

async fn batch(house: Arc<House>, talk: Arc<Talk>, lines: Lines, messages: Vec<Result<Parsed, Misread>>) {
    let replies = futures_util::future::join_all(messages.into_iter().map(|message| run(&house, &talk, &lines, message))).await;
    if let Some(array) = array(replies) {
        lines.write(array).await;
    }
}

/// The answers to a batch; none when nothing in it waits for an answer.
pub(super) fn array(replies: Vec<Option<Reply>>) -> Option<Bytes> {
    let awaited: Vec<Bytes> = replies.into_iter().flatten().filter(|reply| reply.awaited).map(|reply| reply.message).collect();
    (!awaited.is_empty()).then(|| {
        let mut out = vec![b'['];
        out.extend_from_slice(&awaited.join(&b','));
        out.push(b']');
        Bytes::from(out)
    })
}

/// Handles one message; what comes before its answer is written as it comes.
async fn run(house: &Arc<House>, talk: &Arc<Talk>, lines: &Lines, message: Result<Parsed, Misread>) -> Option<Reply> {
    let (interim, mut early) = mpsc::channel(256);
    let handled = handle(house, Visit { talk, interim }, message);
    let forward = async {
        while let Some(item) = early.recv().await {
            if let Interim::Message(message) = item {
                lines.write(message).await;
            }
        }
    };
    // The channel closes when the visit ends, so both end; what was said before comes first.
    let (reply, ()) = tokio::join!(handled, forward);
    reply
}

enum Line {
    Blank,
    Whole(Bytes),
    TooLong,
}

async fn next_line<R: AsyncRead + Unpin>(input: &mut BufReader<R>, most: usize) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    if (&mut *input).take(limit).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    if line.len() > most && line.last() != Some(&b'\n') {
        skip_line(input).await?;
        return Ok(Some(Line::TooLong));
    }
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(Some(Line::Blank));
    }
    Ok(Some(Line::Whole(Bytes::from(line))))
}

/// Passes the rest of a line without keeping it.
async fn skip_line<R: AsyncRead + Unpin>(input: &mut BufReader<R>) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end.saturating_add(1));
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn too_long(most: usize) -> Arrival {
    let refusal = Refusal::new(SIZE, format!("a line of more than {most} bytes"));
    Arrival::One(Box::new(Err(Misread { id: None, era: UNREAD, refusal })))
}
