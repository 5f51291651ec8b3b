//! Group commit: one thread waits for the disk, on behalf of all calls that need it.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::writer::Writer;

/// Up to which line all is on disk, or why nothing will be any more.
type Synced = Result<u64, String>;

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Syncer {
    bell: Arc<Bell>,
    synced: watch::Receiver<Synced>,
    thread: Option<JoinHandle<()>>,
}

/// Wakes the thread.
#[derive(Debug, Default)]
struct Bell {
    wanted: Mutex<Wanted>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    line: u64,
    over: bool,
}

impl Bell {
    fn change(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        self.rung.notify_one();
    }

    /// Waits until a line after `synced` is wanted on disk; `false` when it is over.
    fn wait(&self, synced: u64) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |wanted: &mut Wanted| wanted.line <= synced && !wanted.over;
        let wanted = self.rung.wait_while(wanted, idle).unwrap_or_else(PoisonError::into_inner);
        wanted.line > synced
    }
}

impl Syncer {
    /// Starts the thread for a file and its writer.
    pub(super) fn start(file: File, writer: Arc<Writer>) -> io::Result<Self> {
        let (publish, synced) = watch::channel(Ok(0));
        let bell = Arc::new(Bell::default());
        let heard = bell.clone();
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || commit(&file, &writer, &heard, &publish))?;
        Ok(Self { bell, synced, thread: Some(thread) })
    }

    /// Waits until a line is on disk.
    pub(super) async fn wait_for(&self, line: u64) -> Result<(), String> {
        self.bell.change(|wanted| wanted.line = wanted.line.max(line));
        let mut synced = self.synced.clone();
        let state = synced.wait_for(|synced| synced.as_ref().is_err() || synced.as_ref().is_ok_and(|upto| *upto >= line)).await;
        match state.map(|state| state.clone()) {
            Ok(synced) => synced.map(|_| ()),
            Err(_) => Err("the journal was closed".to_owned()),
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.bell.change(|wanted| wanted.over = true);
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, nobody waits for it any more.
            let _ = thread.join();
        }
    }
}

fn commit(file: &File, writer: &Writer, bell: &Bell, publish: &watch::Sender<Synced>) {
    let mut synced = 0;
    while bell.wait(synced) {
        // Everything that was written up to now goes to disk with one call, whoever wrote it.
        let written = writer.written();
        if let Err(error) = file.sync_data() {
            // The kernel may have dropped the pages: trying again would only pretend.
            let reason = writer.kill(&error);
            publish.send_modify(|synced| *synced = Err(reason));
            return;
        }
        synced = written;
        publish.send_modify(|synced| *synced = Ok(written));
    }
}
