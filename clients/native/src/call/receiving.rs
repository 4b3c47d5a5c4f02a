//! What the server says: answers to requests, changes of the call, key traffic of the others.

use super::{Call, CallError, CallEvent};
use crate::signaling::{Incoming, Received};
use e2ee_frames::Event;
use tacet_proto::{
    CloseCode, ErrorCode, MessageType, ServerMessage,
    server::{ByeReason, ErrorMessage, Joined, Tracks},
};

impl Call {
    pub(super) fn dispatch(&mut self, incoming: Incoming) -> Result<(), CallError> {
        let (seq, received) = match incoming {
            Incoming::Received { seq, received } => (seq, received),
            Incoming::Closed { code, reason } => return Err(CallError::Closed { code, reason }),
        };
        self.pulse.heard();
        if !self.inbox.accept(tokio::time::Instant::now().into_std(), seq) {
            return Ok(());
        }
        let refused = match received {
            Received::Announces(_) | Received::Keys(_) | Received::KeyRequest(_) | Received::Chat(_)
                if !self.exchange_keys =>
            {
                Ok(())
            }
            Received::Announces(body) => self.keys.handle(Event::Announces(&body)),
            Received::Keys(body) => self.keys.handle(Event::Keys(&body)),
            Received::KeyRequest(body) => self.keys.handle(Event::KeyRequest(&body)),
            Received::Chat(body) => self.keys.handle(Event::Chat(&body)),
            Received::Unknown => Ok(()),
            Received::Message { re, message } => {
                self.message(re, message)?;
                Ok(())
            }
        };
        if let Err(error) = refused {
            // A malformed message of another participant must not end the call.
            tracing::debug!(%error, "rejected key traffic of a participant");
        }
        self.run_actions()
    }

    fn message(&mut self, re: Option<u32>, message: ServerMessage) -> Result<(), CallError> {
        if let ServerMessage::Error(error) = message {
            return self.refused(re, error);
        }
        if let Some(number) = re.and_then(|re| self.requests.answered(re)) {
            self.keys.handle(Event::KeyBatchAccepted { number })?;
        }
        if let Some(re) = re {
            self.chat_answered(re)?;
        }
        let event = match message {
            ServerMessage::Joined(joined) => return self.joined(joined),
            // A half that the server made before it read the restart that it has yet to answer. If this client answered it,
            // the server would take that for the answer to the half that follows.
            ServerMessage::Transport(_) if self.requests.awaits(MessageType::IceRestart) => {
                tracing::debug!("the server's half of the transport is outdated");
                return Ok(());
            }
            ServerMessage::Transport(transport) => CallEvent::Transport(transport),
            ServerMessage::TransportState(change) => CallEvent::TransportState(change.state),
            ServerMessage::Slots(slots) => CallEvent::Slots(slots),
            ServerMessage::Layer(layer) => CallEvent::Layers(layer.slots),
            ServerMessage::Want(want) => CallEvent::Want(want.tracks),
            ServerMessage::Published(published) => CallEvent::Published { cid: published.cid, track: published.track },
            ServerMessage::Tracks(tracks) => CallEvent::Tracks(tracks),
            ServerMessage::Speakers(speakers) => CallEvent::Speakers(speakers.speakers),
            ServerMessage::Role(change) => CallEvent::Role(change),
            ServerMessage::MuteRequest(request) => CallEvent::MuteRequested(request.by),
            ServerMessage::Policy(policy) => CallEvent::Locked(policy.locked),
            ServerMessage::Roster(roster) => {
                let changes = self.members.changed(&roster);
                return self.report(changes);
            }
            ServerMessage::Pong(pong) => {
                if let Some(tokens) = pong.tokens {
                    self.tokens = tokens;
                }
                return if self.replay_barrier == Some(pong.ms) { self.send_unanswered() } else { Ok(()) };
            }
            ServerMessage::Bye(bye) => {
                return Err(match bye.reason {
                    ByeReason::Restart => CallError::Restarting,
                    ByeReason::Left => CallError::Closed { code: CloseCode::Normal.code(), reason: "left".to_owned() },
                });
            }
            ServerMessage::Error(_)
            | ServerMessage::Challenge(_)
            | ServerMessage::Welcome(_)
            | ServerMessage::Downlink(_)
            | ServerMessage::Ok(_) => return Ok(()),
        };
        self.ready.push_back(event);
        Ok(())
    }

    fn joined(&mut self, joined: Joined) -> Result<(), CallError> {
        self.seat = joined.seat;
        if let Some(tokens) = joined.tokens {
            self.tokens = tokens;
        }
        self.keys.handle(Event::Joined { seat: joined.seat })?;
        for number in std::mem::take(&mut self.batches_to_repeat) {
            self.send_again(number)?;
        }
        let changes = self.members.joined(tokio::time::Instant::now().into_std(), &joined.roster, joined.gathering);
        if std::mem::replace(&mut self.has_joined, true) {
            self.report(changes)?;
        } else {
            // The session has no keys that participants of an earlier one could know.
            self.ready.extend(changes);
        }
        self.ready.push_back(CallEvent::TrackList(joined.tracks.iter().map(|track| track.track).collect()));
        if !joined.tracks.is_empty() {
            let tracks = Tracks { add: joined.tracks, del: Vec::new(), upd: Vec::new() };
            self.ready.push_back(CallEvent::Tracks(tracks));
        }
        self.run_actions()
    }

    /// The server refused a request.
    fn refused(&mut self, re: Option<u32>, error: ErrorMessage) -> Result<(), CallError> {
        if let Some(re) = re {
            if error.code == ErrorCode::RateLimited {
                // It was not processed.
                self.retries.add(tokio::time::Instant::now().into_std(), re, error.retry_ms);
                return Ok(());
            }
            // A key batch stays: its key must not be used before the server has accepted it.
            if !self.requests.is_key_batch(re) {
                self.requests.answered(re);
            }
            self.chat_answered(re)?;
        }
        self.ready.push_back(CallEvent::Refused { re, error });
        Ok(())
    }

    /// The server has answered a request. If it was a chat message, the session need not send it again.
    fn chat_answered(&mut self, re: u32) -> Result<(), CallError> {
        match self.chats.remove(&re) {
            Some(id) => Ok(self.keys.handle(Event::ChatAnswered { id })?),
            None => Ok(()),
        }
    }

    /// Queues changes of the roster and passes departures to the session.
    pub(super) fn report(&mut self, changes: Vec<CallEvent>) -> Result<(), CallError> {
        let left: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                CallEvent::Left(participant) => Some(*participant),
                _ => None,
            })
            .collect();
        self.ready.extend(changes);
        if !left.is_empty() {
            self.keys.handle(Event::Left(&left))?;
        }
        self.run_actions()
    }
}
