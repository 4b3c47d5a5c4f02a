//! What a program asks of the server. Each request is kept until it is answered.

use super::{Call, CallError};
use crate::outbox::Outgoing;
use e2ee_frames::{ChatContent, ChatId, Event, StreamId};
use tacet_proto::{
    ClientMessage, TrackId,
    client::{ClientTransport, Empty, Ping, Publish, SlotsReady, Speech, Subscribe, TrackRef, Unsubscribe},
    layers::{Layers, Tile},
};

/// Maximum number of tracks in one `subscribe` message.
const TRACKS_PER_REQUEST: usize = 50;

impl Call {
    /// Sends this client's transport parameters to the server.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn transport(&mut self, local: ClientTransport) -> Result<(), CallError> {
        self.request(ClientMessage::Transport(local)).map(drop)
    }

    /// Asks for new ICE credentials of the server for the same transport; [`CallEvent::Transport`](super::CallEvent::Transport) follows, to be answered
    /// by [`Call::transport`]. Returns the number of the request, which [`CallEvent::Refused`](super::CallEvent::Refused) repeats.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn restart_ice(&mut self) -> Result<u32, CallError> {
        self.request(ClientMessage::IceRestart(Empty {}))
    }

    /// Publishes a track and opens its stream: frames can be sealed after [`CallEvent::StreamReady`](super::CallEvent::StreamReady). Returns the
    /// number of the request, which [`CallEvent::Refused`](super::CallEvent::Refused) repeats.
    ///
    /// # Errors
    /// If the stream is already open; [`CallError`].
    pub fn publish(&mut self, stream: StreamId, track: Publish) -> Result<u32, CallError> {
        self.keys.handle(Event::StreamOpened(stream))?;
        let request = self.request(ClientMessage::Publish(track))?;
        self.run_actions()?;
        Ok(request)
    }

    /// Unpublishes a track and closes its stream.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn unpublish(&mut self, stream: StreamId, track: TrackId) -> Result<(), CallError> {
        self.keys.handle(Event::StreamClosed(stream))?;
        self.request(ClientMessage::Unpublish(TrackRef { track }))?;
        self.run_actions()
    }

    /// Closes a stream whose track the server refused, or has forgotten.
    ///
    /// # Errors
    /// If the session has ended.
    pub fn close_stream(&mut self, stream: StreamId) -> Result<(), CallError> {
        self.keys.handle(Event::StreamClosed(stream))?;
        self.run_actions()
    }

    /// Tells the server whether a track is muted. Stop sending before muting; resume sending after unmuting.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn set_muted(&mut self, track: TrackId, muted: bool) -> Result<(), CallError> {
        let body = TrackRef { track };
        let message = if muted { ClientMessage::Mute(body) } else { ClientMessage::Unmute(body) };
        self.request(message).map(drop)
    }

    /// Tells the server whether this client's participant speaks, where packets of audio carry no levels.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn set_speaking(&mut self, track: TrackId, speaking: bool) -> Result<(), CallError> {
        self.request(ClientMessage::Speech(Speech { track, speaking })).map(drop)
    }

    /// Subscribes to tracks, in addition to the current ones.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn subscribe(&mut self, tracks: &[TrackId]) -> Result<(), CallError> {
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Subscribe { auto: false, tracks: tracks.to_vec() };
            self.request(ClientMessage::Subscribe(some))?;
        }
        Ok(())
    }

    /// Unsubscribes from tracks. Also ends the automatic subscription to new tracks that [`JoinOptions::subscribe`](super::JoinOptions::subscribe)
    /// requested.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn unsubscribe(&mut self, tracks: &[TrackId]) -> Result<(), CallError> {
        self.automatic = false;
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Unsubscribe { tracks: tracks.to_vec() };
            self.request(ClientMessage::Unsubscribe(some))?;
        }
        Ok(())
    }

    /// Says which video tracks this client shows, and how high. These are all: a track without a tile is not visible. Until the
    /// first call, every subscribed track is wanted as large as it comes.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn layers(&mut self, tiles: Vec<Tile>) -> Result<(), CallError> {
        self.request(ClientMessage::Layers(Layers { tiles, downlink: false })).map(drop)
    }

    /// Says something to everyone in the call. It is sealed as soon as there is a key, and sent until the server accepts it.
    ///
    /// # Errors
    /// If it is empty or too long, if 64 messages wait for the server, or if the session has ended.
    pub fn say(&mut self, content: &ChatContent) -> Result<(), CallError> {
        let number = self.last_chat.saturating_add(1);
        self.keys.handle(Event::SendChat { id: ChatId::new(content.kind(), number), content })?;
        self.last_chat = number;
        self.run_actions()
    }

    /// Confirms that all slots up to this revision are applied; the server sends media in new slots only after that.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn slots_ready(&mut self, rev: u32) -> Result<(), CallError> {
        self.request(ClientMessage::SlotsReady(SlotsReady { rev })).map(drop)
    }

    /// Makes a request, which is kept until the server answers it.
    pub(super) fn request(&mut self, message: ClientMessage) -> Result<u32, CallError> {
        let number = self.requests.next_number();
        self.keep_and_send(number, Outgoing::message(Some(number), message), None)?;
        Ok(number)
    }

    pub(super) fn keep_and_send(
        &mut self,
        number: u32,
        message: Outgoing,
        key_batch: Option<u32>,
    ) -> Result<(), CallError> {
        self.requests.add(number, message.clone(), key_batch)?;
        match &self.signaling {
            // What is made before the barrier is sent with everything that is unanswered then.
            Some(signaling) if self.replay_barrier.is_none() => Ok(signaling.send(message)?),
            _ => Ok(()),
        }
    }

    /// Sends a message that has no answer, or whose answer does not matter.
    pub(super) fn send_only(&self, message: ClientMessage) -> Result<(), CallError> {
        let Some(signaling) = &self.signaling else { return Ok(()) };
        Ok(signaling.send(Outgoing::message(None, message))?)
    }

    pub(super) fn ping(&self, ms: u64) -> Result<(), CallError> {
        self.send_only(ClientMessage::Ping(Ping { ms }))
    }

    /// Sends an unanswered request again.
    pub(super) fn send_again(&self, number: u32) -> Result<(), CallError> {
        match (self.requests.message(number), &self.signaling) {
            (Some(message), Some(signaling)) => Ok(signaling.send(message)?),
            _ => Ok(()),
        }
    }

    /// Everything that was sent before the connection was lost, and has an answer, is answered: sends the rest again.
    pub(super) fn send_unanswered(&mut self) -> Result<(), CallError> {
        self.replay_barrier = None;
        if let Some(signaling) = &self.signaling {
            for message in self.requests.unanswered() {
                signaling.send(message)?;
            }
        }
        Ok(())
    }
}
