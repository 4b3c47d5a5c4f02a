//! One sent stream behind its transport: RTP headers, retransmissions, sender reports.

use crate::measure::clock::Time;
use crate::{
    bots::feed::{Feed, Packet},
    bots::rtcp::{self, Feedback},
    bots::rtp::RtpHeader,
};
use std::time::Duration;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of packets kept for retransmission.
const STORED: usize = 4_096;

/// RTP parameters of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    /// SSRC and payload type of retransmissions.
    pub(crate) rtx: Option<(u32, u8)>,
    pub(crate) payload_type: u8,
    /// Header extension ids.
    pub(crate) transport_cc: Option<u8>,
    pub(crate) audio_level: Option<u8>,
}

/// A stream that a bot sends.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) feed: Feed,
    stream: Stream,
    rtx_sequence: u16,
    stored: Vec<Option<Packet>>,
    packets: u32,
    bytes: u32,
    next_report: Time,
    header: Vec<u8>,
    payload: Vec<u8>,
    /// Packets that the kernel refused.
    pub(crate) errors: u64,
}

/// Index at which a packet is kept.
fn place(sequence: u16, places: usize) -> Option<usize> {
    usize::from(sequence).checked_rem(places)
}

/// Counts the packets of one transport for the transport-wide sequence number.
#[derive(Debug, Default)]
pub(crate) struct TransportSequence(u16);

impl TransportSequence {
    fn take(&mut self, extension: Option<u8>) -> Option<(u8, u16)> {
        let id = extension?;
        let sequence = self.0;
        self.0 = sequence.wrapping_add(1);
        Some((id, sequence))
    }
}

impl Sender {
    pub(crate) fn new(feed: Feed, stream: Stream) -> Self {
        let mut stored = Vec::new();
        if stream.rtx.is_some() {
            // A power of two, so that a number finds its place across the wrap.
            stored.resize_with(feed.remembers().min(STORED), || None);
        }
        Self {
            feed,
            stream,
            rtx_sequence: 0,
            stored,
            packets: 0,
            bytes: 0,
            next_report: Time::default(),
            header: Vec::new(),
            payload: Vec::new(),
            errors: 0,
        }
    }

    /// Makes what is due and passes header and payload of each packet to `seal`, in order. [`Feed::leaving`] must follow, just
    /// before they are sent. Returns how late it is; `None` when nothing was due.
    pub(crate) fn burst(
        &mut self,
        now: Time,
        transport: &mut TransportSequence,
        mut seal: impl FnMut(&[u8], &[u8]),
    ) -> Option<Duration> {
        let Self { feed, stream, stored, packets, bytes, header, .. } = self;
        feed.make(now, |packet| {
            RtpHeader {
                ssrc: stream.ssrc,
                sequence: packet.sequence,
                payload_type: stream.payload_type,
                timestamp: packet.timestamp,
                marker: packet.marker,
                transport_sequence: transport.take(stream.transport_cc),
                audio_level: stream.audio_level.zip(packet.level),
            }
            .write(header);
            seal(header, &packet.payload);
            *packets = packets.wrapping_add(1);
            *bytes = bytes.wrapping_add(packet.payload.len() as u32);
            if let Some(place) = place(packet.sequence, stored.len()).and_then(|place| stored.get_mut(place)) {
                *place = Some(packet);
            }
        })
    }

    /// Takes feedback of the server; retransmissions go to `seal`.
    pub(crate) fn feedback(
        &mut self,
        feedback: &[Feedback],
        transport: &mut TransportSequence,
        mut seal: impl FnMut(&[u8], &[u8]),
    ) {
        let mut wanted = Vec::new();
        let own = self.stream.ssrc;
        for feedback in feedback {
            match feedback {
                Feedback::KeyFrame { ssrc } if *ssrc == own => self.feed.want_key_frame(),
                Feedback::Retransmit { ssrc, sequence } if *ssrc == own => wanted.push(*sequence),
                _ => {}
            }
        }
        let Some((ssrc, payload_type)) = self.stream.rtx else { return };
        for sequence in wanted {
            let place = place(sequence, self.stored.len());
            let found = place.and_then(|place| self.stored.get(place)).and_then(Option::as_ref);
            let Some(packet) = found.filter(|packet| packet.sequence == sequence) else { continue };
            // RFC 4588 section 4: the original sequence number, then the original payload.
            self.payload.clear();
            self.payload.extend_from_slice(&sequence.to_be_bytes());
            self.payload.extend_from_slice(&packet.payload);
            let header = RtpHeader {
                ssrc,
                sequence: self.rtx_sequence,
                payload_type,
                timestamp: packet.timestamp,
                marker: packet.marker,
                transport_sequence: transport.take(self.stream.transport_cc),
                audio_level: None,
            };
            self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
            header.write(&mut self.header);
            seal(&self.header, &self.payload);
        }
    }

    /// The sender report, if it is due.
    pub(crate) fn report(&mut self, now: Time) -> Option<Vec<u8>> {
        if self.packets == 0 || now < self.next_report {
            return None;
        }
        self.next_report = now + REPORT_INTERVAL;
        let rtp_time = self.feed.timestamp(now);
        Some(rtcp::sender_report(self.stream.ssrc, now, rtp_time, self.packets, self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bots::feed::{Sealing, tests::keys},
        bots::pattern::Pattern,
        bots::rtp::RtpView,
        measure::accounting::Window,
        measure::send_log::{Class, RoomLog, StreamLog},
    };
    use e2ee_frames::{Codec, StreamId};
    use std::sync::Arc;

    #[test]
    fn nack_and_pli_are_answered() {
        let log = Arc::new(StreamLog::new(Class::Video, None, 256));
        let logs = (Arc::new(RoomLog::default()), log);
        let sealing = Sealing { stream: StreamId::CAMERA, codec: Codec::Vp8 };
        let pattern = Pattern::packets(100, 3, 500);
        let feed = Feed::new(keys(&[StreamId::CAMERA]), sealing, pattern, logs, Arc::new(Window::closed()));
        let stream = Stream { ssrc: 5, rtx: Some((6, 97)), payload_type: 96, transport_cc: Some(3), audio_level: None };
        let mut sender = Sender::new(feed, stream);
        let (mut transport, mut sent) = (TransportSequence::default(), Vec::new());
        sender.feed.start(Time::default());
        let mut take = |header: &[u8], payload: &[u8]| sent.push([header, payload].concat());
        assert_eq!(sender.burst(Time::default(), &mut transport, &mut take), Some(Duration::ZERO));
        sender.feed.leaving(Time::default());
        let feedback = rtcp::read(&[rtcp::nack(1, 5, &[1, 9]), rtcp::pli(1, 5)].concat());
        sender.feedback(&feedback, &mut transport, &mut take);
        assert_eq!(sender.burst(Time::from_nanos(30_000_000), &mut transport, &mut take), Some(Duration::ZERO));
        let views: Vec<_> = sent.iter().filter_map(|packet| RtpView::parse(packet, Some(3))).collect();
        assert_eq!(views.len(), 3 + 1 + 3, "9 was never sent");
        let numbers: Vec<_> = views.iter().filter_map(|view| view.transport_sequence).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((views[3].ssrc, views[3].payload_type, &views[3].payload[..2]), (6, 97, &[0, 1][..]));
        assert_eq!(&views[3].payload[2..], views[1].payload);
        assert_eq!(views[3].timestamp, views[1].timestamp);
        // The descriptor is four bytes; then the envelope of a key frame begins with 0x10.
        assert_eq!(views[4].payload[4], 0x10, "a key frame was asked for");
        assert_eq!(views[5].payload[4], 0x11);
    }
}
