//! RTP packets and their header extensions. Asserts that parsed fields lie in the packet, round-trip through the writer, and
//! can be sealed; and that the parser of SRTP agrees on where the payload starts, since otherwise part of it would stay in
//! clear.

use rtc_client::srtp::{Profile, SrtpSealer};
use rtp_wire::{
    dependency_descriptor,
    extension::KnownExtensions,
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtp::RtpPacket,
    seq::SeqNum,
};

/// Input: one packet.
pub fn run(data: &[u8]) {
    let Ok(packet) = RtpPacket::parse(data) else { return };
    let padding = if data[0] & 0x20 == 0 { 0 } else { usize::from(*data.last().expect("a packet")) };
    let header = data.len() - padding - packet.payload.len();
    assert_eq!(packet.payload, &data[header..data.len() - padding]);
    let values: usize = packet.extensions.map(|(_, value)| 1 + value.len()).sum();
    assert!(values <= header - RtpPacket::FIXED_HEADER, "extensions are in the header");
    for (id, _) in packet.extensions {
        let first = packet.extensions.into_iter().find(|(found, _)| *found == id);
        assert_eq!(packet.extensions.get(id), first.map(|(_, value)| value));
    }
    assert_sealed_after_header(&data[..header], packet.payload);
    assert_round_trip(&packet);
}

fn assert_sealed_after_header(header: &[u8], payload: &[u8]) {
    let mut sealer = SrtpSealer::new(Profile::Aes128Gcm, &[1; 16], &[2; 12]).expect("a key");
    let mut sealed = Vec::new();
    sealer.seal_rtp(header, payload, &mut sealed).expect("a parsed packet can be sealed");
    assert_eq!(sealed.len(), header.len() + payload.len() + sealer.rtp_overhead());
    assert_eq!(&sealed[..header.len()], header);
    if let Some(shorter) = header.len().checked_sub(1) {
        assert!(sealer.seal_rtp(&header[..shorter], payload, &mut sealed).is_err(), "a cut header");
    }
}

/// Writes the header as the SFU does, and parses it again.
fn assert_round_trip(packet: &RtpPacket<'_>) {
    let known = KnownExtensions::read(packet.extensions);
    let header = RtpHeader {
        marker: packet.marker,
        payload_type: packet.payload_type,
        seq: packet.seq,
        timestamp: packet.timestamp,
        ssrc: packet.ssrc,
    };
    let mut buffer = HeaderBuffer::default();
    let KnownExtensions { mid, audio_level, twcc_seq, dependency, rid, repaired_rid } = known;
    buffer.build(header, HeaderExtensions { mid, audio_level, twcc_seq, dependency, rid, repaired_rid });
    let written = RtpPacket::parse(buffer.as_bytes()).expect("a written header");
    assert!(written.payload.is_empty());
    assert_eq!((written.marker, written.payload_type), (packet.marker, packet.payload_type));
    assert_eq!((written.seq, written.timestamp, written.ssrc), (packet.seq, packet.timestamp, packet.ssrc));
    let read = KnownExtensions::read(written.extensions);
    let [mid, rid, repaired_rid] =
        [mid, rid, repaired_rid].map(|name| name.filter(|name| (1..=16).contains(&name.len())));
    let dependency = dependency.filter(|value| !value.is_empty());
    assert_eq!(read, KnownExtensions { mid, audio_level, twcc_seq, dependency, rid, repaired_rid });

    buffer.set_stream(packet.ssrc, SeqNum(1), 2);
    buffer.set_twcc_seq(3);
    buffer.set_frame_number(4);
    let patched = RtpPacket::parse(buffer.as_bytes()).expect("a patched header");
    let read = KnownExtensions::read(patched.extensions);
    assert_eq!((patched.seq, patched.timestamp, read.mid, read.audio_level), (SeqNum(1), 2, mid, audio_level));
    assert_eq!(read.twcc_seq, twcc_seq.map(|_| 3));
    let numbered = dependency.filter(|value| value.len() >= 3);
    assert_eq!(read.dependency.and_then(dependency_descriptor::frame_number), numbered.map(|_| 4));
}
