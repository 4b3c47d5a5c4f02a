//! Events as a person reads them, and as a program does.

use serde_json::{Value, json};
use tacet_native::client::{ClientEvent, ConnectionState, Encryption, EndReason, Problem, RemoteTrack, Source};

/// Text of somebody else, made harmless: it may hold what moves a terminal's cursor or turns the direction of writing.
pub(super) fn harmless(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// What a source is called.
pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::Microphone => "microphone",
        Source::Camera => "camera",
        Source::Screen => "screen",
        Source::ScreenAudio => "screen-audio",
    }
}

/// How well somebody's media is protected, in a few words.
pub(super) fn encryption(state: Encryption) -> &'static str {
    match state {
        Encryption::WaitingForKey => "waiting for key",
        Encryption::Verified => "verified",
        Encryption::Broken => "BROKEN",
    }
}

fn problem(problem: Problem) -> &'static str {
    match problem {
        Problem::AnnounceRefused => "an announce was refused: it was made with another link, or altered on the way",
        Problem::KeysRefused => "keys were refused: not meant for this device, or altered on the way",
        Problem::ClockSkew => "a clock is off by more than ten minutes: that participant's or this machine's",
        Problem::Equivocation => "a participant gave out different keys under one name",
    }
}

/// A line for people, without a time; `None` for what the status screen shows and a log need not.
pub(super) fn line(event: &ClientEvent) -> Option<String> {
    Some(match event {
        ClientEvent::Connection(ConnectionState::Joined) => "joined".to_owned(),
        ClientEvent::Connection(ConnectionState::Connected) => "connected: media flows".to_owned(),
        ClientEvent::Connection(ConnectionState::Interrupted) => "media has stopped arriving".to_owned(),
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt: 1, cause }) => {
            format!("connection lost, joining again with new keys ({cause})")
        }
        ClientEvent::Connection(ConnectionState::Reconnecting { attempt, cause }) => {
            format!("attempt {attempt} to join again ({cause})")
        }
        ClientEvent::ParticipantJoined(participant) => format!("{} is here", harmless(&participant.name)),
        ClientEvent::ParticipantRenamed(participant) => {
            format!("participant {} is now called {}", participant.id.0, harmless(&participant.name))
        }
        ClientEvent::ParticipantLeft(participant) => format!("{} has gone", harmless(&participant.name)),
        ClientEvent::Encryption { participant, state: Encryption::Broken } => {
            format!("ENCRYPTION IS BROKEN with participant {}: nothing of it is shown", participant.0)
        }
        ClientEvent::Problem { participant: Some(participant), problem: what } => {
            format!("participant {}: {}", participant.0, problem(*what))
        }
        ClientEvent::Problem { participant: None, problem: what } => problem(*what).to_owned(),
        ClientEvent::PublicationRefused { source: of, code } => {
            format!("the server refuses to forward this {}: {code:?}", source(*of))
        }
        ClientEvent::Ended(EndReason::Left) => "left".to_owned(),
        ClientEvent::Ended(reason) => format!("the call is over: {reason}"),
        _ => return None,
    })
}

/// An object for programs, one a line; `None` for media and levels.
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
        ClientEvent::KeyFrameWanted(of) => json!({ "t": "key_frame_wanted", "source": source(*of) }),
        ClientEvent::Ended(reason) => json!({ "t": "ended", "reason": reason.to_string() }),
        ClientEvent::Speakers(_) | ClientEvent::Mixed(_) | ClientEvent::Sound(_) | ClientEvent::Video(_) => {
            return None;
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_native::client::{Loss, Participant, ParticipantId};

    fn joined(name: &str) -> ClientEvent {
        ClientEvent::ParticipantJoined(Participant { id: ParticipantId(7), name: name.to_owned() })
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let line = line(&joined("Eve\u{1b}[2J\r\n\u{202e}root")).unwrap();
        assert_eq!(line, "Eve\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}root is here");
    }

    #[test]
    fn programs_read_one_object_a_line() {
        let object = object(&joined("Eve\n")).unwrap().to_string();
        assert_eq!(object, r#"{"name":"Eve\n","participant":7,"t":"participant_joined"}"#);
    }

    #[test]
    fn a_loss_says_why() {
        let lost = ConnectionState::Reconnecting { attempt: 1, cause: Loss::Silent };
        let line = line(&ClientEvent::Connection(lost)).unwrap();
        assert_eq!(line, "connection lost, joining again with new keys (media has stopped arriving)");
    }
}
