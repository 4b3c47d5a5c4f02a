//! Who speaks in a room: for the page, which shows it, and for the slots of large rooms, which play nothing else.
//!
//! ```text
//!   audio packet ─► AudioLevel (a track) ─┬─► ActiveSpeakers (the room) ─► Event::Speakers, on change
//!     level: RFC 6464                     └─► SpeakerSet (the room) ─► positions ─► slots of all listeners
//! ```
//! A level is what its sender claims. It decides who is heard first when many speak, and proves nothing.

pub(crate) mod active;
pub(crate) mod level;
pub(crate) mod set;
#[cfg(test)]
mod tests;
