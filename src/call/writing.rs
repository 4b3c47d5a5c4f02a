//! What a person writes in the chat.

use anyhow::bail;
use std::io::{BufRead, stdin};
use tacet_native::client::ChatContent;
use tokio::sync::mpsc;

/// Lines that wait to be sent.
const WAITING: usize = 16;
/// Content type of a text.
const TEXT: u8 = 1;

/// A text for the chat.
pub(super) fn text(text: &str) -> anyhow::Result<ChatContent> {
    match ChatContent::new(TEXT, text) {
        Some(content) => Ok(content),
        None => bail!("a chat message has 1 to 4,096 bytes"),
    }
}

/// Reads lines of standard input until it ends. The thread that reads them ends with the process.
pub(super) fn standard_input() -> mpsc::Receiver<String> {
    let (lines, written) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    written
}
