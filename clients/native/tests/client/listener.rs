//! A client whose events are remembered, so that a test can wait for what it wants to see.

use crate::PATIENCE;
use std::fmt::Debug;
use tacet_native::client::{Client, ClientEvent, ClientOptions, Events, Mixed, Participant, VideoFrame};
use tacet_native::link::RoomLink;
use tokio::time::timeout;

/// A client with its events.
pub(crate) struct Listener {
    pub(crate) client: Client,
    pub(crate) events: Events,
    /// All events but media, in order.
    pub(crate) told: Vec<ClientEvent>,
    pub(crate) sound: Vec<Mixed>,
    pub(crate) pictures: Vec<VideoFrame>,
}

impl Listener {
    pub(crate) async fn join(link: &RoomLink, options: ClientOptions) -> Self {
        let (client, events) = timeout(PATIENCE, Client::join(link, options)).await.unwrap().unwrap();
        Self::of(client, events)
    }

    pub(crate) fn of(client: Client, events: Events) -> Self {
        Self { client, events, told: Vec::new(), sound: Vec::new(), pictures: Vec::new() }
    }

    /// Takes one event; `false` after the last.
    pub(crate) async fn step(&mut self) -> bool {
        match self.events.next().await {
            None => return false,
            Some(ClientEvent::Mixed(sound)) => self.sound.push(sound),
            Some(ClientEvent::Video(picture)) => self.pictures.push(picture),
            Some(event) => self.told.push(event),
        }
        true
    }

    /// Waits until something holds.
    pub(crate) async fn until<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = found(self) {
                    return found;
                }
                assert!(self.step().await, "the client has ended");
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("never: {what}; events: {:#?}", self.told),
        }
    }

    /// Waits for an event that was not told before this call.
    pub(crate) async fn event<T: Debug>(&mut self, what: &str, wanted: impl Fn(&ClientEvent) -> Option<T>) -> T {
        let from = self.told.len();
        self.until(what, |listener| listener.told[from..].iter().find_map(&wanted)).await
    }

    /// Waits until somebody of this name is here, perhaps already.
    pub(crate) async fn sees(&mut self, name: &str) -> Participant {
        let joined = |event: &ClientEvent| match event {
            ClientEvent::ParticipantJoined(participant) if participant.name == name => Some(participant.clone()),
            _ => None,
        };
        self.until(name, |listener| listener.told.iter().rev().find_map(joined)).await
    }

    /// Whether an event was told.
    pub(crate) fn was_told(&self, wanted: impl Fn(&ClientEvent) -> bool) -> bool {
        self.told.iter().any(wanted)
    }
}
