//! The transport of a participant: set up once, restarted when its path breaks, made again when it has ended.
//!
//! ```text
//!            AddParticipant           client's half           SRTP keys
//!   Requested ───────────► Offered ────────────────► Connecting ··········► connected
//!       ▲                     ▲                          │   │
//!       │                     └── ice.restart, answered ─┘   │
//!       └── the client is heard of ── Ended ◄── closed, failed
//! ```
//!
//! An ICE restart keeps DTLS and SRTP: the client's certificate must stay the same. A transport that has ended cannot be
//! restarted. It takes the participant's tracks and slots with it, and another one is offered.

use super::{
    Answer, DONE, Refusal, Room,
    authorized::{Authorized, Present},
    refusal,
};
use crate::media;
use sfu_api::{Command, CommandError, CommandId, LocalTransport};
use std::time::{Duration, Instant};
use tacet_proto::{
    CloseCode, ErrorCode, ParticipantId, ServerMessage,
    client::ClientTransport,
    limits::MAX_NAME_BYTES,
    server::{TransportState, TransportStateChange},
};

/// Minimum time between two transports of a participant.
const RENEWAL: Duration = Duration::from_secs(2);

/// How far a transport is set up.
#[derive(Debug)]
pub(super) struct Transport {
    state: State,
    /// When it was requested.
    since: Instant,
    /// SHA-256 of the certificate that the client has named.
    fingerprint: Option<[u8; 32]>,
    /// An ICE restart that the media plane has not answered.
    restart: Option<Restart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The media plane has not answered this command yet.
    Requested(CommandId),
    /// The client has the server's half, and is to send its own.
    Offered,
    /// The media plane has the client's half.
    Connecting {
        /// The client's request that it came with.
        re: Option<u32>,
        /// The command that passed it on.
        command: CommandId,
    },
    /// It was closed, or failed.
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Restart {
    /// The client's request.
    re: Option<u32>,
    /// The command to the media plane.
    command: CommandId,
}

impl Transport {
    /// A transport that the media plane was asked for.
    pub(super) fn requested(now: Instant, command: CommandId) -> Self {
        Self { state: State::Requested(command), since: now, fingerprint: None, restart: None }
    }
}

impl Room {
    /// Passes the client's half on.
    pub(super) fn connect(
        &mut self,
        by: Authorized<Present>,
        id: Option<u32>,
        transport: ClientTransport,
    ) -> Result<Answer, Refusal> {
        let from = by.participant();
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        match member.transport.state {
            State::Offered => {}
            State::Requested(_) | State::Ended => {
                return Err(refusal(ErrorCode::OutOfOrder, "wait for the transport of the server"));
            }
            State::Connecting { .. } => {
                return Err(refusal(ErrorCode::OutOfOrder, "the transport is already connected"));
            }
        }
        let ClientTransport { ice, dtls } = transport;
        // RFC 8839 section 5.4: ice-char, at least 4 and 22 of them.
        let ice_chars = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
        let ufrag = (4..=MAX_NAME_BYTES).contains(&ice.ufrag.len()) && ice_chars(&ice.ufrag);
        let pwd = (22..=256).contains(&ice.pwd.len()) && ice_chars(&ice.pwd);
        if !(ufrag && pwd) {
            return Err(refusal(ErrorCode::BadMessage, "ice: invalid ufrag or password"));
        }
        let fingerprint = dtls.fingerprint.0;
        if member.transport.fingerprint.is_some_and(|before| before != fingerprint) {
            return Err(refusal(ErrorCode::BadMessage, "dtls: an ICE restart keeps the certificate"));
        }
        let remote = sfu_api::RemoteTransport { ufrag: ice.ufrag, pwd: ice.pwd, fingerprint };
        let command = self.outputs.command(Command::Connect { participant: from, remote });
        member.transport.fingerprint = Some(fingerprint);
        member.transport.state = State::Connecting { re: id, command };
        Ok(DONE)
    }

    /// Asks the media plane for new credentials. Its answer is passed on as the answer to this request.
    pub(super) fn restart_ice(&mut self, by: Authorized<Present>, re: Option<u32>) -> Result<Answer, Refusal> {
        let from = by.participant();
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        let transport = &mut member.transport;
        let connected = transport.fingerprint.is_some() && transport.state != State::Ended;
        if !connected || transport.restart.is_some() {
            return Err(refusal(ErrorCode::OutOfOrder, "there is no transport to restart, or it is being restarted"));
        }
        let command = self.outputs.command(Command::RestartIce { participant: from });
        transport.restart = Some(Restart { re, command });
        Ok(None)
    }

    /// The media plane has made or restarted a transport.
    pub(super) fn transport_made(&mut self, command: CommandId, participant: ParticipantId, local: &LocalTransport) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let transport = &mut member.transport;
        let re = match transport.restart {
            Some(Restart { re, command: restart }) if restart == command => re,
            _ if transport.state == State::Requested(command) => None,
            _ => return,
        };
        transport.restart = None;
        transport.state = State::Offered;
        self.send(participant, re, ServerMessage::Transport(media::transport(local)));
    }

    /// The state of a transport changed.
    pub(super) fn transport_changed(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        state: sfu_api::TransportState,
    ) {
        use sfu_api::TransportState::{Closed, Connected, Disconnected, Failed};
        let Some(member) = self.members.get_mut(&participant) else { return };
        let shown = match state {
            Connected => TransportState::Connected,
            Disconnected => TransportState::Disconnected,
            // Neither recovers.
            Failed | Closed => TransportState::Failed,
        };
        tracing::debug!(participant = participant.0, state = ?shown, "media transport changed");
        if shown == TransportState::Failed {
            member.transport.state = State::Ended;
        }
        if state == Closed {
            member.presence.depart(now);
        }
        self.send(participant, None, ServerMessage::TransportState(TransportStateChange { state: shown }));
        self.presence_changed(now, participant);
    }

    /// Offers another transport to a participant whose own has ended. It is called when the participant is heard of, so
    /// that one who has gone is offered none.
    pub(super) fn renew_transport(&mut self, now: Instant, participant: ParticipantId) {
        let Some(member) = self.members.get(&participant) else { return };
        let ended = member.transport.state == State::Ended;
        if !ended || now.saturating_duration_since(member.transport.since) < RENEWAL {
            return;
        }
        tracing::debug!(participant = participant.0, "another media transport is offered");
        self.withdraw_all(now, participant);
        self.outputs.command(Command::RemoveParticipant { participant });
        let command = self.outputs.command(Command::AddParticipant { room: self.id, participant });
        if let Some(member) = self.members.get_mut(&participant) {
            member.slots.clear();
            member.transport = Transport::requested(now, command);
        }
        self.arrange(now, participant);
    }

    /// The media plane refused a command about a transport. Returns whether it was one.
    pub(super) fn transport_refused(
        &mut self,
        now: Instant,
        command: CommandId,
        participant: ParticipantId,
        error: CommandError,
    ) -> bool {
        let Some(member) = self.members.get_mut(&participant) else { return false };
        let transport = &mut member.transport;
        if let Some(Restart { re, .. }) = transport.restart.take_if(|restart| restart.command == command) {
            self.refuse(participant, re, refusal(ErrorCode::ServerBusy, "the media plane refused to restart ICE"));
            return true;
        }
        match transport.state {
            State::Requested(requested) if requested == command => {
                self.refuse(participant, None, refusal(ErrorCode::ServerBusy, "no capacity for another transport"));
                self.end(now, participant, CloseCode::TryLater, "the server is busy");
            }
            State::Connecting { re, command: connecting } if connecting == command => {
                if error == CommandError::Invalid {
                    transport.state = State::Offered;
                    self.refuse(participant, re, refusal(ErrorCode::BadMessage, "transport: invalid parameters"));
                } else {
                    let refused = refusal(ErrorCode::Internal, "the media plane refused the transport");
                    self.refuse(participant, None, refused);
                }
            }
            _ => return false,
        }
        true
    }
}
