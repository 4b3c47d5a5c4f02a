//! RTP of publishers into the room: to the encoding of its SSRC, and from there to the queue of packets to forward.

use super::{
    Room,
    publisher_feedback::RECEIVER_REPORT_INTERVAL,
    receive_queue::QueuedPacket,
    timers::Timer,
    topology::{NotLearned, Route, Topology},
};
use crate::{
    congestion::twcc_recorder,
    egress::{Egress, TransportKey},
    ids::ParticipantId,
    publisher::encoding::{Dropped, Stream},
    speakers::active,
    wire::{extension::KnownExtensions, rtp::RtpPacket},
};
use std::time::Instant;

impl Room {
    /// Handles a clear RTP packet of a participant. Returns whether it is queued for [`Self::forward`].
    pub fn receive_rtp(
        &mut self,
        now: Instant,
        from: ParticipantId,
        packet: &[u8],
        egress: &mut (impl Egress + ?Sized),
    ) -> bool {
        self.stats.received += 1;
        let Ok(packet) = RtpPacket::parse(packet) else {
            self.stats.malformed += 1;
            return false;
        };
        let extensions = KnownExtensions::read(packet.extensions);
        let route = self.topology.route(from, packet.ssrc).map(Ok);
        let route = route.unwrap_or_else(|| self.topology.learn(from, &packet, &extensions));
        let Ok(Route::Encoding(encoding_key, stream)) = route else {
            match route {
                Err(NotLearned::UnknownRid) => self.stats.unknown_rid += 1,
                _ => self.stats.unknown_ssrc += 1,
            }
            // The packet has used the uplink all the same, so the sender's bandwidth estimate needs its arrival.
            if let Some(transport) = self.topology.participant(from).map(|sender| sender.transport) {
                self.record_arrival(now, transport, extensions.twcc_seq, egress);
            }
            return false;
        };
        let Topology { participants, tracks, encodings, .. } = &mut self.topology;
        let Some(encoding) = encodings.get_mut(encoding_key) else { return false };
        let Some(track) = tracks.get_mut(encoding.track) else { return false };
        let Some(transport) = participants.get(track.owner_key).map(|owner| owner.transport) else { return false };
        let Some(path) = egress.path(transport) else { return false };
        let received = encoding.receive(now, stream, &packet, &extensions, &mut path.downlink.rtt);
        let (track_key, is_audio) = (encoding.track, track.is_audio());
        if is_audio && received.is_ok() && self.topology.on_audio_packet(now, track_key, extensions.audio_level) {
            self.timers.arm(Timer::ActiveSpeakers, now + active::INTERVAL);
        }
        let Some(encoding) = self.topology.encodings.get_mut(encoding_key) else { return false };
        let queued = received.is_ok() && !encoding.subscribers.is_empty();
        let kind = encoding.codec.kind();
        let mut next = received.ok();
        while let Some(index) = next {
            if queued {
                let dropped = self.queue.push(kind, QueuedPacket { encoding: encoding_key, index, arrived: now });
                self.stats.too_late += dropped as u64;
            } else {
                encoding.store.end_wait(index);
            }
            next = encoding.pop_released();
        }
        self.timers.arm(Timer::ReceiverReports, now + RECEIVER_REPORT_INTERVAL);
        self.record_arrival(now, transport, extensions.twcc_seq, egress);
        match received {
            Ok(_) => self.stats.recovered += u64::from(stream == Stream::Rtx),
            Err(Dropped::Malformed) => self.stats.malformed += 1,
            Err(Dropped::Padding) => self.stats.padding += 1,
            Err(Dropped::Duplicate) => self.stats.duplicate += 1,
            Err(Dropped::TooLate) => self.stats.too_late += 1,
            // Not lost: it is forwarded later, unless its structure never comes.
            Err(Dropped::Held) => {}
        }
        self.send_nacks_and_plis(now, encoding_key, egress);
        queued
    }

    /// Records an arrival for transport-wide feedback.
    fn record_arrival(
        &mut self,
        now: Instant,
        transport: TransportKey,
        transport_seq: Option<u16>,
        egress: &mut (impl Egress + ?Sized),
    ) {
        if let (Some(seq), Some(path)) = (transport_seq, egress.path(transport)) {
            path.uplink.record(now, seq);
            self.timers.arm(Timer::TransportFeedback, now + twcc_recorder::INTERVAL);
        }
    }
}
