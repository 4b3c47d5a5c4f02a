//! From packets to opened frames, for bots of both stacks: accounting, reassembly, decryption, waiting for keys.

use crate::measure::clock::Time;
use crate::{
    bots::{frame, packet_identity::SlotPacket},
    measure::{
        accounting::{Accounted, ReceiverAccounting, SlotAccount},
        received_track::Arrival,
        statistics::Statistics,
    },
};
use e2ee_frames::{Codec, OpenError};
use std::collections::VecDeque;
use std::time::Duration;
use tacet_native::{
    keys::SharedKeys,
    video::{Assembler, split_vp8},
};

/// How long a frame waits for its key, and the maximum number of frames that do.
const HOLD: Duration = Duration::from_millis(300);
const MAX_HELD: usize = 64;

/// A packet as it came out of SRTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedPacket<'a> {
    /// Sequence number in the slot, extended by its wraps; of the original for a retransmission.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) arrived_at: Time,
    pub(crate) retransmitted: bool,
    pub(crate) payload: &'a [u8],
}

/// Receiving state of one slot.
#[derive(Debug)]
pub(crate) struct SlotFrames {
    pub(crate) codec: Codec,
    account: SlotAccount,
    assembler: Assembler,
    /// How the first packet of the newest frame was accounted for.
    first: Option<Accounted>,
}

impl SlotFrames {
    pub(crate) fn new(codec: Codec) -> Self {
        Self { codec, account: SlotAccount::default(), assembler: Assembler::new(codec), first: None }
    }

    /// Writes the frame that this packet completes to `out`, and returns how its first packet was accounted for.
    fn push(
        &mut self,
        packet: &ReceivedPacket<'_>,
        begins: bool,
        accounted: Option<Accounted>,
        out: &mut Vec<u8>,
    ) -> Option<Accounted> {
        if begins {
            self.first = accounted;
        }
        let whole = match self.codec {
            Codec::Opus => Some(packet.payload),
            // A frame in one packet needs no reassembly.
            Codec::Vp8 if begins && packet.marker => split_vp8(packet.payload).map(|(_, frame)| frame),
            _ => None,
        };
        match whole {
            Some(frame) => {
                out.clear();
                out.extend_from_slice(frame);
            }
            None => *out = self.assembler.push(packet.sequence as u16, packet.marker, packet.payload)?.bytes,
        }
        self.first.or(accounted)
    }
}

/// A frame that waits for its key.
#[derive(Debug)]
struct HeldFrame {
    arrived_at: Time,
    slot: usize,
    codec: Codec,
    accounted: Accounted,
    frame: Vec<u8>,
}

/// Result of handling a packet or a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// A frame was opened and is one of ours.
    Opened,
    /// There is no whole frame yet, it waits for its key, or was opened before.
    Pending,
    /// A frame did not open: only a key frame helps.
    Failed,
}

/// Why a frame was not opened.
enum Unopened {
    Replayed,
    KeyMissing,
    Undecryptable,
}

/// Accounts for the packets of one receiver and opens its frames.
#[derive(Debug)]
pub(crate) struct FrameReceiver {
    pub(crate) accounting: ReceiverAccounting,
    /// Absent in a light run, which opens nothing.
    keys: Option<SharedKeys>,
    held: VecDeque<HeldFrame>,
    /// When the bot began to join, until it had its first media; absent if that is not timed.
    joining_since: Option<Time>,
    scratch: Vec<u8>,
}

impl FrameReceiver {
    pub(crate) fn new(accounting: ReceiverAccounting, keys: Option<SharedKeys>, joining_since: Option<Time>) -> Self {
        Self { accounting, keys, held: VecDeque::new(), joining_since, scratch: Vec::new() }
    }

    /// Takes a packet of the slot with this index.
    pub(crate) fn packet(
        &mut self,
        (index, slot): (usize, &mut SlotFrames),
        packet: &ReceivedPacket<'_>,
        statistics: &mut Statistics,
    ) -> Opening {
        if self.keys.is_none() {
            self.first_media(packet.arrived_at, statistics);
        }
        let frame = frame::begins(slot.codec, packet.payload);
        let slot_packet = SlotPacket {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            frame,
            arrived_at: packet.arrived_at,
            bytes: packet.payload.len(),
            repair: packet.retransmitted,
        };
        let mut own = None;
        self.accounting.packet(&mut slot.account, slot_packet, statistics, |identified, accounted| {
            if identified.sequence == packet.sequence {
                own = Some(accounted);
            }
        });
        if self.keys.is_none() || own.is_some_and(|own| own.arrival == Arrival::Duplicate) {
            return Opening::Pending;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let opening = match slot.push(packet, frame.is_some(), own, &mut scratch) {
            Some(accounted) => self.open((index, slot.codec), accounted, &mut scratch, packet.arrived_at, statistics),
            None => Opening::Pending,
        };
        self.scratch = scratch;
        if opening == Opening::Opened {
            self.first_media(packet.arrived_at, statistics);
        }
        opening
    }

    /// Opens a frame in place and counts it, or holds it until its key is there.
    fn open(
        &mut self,
        (slot, codec): (usize, Codec),
        accounted: Accounted,
        frame: &mut [u8],
        arrived_at: Time,
        statistics: &mut Statistics,
    ) -> Opening {
        match self.try_open(codec, frame) {
            Err(Unopened::KeyMissing) if self.held.len() < MAX_HELD => {
                let frame = frame.to_vec();
                self.held.push_back(HeldFrame { arrived_at, slot, codec, accounted, frame });
                Opening::Pending
            }
            result => self.count(&result, accounted, arrived_at, statistics),
        }
    }

    /// Tries held frames again; calls `each` with the slot and result of those that are held no longer.
    pub(crate) fn retry(&mut self, now: Time, statistics: &mut Statistics, mut each: impl FnMut(usize, Opening)) {
        for _ in 0..self.held.len() {
            let Some(held) = self.held.pop_front() else { return };
            let mut copy = held.frame.clone();
            match self.try_open(held.codec, &mut copy) {
                Err(Unopened::KeyMissing) if now < held.arrived_at + HOLD => self.held.push_back(held),
                result => {
                    let opening = self.count(&result, held.accounted, held.arrived_at, statistics);
                    if opening == Opening::Opened {
                        self.first_media(now, statistics);
                    }
                    each(held.slot, opening);
                }
            }
        }
    }

    fn try_open(&self, codec: Codec, frame: &mut [u8]) -> Result<(), Unopened> {
        let Some(keys) = &self.keys else { return Err(Unopened::KeyMissing) };
        match keys.open(codec, frame) {
            Ok(opened) if frame.get(opened.range.clone()).is_some_and(frame::is_ours) => Ok(()),
            Err(OpenError::Replay) => Err(Unopened::Replayed),
            // An unknown sender has sent its announce and its key, which are on their way.
            Err(OpenError::MissingKey | OpenError::UnknownSender) => Err(Unopened::KeyMissing),
            _ => Err(Unopened::Undecryptable),
        }
    }

    fn count(
        &mut self,
        result: &Result<(), Unopened>,
        accounted: Accounted,
        arrived_at: Time,
        statistics: &mut Statistics,
    ) -> Opening {
        let key_missing = match result {
            Ok(()) => {
                self.accounting.opened(accounted, arrived_at, statistics);
                return Opening::Opened;
            }
            Err(Unopened::Replayed) => return Opening::Pending,
            Err(Unopened::KeyMissing) => true,
            Err(Unopened::Undecryptable) => false,
        };
        self.accounting.did_not_open(accounted, key_missing, arrived_at, statistics);
        Opening::Failed
    }

    /// Records the time of the first media, once.
    fn first_media(&mut self, now: Time, statistics: &mut Statistics) {
        if let Some(since) = self.joining_since.take() {
            statistics.first_media.record(now.since(since).as_millis() as u64);
        }
    }
}
