//! Test support for the SFU: clients with real handshakes and keys, in memory or on loopback sockets.
//!
//! * [`Network`] puts clients around a worker, in memory and in virtual time.
//! * [`LoopbackClient`] is a client on a loopback socket, for a running SFU.
//! * [`subscribe`] and [`opus_header`] are the commands and packets that most tests need.
//!
//! Tests, fuzz targets and benchmarks use it; everything here panics when the SFU does not do its part.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "runs in tests, which fail by panicking")]

mod loopback;
mod network;
mod worker;

pub use loopback::{LoopbackClient, PATIENCE, run_until, wait_until};
pub use network::{MemoryClient, Network, WorkerCore};
pub use worker::{CANDIDATE, adapting_worker, datagram_from, worker};

use rtc_client::Identity;
use sfu::{Command, Mid, ParticipantId, TrackId, media::Codec};
use std::sync::LazyLock;

/// Certificate of all clients of a process.
pub static CLIENT_IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::generate().unwrap());

/// Payload type of Opus.
const OPUS: u8 = Codec::Opus.entry().pt;

/// Commands that add an active slot with this track to a participant.
#[must_use]
pub fn subscribe(participant: ParticipantId, mid: Mid, codec: Codec, track: TrackId) -> [Command; 3] {
    [
        Command::AddSlot { participant, mid, codec },
        Command::SetSlot { participant, mid, source: Some(track.into()) },
        Command::ActivateSlot { participant, mid },
    ]
}

/// Header of an Opus packet in 20 ms frames, whose timestamp follows from the sequence number.
#[must_use]
pub fn opus_header(ssrc: u32, seq: u16) -> Vec<u8> {
    let timestamp = u32::from(seq) * 960;
    [&[0x80, OPUS][..], &seq.to_be_bytes(), &timestamp.to_be_bytes(), &ssrc.to_be_bytes()].concat()
}
