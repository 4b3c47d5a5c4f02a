//! The queue from the application to the client's task, one for each local track: media to send, and the mute state.
//!
//! A track outlives connections: input that is written while the client reconnects is discarded, unsealed and unsent.

use super::track::TrackState;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, watch};

/// The client's end of the queue.
#[derive(Debug)]
pub(super) struct InputReceiver<T> {
    shared: Arc<Shared<T>>,
}

/// The application's end of the queue. Dropping it unpublishes the track.
#[derive(Debug)]
pub(super) struct InputSender<T> {
    shared: Arc<Shared<T>>,
    state: watch::Receiver<TrackState>,
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    capacity: usize,
    /// Notified of everything new.
    wake: Arc<Notify>,
    state: watch::Sender<TrackState>,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    overflowed: bool,
    key_frame_requested: bool,
    muted: bool,
    closed: bool,
}

/// Makes a queue of at most `capacity` items. `wake` is notified of items, mute changes and the drop of the sender.
pub(super) fn input_queue<T>(capacity: usize, muted: bool, wake: Arc<Notify>) -> (InputReceiver<T>, InputSender<T>) {
    let queue = Queue { items: VecDeque::new(), overflowed: false, key_frame_requested: false, muted, closed: false };
    let (sender, state) = watch::channel(TrackState::default());
    let shared = Arc::new(Shared { queue: Mutex::new(queue), capacity, wake, state: sender });
    (InputReceiver { shared: shared.clone() }, InputSender { shared, state })
}

impl<T> Shared<T> {
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> InputReceiver<T> {
    /// Removes the oldest item.
    pub(super) fn take(&self) -> Option<T> {
        self.shared.queue().items.pop_front()
    }

    /// Whether items were dropped since the last call.
    pub(super) fn take_overflowed(&self) -> bool {
        std::mem::take(&mut self.shared.queue().overflowed)
    }

    pub(super) fn muted(&self) -> bool {
        self.shared.queue().muted
    }

    pub(super) fn closed(&self) -> bool {
        self.shared.queue().closed
    }

    pub(super) fn request_key_frame(&self) {
        self.shared.queue().key_frame_requested = true;
    }

    pub(super) fn state(&self) -> TrackState {
        *self.shared.state.borrow()
    }

    /// Changes the state that the application sees.
    pub(super) fn set_state(&self, state: TrackState) {
        self.shared.state.send_if_modified(|known| std::mem::replace(known, state) != state);
    }
}

impl<T> Drop for InputReceiver<T> {
    fn drop(&mut self) {
        self.set_state(TrackState::Ended);
    }
}

impl<T> InputSender<T> {
    /// Queues an item; drops the oldest if the queue is full.
    pub(super) fn push(&self, item: T) {
        let mut queue = self.shared.queue();
        if queue.items.len() >= self.shared.capacity {
            queue.items.pop_front();
            queue.overflowed = true;
        }
        queue.items.push_back(item);
        drop(queue);
        self.shared.wake.notify_one();
    }

    pub(super) fn set_muted(&self, muted: bool) {
        self.shared.queue().muted = muted;
        self.shared.wake.notify_one();
    }

    pub(super) fn muted(&self) -> bool {
        self.shared.queue().muted
    }

    /// Whether a key frame was requested since the last call.
    pub(super) fn take_key_frame_request(&self) -> bool {
        std::mem::take(&mut self.shared.queue().key_frame_requested)
    }

    pub(super) fn state(&self) -> TrackState {
        *self.state.borrow()
    }

    /// Waits until input is sent. Fails with the state that says why it never will be.
    pub(super) async fn live(&self) -> Result<(), TrackState> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| *state != TrackState::Pending).await.map(|state| *state);
        match settled.unwrap_or(TrackState::Ended) {
            TrackState::Live => Ok(()),
            state => Err(state),
        }
    }
}

impl<T> Drop for InputSender<T> {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::ErrorCode;

    #[test]
    fn full_queue_drops_oldest() {
        let (receiver, sender) = input_queue(3, false, Arc::default());
        (1..=5).for_each(|n| sender.push(n));
        assert!(receiver.take_overflowed() && !receiver.take_overflowed());
        assert_eq!(std::iter::from_fn(|| receiver.take()).collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[tokio::test]
    async fn items_mutes_and_drop_wake_the_task() {
        let wake = Arc::new(Notify::new());
        let (receiver, sender) = input_queue(3, false, wake.clone());
        sender.push(1);
        wake.notified().await;
        sender.set_muted(true);
        wake.notified().await;
        assert!(receiver.muted() && !receiver.closed());
        drop(sender);
        wake.notified().await;
        assert!(receiver.closed());
    }

    #[tokio::test]
    async fn live_waits_until_sent_or_failed() {
        let (receiver, sender) = input_queue::<()>(3, false, Arc::default());
        receiver.set_state(TrackState::Live);
        assert_eq!(sender.live().await, Ok(()));
        receiver.set_state(TrackState::Refused(ErrorCode::LimitTracks));
        assert_eq!(sender.live().await, Err(TrackState::Refused(ErrorCode::LimitTracks)));
        drop(receiver);
        assert_eq!(sender.live().await, Err(TrackState::Ended));
    }
}
