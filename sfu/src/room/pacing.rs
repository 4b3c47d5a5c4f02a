//! Sends what pacers hold back.
//!
//! ```text
//!   forward ─► Downlink::must_wait? ─ no ───────────────────────────► egress
//!   NACK ───►          │ yes                                             ▲
//!                      └─► Slot::waiting ─► every 5 ms, and in probes ───┘   retransmissions, then key frames and the rest alternately
//! ```
//! Only receivers that are adapted to have a pacer, and the timer runs only while something waits.

use super::{Room, slot_sender::SlotSender, timers::Timer, topology::Topology};
use crate::{
    congestion::PACER_STEP,
    egress::Egress,
    ids::ParticipantId,
    keys::{ParticipantKey, SlotKey},
    subscriber::{
        segment::bit,
        slot::{Shown, Slot},
        waiting::{Urgency, WaitingPacket},
    },
    units::DataSize,
};
use std::{mem::replace, ops::Range, time::Instant};

/// What leaves first: packets of this urgency, of pinned slots only or of all.
type Order = [(Urgency, bool); 4];
const ORDER: Order =
    [(Urgency::Retransmission, false), (Urgency::KeyFrame, false), (Urgency::Media, true), (Urgency::Media, false)];
/// After a packet of a key frame, which may take a second, others go first.
const AFTER_KEY_FRAME: Order =
    [(Urgency::Retransmission, false), (Urgency::Media, true), (Urgency::Media, false), (Urgency::KeyFrame, false)];

/// Receivers that get what waits for them, before other things are done: this takes about a millisecond.
const PART: usize = 128;

/// Receivers for which something waits. A round goes through all of them, part by part: packets are forwarded in between.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    receivers: Vec<ParticipantKey>,
    /// Positions of those that the round has not reached. Those behind them came meanwhile.
    to_come: Range<usize>,
}

impl Waiting {
    /// Calls `send` for those of the next part, and forgets those for which it resent that nothing waits any more.
    fn next_part(&mut self, mut send: impl FnMut(ParticipantKey) -> bool) {
        if self.to_come.is_empty() {
            self.to_come = 0..self.receivers.len();
        }
        let Range { start, end } = self.to_come;
        let (mut kept, part_end) = (start, end.min(start + PART));
        for position in start..part_end {
            if self.receivers.get(position).is_some_and(|receiver| send(*receiver)) {
                self.receivers.swap(kept, position);
                kept += 1;
            }
        }
        self.receivers.drain(kept..part_end);
        self.to_come = kept..end - (part_end - kept);
    }

    /// When the next part is due.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let at = if self.to_come.is_empty() { now + PACER_STEP } else { now };
        (!self.receivers.is_empty()).then_some(at)
    }
}

/// How much may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quota {
    /// What the pacer permits.
    Paced,
    /// What is due of a probe.
    Probe(DataSize),
}

impl Room {
    /// From now on, video to a receiver may have to wait, if the room adapts to receivers.
    pub(super) fn begin_pacing(&mut self, now: Instant, receiver: ParticipantId, egress: &mut (impl Egress + ?Sized)) {
        let Some(receiver) = self.topology.participant(receiver).filter(|_| self.adapts) else { return };
        if let Some(path) = egress.path(receiver.transport) {
            path.downlink.begin_pacing(now);
        }
        let slots = receiver.slots.clone();
        slots.into_iter().for_each(|slot| self.pace_slot(slot, egress));
    }

    /// From now on, packets of video into a slot of a receiver that is to be adapted to may have to wait.
    pub(super) fn pace_new_slot(&mut self, now: Instant, key: SlotKey, egress: &mut (impl Egress + ?Sized)) {
        let Some(slot) = self.topology.slots.get(key).filter(|slot| slot.is_video()) else { return };
        if self.adapts
            && let Some(path) = egress.path(slot.transport)
        {
            path.downlink.begin_pacing(now);
        }
        self.pace_slot(key, egress);
    }

    /// From now on, packets of video into a slot may have to wait, if its receiver has a pacer.
    pub(super) fn pace_slot(&mut self, key: SlotKey, egress: &mut (impl Egress + ?Sized)) {
        let Some(slot) = self.topology.slots.get_mut(key).filter(|slot| slot.is_video()) else { return };
        if egress.path(slot.transport).is_some_and(|path| path.downlink.is_paced()) {
            slot.waiting.get_or_insert_default();
        }
    }

    /// Something waits for a receiver.
    pub(super) fn pace(&mut self, now: Instant, receiver: ParticipantKey) {
        let waited = self.topology.participants.get_mut(receiver).map(|receiver| replace(&mut receiver.waits, true));
        if waited == Some(false) {
            self.pacing.receivers.push(receiver);
        }
        self.timers.arm(Timer::Pacing, now + PACER_STEP);
    }

    /// Sends what may leave now to the next receivers.
    pub(super) fn send_some_waiting(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let mut pacing = std::mem::take(&mut self.pacing);
        pacing.next_part(|key| {
            let waits = self.send_waiting(now, key, Quota::Paced, egress);
            self.topology.participants.get_mut(key).into_iter().for_each(|receiver| receiver.waits = waits);
            waits
        });
        if let Some(at) = pacing.deadline(now) {
            self.timers.arm(Timer::Pacing, at);
        }
        self.pacing = pacing;
    }

    /// Sends what may leave to a receiver. Resent whether anything still waits.
    pub(super) fn send_waiting(
        &mut self,
        now: Instant,
        receiver: ParticipantKey,
        mut quota: Quota,
        egress: &mut (impl Egress + ?Sized),
    ) -> bool {
        let Some(transport) = self.topology.participants.get(receiver).map(|receiver| receiver.transport) else {
            return false;
        };
        if !egress.reaches(transport, 1) {
            self.forget_waiting(receiver, egress);
            return false;
        }
        if let Some(path) = egress.path(transport) {
            path.downlink.refill_pacer(now);
        }
        while let Some(Next { position, slot, packet, urgency }) = self.next_to_leave(receiver) {
            let permitted = match &mut quota {
                Quota::Paced => egress.path(transport).is_some_and(|path| path.downlink.permits(packet.size())),
                Quota::Probe(due) => {
                    let is_due = *due > DataSize::ZERO;
                    *due = due.checked_sub(packet.size()).unwrap_or(DataSize::ZERO);
                    is_due
                }
            };
            if !permitted {
                break;
            }
            if let Some(receiver) = self.topology.participants.get_mut(receiver) {
                receiver.after_key_frame = urgency == Urgency::KeyFrame;
                if receiver.after_key_frame {
                    // A key frame that has begun is of use when it is whole.
                    receiver.key_frame_slot = position;
                } else {
                    receiver.next_slot = position + 1;
                }
            }
            self.send_waited(now, slot, urgency, &packet, egress);
        }
        self.review_waiting(now, receiver, egress)
    }

    /// The packet that is the next to leave.
    fn next_to_leave(&self, receiver: ParticipantKey) -> Option<Next> {
        let after_key_frame = self.topology.participants.get(receiver)?.after_key_frame;
        let order = if after_key_frame { AFTER_KEY_FRAME } else { ORDER };
        order.into_iter().find_map(|(urgency, pinned)| self.next_waiting(receiver, urgency, pinned))
    }

    /// The next packet of this urgency. Slots in rotation.
    fn next_waiting(&self, receiver: ParticipantKey, urgency: Urgency, pinned: bool) -> Option<Next> {
        let Topology { participants, slots, .. } = &self.topology;
        let receiver = participants.get(receiver)?;
        let count = receiver.slots.len();
        let first = if urgency == Urgency::KeyFrame { receiver.key_frame_slot } else { receiver.next_slot };
        let first = first.min(count);
        (first..count).chain(0..first).find_map(|position| {
            let &key = receiver.slots.get(position)?;
            let slot = slots.get(key).filter(|slot| !pinned || is_pinned(slot))?;
            let packet = slot.waiting.as_deref()?.first(urgency)?;
            Some(Next { position, slot: key, packet, urgency })
        })
    }

    /// Sends a packet that has waited, the first one of this urgency.
    fn send_waited(
        &mut self,
        now: Instant,
        key: SlotKey,
        urgency: Urgency,
        packet: &WaitingPacket,
        egress: &mut (impl Egress + ?Sized),
    ) {
        if let Some(waiting) = self.topology.slots.get_mut(key).and_then(|slot| slot.waiting.as_deref_mut()) {
            waiting.take(urgency);
        }
        if urgency == Urgency::Retransmission {
            self.retransmit_waited(now, key, packet.seq, egress);
            return;
        }
        let Self { topology: Topology { encodings, slots, .. }, video, stats, .. } = self;
        if let Some(slot) = slots.get_mut(key) {
            let mut sender = SlotSender { now, slot, buffers: &mut video.buffers, stats, egress };
            sender.send_waited(packet, encodings);
        }
    }

    /// Looks at how much waits: too much is discarded, or leaves faster. Resent whether anything waits.
    fn review_waiting(&mut self, now: Instant, receiver: ParticipantKey, egress: &mut (impl Egress + ?Sized)) -> bool {
        let Some(transport) = self.topology.participants.get(receiver).map(|receiver| receiver.transport) else {
            return false;
        };
        self.discard_withheld(receiver);
        let mut size = self.waiting_size(receiver);
        let Some(path) = egress.path(transport) else { return false };
        if path.downlink.set_waiting(size) {
            self.discard_waiting(receiver);
            size = self.waiting_size(receiver);
            path.downlink.hurry(now, size);
        }
        size > DataSize::ZERO
    }

    /// Discards what waits of videos of which nothing is sent any more.
    fn discard_withheld(&mut self, receiver: ParticipantKey) {
        let Topology { participants, slots, .. } = &mut self.topology;
        for key in participants.get(receiver).into_iter().flat_map(|receiver| &receiver.slots) {
            if let Some(slot) = slots.get_mut(*key).filter(|slot| slot.is_withheld())
                && let Some(waiting) = &mut slot.waiting
            {
                waiting.withhold();
            }
        }
    }

    fn waiting_size(&self, receiver: ParticipantKey) -> DataSize {
        let Topology { participants, slots, .. } = &self.topology;
        let of_receiver = participants.get(receiver).into_iter().flat_map(|receiver| &receiver.slots);
        let waiting = of_receiver.filter_map(|slot| slots.get(*slot)?.waiting.as_deref());
        waiting.fold(DataSize::ZERO, |size, waiting| size + waiting.size())
    }

    /// Discards the frames that no other ones need, and retransmissions.
    fn discard_waiting(&mut self, receiver: ParticipantKey) {
        let Self { topology: Topology { participants, slots, encodings, .. }, stats, .. } = self;
        for key in participants.get(receiver).into_iter().flat_map(|receiver| &receiver.slots) {
            let Some(Slot { rewriter, waiting: Some(waiting), .. }) = slots.get_mut(*key) else { continue };
            waiting.forget_retransmissions();
            stats.discarded += waiting.discard(|packet| {
                let Some(segment) = rewriter.segment(packet.seq) else { return false };
                let Some(encoding) = encodings.get_mut(segment.layer.encoding) else { return false };
                let Some(lower) = encoding.layers.lower_frame_rate(segment.layer.target) else { return false };
                encoding.store.get_mut(packet.index).is_some_and(|packet| packet.meta.targets & bit(lower) == 0)
            });
        }
    }

    /// Forgets what waits for a receiver that cannot be reached. What comes next begins with a key frame.
    fn forget_waiting(&mut self, receiver: ParticipantKey, egress: &mut (impl Egress + ?Sized)) {
        let Topology { participants, slots, .. } = &mut self.topology;
        let Some(receiver) = participants.get(receiver) else { return };
        for key in &receiver.slots {
            if let Some(slot) = slots.get_mut(*key)
                && let Some(waiting) = slot.waiting.as_deref_mut()
            {
                waiting.clear();
                slot.rewriter.interrupt();
            }
        }
        if let Some(path) = egress.path(receiver.transport) {
            path.downlink.set_waiting(DataSize::ZERO);
        }
    }
}

/// A packet that is the next to leave, and the position of its slot among those of its receiver.
#[derive(Clone, Copy, Debug)]
struct Next {
    position: usize,
    slot: SlotKey,
    packet: WaitingPacket,
    urgency: Urgency,
}

fn is_pinned(slot: &Slot) -> bool {
    matches!(slot.shown, Shown::At(tile) if tile.pinned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    /// A round is of all that wait when it begins, whichever leave; those that come meanwhile are in the next one.
    #[test]
    fn rounds_are_made_in_parts() {
        let mut keys = SlotMap::<ParticipantKey, ()>::with_key();
        let all: Vec<_> = (0..3 * PART).map(|_| keys.insert(())).collect();
        let (first, newcomers) = all.split_at(2 * PART + 10);
        let mut waiting = Waiting { receivers: first.to_vec(), to_come: 0..0 };
        let now = Instant::now();
        let round = |waiting: &mut Waiting, newcomers: &[ParticipantKey]| {
            let (mut sent, mut parts) = (Vec::new(), Vec::new());
            while parts.is_empty() || waiting.deadline(now) == Some(now) {
                let before = sent.len();
                waiting.next_part(|key| {
                    sent.push(key);
                    sent.len() % 3 > 0
                });
                waiting.receivers.extend(newcomers.iter().filter(|_| parts.is_empty()));
                parts.push(sent.len() - before);
            }
            (sent, parts)
        };
        assert_eq!(round(&mut waiting, newcomers), (first.to_vec(), vec![PART, PART, 10]));
        assert_eq!(waiting.deadline(now), Some(now + PACER_STEP));
        let stayed = first.iter().enumerate().filter(|(n, _)| n % 3 < 2).map(|(_, key)| *key);
        let expected: Vec<_> = stayed.chain(newcomers.iter().copied()).collect();
        assert_eq!(round(&mut waiting, &[]).0, expected);
        while waiting.deadline(now).is_some() {
            waiting.next_part(|_| false);
        }
    }
}
