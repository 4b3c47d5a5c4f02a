//! The way out for a room that forwards: as soon as enough is sealed, it is sent, so that the outbox stays in the
//! processor's cache and the first subscribers do not wait for the last.

use super::transports::Transports;
use crate::{egress::Egress, ids::ParticipantId, metrics::Counters, transport::Outbox};

/// Seals packets into the outbox, and hands it on whenever it is full.
pub(super) struct Outlet<'a, F> {
    transports: &'a mut Transports,
    full: F,
    /// Whose packets came last: they are not torn apart.
    last: Option<ParticipantId>,
}

impl<'a, F: FnMut(&Outbox, &mut Counters)> Outlet<'a, F> {
    pub(super) fn new(transports: &'a mut Transports, full: F) -> Self {
        Self { transports, full, last: None }
    }

    fn turn_to(&mut self, to: ParticipantId) {
        if self.last.replace(to) == Some(to) {
            return;
        }
        let (outbox, counters) = self.transports.outgoing();
        if outbox.is_full() {
            (self.full)(outbox, counters);
            outbox.clear();
        }
    }
}

impl<F: FnMut(&Outbox, &mut Counters)> Egress for Outlet<'_, F> {
    fn rtp(&mut self, to: ParticipantId, header: &[u8], payload: &[u8]) {
        self.turn_to(to);
        self.transports.rtp(to, header, payload);
    }

    fn rtcp(&mut self, to: ParticipantId, packet: &[u8]) {
        self.turn_to(to);
        self.transports.rtcp(to, packet);
    }
}
