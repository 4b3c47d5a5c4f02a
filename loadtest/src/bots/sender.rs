//! One sent track behind its transport: RTP headers, retransmissions, sender reports, by encoding.

use crate::measure::clock::Time;
use crate::{
    bots::feed::{Feed, Packet},
    bots::rtcp::{self, Feedback},
    bots::rtp::{self, RtpHeader},
};
use std::time::Duration;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of packets kept of an encoding for retransmission.
const STORED: usize = 4_096;

/// Ids of the header extensions that the server knows (RFC 8285).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExtensionIds {
    pub(crate) transport_cc: Option<u8>,
    pub(crate) audio_level: Option<u8>,
    pub(crate) mid: Option<u8>,
    pub(crate) rid: Option<u8>,
    pub(crate) repaired_rid: Option<u8>,
    pub(crate) descriptor: Option<u8>,
}

/// RTP parameters of a track.
#[derive(Clone, Debug)]
pub(crate) struct TrackStreams {
    pub(crate) mid: String,
    pub(crate) payload_type: u8,
    /// Payload type of retransmissions.
    pub(crate) rtx_payload_type: Option<u8>,
    pub(crate) extensions: ExtensionIds,
    /// In the order of the feed's encodings.
    pub(crate) encodings: Vec<EncodingStreams>,
}

/// RTP parameters of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncodingStreams {
    pub(crate) ssrc: u32,
    /// SSRC of retransmissions.
    pub(crate) rtx: Option<u32>,
    /// By which the server learns the SSRCs, if they are not signaled (RFC 8852).
    pub(crate) rid: Option<&'static str>,
}

/// A track that a bot sends.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) feed: Feed,
    track: TrackHeaders,
    encodings: Vec<EncodingSender>,
    next_report: Time,
    header: Vec<u8>,
    payload: Vec<u8>,
    /// Packets that the kernel refused.
    pub(crate) errors: u64,
}

/// What the headers of all packets of a track have in common.
#[derive(Debug)]
struct TrackHeaders {
    mid: String,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    extensions: ExtensionIds,
}

/// State of an encoding.
#[derive(Debug)]
struct EncodingSender {
    streams: EncodingStreams,
    rtx_sequence: u16,
    stored: Vec<Option<Packet>>,
    packets: u32,
    bytes: u32,
    /// Whether the server has reported on the SSRC, and on that of retransmissions: then it knows what they are.
    is_known: bool,
    rtx_is_known: bool,
}

/// Index at which a packet is kept.
fn place(sequence: u16, places: usize) -> Option<usize> {
    usize::from(sequence).checked_rem(places)
}

/// Counts the packets of one transport for the transport-wide sequence number.
#[derive(Debug, Default)]
pub(crate) struct TransportSequence(u16);

impl TransportSequence {
    fn take(&mut self) -> [u8; 2] {
        let sequence = self.0;
        self.0 = sequence.wrapping_add(1);
        sequence.to_be_bytes()
    }
}

impl Sender {
    pub(crate) fn new(feed: Feed, streams: TrackStreams) -> Self {
        let TrackStreams { mid, payload_type, rtx_payload_type, extensions, encodings } = streams;
        let encodings = encodings.into_iter().enumerate();
        let encodings = encodings.map(|(n, streams)| EncodingSender::new(streams, feed.remembers(n))).collect();
        Self {
            feed,
            track: TrackHeaders { mid, payload_type, rtx_payload_type, extensions },
            encodings,
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
        let Self { feed, track, encodings, header, .. } = self;
        feed.make(now, |packet| {
            let Some(encoding) = encodings.get_mut(usize::from(packet.encoding)) else { return };
            track.write(encoding, &packet, transport, header);
            seal(header, &packet.payload);
            encoding.sent(packet);
        })
    }

    /// Takes feedback of the server; retransmissions go to `seal`.
    pub(crate) fn feedback(
        &mut self,
        feedback: &[Feedback],
        transport: &mut TransportSequence,
        mut seal: impl FnMut(&[u8], &[u8]),
    ) {
        let Self { feed, track, encodings, header, payload, .. } = self;
        for feedback in feedback {
            for encoding in encodings.iter_mut() {
                match *feedback {
                    Feedback::KeyFrame { ssrc } if ssrc == encoding.streams.ssrc => feed.want_key_frame(),
                    Feedback::Report { ssrc } if ssrc == encoding.streams.ssrc => encoding.is_known = true,
                    Feedback::Report { ssrc } if Some(ssrc) == encoding.streams.rtx => encoding.rtx_is_known = true,
                    Feedback::Retransmit { ssrc, sequence }
                        if ssrc == encoding.streams.ssrc
                            && track.write_again(encoding, sequence, transport, header, payload).is_some() =>
                    {
                        seal(header, payload);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The sender reports, if they are due: one for each encoding that has sent.
    pub(crate) fn reports(&mut self, now: Time) -> Vec<Vec<u8>> {
        let is_due = now >= self.next_report && self.encodings.iter().any(|encoding| encoding.packets > 0);
        if !is_due {
            return Vec::new();
        }
        self.next_report = now + REPORT_INTERVAL;
        let rtp_time = self.feed.timestamp(now);
        let sent = self.encodings.iter().filter(|encoding| encoding.packets > 0);
        sent.map(|of| rtcp::sender_report(of.streams.ssrc, now, rtp_time, of.packets, of.bytes)).collect()
    }
}

impl EncodingSender {
    fn new(streams: EncodingStreams, remembers: usize) -> Self {
        let mut stored = Vec::new();
        if streams.rtx.is_some() {
            // A power of two, so that a number finds its place across the wrap.
            stored.resize_with(remembers.min(STORED), || None);
        }
        Self { streams, rtx_sequence: 0, stored, packets: 0, bytes: 0, is_known: false, rtx_is_known: false }
    }

    fn sent(&mut self, packet: Packet) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(packet.payload.len() as u32);
        if let Some(place) = place(packet.sequence, self.stored.len()).and_then(|place| self.stored.get_mut(place)) {
            *place = Some(packet);
        }
    }

    fn stored(&self, sequence: u16) -> Option<&Packet> {
        let place = place(sequence, self.stored.len())?;
        self.stored.get(place)?.as_ref().filter(|packet| packet.sequence == sequence)
    }
}

impl TrackHeaders {
    /// Writes the header of a packet. Until the server knows the SSRC, MID and RID say what it is.
    fn write(
        &self,
        encoding: &EncodingSender,
        packet: &Packet,
        transport: &mut TransportSequence,
        header: &mut Vec<u8>,
    ) {
        let ids = self.extensions;
        let number = ids.transport_cc.map(|id| (id, transport.take()));
        let level = ids.audio_level.zip(packet.level).map(|(id, level)| (id, [rtp::audio_level(level)]));
        let rid = encoding.streams.rid.filter(|_| !encoding.is_known);
        RtpHeader {
            ssrc: encoding.streams.ssrc,
            sequence: packet.sequence,
            payload_type: self.payload_type,
            timestamp: packet.timestamp,
            marker: packet.marker,
            extensions: &[
                number.as_ref().map(|(id, number)| (*id, &number[..])),
                level.as_ref().map(|(id, level)| (*id, &level[..])),
                ids.mid.filter(|_| rid.is_some()).map(|id| (id, self.mid.as_bytes())),
                ids.rid.zip(rid).map(|(id, rid)| (id, rid.as_bytes())),
                ids.descriptor.filter(|_| !packet.descriptor.is_empty()).map(|id| (id, &packet.descriptor[..])),
            ],
        }
        .write(header);
    }

    /// Writes header and payload of a retransmission (RFC 4588 section 4): the original sequence number, then the original
    /// payload. `None` if the packet is not stored any more.
    fn write_again(
        &self,
        encoding: &mut EncodingSender,
        sequence: u16,
        transport: &mut TransportSequence,
        header: &mut Vec<u8>,
        payload: &mut Vec<u8>,
    ) -> Option<()> {
        let ids = self.extensions;
        let (ssrc, payload_type) = encoding.streams.rtx.zip(self.rtx_payload_type)?;
        let rid = encoding.streams.rid.filter(|_| !encoding.rtx_is_known);
        let rtx_sequence = encoding.rtx_sequence;
        let packet = encoding.stored(sequence)?;
        payload.clear();
        payload.extend_from_slice(&sequence.to_be_bytes());
        payload.extend_from_slice(&packet.payload);
        let number = ids.transport_cc.map(|id| (id, transport.take()));
        RtpHeader {
            ssrc,
            sequence: rtx_sequence,
            payload_type,
            timestamp: packet.timestamp,
            marker: packet.marker,
            extensions: &[
                number.as_ref().map(|(id, number)| (*id, &number[..])),
                ids.mid.filter(|_| rid.is_some()).map(|id| (id, self.mid.as_bytes())),
                ids.repaired_rid.zip(rid).map(|(id, rid)| (id, rid.as_bytes())),
                ids.descriptor.filter(|_| !packet.descriptor.is_empty()).map(|id| (id, &packet.descriptor[..])),
            ],
        }
        .write(header);
        encoding.rtx_sequence = rtx_sequence.wrapping_add(1);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bots::feed::{Sealing, tests::keys},
        bots::pattern::{LayeredEncoding, LayersPattern, Pattern, VideoPattern, layers},
        bots::rtp::RtpView,
        measure::accounting::Window,
        measure::send_log::{Class, RoomLog, StreamLog, TrackLog},
        scenario::Video,
    };
    use e2ee_frames::{Codec, StreamId};
    use rtp_wire::dependency_descriptor::ScalabilityMode;
    use std::sync::Arc;

    const SEALING: Sealing = Sealing { stream: StreamId::CAMERA, codec: Codec::Vp8 };
    const EXTENSIONS: ExtensionIds = ExtensionIds {
        transport_cc: Some(3),
        audio_level: None,
        mid: Some(4),
        rid: Some(5),
        repaired_rid: Some(6),
        descriptor: Some(8),
    };

    fn feed(pattern: Pattern) -> Feed {
        let encodings = (0..pattern.encodings()).map(|_| StreamLog::new(&layers(ScalabilityMode::L1T3), 256));
        let log = TrackLog { encodings: encodings.collect(), ..TrackLog::new(Class::Video, 64) };
        let logs = (Arc::new(RoomLog::default()), Arc::new(log));
        Feed::new(keys(&[StreamId::CAMERA]), SEALING, pattern, logs, Arc::new(Window::closed()))
    }

    fn streams(encodings: Vec<EncodingStreams>) -> TrackStreams {
        let (mid, extensions) = ("s1".to_owned(), EXTENSIONS);
        TrackStreams { mid, payload_type: 96, rtx_payload_type: Some(97), extensions, encodings }
    }

    #[test]
    fn nack_and_pli_are_answered() {
        let encoding = EncodingStreams { ssrc: 5, rtx: Some(6), rid: None };
        let mut sender = Sender::new(feed(Pattern::packets(100, 3, 500)), streams(vec![encoding]));
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

    /// MID, RID and repaired RID of a packet.
    fn names(packet: &[u8]) -> [Option<String>; 3] {
        let name = |id| rtp::extension_of(packet, id).map(|value| String::from_utf8_lossy(value).into_owned());
        [EXTENSIONS.mid, EXTENSIONS.rid, EXTENSIONS.repaired_rid].map(|id| name(id?))
    }

    #[test]
    fn encoding_is_named_until_the_server_reports_on_it() {
        let sizes = || vec![VideoPattern::new(&Video::default(), 150_000.0, 30, 1, 0)];
        let encoding = || LayeredEncoding::new(ScalabilityMode::L1T3, &[], sizes());
        let pattern = Pattern::Layers(LayersPattern::new(vec![encoding(), encoding()]));
        let encodings = [("h", 10), ("f", 20)].map(|(rid, ssrc)| {
            let rtx = Some(ssrc + 1);
            EncodingStreams { ssrc, rtx, rid: Some(rid) }
        });
        let mut sender = Sender::new(feed(pattern), streams(encodings.into()));
        let mut transport = TransportSequence::default();
        let mut image = |sender: &mut Sender, ms: u64, feedback: &[u8]| {
            let (mut sent, now) = (Vec::new(), Time::from_nanos(ms * 1_000_000));
            let mut take = |header: &[u8], payload: &[u8]| sent.push([header, payload].concat());
            sender.feedback(&rtcp::read(feedback), &mut transport, &mut take);
            sender.burst(now, &mut transport, &mut take);
            sender.feed.leaving(now);
            sent
        };
        let named = |mid: &str, rid: &str| [Some(mid.to_owned()), Some(rid.to_owned()), None];
        let of = |sent: &[Vec<u8>], ssrc: u32| {
            let is_of = |packet: &&Vec<u8>| RtpView::parse(packet, None).is_some_and(|view| view.ssrc == ssrc);
            sent.iter().filter(is_of).map(|packet| names(packet)).collect::<Vec<_>>()
        };
        sender.feed.start(Time::default());
        let sent = image(&mut sender, 0, &[]);
        assert!(of(&sent, 10).iter().all(|names| *names == named("s1", "h")), "{sent:?}");
        assert!(of(&sent, 20).iter().all(|names| *names == named("s1", "f")));
        // A report on the first encoding, and a NACK for a packet of it.
        let report = rtcp::ReceptionReport { ssrc: 10, ..rtcp::ReceptionReport::default() };
        let feedback = [rtcp::receiver_report(1, vec![report]), rtcp::nack(1, 10, &[0])].concat();
        let sent = image(&mut sender, 34, &feedback);
        assert_eq!(of(&sent, 11), [[Some("s1".to_owned()), None, Some("h".to_owned())]]);
        assert!(of(&sent, 10).iter().all(|names| *names == [None, None, None]));
        assert!(of(&sent, 20).iter().all(|names| *names == named("s1", "f")));
    }
}
