//! Lanes: one thread for each core, with a runtime of its own. A client's connection stays on the lane that it was given,
//! and so do the connections to servers that its calls use: a call wakes no other core on its way (decision 0044).

use std::cell::Cell;
use std::io;
use std::iter::once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::{Builder, JoinHandle, available_parallelism};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

/// More than any machine needs, for machines that report anything.
const MOST: usize = 128;
/// How long work on the side that has begun (looking through a long answer) may take to end with its lane.
const ENDING: Duration = Duration::from_secs(10);

/// A runtime that is given a timer earlier than all that it has tells itself so by a system call. As long as one is always as
/// near as this, those of requests (ten seconds and more) are none.
const NEAR: Duration = Duration::from_secs(2);

thread_local! {
    static HERE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// How many lanes there are: as many as cores that this process may use.
pub(crate) fn count() -> usize {
    static COUNT: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, usize::from).min(MOST));
    *COUNT
}

/// The number of the lane that this thread is, below [`count`]; none of all other threads.
pub(crate) fn here() -> Option<usize> {
    HERE.get()
}

/// The lanes of a gateway.
pub(crate) struct Lanes {
    first: Lane,
    others: Vec<Lane>,
}

struct Lane {
    handle: Handle,
    load: Arc<Load>,
    /// Dropped, it tells the thread to end.
    open: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What is on a lane.
#[derive(Default)]
struct Load {
    /// Connections over which something was called.
    callers: AtomicUsize,
    connections: AtomicUsize,
}

/// A connection's place on a lane, as long as it lasts.
pub(crate) struct Seat {
    load: Arc<Load>,
    calls: AtomicBool,
}

impl Lanes {
    /// Starts the threads.
    pub(crate) fn open() -> io::Result<Self> {
        let others = (1..count()).map(Lane::open).collect::<io::Result<_>>()?;
        Ok(Self { first: Lane::open(0)?, others })
    }

    /// Where the next connection is served: where the fewest are that call, and of these where the fewest are. Those that
    /// are merely listened on are no work, and in turns they would often share a lane with no caller.
    pub(crate) fn seat(&self) -> (&Handle, Seat) {
        let lane = once(&self.first).chain(&self.others).min_by_key(|lane| lane.load.both()).unwrap_or(&self.first);
        lane.load.connections.fetch_add(1, Ordering::Relaxed);
        (&lane.handle, Seat { load: lane.load.clone(), calls: AtomicBool::new(false) })
    }

    /// Ends what still runs, and waits until it has ended: whoever had something to write down has written it.
    pub(crate) fn end(self) {
        let threads: Vec<_> = once(self.first).chain(self.others).map(Lane::close).collect();
        for thread in threads {
            // One that panicked has ended, too.
            let _ = thread.join();
        }
    }
}

impl Lane {
    fn open(number: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (open, closed) = oneshot::channel();
        let thread = Builder::new().name(format!("lane-{number}")).spawn(move || serve(runtime, number, closed))?;
        Ok(Self { handle, load: Arc::default(), open, thread })
    }

    /// Tells the thread to end.
    fn close(self) -> JoinHandle<()> {
        drop(self.open);
        self.thread
    }
}

fn serve(runtime: Runtime, number: usize, closed: oneshot::Receiver<()>) {
    HERE.set(Some(number));
    runtime.block_on(async {
        tokio::pin!(closed);
        // Nothing is ever sent: it ends when the other side is gone.
        while tokio::time::timeout(NEAR, &mut closed).await.is_err() {}
    });
    runtime.shutdown_timeout(ENDING);
}

impl Load {
    fn both(&self) -> (usize, usize) {
        (self.callers.load(Ordering::Relaxed), self.connections.load(Ordering::Relaxed))
    }
}

impl Seat {
    /// Something is called over this connection.
    pub(crate) fn calls(&self) {
        if !self.calls.swap(true, Ordering::Relaxed) {
            self.load.callers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Ordering::Relaxed);
        if *self.calls.get_mut() {
            self.load.callers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::future::pending;

    use super::*;

    fn lane(lanes: &Lanes) -> (usize, Seat) {
        let (handle, seat) = lanes.seat();
        let (tell, told) = oneshot::channel();
        handle.spawn(async move { tell.send(here()) });
        (told.blocking_recv().expect("it runs").expect("on a lane"), seat)
    }

    #[test]
    fn those_who_call_are_spread_and_so_are_those_who_only_listen() {
        let lanes = Lanes::open().expect("threads");
        let mut seats = Vec::new();
        let mut called = HashSet::new();
        for _ in 0..count() {
            // As clients come: one connection to call over, then one to listen on.
            let (number, seat) = lane(&lanes);
            seat.calls();
            seat.calls();
            called.insert(number);
            seats.push(seat);
            seats.push(lane(&lanes).1);
        }
        assert_eq!(called.len(), count());
        assert_eq!(lanes.first.load.both(), (1, 2));
        drop(seats);
        assert_eq!(lanes.first.load.both(), (0, 0));
        assert_eq!(here(), None);
        lanes.end();
    }

    #[test]
    fn what_still_runs_has_ended_with_the_lanes() {
        let lanes = Lanes::open().expect("threads");
        let alive = Arc::new(());
        let (begun, begins) = oneshot::channel();
        let (waits, works) = (alive.clone(), alive.clone());
        lanes.seat().0.spawn(async move {
            let work = tokio::task::spawn_blocking(move || {
                let _ = begun.send(());
                std::thread::sleep(Duration::from_millis(200));
                drop(works);
            });
            let _ = work.await;
            pending::<()>().await;
            drop(waits);
        });
        begins.blocking_recv().expect("it begins");
        lanes.end();
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
