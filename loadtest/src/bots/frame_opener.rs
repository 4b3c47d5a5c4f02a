//! From packets to opened frames, for bots of both stacks: putting together, opening, waiting for keys.

use crate::{
    bots::frame,
    measure::accounting::{Accounted, ReceiverAccounting},
    measure::statistics::Statistics,
};
use e2ee_frames::{Codec, OpenError};
use std::collections::VecDeque;
use tacet_native::{
    keys::SharedKeys,
    video::{Assembler, split_vp8},
};

/// How long a frame waits for its key, and how many do.
const HOLD_NS: u64 = 300_000_000;
const MAX_HELD: usize = 64;

/// Puts the packets of one slot together.
#[derive(Debug)]
pub(crate) struct FrameAssembler {
    assembler: Assembler,
    /// How the first packet of the newest frame was accounted.
    begins: Option<Accounted>,
}

impl Default for FrameAssembler {
    /// Of a stream with VP8, which is what pictures are here.
    fn default() -> Self {
        Self { assembler: Assembler::new(Codec::Vp8), begins: None }
    }
}

impl FrameAssembler {
    /// Takes a packet that has not come before, with its place in the book if it is known; writes the frame that it
    /// completes to `out` and gives the frame's place in the book.
    pub(crate) fn push(
        &mut self,
        codec: Codec,
        (number, marker, payload): (u16, bool, &[u8]),
        (begins, accounted): (bool, Option<Accounted>),
        out: &mut Vec<u8>,
    ) -> Option<Accounted> {
        if begins {
            self.begins = accounted;
        }
        let whole = match codec {
            Codec::Opus => Some(payload),
            // A frame in one packet needs no putting together.
            _ if begins && marker => split_vp8(payload).map(|(_, frame)| frame),
            _ => None,
        };
        match whole {
            Some(frame) => {
                out.clear();
                out.extend_from_slice(frame);
            }
            None => *out = self.assembler.push(number, marker, payload)?.bytes,
        }
        self.begins.or(accounted)
    }
}

/// A frame that waits for its key.
#[derive(Debug)]
struct Held {
    arrived_ns: u64,
    slot: usize,
    codec: Codec,
    accounted: Accounted,
    frame: Vec<u8>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is one of ours.
    Opened,
    /// It waits for its key, or was opened before.
    Pending,
    /// It did not open: only a key frame helps.
    Failed,
}

/// Opens frames with the keys of a call.
#[derive(Debug)]
pub(crate) struct FrameOpener {
    keys: SharedKeys,
    held: VecDeque<Held>,
}

impl FrameOpener {
    pub(crate) fn new(keys: SharedKeys) -> Self {
        Self { keys, held: VecDeque::new() }
    }

    /// Opens a frame in place that arrived at this time, and counts it.
    pub(crate) fn open(
        &mut self,
        (slot, codec): (usize, Codec),
        accounted: Accounted,
        frame: &mut [u8],
        arrived_ns: u64,
        (accounting, statistics): (&mut ReceiverAccounting, &mut Statistics),
    ) -> Opening {
        match self.try_open(codec, frame) {
            Err(true) if self.held.len() < MAX_HELD => {
                let frame = frame.to_vec();
                self.held.push_back(Held { arrived_ns, slot, codec, accounted, frame });
                Opening::Pending
            }
            result => count(result, accounted, arrived_ns, (accounting, statistics)),
        }
    }

    /// Tries frames again that wait for a key; tells `each` the slots and what became of their frames.
    pub(crate) fn retry(
        &mut self,
        now_ns: u64,
        (accounting, statistics): (&mut ReceiverAccounting, &mut Statistics),
        mut each: impl FnMut(usize, Opening),
    ) {
        for _ in 0..self.held.len() {
            let Some(held) = self.held.pop_front() else { return };
            let mut copy = held.frame.clone();
            match self.try_open(held.codec, &mut copy) {
                Err(true) if now_ns < held.arrived_ns + HOLD_NS => self.held.push_back(held),
                result => each(held.slot, count(result, held.accounted, held.arrived_ns, (accounting, statistics))),
            }
        }
    }

    /// Whether it opened; an error says whether only the key is missing. `None`: it was opened before.
    fn try_open(&self, codec: Codec, frame: &mut [u8]) -> Result<Option<()>, bool> {
        match self.keys.open(codec, frame) {
            Ok(opened) if frame.get(opened.range.clone()).is_some_and(frame::is_ours) => Ok(Some(())),
            Err(OpenError::Replay) => Ok(None),
            // A sender of whom nothing is known yet has sent its announce and its key, which are on their way.
            Err(OpenError::MissingKey | OpenError::UnknownSender) => Err(true),
            _ => Err(false),
        }
    }
}

fn count(
    result: Result<Option<()>, bool>,
    accounted: Accounted,
    arrived_ns: u64,
    (accounting, statistics): (&mut ReceiverAccounting, &mut Statistics),
) -> Opening {
    match result {
        Ok(Some(())) => {
            accounting.opened(accounted, arrived_ns, statistics);
            Opening::Opened
        }
        Ok(None) => Opening::Pending,
        Err(missing_key) => {
            accounting.did_not_open(accounted, missing_key, arrived_ns, statistics);
            Opening::Failed
        }
    }
}
