//! From the application to the client's task: what to send next, and whether to send at all.
//!
//! A publication outlives connections: while one is made anew, what is written here is thrown away, unsealed and unsent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tacet_proto::ErrorCode;
use tokio::sync::{Notify, watch};

/// How far a publication is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublicationState {
    /// The server, the keys or the media path are not ready: nothing is sent.
    #[default]
    Waiting,
    /// What is written is sealed and sent, unless it is muted.
    Live,
    /// The server refuses it.
    Refused(ErrorCode),
    /// The client has ended.
    Ended,
}

/// The end of a publication that the client's task holds.
#[derive(Debug)]
pub(super) struct Inlet<T> {
    shared: Arc<Shared<T>>,
}

/// The end that the application holds. Dropping it withdraws the publication.
#[derive(Debug)]
pub(super) struct Feed<T> {
    shared: Arc<Shared<T>>,
    state: watch::Receiver<PublicationState>,
}

#[derive(Debug)]
struct Shared<T> {
    wishes: Mutex<Wishes<T>>,
    capacity: usize,
    /// Wakes the client's task.
    wake: Arc<Notify>,
    state: watch::Sender<PublicationState>,
}

#[derive(Debug)]
struct Wishes<T> {
    waiting: VecDeque<T>,
    overflowed: bool,
    key_frame_wanted: bool,
    muted: bool,
    closed: bool,
}

/// Both ends, for at most `capacity` waiting items. `wake` is notified of everything new.
pub(super) fn inlet<T>(capacity: usize, muted: bool, wake: Arc<Notify>) -> (Inlet<T>, Feed<T>) {
    let wishes = Wishes { waiting: VecDeque::new(), overflowed: false, key_frame_wanted: false, muted, closed: false };
    let (sender, state) = watch::channel(PublicationState::default());
    let shared = Arc::new(Shared { wishes: Mutex::new(wishes), capacity, wake, state: sender });
    (Inlet { shared: shared.clone() }, Feed { shared, state })
}

impl<T> Shared<T> {
    fn wishes(&self) -> MutexGuard<'_, Wishes<T>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inlet<T> {
    /// The next item.
    pub(super) fn take(&self) -> Option<T> {
        self.shared.wishes().waiting.pop_front()
    }

    /// Whether items were lost since the last call.
    pub(super) fn overflowed(&self) -> bool {
        std::mem::take(&mut self.shared.wishes().overflowed)
    }

    pub(super) fn muted(&self) -> bool {
        self.shared.wishes().muted
    }

    pub(super) fn closed(&self) -> bool {
        self.shared.wishes().closed
    }

    pub(super) fn want_key_frame(&self) {
        self.shared.wishes().key_frame_wanted = true;
    }

    pub(super) fn state(&self) -> PublicationState {
        *self.shared.state.borrow()
    }

    /// Tells the application how far it is.
    pub(super) fn set_state(&self, state: PublicationState) {
        self.shared.state.send_if_modified(|known| std::mem::replace(known, state) != state);
    }
}

impl<T> Drop for Inlet<T> {
    fn drop(&mut self) {
        self.set_state(PublicationState::Ended);
    }
}

impl<T> Feed<T> {
    /// Hands over an item; the oldest goes if too many wait.
    pub(super) fn push(&self, item: T) {
        let mut wishes = self.shared.wishes();
        if wishes.waiting.len() >= self.shared.capacity {
            wishes.waiting.pop_front();
            wishes.overflowed = true;
        }
        wishes.waiting.push_back(item);
        drop(wishes);
        self.shared.wake.notify_one();
    }

    pub(super) fn set_muted(&self, muted: bool) {
        self.shared.wishes().muted = muted;
        self.shared.wake.notify_one();
    }

    pub(super) fn muted(&self) -> bool {
        self.shared.wishes().muted
    }

    /// Whether a key frame was asked for since the last call.
    pub(super) fn key_frame_wanted(&self) -> bool {
        std::mem::take(&mut self.shared.wishes().key_frame_wanted)
    }

    pub(super) fn state(&self) -> PublicationState {
        *self.state.borrow()
    }

    /// Waits until items are sent; gives the state that says why they never will.
    pub(super) async fn live(&self) -> Result<(), PublicationState> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| *state != PublicationState::Waiting).await.map(|state| *state);
        match settled.unwrap_or(PublicationState::Ended) {
            PublicationState::Live => Ok(()),
            never => Err(never),
        }
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.shared.wishes().closed = true;
        self.shared.wake.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_too_many_wait() {
        let (inlet, feed) = inlet(3, false, Arc::default());
        (1..=5).for_each(|n| feed.push(n));
        assert!(inlet.overflowed() && !inlet.overflowed());
        assert_eq!(std::iter::from_fn(|| inlet.take()).collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[tokio::test]
    async fn the_task_is_woken_by_items_mutes_and_the_end() {
        let wake = Arc::new(Notify::new());
        let (inlet, feed) = inlet(3, false, wake.clone());
        feed.push(1);
        wake.notified().await;
        feed.set_muted(true);
        wake.notified().await;
        assert!(inlet.muted() && !inlet.closed());
        drop(feed);
        wake.notified().await;
        assert!(inlet.closed());
    }

    #[tokio::test]
    async fn the_application_waits_until_it_is_heard_or_never_will_be() {
        let (inlet, feed) = inlet::<()>(3, false, Arc::default());
        inlet.set_state(PublicationState::Live);
        assert_eq!(feed.live().await, Ok(()));
        inlet.set_state(PublicationState::Refused(ErrorCode::LimitTracks));
        assert_eq!(feed.live().await, Err(PublicationState::Refused(ErrorCode::LimitTracks)));
        drop(inlet);
        assert_eq!(feed.live().await, Err(PublicationState::Ended));
    }
}
