//! A client at standard input: one message per line.

pub mod pipe;

use std::sync::Arc;

use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::SIZE;
use bartizan_monitor::wire::envelope::{self, Arrival, Misread, Parsed};
use bartizan_monitor::wire::mirror::Mirror;
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Reply, Text, UNREAD};
use crate::clock::Stopwatch;
use crate::serve::{House, Visit, handle};
use crate::session::{Interim, Outbox, Talk};

/// Lines for the client, written whole and in order.
#[derive(Debug, Clone)]
pub struct Lines {
    sender: mpsc::Sender<(Text, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// How many lines wait for a client that does not read, and how many bytes of them. Then notifications are dropped,
/// answers wait, and in the end nothing is read from the client either.
const BACKLOG: usize = 1024;
const BACKLOG_BYTES: u32 = 32 * 1024 * 1024;
/// How many messages may be in the works beside calls: refusals, notifications, answers to servers' questions.
const BESIDE: usize = 16;

impl Lines {
    /// Starts writing to `output`.
    pub fn to<W: AsyncWrite + Unpin + Send + 'static>(mut output: W) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, mut lines) = mpsc::channel::<(Text, OwnedSemaphorePermit)>(BACKLOG);
        let writer = tokio::spawn(async move {
            // The room of a line is free again when it is written.
            while let Some((line, _room)) = lines.recv().await {
                if write(&mut output, line).await.is_err() {
                    return;
                }
            }
        });
        (Self { sender, room: Arc::new(Semaphore::new(BACKLOG_BYTES as usize)) }, writer)
    }

    async fn write(&self, line: impl Into<Text>) {
        let line = line.into();
        // Neither fails unless the client is gone: then nobody is left to tell.
        if let Ok(room) = self.room.clone().acquire_many_owned(weight(&line)).await {
            let _ = self.sender.send((line, room)).await;
        }
    }
}

/// Writes a message as one line.
async fn write<W: AsyncWrite + Unpin>(output: &mut W, mut line: Text) -> std::io::Result<()> {
    while let Some(mut part) = line.next_part() {
        let broken = part.contains(&b'\n') || part.contains(&b'\r');
        if broken || line.is_empty() {
            let mut text = part.to_vec();
            // Strict JSON has line ends only between tokens, where a space says the same.
            text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
            if line.is_empty() {
                text.push(b'\n');
            }
            part = text.into();
        }
        output.write_all(&part).await?;
    }
    output.flush().await
}

/// The room that a line takes: one that is larger than all of it waits until everything before it is written.
fn weight(line: &Text) -> u32 {
    u32::try_from(line.remaining()).unwrap_or(u32::MAX).clamp(1, BACKLOG_BYTES)
}

impl Outbox for Lines {
    fn post(&self, message: Bytes) -> bool {
        let message = Text::from(message);
        let room = self.room.clone().try_acquire_many_owned(weight(&message));
        room.is_ok_and(|room| self.sender.try_send((message, room)).is_ok())
    }

    fn is_read(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// Reads messages until the client leaves, each handled as it comes; waits for those that run.
pub async fn serve<R: AsyncRead + Unpin>(house: &Arc<House>, talk: &Arc<Talk>, input: R, lines: &Lines) -> std::io::Result<()> {
    let most = house.settings.limits.message_bytes;
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut running = JoinSet::new();
    // A client that writes and does not read is not read either, before what it is owed fills the memory. Calls alone
    // never take all the slots: what they may wait for is always read.
    let slots = Arc::new(Semaphore::new(house.settings.limits.calls_per_session.saturating_add(BESIDE)));
    loop {
        while running.try_join_next().is_some() {}
        let (slot, line) = tokio::select! {
            next = async { (slots.clone().acquire_owned().await, next_line(&mut input, most).await) } => next,
            () = house.drained() => break,
        };
        let (Ok(slot), line) = (slot, line?) else { break };
        let Some(line) = line else { break };
        let arrival = match line {
            Line::Blank => continue,
            Line::Whole(bytes) => envelope::parse(bytes, &Mirror::none(), talk.negotiated().map(|settled| settled.version)),
            Line::TooLong => too_long(most),
        };
        let client = Client { house: house.clone(), talk: talk.clone(), lines: lines.clone(), _slot: slot };
        let settled = accept(client, arrival, &mut running);
        tokio::select! {
            // Its end is that of the task, however it ends.
            _ = settled => {}
            () = house.drained() => break,
        }
    }
    // The client is gone or is asked to wait: what runs gets until the deadline, and is then dropped.
    let _ = tokio::time::timeout(house.settings.limits.drain, async { while running.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Everything that is needed to handle a message and to write what comes of it.
struct Client {
    house: Arc<House>,
    talk: Arc<Talk>,
    lines: Lines,
    _slot: OwnedSemaphorePermit,
}

/// Starts handling what came. Returns when the next line may be read: what must be known before that is handled
/// before that.
fn accept(client: Client, arrival: Arrival, running: &mut JoinSet<()>) -> oneshot::Receiver<()> {
    let (done, settled) = oneshot::channel();
    match arrival {
        Arrival::One(message) => {
            let hold = is_settling(&message).then_some(done);
            running.spawn(async move {
                client.one(*message).await;
                drop(hold);
            });
        }
        Arrival::Batch(messages) => {
            drop(done);
            running.spawn(async move { client.batch(messages).await });
        }
    }
    settled
}

/// Whether the meaning of later messages depends on this one: the handshake settles the version, and
/// notifications take effect in the order in which they were sent.
fn is_settling(message: &Result<Parsed, Misread>) -> bool {
    message
        .as_ref()
        .is_ok_and(|parsed| parsed.id().is_none() || parsed.method() == Some(bartizan_monitor::wire::method::Method::Initialize))
}

impl Client {
    async fn one(&self, message: Result<Parsed, Misread>) {
        if let Some(reply) = self.run(message).await.filter(|reply| reply.awaited) {
            self.lines.write(reply.message).await;
        }
    }

    async fn batch(&self, messages: Vec<Result<Parsed, Misread>>) {
        let replies = futures_util::future::join_all(messages.into_iter().map(|message| self.run(message))).await;
        if let Some(array) = array(replies) {
            self.lines.write(array).await;
        }
    }

    /// Handles one message; what comes before its answer is written as it comes.
    async fn run(&self, message: Result<Parsed, Misread>) -> Option<Reply> {
        let (interim, mut early) = mpsc::channel(256);
        let handled =
            handle(&self.house, Visit { talk: &self.talk, peer: None, interim, arrived: Stopwatch::start(), parent: None }, message);
        let forward = async {
            while let Some(item) = early.recv().await {
                if let Interim::Message(message) | Interim::Ask(_, message) = item {
                    self.lines.write(message).await;
                }
            }
        };
        // The channel closes when the visit ends, so both end; what was said before comes first.
        let (reply, ()) = tokio::join!(handled, forward);
        reply
    }
}

/// The answers to a batch; none when nothing in it waits for an answer.
pub(super) fn array(replies: Vec<Option<Reply>>) -> Option<Bytes> {
    let awaited: Vec<Bytes> = replies.into_iter().flatten().filter(|reply| reply.awaited).map(|reply| reply.message.whole()).collect();
    (!awaited.is_empty()).then(|| {
        let mut out = vec![b'['];
        out.extend_from_slice(&awaited.join(&b','));
        out.push(b']');
        Bytes::from(out)
    })
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

#[cfg(test)]
mod tests {
    use bartizan_monitor::wire::json::{Json, Members};

    use super::*;

    #[tokio::test]
    async fn a_message_is_one_line_in_however_many_parts_it_comes() {
        for (length, space) in [(1, "\r\n"), (1, ""), (40_000, "\n"), (40_000, "")] {
            let body = Json::parse(format!("[{space}\"{}\"]", "x".repeat(length)).into()).expect("json");
            let mut out = Vec::new();
            write(&mut out, Text::of(Members::new(), "result", &body)).await.expect("written");
            let text = format!("{{\"result\":[{}\"{}\"]}}\n", " ".repeat(space.len()), "x".repeat(length));
            assert_eq!(String::from_utf8(out).expect("text"), text);
        }
    }
}
