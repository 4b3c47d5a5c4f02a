//! The way out for a room that forwards: as soon as enough is sealed, it is sent, so that the outbox stays in the
//! processor's cache and the first subscribers do not wait for the last.

use super::transports::Transports;
use crate::{egress::Egress, ids::ParticipantId, metrics::Counters, transport::Outbox};

/// Seals packets into the outbox, and hands it on whenever it is full.
pub(super) struct Outlet<'a, F> {
    transports: &'a mut Transports,
    full: F,
    /// Whose packets came last, and where they go: they are not torn apart, and cost one look-up.
    last: Option<(ParticipantId, Option<usize>)>,
}

impl<'a, F: FnMut(&Outbox, &mut Counters)> Outlet<'a, F> {
    pub(super) fn new(transports: &'a mut Transports, full: F) -> Self {
        Self { transports, full, last: None }
    }

    /// The transport of the participant, before whose first packet the outbox may be sent.
    fn turn_to(&mut self, to: ParticipantId) -> Option<usize> {
        if let Some((_, key)) = self.last.filter(|(last, _)| *last == to) {
            return key;
        }
        let (outbox, counters) = self.transports.outgoing();
        if outbox.is_full() {
            (self.full)(outbox, counters);
            outbox.clear();
        }
        let key = self.transports.key_of(to).ok();
        self.last = Some((to, key));
        key
    }
}

impl<F: FnMut(&Outbox, &mut Counters)> Egress for Outlet<'_, F> {
    fn reaches(&mut self, to: ParticipantId, packets: usize) -> bool {
        let key = self.turn_to(to);
        self.transports.reaches(key, packets)
    }

    fn rtp(&mut self, to: ParticipantId, header: &[u8], payload: &[u8]) {
        let key = self.turn_to(to);
        self.transports.send_rtp(key, header, payload);
    }

    fn rtcp(&mut self, to: ParticipantId, packet: &[u8]) {
        let key = self.turn_to(to);
        self.transports.send_rtcp(key, packet);
    }
}
