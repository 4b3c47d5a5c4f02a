//! From the client's task to the application: events are never dropped, and of media the oldest goes first.
//!
//! Everything is bounded. An application that reads nothing loses media at once and, when [`MAX_EVENTS`] events wait,
//! the call: silence would be worse than an end that says why. Who wants no events drops [`Events`].

use super::event::{ClientEvent, VideoFrame};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Events that may wait.
const MAX_EVENTS: usize = 4_096;
/// Blocks of sound that may wait: ten seconds of one stream, a second of ten.
const MAX_BLOCKS: usize = 500;
/// Bytes of pictures that may wait.
const MAX_PICTURE_BYTES: usize = 16 << 20;

/// What a client tells, in order. Dropping it says that nobody listens; the call goes on.
#[derive(Debug)]
pub struct Events(Arc<Shared>);

/// The client's end.
#[derive(Debug)]
pub(super) struct Outlet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queues: Mutex<Queues>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    events: VecDeque<ClientEvent>,
    /// [`ClientEvent::Mixed`] and [`ClientEvent::Sound`].
    sound: VecDeque<ClientEvent>,
    pictures: VecDeque<VideoFrame>,
    picture_bytes: usize,
    nobody_listens: bool,
    unread: bool,
    ended: bool,
}

/// Both ends.
pub(super) fn outlet() -> (Outlet, Events) {
    let shared = Arc::new(Shared::default());
    (Outlet(shared.clone()), Events(shared))
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Tells an event.
    pub(super) fn event(&self, event: ClientEvent) {
        let mut queues = self.0.queues();
        if queues.nobody_listens {
            return;
        }
        if matches!(event, ClientEvent::Speakers(_)) {
            queues.events.retain(|waiting| !matches!(waiting, ClientEvent::Speakers(_)));
        }
        // The end is always told.
        if queues.events.len() >= MAX_EVENTS && !matches!(event, ClientEvent::Ended(_)) {
            queues.unread = true;
            return;
        }
        queues.events.push_back(event);
        self.0.arrived.notify_one();
    }

    /// Whether events were lost because too many wait: the client must end.
    pub(super) fn is_unread(&self) -> bool {
        self.0.queues().unread
    }

    /// Hands out a block of sound; the oldest goes if too many wait.
    pub(super) fn sound(&self, block: ClientEvent) {
        let mut queues = self.0.queues();
        if queues.nobody_listens {
            return;
        }
        if queues.sound.len() >= MAX_BLOCKS {
            queues.sound.pop_front();
        }
        queues.sound.push_back(block);
        self.0.arrived.notify_one();
    }

    /// Hands out a picture. If too many wait, those of its track go, as a decoder cannot use what comes after a gap:
    /// `false` asks the caller to go on with a key frame.
    pub(super) fn picture(&self, frame: VideoFrame) -> bool {
        let mut queues = self.0.queues();
        if queues.nobody_listens {
            return true;
        }
        let full = queues.picture_bytes.saturating_add(frame.data.len()) > MAX_PICTURE_BYTES;
        if full {
            let track = (frame.participant, frame.source);
            queues.pictures.retain(|waiting| (waiting.participant, waiting.source) != track);
            queues.picture_bytes = queues.pictures.iter().map(|waiting| waiting.data.len()).sum();
        } else {
            queues.picture_bytes += frame.data.len();
            queues.pictures.push_back(frame);
            self.0.arrived.notify_one();
        }
        !full
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.queues().ended = true;
        self.0.arrived.notify_one();
    }
}

impl Events {
    /// The next event, before any media that waits; `None` after [`ClientEvent::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        loop {
            {
                let mut queues = self.0.queues();
                if let Some(next) = queues.next() {
                    return Some(next);
                }
                if queues.ended {
                    return None;
                }
            }
            self.0.arrived.notified().await;
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        *self.0.queues() = Queues { nobody_listens: true, ..Queues::default() };
    }
}

impl Queues {
    fn next(&mut self) -> Option<ClientEvent> {
        if let Some(event) = self.events.pop_front().or_else(|| self.sound.pop_front()) {
            return Some(event);
        }
        let picture = self.pictures.pop_front()?;
        self.picture_bytes = self.picture_bytes.saturating_sub(picture.data.len());
        Some(ClientEvent::Video(picture))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::event::Mixed;
    use bytes::Bytes;
    use tacet_proto::{
        ParticipantId,
        media::{Codec, Source},
    };

    fn event(n: u32) -> ClientEvent {
        ClientEvent::KeyInstalled(ParticipantId(n))
    }

    fn block(n: f32) -> ClientEvent {
        ClientEvent::Mixed(Mixed { samples: vec![n], levels: Vec::new() })
    }

    fn picture(participant: u32, bytes: usize) -> VideoFrame {
        VideoFrame {
            participant: ParticipantId(participant),
            source: Source::Camera,
            codec: Codec::Vp8,
            key: true,
            timestamp: 0,
            data: Bytes::from(vec![0; bytes]),
        }
    }

    #[tokio::test]
    async fn events_come_in_order_and_before_media() {
        let (outlet, mut events) = outlet();
        outlet.sound(block(0.5));
        assert!(outlet.picture(picture(1, 10)));
        outlet.event(event(1));
        outlet.event(event(2));
        drop(outlet);
        let mut told = Vec::new();
        while let Some(event) = events.next().await {
            told.push(event);
        }
        assert_eq!(told, [event(1), event(2), block(0.5), ClientEvent::Video(picture(1, 10))]);
    }

    #[tokio::test]
    async fn unread_events_are_noticed_and_the_end_is_still_told() {
        let (outlet, mut events) = outlet();
        for n in 0..MAX_EVENTS {
            outlet.event(event(n as u32));
        }
        assert!(!outlet.is_unread());
        outlet.event(event(0));
        assert!(outlet.is_unread());
        let end = ClientEvent::Ended(crate::client::EndReason::EventsUnread);
        outlet.event(end.clone());
        drop(outlet);
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        assert_eq!(last, Some(end));
    }

    #[tokio::test]
    async fn of_sound_the_oldest_goes_and_of_speakers_only_the_newest_stays() {
        let (outlet, mut events) = outlet();
        for n in 0..=MAX_BLOCKS {
            outlet.sound(block(n as f32));
            outlet.event(ClientEvent::Speakers(vec![(ParticipantId(n as u32), crate::audio::Level::SILENCE)]));
        }
        let newest = ClientEvent::Speakers(vec![(ParticipantId(MAX_BLOCKS as u32), crate::audio::Level::SILENCE)]);
        assert_eq!(events.next().await, Some(newest));
        assert_eq!(events.next().await, Some(block(1.0)));
    }

    #[tokio::test]
    async fn pictures_of_a_track_go_together() {
        let (outlet, mut events) = outlet();
        assert!(outlet.picture(picture(1, 100)));
        assert!(outlet.picture(picture(2, MAX_PICTURE_BYTES - 100)));
        assert!(!outlet.picture(picture(2, 1)), "a key frame is needed");
        assert!(outlet.picture(picture(2, 1)), "there is room again");
        drop(outlet);
        assert_eq!(events.next().await, Some(ClientEvent::Video(picture(1, 100))));
        assert_eq!(events.next().await, Some(ClientEvent::Video(picture(2, 1))));
        assert_eq!(events.next().await, None);
    }

    #[test]
    fn without_a_listener_nothing_waits() {
        let (outlet, events) = outlet();
        drop(events);
        for n in 0..2 * MAX_EVENTS {
            outlet.event(event(n as u32));
        }
        outlet.sound(block(0.0));
        assert!(outlet.picture(picture(1, 2 * MAX_PICTURE_BYTES)));
        assert_eq!(outlet.0.queues().next(), None);
    }
}
