//! RTP and RTCP packets from a script: mostly valid packets, and arbitrary bytes.

use crate::commands;
use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::{self, ReportBlock, SenderInfo},
    seq::SeqNum,
};
use sfu::Ssrc;
use tacet_fuzz::Script;

/// End of every payload: sealed by the client, and never visible outside SRTP.
pub(crate) const SECRET: &[u8] = b"the sealed frame";

/// Payload types of the table, and unknown ones.
const PAYLOAD_TYPES: [u8; 12] = [111, 96, 97, 98, 99, 100, 101, 102, 103, 0, 72, 127];

/// Returns header and payload of an RTP packet.
pub(crate) fn rtp(script: &mut Script<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (stream, seq, shape, length) = (script.byte()?, script.word()?, script.byte()?, script.byte()?);
    let ssrc = u32::from(stream % 16);
    let header = RtpHeader {
        marker: shape & 1 != 0,
        payload_type: PAYLOAD_TYPES[usize::from(stream >> 4) % PAYLOAD_TYPES.len()],
        seq: SeqNum(seq),
        timestamp: u32::from(seq) * 3_000,
        ssrc: Ssrc(ssrc),
    };
    let mid = commands::mid(stream >> 2);
    let mut buffer = HeaderBuffer::default();
    let descriptor = if shape & 2 != 0 { script.bytes(usize::from(shape >> 4) * 2) } else { &[] };
    let is_rtx = [97, 99, 101, 103].contains(&header.payload_type);
    let names = (shape & 4 != 0).then(|| commands::RIDS.get(usize::from(seq & 3))).flatten();
    let rid = names.map(|rid| rid.as_bytes());
    let extensions = HeaderExtensions {
        mid: (shape & 4 != 0).then_some(mid.as_bytes()),
        audio_level: (shape & 8 != 0).then_some(shape),
        twcc_seq: (shape & 0xc0 != 0).then_some(seq ^ u16::from(shape >> 6 & 1) << 15),
        dependency: (!descriptor.is_empty()).then_some(descriptor),
        rid: rid.filter(|_| !is_rtx),
        repaired_rid: rid.filter(|_| is_rtx),
    };
    buffer.build(header, extensions);
    // Descriptor bytes from the script, then a frame; or nothing but these bytes.
    let mut payload = script.bytes(usize::from(length % 16)).to_vec();
    if length & 0x10 == 0 {
        payload.resize(payload.len() + usize::from(length >> 5) * 150, length);
        payload.extend_from_slice(SECRET);
    }
    Some((buffer.as_bytes().to_vec(), payload))
}

/// Returns a compound RTCP packet on some of these streams.
pub(crate) fn rtcp(script: &mut Script<'_>, streams: &[Ssrc]) -> Option<Vec<u8>> {
    let mut packet = Vec::new();
    let parts = script.byte()?;
    for _ in 0..=parts % 4 {
        let (kind, stream, what) = (script.byte()?, script.byte()?, script.word()?);
        let media = streams.get(usize::from(stream)).copied().unwrap_or(Ssrc(u32::from(stream % 16)));
        match kind % 9 {
            0 => {
                let ntp = u64::from(what) << 40;
                let info = SenderInfo { ntp, timestamp: u32::from(what) * 3_000, packets: 1, octets: 2 };
                rtcp::write::sender_report(&mut packet, media, &info);
            }
            1 => {
                let block = ReportBlock {
                    ssrc: media,
                    fraction_lost: kind,
                    cumulative_lost: -1,
                    highest_seq: what.into(),
                    jitter: 1,
                    last_sr: u32::from(what) << 8,
                    delay_since_last_sr: what.into(),
                };
                rtcp::write::receiver_report(&mut packet, Ssrc(9), &[block; 2]);
            }
            2 => {
                let many = u64::from(script.byte()?);
                let lost: Vec<u64> =
                    (0..many).map(|seq| (1 << 16 | u64::from(what)) + seq * u64::from(1 + kind / 64)).collect();
                rtcp::write::nack(&mut packet, Ssrc(9), media, &lost);
            }
            3 => rtcp::write::pli(&mut packet, Ssrc(9), media),
            4 => {
                let entry = [&media.0.to_be_bytes()[..], &what.to_be_bytes(), &[0; 2]].concat();
                packet.extend([0x84, 206, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0]);
                packet.extend(entry.repeat(2));
            }
            5 => rtcp::write::source_description(&mut packet, media, script.bytes(usize::from(kind >> 4))),
            6 => packet.extend([&[0x81, 203, 0, 1][..], &media.0.to_be_bytes()].concat()),
            // TWCC feedback, and arbitrary parts.
            7 => part(&mut packet, 15, 205, script),
            _ => part(&mut packet, what.to_be_bytes()[0] & 31, what.to_be_bytes()[1], script),
        }
    }
    Some(packet)
}

fn part(packet: &mut Vec<u8>, count: u8, kind: u8, script: &mut Script<'_>) {
    let words = script.byte().unwrap_or(0) % 16;
    packet.extend([0x80 | count, kind, 0, words]);
    let body = script.bytes(usize::from(words) * 4);
    packet.extend(body);
    packet.resize(packet.len() + usize::from(words) * 4 - body.len(), 0);
}
