//! The way out for rooms: seals clear packets for their receivers' transports, into the outbox.
//!
//! While a room forwards, the outbox is sent whenever it is full, so that it stays in the processor's cache and the
//! first subscribers of a large room do not wait for the last.

use super::{meter::Meter, transports::Transports};
use crate::{
    congestion::PathState,
    egress::{Egress, TransportKey},
    media::Kind,
    metrics::{Counter, Counters},
    transport::{Blocked, Outbox},
};
use std::{ops::ControlFlow, time::Instant};

/// Sends a full outbox, which is cleared afterwards. It can interrupt forwarding.
pub(super) type Flush<'a> = &'a mut dyn FnMut(&Outbox, &mut Counters) -> ControlFlow<()>;

/// What rooms send through in one step of the worker.
pub(super) struct Sealing<'a> {
    pub(super) now: Instant,
    pub(super) transports: &'a mut Transports,
    pub(super) outbox: &'a mut Outbox,
    pub(super) meter: &'a mut Meter,
    /// Without it the outbox grows until the step ends.
    pub(super) flush: Option<Flush<'a>>,
    /// Kind of the packets that are forwarded, and when the first of them was received.
    pub(super) batch: Option<(Kind, Instant)>,
    pub(super) is_interrupted: bool,
    /// The last receiver: packets to one receiver follow each other.
    pub(super) last: Option<TransportKey>,
}

impl Sealing<'_> {
    /// Begins the packets to a receiver. A full outbox is sent before, so that runs stay whole.
    fn switch_to(&mut self, to: TransportKey) {
        if self.last == Some(to) {
            return;
        }
        if let Some(flush) = self.flush.as_mut().filter(|_| self.outbox.is_full()) {
            self.is_interrupted |= flush(self.outbox, self.meter.counters_mut()).is_break();
            self.outbox.clear();
        }
        self.last = Some(to);
    }

    fn count(&mut self, result: Result<(), Blocked>, sent: Counter) {
        match result {
            Ok(()) => self.meter.count(sent, 1),
            Err(Blocked::NotConnected) => self.meter.not_sent(self.now, Counter::DropUnreachable, 1),
            // The transport has counted it.
            Err(Blocked::Unproven) => {}
            Err(_) => self.meter.not_sent(self.now, Counter::DropUnsealed, 1),
        }
    }
}

impl Egress for Sealing<'_> {
    fn begin_batch(&mut self, kind: Kind, received: Instant) {
        self.batch = Some((kind, received));
    }

    fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    fn reaches(&mut self, to: TransportKey, packets: usize) -> bool {
        self.switch_to(to);
        let reachable = self.transports.get(to).is_some_and(|entry| entry.transport.is_reachable());
        if !reachable {
            self.meter.not_sent(self.now, Counter::DropUnreachable, packets);
        }
        reachable
    }

    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        self.transports.get_mut(of).map(|entry| &mut entry.path)
    }

    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]) {
        self.switch_to(to);
        let result = match self.transports.get_mut(to) {
            Some(entry) => {
                let result = entry.transport.send_rtp(header, payload, self.outbox);
                if result.is_ok() {
                    entry.first_media.sent(self.now, self.meter);
                    if let Some((kind, received)) = self.batch {
                        self.outbox.count_forwarded(kind, received);
                    }
                }
                result
            }
            None => Err(Blocked::NotConnected),
        };
        self.count(result, Counter::RtpOut);
    }

    fn rtcp(&mut self, to: TransportKey, packet: &[u8]) {
        self.switch_to(to);
        let result = match self.transports.get_mut(to) {
            Some(entry) => entry.transport.send_rtcp(packet, self.outbox),
            None => Err(Blocked::NotConnected),
        };
        self.count(result, Counter::RtcpOut);
    }
}
