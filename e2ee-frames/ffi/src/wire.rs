//! Events and actions as bytes: one kind, then a body, big endian.
//!
//! ```text
//! events   0 Tick                       1 Joined: seat2             2 Announces: body of message type 3
//!          3 Left: participant4*        4 Keys: body of type 2      5 KeyRequest: body of type 4 from the server
//!          6 StreamOpened: stream4      7 StreamClosed: stream4
//! actions  1 SendAnnounce: first1 announce298 display               2 SendKeyBatch: body of message type 1
//!          3 SendKeyRequest: {join_id16 kid8}*                      4 ParticipantVerified: participant4 seat2 name
//!          5 ParticipantRemoved: participant4                       6 StreamReady: stream4
//!          7 KeyInstalled: participant4 seat2                       8 Problem: participant4 code1
//!          9 GenerationChanged: generation4 step1              10 Ended: reason1
//! ```

use e2ee_frames::{Action, Event, EventError, ParticipantId, Seat, Session, StreamId};

/// Hands an event to a session.
///
/// # Errors
/// [`EventError::Malformed`] for an unknown kind or a body of the wrong length, else what the session says.
pub fn handle(session: &mut Session, kind: u32, now: u64, wall: u64, body: &[u8]) -> Result<(), EventError> {
    let stream = || <[u8; 4]>::try_from(body).map(|bytes| StreamId(u32::from_be_bytes(bytes)));
    let left: Vec<ParticipantId>;
    let event = match kind {
        0 if body.is_empty() => Event::Tick,
        1 => {
            let seat = <[u8; 2]>::try_from(body).map_err(|_| EventError::Malformed)?;
            Event::Joined { seat: Seat(u16::from_be_bytes(seat)) }
        }
        2 => Event::Announces(body),
        3 => {
            let (ids, rest) = body.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(EventError::Malformed);
            }
            left = ids.iter().map(|id| ParticipantId(u32::from_be_bytes(*id))).collect();
            Event::Left(&left)
        }
        4 => Event::Keys(body),
        5 => Event::KeyRequest(body),
        6 => Event::StreamOpened(stream().map_err(|_| EventError::Malformed)?),
        7 => Event::StreamClosed(stream().map_err(|_| EventError::Malformed)?),
        _ => return Err(EventError::Malformed),
    };
    session.handle(now, wall, event)
}

/// Writes an action.
#[must_use]
pub fn encode(action: &Action) -> Vec<u8> {
    match action {
        Action::SendAnnounce { first, announce, display } => {
            [&[1, u8::from(*first)], announce.as_slice(), display].concat()
        }
        Action::SendKeyBatch(body) => [&[2], body.as_slice()].concat(),
        Action::SendKeyRequest(wanted) => [&[3], wanted.as_slice()].concat(),
        Action::ParticipantVerified { participant, seat, name } => {
            [&[4], &participant.0.to_be_bytes()[..], &seat.0.to_be_bytes(), name.as_bytes()].concat()
        }
        Action::ParticipantRemoved { participant } => [&[5], &participant.0.to_be_bytes()[..]].concat(),
        Action::StreamReady { stream } => [&[6], &stream.0.to_be_bytes()[..]].concat(),
        Action::KeyInstalled { participant, seat } => {
            [&[7], &participant.0.to_be_bytes()[..], &seat.0.to_be_bytes()].concat()
        }
        Action::Problem { participant, problem } => {
            [&[8], &participant.0.to_be_bytes()[..], &[*problem as u8]].concat()
        }
        Action::GenerationChanged { generation, step } => [&[9], &generation.to_be_bytes()[..], &[*step]].concat(),
        Action::Ended(reason) => vec![10, *reason as u8],
    }
}
