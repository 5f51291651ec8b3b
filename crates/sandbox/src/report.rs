//! What was actually enforced: told by the confined process itself, before any of the server's code runs.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::asked::Recorder;
use crate::confinement::Level;

/// Whether one layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it was wanted.
    Enforced,
    /// Less than was wanted.
    Partial,
    /// Not at all.
    Absent,
}

impl State {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Partial => "partial",
            Self::Absent => "absent",
        }
    }
}

/// One layer of a confinement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it is.
    pub name: String,
    /// Whether it holds.
    pub state: State,
    /// More about it; mostly what is missing.
    pub detail: String,
}

impl Layer {
    /// Whether it holds, and what there is to say about that.
    #[must_use]
    pub fn told(&self) -> String {
        if self.detail.is_empty() { self.state.name().to_owned() } else { format!("{}: {}", self.state.name(), self.detail) }
    }

    pub(crate) fn new(name: &str, state: State, detail: impl fmt::Display) -> Self {
        Self { name: name.to_owned(), state, detail: detail.to_string().replace(['\n', '\t'], " ") }
    }
}

/// What was actually enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How strong that is.
    pub level: Level,
    /// Its layers.
    pub layers: Vec<Layer>,
}

/// Listeners inside a server's own, otherwise empty network. Whoever connects to them is that server.
#[derive(Debug)]
pub struct Doors {
    /// TCP 127.0.0.1:[`PROXY`]: an HTTP proxy is expected here.
    pub proxy: OwnedFd,
    /// UDP 127.0.0.1:53: names.
    pub names: OwnedFd,
    /// TCP, every address, port 80.
    pub http: OwnedFd,
    /// TCP, every address, port 443.
    pub https: OwnedFd,
}

/// What comes with a report, beside words.
#[derive(Debug, Default)]
pub struct Handed {
    /// The way out of an otherwise empty network.
    pub doors: Option<Doors>,
    /// What it asks for, where that is recorded.
    pub recorder: Option<Recorder>,
}

/// The layer that says whether what a server asks for is told of.
pub(crate) const RECORDING: &str = "recording";

/// The port of the proxy inside a server's own network.
pub const PROXY: u16 = 3128;
/// More than any report has.
const MOST: usize = 16 * 1024;

/// What comes over the channel.
#[derive(Debug)]
pub(crate) enum Told {
    Confined(Report, Handed),
    /// It does not start, and why.
    Refused(String),
}

impl Report {
    fn text(&self) -> String {
        let layers = self.layers.iter().map(|layer| format!("\n{}\t{}\t{}", layer.name, layer.state.name(), layer.detail));
        format!("confined\t{}{}", self.level.name(), layers.collect::<String>())
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let level = Level::read(lines.next()?.strip_prefix("confined\t")?)?;
        let layer = |line: &str| {
            let mut parts = line.splitn(3, '\t');
            let (name, state, detail) = (parts.next()?, parts.next()?, parts.next()?);
            let state = [State::Enforced, State::Partial, State::Absent].into_iter().find(|one| one.name() == state)?;
            Some(Layer { name: name.to_owned(), state, detail: detail.to_owned() })
        };
        Some(Self { level, layers: lines.map(layer).collect::<Option<_>>()? })
    }
}

/// Tells the gateway what holds, and hands it the doors and what the server asks for.
pub(crate) fn confined(
    channel: BorrowedFd<'_>,
    report: &Report,
    doors: Option<&Doors>,
    listener: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let doors = doors.iter().flat_map(|doors| [&doors.proxy, &doors.names, &doors.http, &doors.https]).map(AsFd::as_fd);
    let handed: Vec<BorrowedFd<'_>> = doors.chain(listener).collect();
    send(channel, &report.text(), &handed)
}

/// Tells the gateway that the server does not start.
pub(crate) fn refused(channel: BorrowedFd<'_>, why: &str) -> io::Result<()> {
    send(channel, &format!("refused\t{why}"), &[])
}

fn send(channel: BorrowedFd<'_>, text: &str, handed: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !handed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(handed)) {
        return Err(io::Error::other("too many descriptors"));
    }
    sendmsg(channel, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes what was told. It is one message.
pub(crate) fn receive(channel: BorrowedFd<'_>) -> io::Result<Told> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; MOST];
    let received = recvmsg(channel, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)?;
    let mut handed: Vec<OwnedFd> = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<OwnedFd>>(),
            _ => Vec::new(),
        })
        .collect();
    let text = String::from_utf8_lossy(bytes.get(..received.bytes).unwrap_or_default()).into_owned();
    if let Some(why) = text.strip_prefix("refused\t") {
        return Ok(Told::Refused(why.to_owned()));
    }
    let Some(report) = Report::read(&text) else {
        return Err(io::Error::other("the guard ended before it said how the server is confined"));
    };
    let is_recorded = report.layers.iter().any(|layer| layer.name == RECORDING && layer.state == State::Enforced);
    // The last one, after the doors.
    let recorder = if is_recorded { handed.pop().map(Recorder::new) } else { None };
    let doors = <[OwnedFd; 4]>::try_from(handed).ok().map(|[proxy, names, http, https]| Doors { proxy, names, http, https });
    Ok(Told::Confined(report, Handed { doors, recorder }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_report_arrives_with_its_doors() {
        let (near, far) = UnixStream::pair().expect("a pair");
        let layers = vec![Layer::new("landlock", State::Enforced, "6"), Layer::new("memory", State::Absent, "no\ngroup\there")];
        let report = Report { level: Level::Native, layers };
        let other = || OwnedFd::from(UnixStream::pair().expect("a pair").0);
        confined(near.as_fd(), &report, Some(&Doors { proxy: other(), names: other(), http: other(), https: other() }), None)
            .expect("sent");
        let Ok(Told::Confined(read, Handed { doors: Some(_), recorder: None })) = receive(far.as_fd()) else { panic!("no report") };
        assert_eq!(read, report);
        let layers = vec![Layer::new(RECORDING, State::Enforced, "")];
        confined(near.as_fd(), &Report { level: Level::Native, layers }, None, Some(other().as_fd())).expect("sent");
        assert!(matches!(receive(far.as_fd()), Ok(Told::Confined(_, Handed { doors: None, recorder: Some(_) }))));
        refused(near.as_fd(), "a\nb").expect("sent");
        assert!(matches!(receive(far.as_fd()), Ok(Told::Refused(why)) if why == "a\nb"));
        drop(near);
        assert!(receive(far.as_fd()).is_err());
    }
}
