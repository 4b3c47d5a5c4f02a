//! Where a call's events are printed: as JSON, as lines, or above a status screen.

use super::{
    attempts::Attempts,
    event_text,
    screen::{self, Files, Screen},
};
use crate::terminal::printable;
use std::{
    io::{self, Write},
    time::Duration,
};
use tacet_native::client::{CallCode, Client, ClientEvent, ReceiverStatistics};

/// Prints what happens in a call.
pub(super) struct Output {
    form: Form,
    /// Whether people are shown the call code.
    shows_code: bool,
    /// Whether they have been shown how to compare it.
    code_explained: bool,
    attempts: Attempts,
}

/// Where events are printed.
enum Form {
    /// One JSON object per line, for scripts.
    Json,
    /// One line per event.
    Lines,
    /// A status screen with this client's name, and lines above it.
    Screen(Box<Screen>, String),
}

impl Output {
    /// JSON if asked for, a screen on a terminal, else lines.
    pub(super) fn new(json: bool, shows_code: bool, name: String) -> Self {
        let form = match Screen::of_stdout() {
            _ if json => Form::Json,
            Some(screen) => Form::Screen(Box::new(screen), name),
            None => Form::Lines,
        };
        Self { form, shows_code, code_explained: false, attempts: Attempts::default() }
    }

    pub(super) fn event(&mut self, event: &ClientEvent) -> io::Result<()> {
        if !self.attempts.prints(event) {
            return Ok(());
        }
        if let Form::Json = self.form {
            return match event_text::object(event) {
                Some(object) => writeln!(io::stdout(), "{object}"),
                None => Ok(()),
            };
        }
        let line = match event {
            ClientEvent::CallCode(code) => self.shows_code.then(|| self.code_line(code)),
            event => event_text::line(event),
        };
        line.map_or(Ok(()), |line| self.line(&line))
    }

    /// The call code, the first time with how to compare it.
    fn code_line(&mut self, code: &CallCode) -> String {
        event_text::code_line(code, std::mem::replace(&mut self.code_explained, true))
    }

    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        // Names come clean from the session. File names and the server's words do not.
        let line = &printable(line);
        match &mut self.form {
            Form::Json => writeln!(io::stdout(), "{}", serde_json::json!({ "t": "trouble", "text": line })),
            Form::Lines => writeln!(io::stdout(), "{line}"),
            Form::Screen(screen, _) => screen.log(line),
        }
    }

    pub(super) fn draw(&mut self, client: &Client, files: Files, lasted: Duration) -> io::Result<()> {
        match &mut self.form {
            Form::Screen(screen, name) => screen.draw(&screen::status(name, &client.snapshot(), &files, lasted)),
            Form::Json | Form::Lines => Ok(()),
        }
    }

    pub(super) fn summary(&mut self, lasted: Duration, received: ReceiverStatistics) -> io::Result<()> {
        let (seconds, lost) = (lasted.as_secs_f64(), received.lost);
        match &mut self.form {
            Form::Json => {
                let summary = serde_json::json!({
                    "t": "summary", "seconds": seconds, "packets": received.packets, "lost": lost,
                    "opened": received.opened, "not_opened": received.not_opened,
                });
                writeln!(io::stdout(), "{summary}")
            }
            Form::Lines | Form::Screen(..) => {
                if let Form::Screen(screen, _) = &mut self.form {
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
