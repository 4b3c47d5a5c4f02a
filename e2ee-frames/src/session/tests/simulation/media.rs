//! Frames: sent, received and forged.

use super::{call::Call, device::codec, invariants::FRAME_BYTES, network::Message, slots::Slot};
use crate::{OpenError, SealError};
use e2ee_core::Primitives;

impl<P: Primitives> Call<P> {
    /// Some participants speak, some of the others receive their frames, and the server adds forged ones.
    pub(super) fn talk(&mut self) {
        let all = self.devices.len() as u64;
        for _ in 0..3 {
            let speaker = self.random_participant();
            let Some(frame) = self.seal(speaker) else { continue };
            for _ in 0..4 {
                let listener = Slot(self.dice.below(all) as u8);
                if listener != speaker {
                    self.network.send(speaker, listener, Message::Frame(frame));
                }
            }
        }
        // An older frame for the last to join or leave, and a forged one.
        let frames = self.ledger.len() as u64;
        if frames > 0 {
            for _ in 0..3 {
                let newcomer = Slot((all - 1 - self.dice.below(all.min(4))) as u8);
                let frame = (frames - 1 - self.dice.below(frames.min(12))) as u32;
                if self.ledger.frame(frame).sender != newcomer {
                    let sender = self.ledger.frame(frame).sender;
                    self.network.send(sender, newcomer, Message::Frame(frame));
                }
            }
            self.forge((frames - 1) as u32);
        }
    }

    pub(super) fn seal(&mut self, slot: Slot) -> Option<u32> {
        let now = self.now();
        let content = self.ledger.next_content(slot);
        let device = &mut self.devices[slot.index()];
        let stream = device.stream()?;
        let (codec, kind) = codec(stream, self.ledger.len());
        let mut out = [0; FRAME_BYTES + 64];
        let clock = device.clock(now);
        match device.session.seal(clock, stream, codec, kind, &content, &mut out) {
            Ok(length) => {
                let number = self.ledger.sealed(slot, stream, kind, now, &out[..length]);
                self.drain(slot, None);
                Some(number)
            }
            Err(error) => {
                // Without a stream, a leave erases the key at once; without a connection, a key that a leaver took along
                // dies before the next one is distributed.
                let waits = device.session.own.key.next().is_some() || self.outages.detached(slot);
                let keyless = error == SealError::NoKey && waits;
                assert!(!device.ready || keyless, "{slot:?} cannot seal: {error}");
                None
            }
        }
    }

    /// Whether the frame was opened.
    pub(super) fn open(&mut self, slot: Slot, number: u32) -> bool {
        let now = self.now();
        let frame = self.ledger.frame(number);
        let mut buffer = [0; FRAME_BYTES + 64];
        let buffer = &mut buffer[..frame.bytes.len()];
        buffer.copy_from_slice(&frame.bytes);
        let (codec, _) = codec(frame.stream(), 0);
        let device = &mut self.devices[slot.index()];
        let result = device.open(now, codec, buffer);
        self.deadlines[slot.index()] = device.deadline();
        match &result {
            Ok(opened) => self.ledger.opened(now, slot, number, opened, &buffer[opened.range.clone()]),
            Err(OpenError::MissingKey) => {
                self.network.statistics.missing += 1;
                self.devices[slot.index()].hold(number);
            }
            Err(_) => self.network.statistics.refused += 1,
        }
        result.is_ok()
    }

    /// Sends plaintext and an altered frame, which no device opens.
    pub(super) fn forge(&mut self, number: u32) {
        let now = self.now();
        let listener = self.random_participant();
        let frame = self.ledger.frame(number);
        let (codec, _) = codec(frame.stream(), 0);
        let mut altered = frame.bytes.clone();
        let bit = self.dice.below(altered.len() as u64 * 8) as usize;
        altered[bit / 8] ^= 1 << (bit % 8);
        let mut plain = self.ledger.next_content(frame.sender).to_vec();
        let device = &mut self.devices[listener.index()];
        assert!(device.open(now, codec, &mut altered).is_err(), "{listener:?} opened an altered frame");
        assert!(device.open(now, codec, &mut plain).is_err(), "{listener:?} took plaintext");
        self.deadlines[listener.index()] = device.deadline();
        self.network.statistics.forged += 2;
    }
}
