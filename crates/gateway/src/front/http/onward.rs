//! Work that outlives whoever waits for it.
//!
//! A call of a session goes on when its connection breaks (transports, 2025-11-25). As long as somebody
//! waits it is worked on where it is waited for, which spares a task for every call; when the waiting
//! ends early, the rest becomes a task.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Work that is done to its end, waited for or not.
pub(super) struct Onward(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Onward {
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl Future for Onward {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut work) = self.0.take() else { return Poll::Ready(()) };
        // A panic ends this work and nothing else, as it would in a task.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {
                self.0 = Some(work);
                Poll::Pending
            }
            Ok(Poll::Ready(())) | Err(_) => Poll::Ready(()),
        }
    }
}

impl Drop for Onward {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_is_done_all_the_same() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        let mut work = Onward::new(async move {
            let _ = gone.await;
            let _ = done.send(());
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut work).await.is_err());
        drop(work);
        go.send(()).expect("somebody works on it");
        ended.await.expect("it ends");
    }

    #[tokio::test]
    async fn a_panic_ends_the_work_and_not_the_waiting() {
        Onward::new(async { panic!("on purpose") }).await;
    }
}
