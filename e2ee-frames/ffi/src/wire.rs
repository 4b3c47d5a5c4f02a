//! Events and actions as bytes: a kind, then a body. [`EventKind`] and [`ActionKind`] say what the bodies hold.

use crate::codes::{ActionKind, EndedNumber, EventKind, ProblemNumber};
use e2ee_frames::{Action, ChatContent, ChatId, Clock, Event, EventError, ParticipantId, Seat, Session, StreamId};

/// Hands an event to a session.
///
/// # Errors
/// [`EventError::Malformed`] for an unknown kind or a body of the wrong length, else what the session says.
pub fn handle(session: &mut Session, kind: u32, clock: Clock, body: &[u8]) -> Result<(), EventError> {
    let left: Vec<ParticipantId>;
    let said: ChatContent;
    let event = match EventKind::from_number(kind).ok_or(EventError::Malformed)? {
        EventKind::Tick if body.is_empty() => Event::Tick,
        EventKind::Tick => return Err(EventError::Malformed),
        EventKind::Joined => Event::Joined { seat: Seat(u16::from_be_bytes(exactly(body)?)) },
        EventKind::Announces => Event::Announces(body),
        EventKind::Left => {
            let (ids, rest) = body.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(EventError::Malformed);
            }
            left = ids.iter().map(|id| ParticipantId(u32::from_be_bytes(*id))).collect();
            Event::Left(&left)
        }
        EventKind::Keys => Event::Keys(body),
        EventKind::KeyRequest => Event::KeyRequest(body),
        EventKind::StreamOpened => Event::StreamOpened(StreamId(u32::from_be_bytes(exactly(body)?))),
        EventKind::StreamClosed => Event::StreamClosed(StreamId(u32::from_be_bytes(exactly(body)?))),
        EventKind::KeyBatchAccepted => Event::KeyBatchAccepted { number: u32::from_be_bytes(exactly(body)?) },
        EventKind::Detached if body.is_empty() => Event::Detached,
        EventKind::Detached => return Err(EventError::Malformed),
        EventKind::Attached => match exactly(body)? {
            [fresh @ (0 | 1)] => Event::Attached { fresh: fresh == 1 },
            _ => return Err(EventError::Malformed),
        },
        EventKind::Chat => Event::Chat(body),
        EventKind::SendChat => {
            let (id, content) = body.split_first_chunk::<8>().ok_or(EventError::Malformed)?;
            let (kind, text) = content.split_first().ok_or(EventError::Malformed)?;
            let text = std::str::from_utf8(text).map_err(|_| EventError::Malformed)?;
            said = ChatContent::new(*kind, text).ok_or(EventError::Malformed)?;
            Event::SendChat { id: chat_id(*id)?, content: &said }
        }
        EventKind::ChatAnswered => Event::ChatAnswered { id: chat_id(exactly(body)?)? },
    };
    session.handle(clock, event)
}

fn chat_id(bytes: [u8; 8]) -> Result<ChatId, EventError> {
    ChatId::from_bytes(bytes).ok_or(EventError::Malformed)
}

/// The body as an array, if it has just that length.
fn exactly<const N: usize>(body: &[u8]) -> Result<[u8; N], EventError> {
    body.try_into().map_err(|_| EventError::Malformed)
}

/// Writes an action.
#[must_use]
pub fn encode(action: &Action) -> Vec<u8> {
    match action {
        Action::SendAnnounce { first, announce, display } => {
            with(ActionKind::SendAnnounce, &[&[u8::from(*first)], announce, display])
        }
        Action::SendKeyBatch { number, body } => with(ActionKind::SendKeyBatch, &[&number.to_be_bytes(), body]),
        Action::SendKeyRequest(wanted) => with(ActionKind::SendKeyRequest, &[wanted]),
        Action::SendChat { id, sealed } => with(ActionKind::SendChat, &[&id.to_bytes(), sealed]),
        Action::ChatReceived { participant, id, content } => {
            let (kind, text) = content.parts();
            let parts = [&participant.0.to_be_bytes()[..], &id.to_bytes(), &[kind], text.as_bytes()];
            with(ActionKind::ChatReceived, &parts)
        }
        Action::ParticipantVerified { participant, seat, name } => with(
            ActionKind::ParticipantVerified,
            &[&participant.0.to_be_bytes(), &seat.0.to_be_bytes(), name.as_bytes()],
        ),
        Action::ParticipantRemoved { participant } => {
            with(ActionKind::ParticipantRemoved, &[&participant.0.to_be_bytes()])
        }
        Action::StreamReady { stream } => with(ActionKind::StreamReady, &[&stream.0.to_be_bytes()]),
        Action::KeyInstalled { participant, seat } => {
            with(ActionKind::KeyInstalled, &[&participant.0.to_be_bytes(), &seat.0.to_be_bytes()])
        }
        Action::Problem { participant, problem } => {
            with(ActionKind::Problem, &[&participant.0.to_be_bytes(), &[ProblemNumber::from(*problem) as u8]])
        }
        Action::ProblemSolved { participant, problem } => {
            with(ActionKind::ProblemSolved, &[&participant.0.to_be_bytes(), &[ProblemNumber::from(*problem) as u8]])
        }
        Action::CallCodeChanged(code) => with(ActionKind::CallCodeChanged, &[code.as_bytes()]),
        Action::GenerationChanged { generation, step } => {
            with(ActionKind::GenerationChanged, &[&generation.to_be_bytes(), &[*step]])
        }
        Action::Ended(reason) => with(ActionKind::Ended, &[&[EndedNumber::from(*reason) as u8]]),
    }
}

fn with(kind: ActionKind, parts: &[&[u8]]) -> Vec<u8> {
    let mut action = vec![kind as u8];
    parts.iter().for_each(|part| action.extend_from_slice(part));
    action
}
