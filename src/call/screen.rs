//! The status screen: a few lines at the bottom of the terminal that are redrawn, below the lines of past events.

use super::event_text::{encryption, source};
use crate::terminal::printable;
use console::{Term, style, truncate_str};
use std::{io, time::Duration};
use tacet_native::client::{ConnectionState, Encryption, ParticipantStatus, RemoteTrack, Snapshot, TrackState};

/// Width of a level bar, in cells.
const BAR: usize = 12;
/// Maximum number of participants shown; the rest are counted.
const MAX_SHOWN: usize = 12;

/// Files that are played and recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    /// For example `playing tone.wav`.
    pub(super) lines: Vec<String>,
}

/// A terminal with status lines at the bottom.
pub(super) struct Screen {
    terminal: Term,
    drawn: usize,
}

impl Screen {
    /// Standard output, if it is a terminal.
    pub(super) fn of_stdout() -> Option<Self> {
        let terminal = Term::buffered_stdout();
        terminal.is_term().then_some(Self { terminal, drawn: 0 })
    }

    /// Writes a permanent line, which is printable, above the status.
    pub(super) fn log(&mut self, line: &str) -> io::Result<()> {
        self.clear()?;
        self.terminal.write_line(line)?;
        self.terminal.flush()
    }

    /// Redraws the status.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        self.clear()?;
        let (height, width) = self.terminal.size();
        // More lines than the terminal has would scroll and could not be cleared.
        for line in lines.iter().take(usize::from(height).saturating_sub(1)) {
            self.terminal.write_line(&truncate_str(line, usize::from(width), "…"))?;
            self.drawn += 1;
        }
        self.terminal.flush()
    }

    /// Removes the status.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear_last_lines(std::mem::take(&mut self.drawn))
    }
}

/// The status lines of a call.
pub(super) fn status(name: &str, snapshot: &Snapshot, files: &Files, lasted: Duration) -> Vec<String> {
    let state = match &snapshot.connection {
        None => style("connecting".to_owned()).yellow(),
        Some(ConnectionState::Joined) => style("joined, connecting media".to_owned()).yellow(),
        Some(ConnectionState::Connected) => style("connected".to_owned()).green(),
        Some(ConnectionState::Reconnecting { cause, .. }) => style(printable(&format!("reconnecting: {cause}"))).red(),
    };
    let key =
        snapshot.generation.map_or("no key yet".to_owned(), |(generation, step)| format!("key {generation}.{step}"));
    let minutes = lasted.as_secs() / 60;
    let seconds = lasted.as_secs() % 60;
    let loss = |share: f32| format!("{:.1} %", share * 100.0);
    let mut lines = vec![
        String::new(),
        format!(
            "{} · {state} · {key} · lost {} in, {} out · {minutes}:{seconds:02}",
            style(printable(name)).bold(),
            loss(snapshot.received.loss()),
            loss(snapshot.uplink_loss),
        ),
    ];
    if snapshot.participants.is_empty() {
        lines.push(style("  no one else is here").dim().to_string());
    }
    let names = snapshot
        .participants
        .iter()
        .take(MAX_SHOWN)
        .map(|p| console::measure_text_width(&printable(&p.participant.name)));
    let width = names.max().unwrap_or(0).min(24);
    lines.extend(snapshot.participants.iter().take(MAX_SHOWN).map(|participant| row(participant, width)));
    if snapshot.participants.len() > MAX_SHOWN {
        lines.push(format!("  and {} more", snapshot.participants.len() - MAX_SHOWN));
    }
    for track in &snapshot.local_tracks {
        let state = match track.state {
            _ if track.muted => "muted",
            TrackState::Pending => "pending",
            TrackState::Live => "live",
            TrackState::Refused(_) => "refused",
            TrackState::Ended => "ended",
        };
        lines.push(format!("  sending {}: {state}", source(track.source)));
    }
    lines.extend(files.lines.iter().map(|line| format!("  {line}")));
    lines
}

fn row(status: &ParticipantStatus, width: usize) -> String {
    let name = printable(&status.participant.name);
    let name = console::pad_str(&name, width, console::Alignment::Left, Some("…"));
    let protection = encryption(status.encryption);
    let protection = match status.encryption {
        // Says nothing about encryption: no frames arrive.
        _ if status.away => style("reconnecting").yellow(),
        Encryption::Verified => style(protection).green(),
        Encryption::WaitingForKey => style(protection).yellow(),
        Encryption::Broken => style(protection).red().bold(),
    };
    let state = |track: &RemoteTrack| match (track.muted, track.stalled) {
        (true, _) => " (muted)",
        (false, true) => " (stopped)",
        (false, false) => "",
    };
    let tracks: Vec<_> =
        status.tracks.iter().map(|track| format!("{}{}", source(track.source), state(track))).collect();
    format!("  {name}  {}  {protection}  {}", bar(status.level.bar()), style(tracks.join(", ")).dim())
}

/// A bar of [`BAR`] cells, filled by eighths.
fn bar(full: f32) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (full.clamp(0.0, 1.0) * (BAR * 8) as f32).round() as usize;
    let cell = |n: usize| match eighths.saturating_sub(n * 8) {
        0 => ' ',
        part @ 1..8 => EIGHTHS.get(part).copied().unwrap_or(' '),
        _ => '█',
    };
    (0..BAR).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_native::{
        audio::Level,
        client::{Codec, LocalTrackStatus, Participant, ParticipantId, ReceiverStatistics, Source, TrackId},
    };

    #[test]
    fn bar_fills_by_eighths() {
        assert_eq!(bar(0.0), " ".repeat(BAR));
        assert_eq!(bar(1.0), "█".repeat(BAR));
        assert_eq!(bar(2.0), bar(1.0));
        assert_eq!(bar(0.125), format!("█▌{}", " ".repeat(BAR - 2)));
    }

    #[test]
    fn status_lists_level_encryption_and_tracks() {
        let id = ParticipantId(1);
        let track = RemoteTrack {
            track: TrackId(1),
            participant: id,
            source: Source::Microphone,
            codec: Codec::Opus,
            muted: true,
            stalled: false,
        };
        let ada = ParticipantStatus {
            participant: Participant { id, name: "Ada\u{7}".to_owned() },
            encryption: Encryption::WaitingForKey,
            away: false,
            level: Level::from_dbov(30),
            tracks: vec![track],
        };
        let bob = ParticipantStatus {
            participant: Participant { id: ParticipantId(2), name: "Bob".to_owned() },
            encryption: Encryption::Verified,
            away: true,
            level: Level::SILENCE,
            tracks: vec![RemoteTrack { muted: false, stalled: true, ..track }],
        };
        let snapshot = Snapshot {
            connection: Some(ConnectionState::Connected),
            generation: Some((2, 1)),
            call_code: None,
            participants: vec![ada, bob],
            local_tracks: vec![LocalTrackStatus { source: Source::Camera, state: TrackState::Live, muted: false }],
            received: ReceiverStatistics { packets: 99, lost: 1, opened: 99, not_opened: 0 },
            uplink_loss: 0.25,
        };
        let files = Files { lines: vec!["recording call.wav".to_owned()] };
        let lines = status("Me", &snapshot, &files, Duration::from_secs(62));
        let lines: Vec<_> = lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        assert_eq!(
            lines,
            [
                "",
                "Me · connected · key 2.1 · lost 1.0 % in, 25.0 % out · 1:02",
                "  Ada\u{fffd}  ██████        waiting for key  microphone (muted)",
                "  Bob                 reconnecting  microphone (stopped)",
                "  sending camera: live",
                "  recording call.wav",
            ]
        );
    }
}
