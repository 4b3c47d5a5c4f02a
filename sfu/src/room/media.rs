//! RTP into a room: a publisher's packets are taken in, to be forwarded with what else comes at the same time; and what
//! a receiver did not get is sent again.

use super::{Participant, Room, Route};
use crate::{
    egress::Egress,
    forward::{
        delivery, levels,
        published_track::{Dropped, Stream},
        slot::Slot,
        slot_stream::Rewritten,
        store::StoredPacket,
    },
    ids::ParticipantId,
    wire::{
        extension::KnownExtensions,
        header::{HeaderBuffer, HeaderExtensions, RtpHeader},
        rtcp::SenderInfo,
        rtcp::write as rtcp_write,
        rtp::RtpPacket,
        seq::{SeqNum, low},
    },
};
use std::time::Instant;

impl Room {
    /// Takes a complete clear RTP packet of a participant. Returns whether it was queued for [`Self::forward`].
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
        let route = match self.routes.get(&(from, packet.ssrc)) {
            Some(&route) => Some(route),
            None => self.learn(from, &packet, &extensions),
        };
        let (track_key, stream) = match route {
            Some(Route::Media(track)) => (track, Stream::Media),
            Some(Route::Retransmission(track)) => (track, Stream::Retransmission),
            Some(Route::Slot(_) | Route::SlotRetransmission) | None => {
                self.stats.unknown_ssrc += 1;
                // It has used the uplink all the same, and its sender's estimate counts on hearing so.
                if let Some(&owner) = self.participant_keys.get(&from) {
                    self.record_arrival(now, owner, extensions.twcc_seq);
                }
                return false;
            }
        };
        let Some(track) = self.tracks.get_mut(track_key) else { return false };
        let owner_key = track.owner_key;
        let Some(owner) = self.participants.get_mut(owner_key) else { return false };
        let received = track.receive(now, stream, &packet, &extensions, &mut owner.rtt);
        let has_subscribers = !track.subscribers.is_empty();
        if let Some(level) = extensions.audio_level.filter(|_| !track.is_video()) {
            track.loudness.on_packet(now, level);
            self.deadlines.levels.get_or_insert(now + levels::INTERVAL);
        }
        self.deadlines.arm_reports(now);
        self.record_arrival(now, owner_key, extensions.twcc_seq);
        let mut queued = false;
        match received {
            Ok(index) => {
                self.stats.recovered += u64::from(stream == Stream::Retransmission);
                if has_subscribers {
                    self.waiting.push(now, track_key, index);
                    queued = true;
                }
            }
            Err(Dropped::Malformed) => self.stats.malformed += 1,
            Err(Dropped::Padding) => self.stats.padding += 1,
            Err(Dropped::Duplicate) => self.stats.duplicate += 1,
            Err(Dropped::TooLate) => self.stats.too_late += 1,
        }
        self.serve_track(now, track_key, egress);
        queued
    }

    /// Finds the track of an unknown SSRC by its MID. A track learns its SSRCs once: the signaled ones were then not
    /// used, and may not be used later.
    fn learn(
        &mut self,
        from: ParticipantId,
        packet: &RtpPacket<'_>,
        extensions: &KnownExtensions<'_>,
    ) -> Option<Route> {
        let mid = extensions.mid?;
        let owner = self.participants.get(*self.participant_keys.get(&from)?)?;
        let of_mid = |&&key: &&usize| self.tracks.get(key).is_some_and(|t| t.publication.mid.as_bytes() == mid);
        let key = *owner.tracks.iter().find(of_mid)?;
        let track = self.tracks.get_mut(key)?;
        let codec = track.publication.codec.entry();
        let (before, route) = if packet.payload_type == codec.pt && !track.has_begun() {
            (Some(std::mem::replace(&mut track.publication.ssrc, packet.ssrc)), Route::Media(key))
        } else if Some(packet.payload_type) == codec.rtx_pt && !track.retransmissions_learned {
            track.retransmissions_learned = true;
            (track.publication.rtx.replace(packet.ssrc), Route::Retransmission(key))
        } else {
            return None;
        };
        if let Some(before) = before {
            self.routes.remove(&(from, before));
        }
        self.routes.insert((from, packet.ssrc), route);
        Some(route)
    }

    /// Sends a packet again that a receiver did not get, on its slot's retransmission stream (RFC 4588).
    pub(super) fn retransmit(
        &mut self,
        now: Instant,
        slot_key: usize,
        seq: SeqNum,
        egress: &mut (impl Egress + ?Sized),
    ) {
        if self.try_retransmit(now, slot_key, seq, egress).is_some() {
            self.stats.retransmitted += 1;
        } else {
            self.stats.not_retransmitted += 1;
        }
    }

    fn try_retransmit(
        &mut self,
        now: Instant,
        slot_key: usize,
        seq: SeqNum,
        egress: &mut (impl Egress + ?Sized),
    ) -> Option<()> {
        let Self { tracks, slots, participants, scratch, .. } = self;
        let slot = slots.get_mut(slot_key).filter(|slot| slot.active)?;
        let receiver = participants.get_mut(slot.participant_key)?;
        let index = slot.stream.index_of(seq)?;
        let rtt = receiver.rtt.estimate();
        let packet = tracks.get_mut(slot.source?)?.repeatable(now + rtt / 2, index)?;
        let rewritten = slot.stream.rewritten(index, &packet.meta)?;
        let rtx = slot.rtx.as_mut()?;
        let arriving = receiver.delivery.bytes_per_second(now);
        let cost = packet.payload_len() + delivery::OVERHEAD;
        if !rtx.admit(now, seq, rtt) || !receiver.budget.spend(now, arriving, cost) {
            return None;
        }
        build_header(&mut scratch.mid_header, rtx.payload_type, packet, Some(slot.mid.as_bytes()));
        scratch.mid_header.set_padding(false);
        scratch.mid_header.set_stream(rtx.ssrc, rtx.take_seq(), rewritten.timestamp);
        scratch.mid_header.set_frame_number(rewritten.frame_number);
        scratch.mid_header.set_twcc_seq(receiver.take_transport_seq());
        scratch.payload.clear();
        scratch.payload.extend(low(rewritten.seq).to_be_bytes());
        scratch.payload.extend_from_slice(rewrite_payload(packet, &rewritten));
        egress.rtp(slot.participant, scratch.mid_header.as_bytes(), &scratch.payload);
        Some(())
    }

    fn record_arrival(&mut self, now: Instant, owner_key: usize, transport_seq: Option<u16>) {
        let Some(seq) = transport_seq else { return };
        let epoch = *self.epoch.get_or_insert(now);
        let Some(owner) = self.participants.get_mut(owner_key) else { return };
        let micros = u64::try_from(now.saturating_duration_since(epoch).as_micros()).unwrap_or(u64::MAX);
        owner.arrivals.record(seq, micros);
        self.deadlines.arm_feedback(now);
    }
}

impl Participant {
    /// Takes the next transport-wide sequence number.
    pub(super) fn take_transport_seq(&mut self) -> u16 {
        let seq = self.transport_seq;
        self.transport_seq = seq.wrapping_add(1);
        seq
    }
}

/// Builds what a packet's headers have in common in all slots, or the one of a single slot.
pub(super) fn build_header(buffer: &mut HeaderBuffer, payload_type: u8, packet: &StoredPacket, mid: Option<&[u8]>) {
    let meta = packet.meta;
    let header =
        RtpHeader { marker: meta.marker, payload_type, seq: SeqNum(0), timestamp: 0, ssrc: crate::ids::Ssrc(0) };
    let dependency = packet.dependency();
    let extensions = HeaderExtensions { mid, audio_level: meta.audio_level, twcc_seq: Some(0), dependency };
    buffer.build(header, extensions);
    buffer.set_padding(packet.padded().len() > packet.payload_len());
}

/// Writes a slot's picture id into the packet's payload, which all slots share, and gives the payload.
pub(super) fn rewrite_payload<'a>(packet: &'a mut StoredPacket, rewritten: &Rewritten) -> &'a [u8] {
    let vp8 = packet.meta.vp8;
    let payload = packet.payload_mut();
    if let Some(vp8) = vp8 {
        vp8.rewrite(payload, rewritten.picture_id, rewritten.tl0_pic_idx);
    }
    payload
}

/// Sends a sender report for a slot: wall clock and timestamp of its source, the timestamp moved to the slot's time.
pub(super) fn send_report(
    now: Instant,
    slot: &mut Slot,
    ntp: u64,
    timestamp: u32,
    cname: &str,
    buffer: &mut Vec<u8>,
    egress: &mut (impl Egress + ?Sized),
) {
    let Some(timestamp) = slot.stream.timestamp(timestamp) else { return };
    let info = SenderInfo { ntp, timestamp, packets: slot.packets, octets: slot.octets };
    buffer.clear();
    rtcp_write::sender_report(buffer, slot.ssrc, &info);
    rtcp_write::source_description(buffer, slot.ssrc, cname.as_bytes());
    slot.reports.on_sent(now, info.compact_ntp());
    egress.rtcp(slot.participant, buffer);
}
