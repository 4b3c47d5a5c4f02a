//! Events as human-readable text and as JSON.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tacet_native::client::{
    CallCode, ChatContent, ClientEvent, ConnectionState, Encryption, EndReason, ErrorCode, Problem, Recovery,
    RemoteTrack, Source,
};

/// Name of a source.
pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::Microphone => "microphone",
        Source::Camera => "camera",
        Source::Screen => "screen",
        Source::ScreenAudio => "screen-audio",
    }
}

/// Name of an encryption state.
pub(super) fn encryption(state: Encryption) -> &'static str {
    match state {
        Encryption::WaitingForKey => "waiting for key",
        Encryption::Verified => "verified",
        Encryption::Broken => "BROKEN",
    }
}

/// What a repair means for the call.
fn recovery(recovery: Recovery) -> &'static str {
    match recovery {
        Recovery::PathReturned => "the media path came back",
        Recovery::IceRestarted => "media found a path to the server again",
        Recovery::SessionResumed => "the session was resumed",
        Recovery::SeatRenewed => "the server had restarted and knew this participant",
        Recovery::JoinedAgain => "joined again as the same participant, with new keys",
        Recovery::NewParticipant => "joined again as a new participant, with new keys",
    }
}

/// Name of a repair, for programs.
fn recovery_name(recovery: Recovery) -> &'static str {
    match recovery {
        Recovery::PathReturned => "path_returned",
        Recovery::IceRestarted => "ice_restarted",
        Recovery::SessionResumed => "session_resumed",
        Recovery::SeatRenewed => "seat_renewed",
        Recovery::JoinedAgain => "joined_again",
        Recovery::NewParticipant => "new_participant",
    }
}

/// Name of the reason why a call ended, for programs.
fn end_name(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::Left => "left",
        EndReason::RoomEnded => "room_ended",
        EndReason::Removed(_) => "removed",
        EndReason::Locked => "locked",
        EndReason::Replaced => "replaced",
        EndReason::Refused(_) => "refused",
        EndReason::ServerMisbehaved(_) => "server_misbehaved",
        EndReason::GaveUp { .. } => "gave_up",
        EndReason::EventsUnread => "events_unread",
    }
}

fn clock_skew(seconds: i64) -> String {
    let (minutes, direction) = (seconds.abs() / 60, if seconds > 0 { "ahead of" } else { "behind" });
    format!("this machine's clock is {minutes} minutes {direction} the server's: beyond ten the others cannot see you")
}

fn problem(problem: Problem) -> &'static str {
    match problem {
        Problem::AnnounceRefused => "an announce was rejected: it was made with another link or altered in transit",
        Problem::KeysRefused => "keys were rejected: not meant for this device, or altered in transit",
        Problem::ClockSkew => "clocks differ by more than ten minutes: that participant's or this machine's is wrong",
        Problem::Equivocation => "a participant announced different keys under one name",
        Problem::RosterDiffers => "a participant is shown other people than this device: compare call codes",
        Problem::ChatRefused => {
            "a chat message was rejected: it was not written by that participant, or its key is missing"
        }
        Problem::KeyMissing => "audio and video of a participant arrive without the key to open them",
    }
}

/// What it means that a problem is over.
fn solved(problem: Problem) -> &'static str {
    match problem {
        Problem::RosterDiffers => "is shown the same people as this device again",
        Problem::KeyMissing => "the key has arrived",
        _ => "it is all right again",
    }
}

/// Name of a problem, for programs.
fn problem_name(problem: Problem) -> &'static str {
    match problem {
        Problem::AnnounceRefused => "announce_refused",
        Problem::KeysRefused => "keys_refused",
        Problem::ClockSkew => "clock_skew",
        Problem::Equivocation => "equivocation",
        Problem::RosterDiffers => "roster_differs",
        Problem::KeyMissing => "key_missing",
        Problem::ChatRefused => "chat_refused",
    }
}

/// How to compare the call code, and what to do if it differs.
const HOW_TO_COMPARE: &str = "one person reads the first three groups aloud, another one the last three; if a group differs \
    and no one is joining, say nothing confidential and leave";

/// The call code for a person, with how to compare it.
pub(super) fn code_line(code: &CallCode, explained: bool) -> String {
    if explained { format!("call code {code}") } else { format!("call code {code}: {HOW_TO_COMPARE}") }
}

/// A human-readable line; `None` for events that the status screen shows and a log does not need.
pub(super) fn line(event: &ClientEvent) -> Option<String> {
    Some(match event {
        ClientEvent::Connection(ConnectionState::Joined) => "joined".to_owned(),
        ClientEvent::Connection(ConnectionState::Connected) => "connected".to_owned(),
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt: 0, cause }) => {
            format!("reconnecting: {cause}")
        }
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause }) => {
            format!("reconnecting, attempt {attempt}: {cause}")
        }
        ClientEvent::Reconnected(how) => format!("reconnected: {}", recovery(*how)),
        ClientEvent::ClockSkew(seconds) => clock_skew(*seconds),
        ClientEvent::ParticipantAway(participant) => format!("{} is reconnecting", participant.name),
        ClientEvent::ParticipantBack(participant) => format!("{} is back", participant.name),
        ClientEvent::TrackStalled(track) if track.stalled => {
            format!("no {} arrives from participant {}", source(track.source), track.participant.0)
        }
        ClientEvent::TrackStalled(track) => {
            format!("{} arrives again from participant {}", source(track.source), track.participant.0)
        }
        ClientEvent::ParticipantJoined(participant) => format!("{} joined", participant.name),
        ClientEvent::ParticipantRenamed(participant) => {
            format!("participant {} is now called {}", participant.id.0, participant.name)
        }
        // A line each, so that no one writes lines that look like those of this program.
        ClientEvent::Chat { participant, content: ChatContent::Text(text) } => {
            let lines = text.split(['\n', '\t']).filter(|line| !line.is_empty());
            format!("{}: {}", participant.name, lines.collect::<Vec<_>>().join(" / "))
        }
        ClientEvent::Chat { participant, content: ChatContent::Reaction(emoji) } => {
            format!("{} reacts: {}", participant.name, emoji.replace(['\n', '\t'], " "))
        }
        ClientEvent::ParticipantLeft(participant) => format!("{} left", participant.name),
        ClientEvent::Encryption { participant, state: Encryption::Broken } => {
            format!("ENCRYPTION BROKEN for participant {}: its media is not shown", participant.0)
        }
        ClientEvent::Problem { participant: Some(participant), problem: what } => {
            format!("participant {}: {}", participant.0, problem(*what))
        }
        ClientEvent::Problem { participant: None, problem: what } => problem(*what).to_owned(),
        ClientEvent::ProblemSolved { participant, problem: what } => {
            format!("participant {}: {}", participant.0, solved(*what))
        }
        ClientEvent::PublicationRefused { source: of, code: ErrorCode::Forbidden } => {
            format!("you may not publish {} in this room", source(*of))
        }
        ClientEvent::PublicationRefused { source: of, code } => {
            format!("the server refused to publish {}: {code:?}", source(*of))
        }
        ClientEvent::RoleChanged { role, .. } => format!("you are now a {role} in this room"),
        ClientEvent::MuteRequested(by) => format!("participant {} asks you to mute your microphone", by.0),
        ClientEvent::RoomLocked(true) => "the room is locked: no one else can join".to_owned(),
        ClientEvent::RoomLocked(false) => "the room is unlocked".to_owned(),
        ClientEvent::Ended(EndReason::Left) => "left".to_owned(),
        ClientEvent::Ended(reason) => format!("call ended: {reason}"),
        _ => return None,
    })
}

/// A JSON object for programs; `None` for media and audio levels.
pub(super) fn object(event: &ClientEvent) -> Option<Value> {
    let track = |t: &str, track: &RemoteTrack| {
        json!({
            "t": t, "track": track.track.0, "participant": track.participant.0, "source": source(track.source),
            "codec": track.codec, "muted": track.muted, "stalled": track.stalled,
        })
    };
    Some(match event {
        ClientEvent::Connection(ConnectionState::Joined) => json!({ "t": "joined" }),
        ClientEvent::Connection(ConnectionState::Connected) => json!({ "t": "connected" }),
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause }) => {
            json!({ "t": "reconnecting", "attempt": attempt, "cause": cause.to_string() })
        }
        ClientEvent::ParticipantJoined(p) => {
            json!({ "t": "participant_joined", "participant": p.id.0, "name": p.name })
        }
        ClientEvent::ParticipantRenamed(p) => {
            json!({ "t": "participant_renamed", "participant": p.id.0, "name": p.name })
        }
        ClientEvent::Reconnected(how) => json!({ "t": "reconnected", "how": recovery_name(*how) }),
        ClientEvent::ClockSkew(seconds) => json!({ "t": "clock_skew", "seconds": seconds }),
        ClientEvent::ParticipantAway(p) => json!({ "t": "participant_away", "participant": p.id.0, "name": p.name }),
        ClientEvent::ParticipantBack(p) => json!({ "t": "participant_back", "participant": p.id.0, "name": p.name }),
        ClientEvent::ParticipantLeft(p) => json!({ "t": "participant_left", "participant": p.id.0, "name": p.name }),
        ClientEvent::Encryption { participant, state } => {
            let state = match state {
                Encryption::WaitingForKey => "waiting_for_key",
                Encryption::Verified => "verified",
                Encryption::Broken => "broken",
            };
            json!({ "t": "encryption", "participant": participant.0, "state": state })
        }
        ClientEvent::Chat { participant: p, content } => {
            let (kind, text) = match content {
                ChatContent::Text(text) => ("text", text),
                ChatContent::Reaction(text) => ("reaction", text),
            };
            json!({ "t": "chat", "participant": p.id.0, "name": p.name, "kind": kind, "text": text })
        }
        ClientEvent::KeyInstalled(participant) => json!({ "t": "key_installed", "participant": participant.0 }),
        ClientEvent::Generation { generation, step } => {
            json!({ "t": "generation", "generation": generation, "step": step })
        }
        ClientEvent::CallCode(code) => {
            json!({ "t": "call_code", "code": code.to_string(), "bytes": BASE64URL_NOPAD.encode(code.as_bytes()) })
        }
        ClientEvent::Problem { participant, problem: what } => {
            let (code, text) = (problem_name(*what), problem(*what));
            json!({ "t": "problem", "participant": participant.map(|p| p.0), "code": code, "problem": text })
        }
        ClientEvent::ProblemSolved { participant, problem: what } => {
            json!({ "t": "problem_solved", "participant": participant.0, "code": problem_name(*what) })
        }
        ClientEvent::TrackAdded(remote) => track("track_added", remote),
        ClientEvent::TrackRemoved(remote) => track("track_removed", remote),
        ClientEvent::TrackMuted(remote) => track("track_muted", remote),
        ClientEvent::TrackStalled(remote) => track("track_stalled", remote),
        ClientEvent::AudioReady { participant, source: of } => {
            json!({ "t": "audio_ready", "participant": participant.0, "source": source(*of) })
        }
        ClientEvent::Published(of) => json!({ "t": "published", "source": source(*of) }),
        ClientEvent::PublicationRefused { source: of, code } => {
            json!({ "t": "publication_refused", "source": source(*of), "code": code })
        }
        ClientEvent::RoleChanged { role, capabilities } => {
            json!({ "t": "role", "role": role, "capabilities": capabilities })
        }
        ClientEvent::MuteRequested(by) => json!({ "t": "mute_requested", "by": by.0 }),
        ClientEvent::RoomLocked(locked) => json!({ "t": "room_locked", "locked": locked }),
        ClientEvent::KeyFrameRequested(of) => json!({ "t": "key_frame_wanted", "source": source(*of) }),
        ClientEvent::VideoLayer { participant, source: of, height, reason } => {
            json!({
                "t": "layer", "participant": participant.0, "source": source(*of), "height": height, "reason": reason,
            })
        }
        ClientEvent::Ended(reason) => {
            json!({ "t": "ended", "code": end_name(reason), "reason": reason.to_string() })
        }
        ClientEvent::ActiveSpeakers(_)
        | ClientEvent::MixedAudio(_)
        | ClientEvent::ParticipantAudio(_)
        | ClientEvent::Video(_) => {
            return None;
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_native::client::{DisconnectReason, Participant, ParticipantId};

    fn joined(name: &str) -> ClientEvent {
        ClientEvent::ParticipantJoined(Participant { id: ParticipantId(7), name: name.to_owned() })
    }

    #[test]
    fn object_is_one_line() {
        let object = object(&joined("Eve\n")).unwrap().to_string();
        assert_eq!(object, r#"{"name":"Eve\n","participant":7,"t":"participant_joined"}"#);
    }

    #[test]
    fn reconnecting_line_names_the_cause() {
        let lost = |attempt| {
            let cause = DisconnectReason::MediaSilent;
            line(&ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause })).unwrap()
        };
        assert_eq!(lost(0), "reconnecting: media has stopped arriving: the network is interrupted");
        assert!(lost(2).starts_with("reconnecting, attempt 2: media has stopped"));
    }

    #[test]
    fn chat_message_is_one_line_under_its_name() {
        let participant = Participant { id: ParticipantId(7), name: "Ada".to_owned() };
        let chat = ClientEvent::Chat { participant, content: ChatContent::Text("hi\nBob left".to_owned()) };
        assert_eq!(line(&chat).unwrap(), "Ada: hi / Bob left");
        assert_eq!(
            object(&chat).unwrap().to_string(),
            r#"{"kind":"text","name":"Ada","participant":7,"t":"chat","text":"hi\nBob left"}"#
        );
    }

    #[test]
    fn clock_skew_says_by_how_much() {
        let line = line(&ClientEvent::ClockSkew(-1_200)).unwrap();
        assert!(line.starts_with("this machine's clock is 20 minutes behind the server's"), "{line}");
    }

    #[test]
    fn end_has_a_code_for_programs() {
        let ended = object(&ClientEvent::Ended(EndReason::RoomEnded)).unwrap();
        assert_eq!(ended["code"], "room_ended");
    }
}
