//! Events as human-readable text and as JSON.

use serde_json::{Value, json};
use tacet_native::client::{ClientEvent, ConnectionState, Encryption, EndReason, Problem, RemoteTrack, Source};

/// Replaces control and bidirectional formatting characters in text of another participant, which could otherwise move the
/// terminal's cursor or reverse the writing direction.
pub(super) fn harmless(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

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

fn problem(problem: Problem) -> &'static str {
    match problem {
        Problem::AnnounceRefused => "an announce was rejected: it was made with another link or altered in transit",
        Problem::KeysRefused => "keys were rejected: not meant for this device, or altered in transit",
        Problem::ClockSkew => "clocks differ by more than ten minutes: that participant's or this machine's is wrong",
        Problem::Equivocation => "a participant announced different keys under one name",
    }
}

/// A human-readable line; `None` for events that the status screen shows and a log does not need.
pub(super) fn line(event: &ClientEvent) -> Option<String> {
    Some(match event {
        ClientEvent::Connection(ConnectionState::Joined) => "joined".to_owned(),
        ClientEvent::Connection(ConnectionState::Connected) => "connected".to_owned(),
        ClientEvent::Connection(ConnectionState::Interrupted) => "media interrupted".to_owned(),
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt: 1, cause }) => {
            format!("connection lost, reconnecting with new keys ({cause})")
        }
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause }) => {
            format!("reconnecting, attempt {attempt} ({cause})")
        }
        ClientEvent::ParticipantJoined(participant) => format!("{} joined", harmless(&participant.name)),
        ClientEvent::ParticipantRenamed(participant) => {
            format!("participant {} is now called {}", participant.id.0, harmless(&participant.name))
        }
        ClientEvent::ParticipantLeft(participant) => format!("{} left", harmless(&participant.name)),
        ClientEvent::Encryption { participant, state: Encryption::Broken } => {
            format!("ENCRYPTION BROKEN for participant {}: its media is not shown", participant.0)
        }
        ClientEvent::Problem { participant: Some(participant), problem: what } => {
            format!("participant {}: {}", participant.0, problem(*what))
        }
        ClientEvent::Problem { participant: None, problem: what } => problem(*what).to_owned(),
        ClientEvent::PublicationRefused { source: of, code } => {
            format!("the server refused to publish {}: {code:?}", source(*of))
        }
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
            "codec": track.codec, "muted": track.muted,
        })
    };
    Some(match event {
        ClientEvent::Connection(ConnectionState::Joined) => json!({ "t": "joined" }),
        ClientEvent::Connection(ConnectionState::Connected) => json!({ "t": "connected" }),
        ClientEvent::Connection(ConnectionState::Interrupted) => json!({ "t": "interrupted" }),
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause }) => {
            json!({ "t": "reconnecting", "attempt": attempt, "cause": cause.to_string() })
        }
        ClientEvent::ParticipantJoined(p) => {
            json!({ "t": "participant_joined", "participant": p.id.0, "name": p.name })
        }
        ClientEvent::ParticipantRenamed(p) => {
            json!({ "t": "participant_renamed", "participant": p.id.0, "name": p.name })
        }
        ClientEvent::ParticipantLeft(p) => json!({ "t": "participant_left", "participant": p.id.0, "name": p.name }),
        ClientEvent::Encryption { participant, state } => {
            let state = match state {
                Encryption::WaitingForKey => "waiting_for_key",
                Encryption::Verified => "verified",
                Encryption::Broken => "broken",
            };
            json!({ "t": "encryption", "participant": participant.0, "state": state })
        }
        ClientEvent::KeyInstalled(participant) => json!({ "t": "key_installed", "participant": participant.0 }),
        ClientEvent::Generation { generation, step } => {
            json!({ "t": "generation", "generation": generation, "step": step })
        }
        ClientEvent::Problem { participant, problem: what } => {
            json!({ "t": "problem", "participant": participant.map(|p| p.0), "problem": problem(*what) })
        }
        ClientEvent::TrackAdded(remote) => track("track_added", remote),
        ClientEvent::TrackRemoved(remote) => track("track_removed", remote),
        ClientEvent::TrackMuted(remote) => track("track_muted", remote),
        ClientEvent::AudioReady { participant, source: of } => {
            json!({ "t": "audio_ready", "participant": participant.0, "source": source(*of) })
        }
        ClientEvent::Published(of) => json!({ "t": "published", "source": source(*of) }),
        ClientEvent::PublicationRefused { source: of, code } => {
            json!({ "t": "publication_refused", "source": source(*of), "code": code })
        }
        ClientEvent::KeyFrameRequested(of) => json!({ "t": "key_frame_wanted", "source": source(*of) }),
        ClientEvent::Ended(reason) => json!({ "t": "ended", "reason": reason.to_string() }),
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
    fn name_cannot_control_the_terminal() {
        let line = line(&joined("Eve\u{1b}[2J\r\n\u{202e}root")).unwrap();
        assert_eq!(line, "Eve\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}root joined");
    }

    #[test]
    fn object_is_one_line() {
        let object = object(&joined("Eve\n")).unwrap().to_string();
        assert_eq!(object, r#"{"name":"Eve\n","participant":7,"t":"participant_joined"}"#);
    }

    #[test]
    fn reconnecting_line_names_the_cause() {
        let lost = ConnectionState::Reconnecting { attempt: 1, cause: DisconnectReason::MediaSilent };
        let line = line(&ClientEvent::Connection(lost)).unwrap();
        assert_eq!(line, "connection lost, reconnecting with new keys (media has stopped arriving)");
    }
}
