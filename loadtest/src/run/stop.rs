//! A request to end runs early: bots leave their rooms, and what was measured until then is reported.

use tokio::sync::watch;

/// Requests that runs end. Without a request, they go on after this is dropped.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Returns a stopper, and what tells runs of its request.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Requests the end of all runs that have the other half.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Tells runs whether they are to end early; by default, they are not.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::channel(false).1)
    }
}

impl Stop {
    /// Whether runs are to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until runs are to end, which may be forever.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending().await
        }
    }
}
