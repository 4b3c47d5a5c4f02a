//! The queue from the client's task to the application.
//!
//! Everything is bounded. Events are never dropped: if [`MAX_EVENTS`] are queued, the application is considered dead and
//! the call ends with an error. Of media, the oldest is dropped. An application that wants no events drops [`Events`].

use super::event::{ClientEvent, ConnectionState, VideoFrame};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Maximum number of queued events.
const MAX_EVENTS: usize = 4_096;
/// Maximum number of queued audio blocks: ten seconds of one stream, one second of ten.
const MAX_AUDIO_BLOCKS: usize = 500;
/// Maximum size of the queued video frames, in bytes.
const MAX_VIDEO_BYTES: usize = 16 << 20;

/// The events of a client, in order. Dropping it discards all events; the call goes on.
#[derive(Debug)]
pub struct Events(Arc<Shared>);

/// The client's end of the queue.
#[derive(Debug)]
pub(super) struct EventSender(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queues: Mutex<Queues>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    events: VecDeque<ClientEvent>,
    /// [`ClientEvent::MixedAudio`] and [`ClientEvent::ParticipantAudio`].
    audio: VecDeque<ClientEvent>,
    video: VecDeque<VideoFrame>,
    video_bytes: usize,
    /// The application has dropped [`Events`].
    receiver_dropped: bool,
    overflowed: bool,
    sender_dropped: bool,
}

pub(super) fn event_queue() -> (EventSender, Events) {
    let shared = Arc::new(Shared::default());
    (EventSender(shared.clone()), Events(shared))
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSender {
    /// Queues an event.
    pub(super) fn emit(&self, event: ClientEvent) {
        let mut queues = self.0.queues();
        if queues.receiver_dropped {
            return;
        }
        if matches!(event, ClientEvent::ActiveSpeakers(_)) {
            queues.events.retain(|queued| !matches!(queued, ClientEvent::ActiveSpeakers(_)));
        }
        // Attempts to reconnect may go on for hours without being read.
        let reconnecting =
            |event: &ClientEvent| matches!(event, ClientEvent::Connection(ConnectionState::Reconnecting { .. }));
        if reconnecting(&event)
            && let Some(newest) = queues.events.back_mut().filter(|newest| reconnecting(newest))
        {
            *newest = event;
            return;
        }
        // The end is always delivered.
        if queues.events.len() >= MAX_EVENTS && !matches!(event, ClientEvent::Ended(_)) {
            queues.overflowed = true;
            return;
        }
        queues.events.push_back(event);
        self.0.arrived.notify_one();
    }

    /// Whether an event was lost because the queue was full: the client must end.
    pub(super) fn has_overflowed(&self) -> bool {
        self.0.queues().overflowed
    }

    /// Queues an audio block; drops the oldest if the queue is full.
    pub(super) fn push_audio(&self, block: ClientEvent) {
        let mut queues = self.0.queues();
        if queues.receiver_dropped {
            return;
        }
        if queues.audio.len() >= MAX_AUDIO_BLOCKS {
            queues.audio.pop_front();
        }
        queues.audio.push_back(block);
        self.0.arrived.notify_one();
    }

    /// Queues a video frame. If the queue is full, drops it and all queued frames of its track, since a decoder cannot
    /// use frames after a gap, and returns `false`: the next frame of the track must be a key frame.
    pub(super) fn push_video(&self, frame: VideoFrame) -> bool {
        let mut queues = self.0.queues();
        if queues.receiver_dropped {
            return true;
        }
        let full = queues.video_bytes.saturating_add(frame.data.len()) > MAX_VIDEO_BYTES;
        if full {
            let track = (frame.participant, frame.source);
            queues.video.retain(|queued| (queued.participant, queued.source) != track);
            queues.video_bytes = queues.video.iter().map(|queued| queued.data.len()).sum();
        } else {
            queues.video_bytes += frame.data.len();
            queues.video.push_back(frame);
            self.0.arrived.notify_one();
        }
        !full
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        self.0.queues().sender_dropped = true;
        self.0.arrived.notify_one();
    }
}

impl Events {
    /// The next event; queued events come before queued media. `None` after [`ClientEvent::Ended`]. Cancel safe.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        loop {
            {
                let mut queues = self.0.queues();
                if let Some(next) = queues.next() {
                    return Some(next);
                }
                if queues.sender_dropped {
                    return None;
                }
            }
            self.0.arrived.notified().await;
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        *self.0.queues() = Queues { receiver_dropped: true, ..Queues::default() };
    }
}

impl Queues {
    fn next(&mut self) -> Option<ClientEvent> {
        if let Some(event) = self.events.pop_front().or_else(|| self.audio.pop_front()) {
            return Some(event);
        }
        let frame = self.video.pop_front()?;
        self.video_bytes = self.video_bytes.saturating_sub(frame.data.len());
        Some(ClientEvent::Video(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{DisconnectReason, event::MixedAudio};
    use bytes::Bytes;
    use tacet_proto::{
        ParticipantId,
        media::{Codec, Source},
    };

    fn event(n: u32) -> ClientEvent {
        ClientEvent::KeyInstalled(ParticipantId(n))
    }

    fn block(n: f32) -> ClientEvent {
        ClientEvent::MixedAudio(MixedAudio { samples: vec![n], levels: Vec::new() })
    }

    fn frame(participant: u32, bytes: usize) -> VideoFrame {
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
    async fn events_are_ordered_and_precede_media() {
        let (sender, mut events) = event_queue();
        sender.push_audio(block(0.5));
        assert!(sender.push_video(frame(1, 10)));
        sender.emit(event(1));
        sender.emit(event(2));
        drop(sender);
        let mut received = Vec::new();
        while let Some(event) = events.next().await {
            received.push(event);
        }
        assert_eq!(received, [event(1), event(2), block(0.5), ClientEvent::Video(frame(1, 10))]);
    }

    #[tokio::test]
    async fn overflow_is_detected_and_end_is_delivered() {
        let (sender, mut events) = event_queue();
        for n in 0..MAX_EVENTS {
            sender.emit(event(n as u32));
        }
        assert!(!sender.has_overflowed());
        sender.emit(event(0));
        assert!(sender.has_overflowed());
        let end = ClientEvent::Ended(crate::client::EndReason::EventsUnread);
        sender.emit(end.clone());
        drop(sender);
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        assert_eq!(last, Some(end));
    }

    #[tokio::test]
    async fn newest_attempt_to_reconnect_is_kept() {
        let (sender, mut events) = event_queue();
        let reconnecting = |attempt| {
            ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause: DisconnectReason::MediaSilent })
        };
        for n in 0..2 * MAX_EVENTS {
            sender.emit(reconnecting(n as u32));
        }
        sender.emit(event(1));
        assert!(!sender.has_overflowed());
        assert_eq!(events.next().await, Some(reconnecting(2 * MAX_EVENTS as u32 - 1)));
        assert_eq!(events.next().await, Some(event(1)));
    }

    #[tokio::test]
    async fn oldest_audio_is_dropped_and_newest_speakers_are_kept() {
        let (sender, mut events) = event_queue();
        for n in 0..=MAX_AUDIO_BLOCKS {
            sender.push_audio(block(n as f32));
            sender.emit(ClientEvent::ActiveSpeakers(vec![(ParticipantId(n as u32), crate::audio::Level::SILENCE)]));
        }
        let newest =
            ClientEvent::ActiveSpeakers(vec![(ParticipantId(MAX_AUDIO_BLOCKS as u32), crate::audio::Level::SILENCE)]);
        assert_eq!(events.next().await, Some(newest));
        assert_eq!(events.next().await, Some(block(1.0)));
    }

    #[tokio::test]
    async fn full_video_queue_drops_all_frames_of_the_track() {
        let (sender, mut events) = event_queue();
        assert!(sender.push_video(frame(1, 100)));
        assert!(sender.push_video(frame(2, MAX_VIDEO_BYTES - 100)));
        assert!(!sender.push_video(frame(2, 1)), "a key frame is needed");
        assert!(sender.push_video(frame(2, 1)), "there is room again");
        drop(sender);
        assert_eq!(events.next().await, Some(ClientEvent::Video(frame(1, 100))));
        assert_eq!(events.next().await, Some(ClientEvent::Video(frame(2, 1))));
        assert_eq!(events.next().await, None);
    }

    #[test]
    fn nothing_is_queued_after_receiver_is_dropped() {
        let (sender, events) = event_queue();
        drop(events);
        for n in 0..2 * MAX_EVENTS {
            sender.emit(event(n as u32));
        }
        sender.push_audio(block(0.0));
        assert!(sender.push_video(frame(1, 2 * MAX_VIDEO_BYTES)));
        assert_eq!(sender.0.queues().next(), None);
    }
}
