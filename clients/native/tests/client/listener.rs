//! A client that records its events, so that a test can wait for them.

use crate::TIMEOUT;
use std::fmt::Debug;
use tacet_native::client::{Client, ClientEvent, ClientOptions, Events, MixedAudio, Participant, VideoFrame};
use tacet_native::link::RoomLink;
use tokio::time::timeout;

/// A client with its events.
pub(crate) struct Listener {
    pub(crate) client: Client,
    pub(crate) events: Events,
    /// All events except media, in order.
    pub(crate) events_seen: Vec<ClientEvent>,
    pub(crate) audio: Vec<MixedAudio>,
    pub(crate) video: Vec<VideoFrame>,
}

impl Listener {
    pub(crate) async fn join(link: &RoomLink, options: ClientOptions) -> Self {
        let (client, events) = timeout(TIMEOUT, Client::join(link, options)).await.unwrap().unwrap();
        Self::of(client, events)
    }

    pub(crate) fn of(client: Client, events: Events) -> Self {
        Self { client, events, events_seen: Vec::new(), audio: Vec::new(), video: Vec::new() }
    }

    /// Takes one event. Returns `false` after the last one.
    pub(crate) async fn step(&mut self) -> bool {
        match self.events.next().await {
            None => return false,
            Some(ClientEvent::MixedAudio(audio)) => self.audio.push(audio),
            Some(ClientEvent::Video(frame)) => self.video.push(frame),
            Some(event) => self.events_seen.push(event),
        }
        true
    }

    /// Waits until `found` returns something.
    pub(crate) async fn until<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = found(self) {
                    return found;
                }
                assert!(self.step().await, "the client has ended");
            }
        };
        match timeout(TIMEOUT, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("never: {what}; events: {:#?}", self.events_seen),
        }
    }

    /// Waits for an event that was not emitted before this call.
    pub(crate) async fn event<T: Debug>(&mut self, what: &str, wanted: impl Fn(&ClientEvent) -> Option<T>) -> T {
        let from = self.events_seen.len();
        self.until(what, |listener| listener.events_seen[from..].iter().find_map(&wanted)).await
    }

    /// Waits until a participant of this name is here, perhaps already.
    pub(crate) async fn sees(&mut self, name: &str) -> Participant {
        let joined = |event: &ClientEvent| match event {
            ClientEvent::ParticipantJoined(participant) if participant.name == name => Some(participant.clone()),
            _ => None,
        };
        self.until(name, |listener| listener.events_seen.iter().rev().find_map(joined)).await
    }

    /// Whether an event was emitted.
    pub(crate) fn saw(&self, wanted: impl Fn(&ClientEvent) -> bool) -> bool {
        self.events_seen.iter().any(wanted)
    }
}
