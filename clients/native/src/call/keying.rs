//! What the session wants done: announces, key batches and key requests to send, and news for the program.

use super::{Call, CallError, CallEvent};
use crate::outbox::Outgoing;
use e2ee_frames::Action;
use tacet_proto::{
    ClientMessage,
    bytes::Base64,
    client::{Announce, Join, Subscribe},
};

impl Call {
    /// Carries out the actions that the session has queued.
    pub(super) fn run_actions(&mut self) -> Result<(), CallError> {
        while let Some(action) = self.keys.poll() {
            let event = match action {
                Action::SendAnnounce { first, announce, display } => {
                    self.send_announce(first, announce, display)?;
                    continue;
                }
                Action::SendKeyBatch { number: batch, body } => {
                    let number = self.requests.next_number();
                    self.keep_and_send(number, Outgoing::key_batch(number, &body), Some(batch))?;
                    continue;
                }
                Action::SendKeyRequest(wanted) => {
                    let number = self.requests.next_number();
                    self.keep_and_send(number, Outgoing::key_request(number, &wanted), None)?;
                    continue;
                }
                Action::SendChat { id, sealed } => {
                    let number = self.requests.next_number();
                    self.chats.insert(number, id);
                    self.keep_and_send(number, Outgoing::chat(number, id, &sealed), None)?;
                    continue;
                }
                Action::ChatReceived { participant, content, .. } => CallEvent::Chat { participant, content },
                Action::ParticipantVerified { participant, seat, name } => {
                    CallEvent::Verified { participant, seat, name }
                }
                Action::ParticipantRemoved { participant } => CallEvent::Left(participant),
                Action::StreamReady { stream } => CallEvent::StreamReady(stream),
                Action::KeyInstalled { participant, .. } => CallEvent::KeyInstalled(participant),
                Action::Problem { participant, problem } => {
                    CallEvent::Problem { participant: (participant.0 != u32::MAX).then_some(participant), problem }
                }
                Action::ProblemSolved { participant, problem } => CallEvent::ProblemSolved { participant, problem },
                Action::CallCodeChanged(code) => CallEvent::CallCode(code),
                Action::GenerationChanged { generation, step } => CallEvent::Generation { generation, step },
                Action::Ended(reason) => return Err(CallError::Ended(reason)),
            };
            // Both the session and the roster report that a participant left.
            if self.ready.back() != Some(&event) || matches!(event, CallEvent::Chat { .. }) {
                self.ready.push_back(event);
            }
        }
        Ok(())
    }

    fn send_announce(&mut self, first: bool, announce: Vec<u8>, display: Vec<u8>) -> Result<(), CallError> {
        let (announce, display) = (Base64(announce), Base64(display));
        if !first {
            let renewal = Announce { announce, display };
            return self.request(ClientMessage::Announce(renewal)).map(drop);
        }
        let join = Join { announce, display, expects: self.members.expected() };
        self.request(ClientMessage::Join(join))?;
        if self.automatic {
            let all = Subscribe { auto: true, tracks: Vec::new() };
            self.request(ClientMessage::Subscribe(all))?;
        }
        Ok(())
    }
}
