//! A receiving bot behind its transport: books packets, opens frames, and answers with the feedback of a real receiver.
//!
//! Without feedback a server would be spared half of its work: this one reports once a second, asks for what is
//! missing, asks for a key frame when it gives up, and tells the arrival of every packet ten times a second.

use crate::{
    bots::frame,
    bots::frame_opener::{FrameAssembler, FrameOpener, Opening},
    bots::packet_identity::{PacketIdentifier, SlotPacket},
    bots::receiver_statistics::{ReceiverStatistics, TwccRecorder},
    bots::rtcp,
    bots::rtp::RtpView,
    measure::accounting::ReceiverAccounting,
    measure::received_stream::Arrival,
    measure::send_log::Class,
    measure::statistics::Statistics,
};
use e2ee_frames::Codec;
use std::collections::HashMap;
use tacet_native::keys::SharedKeys;
use tacet_proto::TrackId;

const REPORT_NS: u64 = 1_000_000_000;
const FEEDBACK_NS: u64 = 100_000_000;
/// Between requests for a key frame of the same stream.
const KEY_FRAME_NS: u64 = 1_000_000_000;

/// A stream as the server forwards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotStream {
    pub(crate) codec: Codec,
    pub(crate) media: u32,
    pub(crate) rtx: Option<u32>,
}

/// What changed in a slot: the track that was taken out, and the one that was put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotChange {
    pub(crate) out: Option<TrackId>,
    pub(crate) into: Option<TrackId>,
}

#[derive(Debug)]
struct Slot {
    codec: Codec,
    reception: ReceiverStatistics,
    identity: PacketIdentifier,
    frames: FrameAssembler,
    repairs: bool,
    key_frame_asked_ns: u64,
    key_frame_wanted: bool,
}

/// A receiving bot.
#[derive(Debug)]
pub(crate) struct Receiver {
    own_ssrc: u32,
    transport_cc: Option<u8>,
    /// Absent in a light run, which opens nothing.
    opener: Option<FrameOpener>,
    slots: Vec<Slot>,
    /// Slot of an SSRC, and whether it is that of retransmissions.
    by_ssrc: HashMap<u32, (usize, bool)>,
    arrivals: TwccRecorder,
    pub(crate) accounting: ReceiverAccounting,
    scratch: Vec<u8>,
    /// When it began to join, until it had its first media.
    joining_since_ns: Option<u64>,
    next_report_ns: u64,
    next_feedback_ns: u64,
}

impl Receiver {
    /// A receiver that began to join at a time, if its first media is to be timed.
    pub(crate) fn new(
        own_ssrc: u32,
        transport_cc: Option<u8>,
        keys: Option<SharedKeys>,
        accounting: ReceiverAccounting,
        joining_since_ns: Option<u64>,
    ) -> Self {
        Self {
            own_ssrc,
            transport_cc,
            opener: keys.map(FrameOpener::new),
            slots: Vec::new(),
            by_ssrc: HashMap::new(),
            arrivals: TwccRecorder::default(),
            accounting,
            scratch: Vec::new(),
            joining_since_ns,
            next_report_ns: 0,
            next_feedback_ns: 0,
        }
    }

    pub(crate) fn add_streams(&mut self, streams: &[SlotStream]) {
        for stream in streams {
            let at = self.slots.len();
            let clock = if stream.codec == Codec::Opus { 48_000 } else { 90_000 };
            self.slots.push(Slot {
                codec: stream.codec,
                reception: ReceiverStatistics::new(stream.media, clock),
                identity: PacketIdentifier::default(),
                frames: FrameAssembler::default(),
                repairs: stream.rtx.is_some(),
                key_frame_asked_ns: 0,
                key_frame_wanted: false,
            });
            self.by_ssrc.insert(stream.media, (at, false));
            self.by_ssrc.extend(stream.rtx.map(|rtx| (rtx, (at, true))));
        }
    }

    pub(crate) fn slots_changed(&mut self, changes: &[SlotChange], now_ns: u64) {
        // First all that went: a track may have changed its slot.
        changes.iter().filter_map(|change| change.out).for_each(|track| self.accounting.vacated(track));
        changes.iter().filter_map(|change| change.into).for_each(|track| self.accounting.assigned(track, now_ns));
    }

    /// Takes an authenticated RTP packet that arrived at `arrived_ns`.
    pub(crate) fn packet(&mut self, packet: &[u8], arrived_ns: u64, statistics: &mut Statistics) {
        let Some(view) = RtpView::parse(packet, self.transport_cc) else { return };
        if let Some(sequence) = view.transport_sequence {
            self.arrivals.packet(sequence, arrived_ns);
        }
        let Some(&(at, repair)) = self.by_ssrc.get(&view.ssrc) else { return };
        let Some(slot) = self.slots.get_mut(at) else { return };
        let (number, payload) = match (repair, view.payload.split_first_chunk::<2>()) {
            (false, _) => (view.sequence, view.payload),
            (true, Some((original, payload))) => (u16::from_be_bytes(*original), payload),
            (true, None) => return,
        };
        // Padding alone is a probe.
        if payload.is_empty() {
            return;
        }
        let sequence = slot.reception.packet(number, arrived_ns);
        if !repair {
            slot.reception.time(view.timestamp, arrived_ns);
        }
        if self.opener.is_none() {
            first_media(&mut self.joining_since_ns, arrived_ns, statistics);
        }
        let frame = frame::begins(slot.codec, payload);
        let slot_packet =
            SlotPacket { sequence, timestamp: view.timestamp, frame, arrived_ns, bytes: payload.len(), repair };
        let mut own = None;
        self.accounting.packet(&mut slot.identity, slot_packet, statistics, |packet, accounted| {
            if packet.sequence == sequence {
                own = Some(accounted);
            }
        });
        let Some(opener) = self.opener.as_mut().filter(|_| own.is_none_or(|own| own.arrival == Arrival::New)) else {
            return;
        };
        let packet = (number, view.marker, payload);
        let Some(accounted) = slot.frames.push(slot.codec, packet, (frame.is_some(), own), &mut self.scratch) else {
            return;
        };
        let book = (&mut self.accounting, &mut *statistics);
        match opener.open((at, slot.codec), accounted, &mut self.scratch, arrived_ns, book) {
            Opening::Opened => first_media(&mut self.joining_since_ns, arrived_ns, statistics),
            Opening::Failed => slot.key_frame_wanted = true,
            Opening::Pending => {}
        }
    }

    /// Tries frames again that waited for a key.
    fn retry_held(&mut self, now_ns: u64, statistics: &mut Statistics) {
        let Some(opener) = &mut self.opener else { return };
        let (slots, mut opened) = (&mut self.slots, false);
        opener.retry(now_ns, (&mut self.accounting, &mut *statistics), |at, opening| match opening {
            Opening::Opened => opened = true,
            Opening::Failed => slots.get_mut(at).into_iter().for_each(|slot| slot.key_frame_wanted = true),
            Opening::Pending => {}
        });
        if opened {
            first_media(&mut self.joining_since_ns, now_ns, statistics);
        }
    }

    /// Takes RTCP of the server.
    pub(crate) fn feedback(&mut self, compound: &[u8], now_ns: u64) {
        rtcp::sender_reports(compound, |report| {
            if let Some((at, false)) = self.by_ssrc.get(&report.ssrc)
                && let Some(slot) = self.slots.get_mut(*at)
            {
                slot.reception.sender_report(&report, now_ns);
            }
        });
    }

    /// Writes the RTCP that is due; each goes to `send`.
    pub(crate) fn tick(&mut self, now_ns: u64, statistics: &mut Statistics, mut send: impl FnMut(&[u8])) {
        self.accounting.tick(now_ns);
        self.retry_held(now_ns, statistics);
        let mut packet = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.repairs) {
            let missing = slot.reception.take_due(now_ns);
            if !missing.is_empty() {
                rtcp::nack(self.own_ssrc, slot.reception.ssrc(), &missing, &mut packet);
                send(&packet);
                packet.clear();
            }
            slot.key_frame_wanted |= slot.reception.take_gave_up();
            if slot.key_frame_wanted && now_ns.saturating_sub(slot.key_frame_asked_ns) >= KEY_FRAME_NS {
                slot.key_frame_wanted = false;
                slot.key_frame_asked_ns = now_ns;
                rtcp::picture_loss(self.own_ssrc, slot.reception.ssrc(), &mut packet);
                send(&packet);
                packet.clear();
            }
        }
        if now_ns >= self.next_report_ns {
            self.next_report_ns = now_ns + REPORT_NS;
            let mut blocks = Vec::new();
            for slot in &mut self.slots {
                let Some(block) = slot.reception.report(now_ns) else { continue };
                blocks.push(block);
                if self.accounting.is_measuring(now_ns) {
                    let class = if slot.codec == Codec::Opus { Class::Audio } else { Class::Video };
                    statistics.of_mut(class).interarrival.record(slot.reception.jitter_us());
                }
            }
            for blocks in blocks.chunks(31) {
                rtcp::receiver_report(self.own_ssrc, blocks, &mut packet);
                send(&packet);
                packet.clear();
            }
        }
        if now_ns >= self.next_feedback_ns {
            self.next_feedback_ns = now_ns + FEEDBACK_NS;
            let media = self.slots.first().map_or(0, |slot| slot.reception.ssrc());
            if let Some((count, base, arrivals)) = self.arrivals.take() {
                rtcp::transport_feedback(self.own_ssrc, media, count, base, &arrivals, &mut packet);
                if !packet.is_empty() {
                    send(&packet);
                }
            }
        }
    }
}

/// Notes the time of the first media, once.
fn first_media(joining_since_ns: &mut Option<u64>, now_ns: u64, statistics: &mut Statistics) {
    if let Some(since_ns) = joining_since_ns.take() {
        statistics.first_media.record(now_ns.saturating_sub(since_ns) / 1_000_000);
    }
}
