//! Sends probes: more than there is media, for some 10 ms, to learn what a downlink carries.
//!
//! Frames are sealed, so media cannot be made. A probe takes what waits for the pacer first, then padding on the RTX stream of a
//! slot, where a number of media is never used. Nothing is repeated: a receiver that has not decoded a frame yet may take it for
//! another.

use super::{Room, pacing::Quota, timers::Timer, topology::Topology};
use crate::{
    congestion::{PROBE_STEP, wire_size},
    egress::Egress,
    keys::{ParticipantKey, SlotKey},
    subscriber::{packet_writer::build_filler, slot::Slot},
    units::DataSize,
};
use std::time::Instant;

/// The longest padding (RFC 3550 section 5.1): its last byte says how long it is.
const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};
/// Maximum number of packets of padding that a probe sends in one step.
const MAX_AT_ONCE: u64 = 64;

impl Room {
    /// Sends what is due of probes.
    pub(super) fn send_probes(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let mut probing = std::mem::take(&mut self.probing);
        probing.retain(|&key| self.send_probe(now, key, egress));
        if !probing.is_empty() {
            self.timers.arm(Timer::Probes, now + PROBE_STEP);
        }
        self.probing = probing;
    }

    /// Returns whether the probe of a receiver goes on.
    fn send_probe(&mut self, now: Instant, key: ParticipantKey, egress: &mut (impl Egress + ?Sized)) -> bool {
        let Topology { participants, slots, .. } = &self.topology;
        let Some(receiver) = participants.get(key) else { return false };
        let transport = receiver.transport;
        let carrier = receiver.slots.iter().copied().find(|slot| slots.get(*slot).is_some_and(carries_probes));
        let Some(carrier) = carrier.filter(|_| egress.reaches(transport, 1)) else {
            if let Some(path) = egress.path(transport) {
                path.downlink.cancel_probe();
            }
            return false;
        };
        let Some(due) = egress.path(transport).and_then(|path| path.downlink.probe_due(now)) else { return false };
        self.send_waiting(now, key, Quota::Probe(due), egress);
        let Some(due) = egress.path(transport).and_then(|path| path.downlink.probe_due(now)) else { return false };
        self.pad(now, carrier, due, egress);
        true
    }

    /// Sends padding on the RTX stream of a slot.
    fn pad(&mut self, now: Instant, carrier: SlotKey, due: DataSize, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { slots, .. }, scratch, stats, .. } = self;
        let Some(slot) = slots.get_mut(carrier) else { return };
        let (Some(rtx), Some(path)) = (&mut slot.rtx, egress.path(slot.transport)) else { return };
        let header = &mut scratch.header;
        build_filler(header, rtx.payload_type, Some(&slot.mid));
        header.set_padding(true);
        let size = wire_size(header.as_bytes().len() + PADDING.len());
        let packets = due.bytes().div_ceil(size.bytes()).min(MAX_AT_ONCE);
        let timestamp = slot.rewriter.last_timestamp();
        let mut numbers = [0; MAX_AT_ONCE as usize];
        let numbers = numbers.get_mut(..usize::try_from(packets).unwrap_or_default()).unwrap_or_default();
        for number in &mut *numbers {
            *number = path.downlink.on_packet(now, size);
        }
        for number in numbers {
            header.set_stream(rtx.ssrc, rtx.take_seq(), timestamp);
            header.set_twcc_seq(*number);
            egress.rtp(slot.transport, header.as_bytes(), &PADDING);
        }
        stats.probes += packets;
    }
}

/// Whether a slot has an RTX stream that its receiver knows. One whose video is cut carries probes too: only they can find
/// that there is room for it again.
fn carries_probes(slot: &Slot) -> bool {
    slot.is_video() && slot.active && slot.rtx.is_some() && slot.track.is_some()
}
