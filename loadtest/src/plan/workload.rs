//! Workloads of a plan: participants of a room by kind, and the streams that each kind sends and receives.
//!
//! The server forwards every stream to everyone in the room who takes it, silent ones included.

use serde::{Deserialize, Serialize};

/// Numbers of concurrent streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Streams {
    /// Audio streams.
    pub audio: f64,
    /// Video streams.
    pub video: f64,
}

/// One kind of participant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// Description of the kind.
    pub name: String,
    /// Number per room.
    pub per_room: f64,
    /// Streams that one participant sends.
    pub sends: Streams,
    /// Streams that one participant receives.
    pub receives: Streams,
}

/// A kind of room, in any number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its participants, by kind.
    pub kinds: Vec<Kind>,
}

impl Workload {
    /// A room of senders, receivers, and participants that do both, in this order; `sent` is what each sender sends, and
    /// `taken` what each receiver takes of each other sender (less than what is sent, with simulcast).
    #[must_use]
    pub fn room(name: &str, [senders, receivers, both]: [usize; 3], sent: Streams, taken: Streams) -> Self {
        let sources = (senders + both) as f64;
        let from = |others: f64| Streams { audio: taken.audio * others, video: taken.video * others };
        let none = Streams::default();
        let kinds = [
            ("sends", senders, sent, none),
            ("receives", receivers, none, from(sources)),
            ("sends and receives", both, sent, from((sources - 1.0).max(0.0))),
        ];
        let kinds = kinds
            .into_iter()
            .filter(|(_, count, ..)| *count > 0)
            .map(|(kind, count, sends, receives)| Kind {
                name: kind.to_owned(),
                per_room: count as f64,
                sends,
                receives,
            })
            .collect();
        Self { name: name.to_owned(), kinds }
    }

    /// Participants of a room.
    #[must_use]
    pub fn participants(&self) -> f64 {
        self.kinds.iter().map(|kind| kind.per_room).sum()
    }

    /// Signaling messages, both ways, that one stay of a participant causes at the server: what it exchanges itself, and
    /// what its joining and leaving sends to the others in the room. Counted from the protocol, one message for each change; a busy
    /// server puts several changes into one message, so that this is an upper bound.
    #[must_use]
    pub fn messages_per_stay(&self) -> f64 {
        let room = self.participants();
        if room <= 0.0 {
            return 0.0;
        }
        let tracks = self.kinds.iter().map(|kind| kind.per_room * (kind.sends.audio + kind.sends.video)).sum::<f64>();
        let own_tracks = tracks / room;
        Self::OWN
            + own_tracks * Self::PER_OWN_TRACK
            + (room - 1.0) * (Self::PER_OTHER + own_tracks * Self::PER_OTHERS_TRACK)
    }

    /// challenge, hello, welcome, join, joined, subscribe and its ok, transport twice and its ok, transport state, slots,
    /// slots.ready and its ok, keys, leave, bye.
    const OWN: f64 = 17.0;
    /// publish, published, and a batch of keys.
    const PER_OWN_TRACK: f64 = 3.0;
    /// roster and announce at the beginning, a batch of keys from the other and keys to it; roster at the end, and again
    /// a batch of new keys and keys.
    const PER_OTHER: f64 = 7.0;
    /// tracks, slots, slots.ready and its ok; tracks and slots at the end, slots.ready and its ok.
    const PER_OTHERS_TRACK: f64 = 8.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO_AND_VIDEO: Streams = Streams { audio: 1.0, video: 1.0 };

    #[test]
    fn own_streams_are_not_received() {
        let four = Workload::room("four", [0, 0, 4], AUDIO_AND_VIDEO, AUDIO_AND_VIDEO);
        assert_eq!(four.kinds.len(), 1);
        assert_eq!(four.kinds[0].receives, Streams { audio: 3.0, video: 3.0 });
        assert_eq!(four.participants(), 4.0);
    }

    #[test]
    fn listeners_receive_all_streams() {
        let simulcast = Streams { audio: 1.0, video: 3.0 };
        let webinar = Workload::room("webinar", [2, 1_000, 8], simulcast, AUDIO_AND_VIDEO);
        let receives: Vec<_> = webinar.kinds.iter().map(|kind| kind.receives.video).collect();
        assert_eq!(receives, [0.0, 10.0, 9.0]);
        assert_eq!(webinar.kinds[2].sends.video, 3.0);
    }

    #[test]
    fn messages_grow_with_the_room() {
        let room = |n| Workload::room("", [0, 0, n], AUDIO_AND_VIDEO, AUDIO_AND_VIDEO).messages_per_stay();
        assert_eq!(room(1), Workload::OWN + 2.0 * Workload::PER_OWN_TRACK);
        assert_eq!(room(4) - room(3), Workload::PER_OTHER + 2.0 * Workload::PER_OTHERS_TRACK);
        assert_eq!(Workload { name: String::new(), kinds: vec![] }.messages_per_stay(), 0.0);
    }
}
