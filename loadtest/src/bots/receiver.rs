//! The receiving half of a light bot behind its transport: it opens frames and sends the feedback of a real receiver.
//!
//! Without feedback a server would be spared half of its work. This receiver reports once a second, sends NACKs for
//! missing packets, a PLI when it stops asking for them, and the arrival time of every packet ten times a second.

use crate::measure::clock::Time;
use crate::{
    bots::{
        frame_receiver::{FrameReceiver, Opening, ReceivedPacket, SlotFrames},
        receiver_statistics::{ReceiverStatistics, TwccRecorder},
        rtcp::{self, Feedback},
        rtp::RtpView,
    },
    measure::{accounting::ReceiverAccounting, send_log::Class, statistics::Statistics},
};
use e2ee_frames::Codec;
use std::collections::HashMap;
use std::time::Duration;
use tacet_native::keys::SharedKeys;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum time between PLIs for the same stream.
const PLI_INTERVAL: Duration = Duration::from_secs(1);

/// A stream as the server forwards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotStream {
    pub(crate) codec: Codec,
    pub(crate) media: u32,
    pub(crate) rtx: Option<u32>,
}

#[derive(Debug)]
struct Slot {
    statistics: ReceiverStatistics,
    frames: SlotFrames,
    has_rtx: bool,
    key_frame_asked_at: Time,
    key_frame_wanted: bool,
}

/// The receiving half of a light bot.
#[derive(Debug)]
pub(crate) struct Receiver {
    own_ssrc: u32,
    /// Header extension id of the transport-wide sequence number.
    transport_cc: Option<u8>,
    slots: Vec<Slot>,
    /// Slot of an SSRC, and whether it is that of retransmissions.
    by_ssrc: HashMap<u32, (usize, bool)>,
    twcc: TwccRecorder,
    frames: FrameReceiver,
    next_report: Time,
    next_feedback: Time,
}

impl Receiver {
    /// A receiver that opens frames if it has keys, and times its first media if `joining_since` is given.
    pub(crate) fn new(
        own_ssrc: u32,
        transport_cc: Option<u8>,
        keys: Option<SharedKeys>,
        accounting: ReceiverAccounting,
        joining_since: Option<Time>,
    ) -> Self {
        Self {
            own_ssrc,
            transport_cc,
            slots: Vec::new(),
            by_ssrc: HashMap::new(),
            twcc: TwccRecorder::default(),
            frames: FrameReceiver::new(accounting, keys, joining_since),
            next_report: Time::default(),
            next_feedback: Time::default(),
        }
    }

    pub(crate) fn accounting(&mut self) -> &mut ReceiverAccounting {
        &mut self.frames.accounting
    }

    pub(crate) fn add_streams(&mut self, streams: &[SlotStream]) {
        for stream in streams {
            let index = self.slots.len();
            let clock = if stream.codec == Codec::Opus { 48_000 } else { 90_000 };
            self.slots.push(Slot {
                statistics: ReceiverStatistics::new(stream.media, clock),
                frames: SlotFrames::new(stream.codec),
                has_rtx: stream.rtx.is_some(),
                key_frame_asked_at: Time::default(),
                key_frame_wanted: false,
            });
            self.by_ssrc.insert(stream.media, (index, false));
            self.by_ssrc.extend(stream.rtx.map(|rtx| (rtx, (index, true))));
        }
    }

    /// Takes an authenticated RTP packet that arrived at `arrived_at`.
    pub(crate) fn packet(&mut self, packet: &[u8], arrived_at: Time, statistics: &mut Statistics) {
        let Some(view) = RtpView::parse(packet, self.transport_cc) else { return };
        if let Some(sequence) = view.transport_sequence {
            self.twcc.packet(sequence, arrived_at);
        }
        let Some(&(index, retransmitted)) = self.by_ssrc.get(&view.ssrc) else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        // RFC 4588 section 4: a retransmission begins with the original sequence number.
        let (number, payload) = match (retransmitted, view.payload.split_first_chunk::<2>()) {
            (false, _) => (view.sequence, view.payload),
            (true, Some((original, payload))) => (u16::from_be_bytes(*original), payload),
            (true, None) => return,
        };
        let sequence = slot.statistics.packet(number, arrived_at);
        // Padding fills a number that stands for no packet of the publisher.
        if payload.is_empty() {
            return;
        }
        if !retransmitted {
            slot.statistics.time(view.timestamp, arrived_at);
        }
        let (timestamp, marker) = (view.timestamp, view.marker);
        let packet = ReceivedPacket { sequence, timestamp, marker, arrived_at, retransmitted, payload };
        if self.frames.packet((index, &mut slot.frames), &packet, statistics) == Opening::Failed {
            slot.key_frame_wanted = true;
        }
    }

    /// Takes the sender reports among what the server sent.
    pub(crate) fn feedback(&mut self, feedback: &[Feedback], now: Time) {
        for feedback in feedback {
            if let Feedback::SenderReport { ssrc, compact_ntp } = feedback
                && let Some((index, false)) = self.by_ssrc.get(ssrc)
                && let Some(slot) = self.slots.get_mut(*index)
            {
                slot.statistics.sender_report(*compact_ntp, now);
            }
        }
    }

    /// Passes the RTCP packets that are due to `send`.
    pub(crate) fn tick(&mut self, now: Time, statistics: &mut Statistics, mut send: impl FnMut(&[u8])) {
        self.frames.accounting.tick(now);
        let slots = &mut self.slots;
        self.frames.retry(now, statistics, |index, opening| {
            if let Some(slot) = slots.get_mut(index).filter(|_| opening == Opening::Failed) {
                slot.key_frame_wanted = true;
            }
        });
        for slot in self.slots.iter_mut().filter(|slot| slot.has_rtx) {
            let missing = slot.statistics.take_due(now);
            if !missing.is_empty() {
                send(&rtcp::nack(self.own_ssrc, slot.statistics.ssrc(), &missing));
            }
            slot.key_frame_wanted |= slot.statistics.take_gave_up();
            if slot.key_frame_wanted && now.since(slot.key_frame_asked_at) >= PLI_INTERVAL {
                slot.key_frame_wanted = false;
                slot.key_frame_asked_at = now;
                send(&rtcp::pli(self.own_ssrc, slot.statistics.ssrc()));
            }
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            let mut blocks = Vec::new();
            for slot in &mut self.slots {
                let Some(block) = slot.statistics.report(now) else { continue };
                blocks.push(block);
                if self.frames.accounting.is_measuring(now) {
                    let class = if slot.frames.codec == Codec::Opus { Class::Audio } else { Class::Video };
                    statistics.of_mut(class).interarrival.record(slot.statistics.jitter_us());
                }
            }
            for blocks in blocks.chunks(rtcp::MAX_REPORT_BLOCKS) {
                send(&rtcp::receiver_report(self.own_ssrc, blocks.to_vec()));
            }
        }
        if now >= self.next_feedback {
            self.next_feedback = now + FEEDBACK_INTERVAL;
            let media = self.slots.first().map_or(0, |slot| slot.statistics.ssrc());
            if let Some((count, base, arrivals)) = self.twcc.take() {
                let feedback = rtcp::transport_feedback(self.own_ssrc, media, count, base, &arrivals);
                if !feedback.is_empty() {
                    send(&feedback);
                }
            }
        }
    }
}
