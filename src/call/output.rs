//! Where a call's events are printed: as JSON, as lines, or above a status screen.

use super::{
    event_text,
    screen::{self, Files, Screen},
};
use std::{
    io::{self, Write},
    time::Duration,
};
use tacet_native::client::{Client, ClientEvent, ReceiverStatistics};

/// Where events are printed.
pub(super) enum Output {
    /// One JSON object per line, for scripts.
    Json,
    /// One line per event.
    Lines,
    /// A status screen with this client's name, and lines above it.
    Screen(Box<Screen>, String),
}

impl Output {
    /// JSON if asked for, a screen on a terminal, else lines.
    pub(super) fn new(json: bool, name: String) -> Self {
        if json {
            return Self::Json;
        }
        Screen::of_stdout().map_or(Self::Lines, |screen| Self::Screen(Box::new(screen), name))
    }

    pub(super) fn event(&mut self, event: &ClientEvent) -> io::Result<()> {
        if let Self::Json = self {
            return match event_text::object(event) {
                Some(object) => writeln!(io::stdout(), "{object}"),
                None => Ok(()),
            };
        }
        match event_text::line(event) {
            Some(line) => self.line(&line),
            None => Ok(()),
        }
    }

    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Json => writeln!(io::stdout(), "{}", serde_json::json!({ "t": "trouble", "text": line })),
            Self::Lines => writeln!(io::stdout(), "{line}"),
            Self::Screen(screen, _) => screen.log(line),
        }
    }

    pub(super) fn draw(&mut self, client: &Client, files: Files, lasted: Duration) -> io::Result<()> {
        match self {
            Self::Screen(screen, name) => screen.draw(&screen::status(name, &client.snapshot(), &files, lasted)),
            Self::Json | Self::Lines => Ok(()),
        }
    }

    pub(super) fn summary(&mut self, lasted: Duration, received: ReceiverStatistics) -> io::Result<()> {
        let (seconds, lost) = (lasted.as_secs_f64(), received.lost);
        match self {
            Self::Json => {
                let summary = serde_json::json!({
                    "t": "summary", "seconds": seconds, "packets": received.packets, "lost": lost,
                    "opened": received.opened, "not_opened": received.not_opened,
                });
                writeln!(io::stdout(), "{summary}")
            }
            Self::Lines | Self::Screen(..) => {
                if let Self::Screen(screen, _) = self {
                    screen.clear()?;
                }
                self.line(&format!(
                    "{seconds:.1} s, {} frames opened, {} of {} packets lost",
                    received.opened,
                    lost,
                    received.packets + lost
                ))
            }
        }
    }
}
