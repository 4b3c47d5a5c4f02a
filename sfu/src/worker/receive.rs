//! The way in: from a datagram to the transport that it belongs to, and from there to the room.

use super::{Worker, fault::FaultScope, meter::drop_cause, rooms::RoomKey, transports::TransportKey};
use crate::{
    ids::ParticipantId,
    limits,
    metrics::Counter,
    transport::{Check, CheckError, Clear, Datagram, DatagramKind, Outbox, ServerTransport, Tuple},
};
use is::stun::StunMessage;
use std::time::{Duration, Instant};

/// Another transport gets a tuple only when the client of its owner has not answered there for this long. One that has never
/// answered there can be anywhere, and keeps no other client out.
const TUPLE_REUSE: Duration = Duration::from_secs(10);

impl Worker {
    /// Routes a datagram to its transport.
    pub(super) fn dispatch(&mut self, now: Instant, datagram: Datagram<'_>) {
        let Datagram { tuple, bytes, .. } = datagram;
        let kind = match DatagramKind::of(bytes) {
            None => return self.meter.dropped(now, Counter::DropMalformed, tuple),
            Some(DatagramKind::Stun) => return self.receive_stun(now, tuple, bytes),
            Some(kind) => kind,
        };
        let Some(key) = self.demux.find(tuple) else {
            return self.meter.dropped(now, Counter::DropUnknownSource, tuple);
        };
        self.scope = FaultScope::Transport(key);
        match kind {
            DatagramKind::Dtls => self.receive_dtls(now, key, tuple, bytes),
            kind => self.receive_srtp(now, key, tuple, kind, bytes),
        }
    }

    fn receive_stun(&mut self, now: Instant, tuple: Tuple, bytes: &[u8]) {
        let Ok(request) = StunMessage::parse(bytes) else {
            return self.meter.dropped(now, Counter::DropMalformed, tuple);
        };
        if request.is_successful_binding_response() {
            return self.receive_answer(now, tuple, &request);
        }
        let Some(key) = self.demux.find_by_check(&request) else {
            if self.unknown_check.due(now, limits::NOTICE_INTERVAL) {
                tracing::debug!(%tuple, "connectivity check dropped: its username fragment belongs to no transport");
            }
            return self.meter.dropped(now, Counter::DropCheck, tuple);
        };
        if self.is_of_another(now, tuple, key) {
            if let Some(entry) = self.transports.get_mut(key) {
                entry.transport.refuse_tuple(now, tuple);
            }
            return self.meter.dropped(now, Counter::DropCheck, tuple);
        }
        let check = self
            .transport_step(key, |transport, outbox| transport.handle_check(now, tuple, &request, bytes.len(), outbox));
        match check {
            Some(Ok(Check::Accepted { dropped, retired })) => {
                self.meter.count(Counter::Checks, 1);
                if let Some(retired) = retired {
                    self.demux.remove_ufrag(key, &retired.ufrag);
                    self.meter.count(Counter::IceRestarts, 1);
                }
                if let Some(dropped) = dropped {
                    self.demux.release(dropped);
                }
                if let Some(previous) = self.demux.assign(tuple, key).and_then(|key| self.transports.get_mut(key)) {
                    previous.transport.forget(now, tuple);
                }
            }
            Some(Ok(Check::RoleConflict)) | None => {}
            Some(Ok(Check::Refused(CheckError::Replayed))) => {
                self.meter.dropped(now, Counter::DropCheckReplayed, tuple);
            }
            Some(Ok(Check::Refused(_))) => self.meter.dropped(now, Counter::DropCheck, tuple),
            Some(Err(_)) => self.meter.dropped(now, Counter::DropCheckRate, tuple),
        }
    }

    /// Takes a response, which belongs to the transport that has the tuple.
    fn receive_answer(&mut self, now: Instant, tuple: Tuple, response: &StunMessage<'_>) {
        let key = self.demux.owner(tuple);
        let step = |transport: &mut ServerTransport, outbox: &mut Outbox| {
            transport.handle_answer(now, tuple, response, outbox)
        };
        if key.and_then(|key| self.transport_step(key, step)) == Some(true) {
            self.meter.count(Counter::PathAnswers, 1);
        } else {
            self.meter.dropped(now, Counter::DropCheck, tuple);
        }
    }

    /// Whether the tuple is in use by another transport. Otherwise a participant that can forge source addresses could
    /// take over the tuple of another one.
    fn is_of_another(&self, now: Instant, tuple: Tuple, key: TransportKey) -> bool {
        let owner = self.demux.owner(tuple).filter(|owner| *owner != key).and_then(|owner| self.transports.get(owner));
        owner
            .and_then(|entry| entry.transport.answered_on(tuple))
            .is_some_and(|last| now.saturating_duration_since(last) < TUPLE_REUSE)
    }

    fn receive_dtls(&mut self, now: Instant, key: TransportKey, tuple: Tuple, bytes: &[u8]) {
        let result = self.transport_step(key, |transport, outbox| transport.handle_dtls(now, tuple, bytes, outbox));
        if let Some(Err(blocked)) = result {
            self.meter.dropped(now, drop_cause(blocked), tuple);
        }
    }

    fn receive_srtp(&mut self, now: Instant, key: TransportKey, tuple: Tuple, kind: DatagramKind, bytes: &mut [u8]) {
        let Some(entry) = self.transports.get_mut(key) else { return };
        match entry.transport.open(now, tuple, kind, bytes) {
            Ok(clear) => {
                let (participant, room) = (entry.transport.participant(), entry.room);
                if entry.transport.take_deadline_moved() {
                    self.transports.arm(key);
                }
                self.deliver(now, room, participant, clear);
            }
            Err(blocked) => {
                self.take_events(key);
                self.meter.dropped(now, drop_cause(blocked), tuple);
            }
        }
    }

    /// Hands a clear packet to its sender's room.
    fn deliver(&mut self, now: Instant, room: RoomKey, from: ParticipantId, packet: Clear<'_>) {
        match packet {
            Clear::Rtp(packet) => {
                self.meter.count(Counter::RtpIn, 1);
                let queued =
                    self.room_step(now, room, None, |room, egress| room.receive_rtp(now, from, packet, egress));
                if queued == Some(true) {
                    let first = self.rooms.set_queued(room, true);
                    self.queue.push(now, room, first);
                }
            }
            Clear::Rtcp(packet) => {
                self.meter.count(Counter::RtcpIn, 1);
                self.room_step(now, room, None, |room, egress| room.receive_rtcp(now, from, packet, egress));
            }
        }
    }
}
