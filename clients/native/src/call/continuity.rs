//! A call outlives its connection: dropping one, and going on with another.

use super::{Admission, Call, CallError, Continues, Ticket, admission, inbox::Inbox, pulse::Pulse, retries::Retries};
use e2ee_frames::Event;
use std::time::Instant;
use tacet_proto::MessageType;

impl Call {
    /// What another connection needs in order to continue this call.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket {
            keys: self.keys.clone(),
            call: self.welcome.call,
            session: self.welcome.session,
            participant: self.welcome.participant,
            tokens: self.tokens.clone(),
            last_seq: self.inbox.last(),
        }
    }

    /// Whether the call has a connection.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.signaling.is_some()
    }

    /// Drops the connection. The session lives on, and requests wait for [`Call::attach`].
    pub fn detach(&mut self) {
        if self.signaling.take().is_some() {
            // Whether the path needs another restart will be known then; the answer to this one arrives if it was made.
            self.requests.withdraw(MessageType::IceRestart);
            // The session seals again what was not answered.
            self.requests.withdraw(MessageType::Chat);
            self.requests.withdraw(MessageType::Reaction);
            self.chats.clear();
            // A session that has ended accepts no events, and needs none.
            let _ = self.keys.handle(Event::Detached);
        }
    }

    /// Ends the connection without a goodbye, so that a successor of this session may take its place.
    pub fn hand_over(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let signaling = self.signaling.take();
        async move {
            if let Some(signaling) = signaling {
                admission::hand_over(signaling).await;
            }
        }
    }

    /// Continues the call on another connection, whose [`Admission::continues`] is `session` or `seat`. With `seat` the
    /// server has forgotten everything else: transport, tracks and subscriptions have to be made again, and
    /// [`CallEvent::TrackList`](super::CallEvent::TrackList) follows.
    ///
    /// # Errors
    /// If the server continues nothing, or the session has ended.
    pub fn attach(&mut self, admission: Admission) -> Result<(), CallError> {
        let Admission { signaling, welcome, seq } = admission;
        let fresh = match welcome.continues {
            Continues::Session => false,
            Continues::Seat => true,
            Continues::Participant | Continues::Nothing => return Err(CallError::OutOfOrder("welcome")),
        };
        self.keys.handle(Event::Attached { fresh })?;
        self.tokens = welcome.tokens.clone();
        self.welcome = welcome;
        self.signaling = Some(signaling);
        self.pulse = Pulse::starting(Instant::now());
        // Everything unanswered is sent again.
        self.retries = Retries::default();
        if fresh {
            self.inbox = Inbox::starting_after(seq);
            self.batches_to_repeat = self.requests.keep_key_batches();
            self.replay_barrier = None;
            self.run_actions()
        } else {
            let barrier = u64::from(self.requests.next_number());
            self.replay_barrier = Some(barrier);
            self.ping(barrier)?;
            self.run_actions()
        }
    }
}
