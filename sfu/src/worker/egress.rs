//! The way out for rooms: seals clear packets for their receivers' transports, into the outbox.
//!
//! While a room forwards, the outbox is sent whenever it is full, so that it stays in the processor's cache and the
//! first subscribers of a large room do not wait for the last.

use super::{
    meter::Meter,
    transports::{TransportKey, Transports},
};
use crate::{
    egress::Egress,
    ids::ParticipantId,
    metrics::{Counter, Counters},
    transport::{Blocked, Outbox},
};
use std::time::Instant;

/// Sends a full outbox, which is cleared afterwards.
pub(super) type Flush<'a> = &'a mut dyn FnMut(&Outbox, &mut Counters);

/// What rooms send through in one step of the worker.
pub(super) struct Sealing<'a> {
    pub(super) now: Instant,
    pub(super) transports: &'a mut Transports,
    pub(super) outbox: &'a mut Outbox,
    pub(super) meter: &'a mut Meter,
    /// Without it the outbox grows until the step ends.
    pub(super) flush: Option<Flush<'a>>,
    /// The last receiver and its transport: packets to one receiver follow each other, and cost one look-up.
    pub(super) last: Option<(ParticipantId, Option<TransportKey>)>,
}

impl Sealing<'_> {
    /// The receiver's transport. Before the first packet to it, a full outbox is sent, so that runs stay whole.
    fn transport_of(&mut self, to: ParticipantId) -> Option<TransportKey> {
        if let Some((_, key)) = self.last.filter(|(last, _)| *last == to) {
            return key;
        }
        if let Some(flush) = self.flush.as_mut().filter(|_| self.outbox.is_full()) {
            flush(self.outbox, self.meter.counters_mut());
            self.outbox.clear();
        }
        let key = self.transports.key_of(to).ok();
        self.last = Some((to, key));
        key
    }

    fn count(&mut self, result: Result<(), Blocked>, sent: Counter) {
        match result {
            Ok(()) => self.meter.count(sent, 1),
            Err(Blocked::NotConnected) => self.meter.not_sent(self.now, Counter::DropUnreachable, 1),
            Err(_) => self.meter.not_sent(self.now, Counter::DropUnsealed, 1),
        }
    }
}

impl Egress for Sealing<'_> {
    fn reaches(&mut self, to: ParticipantId, packets: usize) -> bool {
        let key = self.transport_of(to);
        let reachable =
            key.and_then(|key| self.transports.get(key)).is_some_and(|entry| entry.transport.is_reachable());
        if !reachable {
            self.meter.not_sent(self.now, Counter::DropUnreachable, packets);
        }
        reachable
    }

    fn rtp(&mut self, to: ParticipantId, header: &[u8], payload: &[u8]) {
        let key = self.transport_of(to);
        let result = match key.and_then(|key| self.transports.get_mut(key)) {
            Some(entry) => {
                let result = entry.transport.send_rtp(header, payload, self.outbox);
                if result.is_ok() {
                    entry.first_media.sent(self.now, self.meter);
                }
                result
            }
            None => Err(Blocked::NotConnected),
        };
        self.count(result, Counter::RtpOut);
    }

    fn rtcp(&mut self, to: ParticipantId, packet: &[u8]) {
        let key = self.transport_of(to);
        let result = match key.and_then(|key| self.transports.get_mut(key)) {
            Some(entry) => entry.transport.send_rtcp(packet, self.outbox),
            None => Err(Blocked::NotConnected),
        };
        self.count(result, Counter::RtcpOut);
    }
}
