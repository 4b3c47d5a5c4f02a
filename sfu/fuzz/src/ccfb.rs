//! Congestion control feedback (RFC 8888): parsing of any bytes ends within their length, and what is read is written and
//! read again unchanged.

use rtp_wire::rtcp::{
    Rtcp,
    ccfb::{CcfbFeedback, PacketReport, Reception, StreamReport, write},
    parse,
};
use sfu::Ssrc;

/// Input: a body to parse.
pub fn run(data: &[u8]) {
    let body = &data[..data.len() / 4 * 4];
    let Ok(words) = u16::try_from(body.len() / 4) else { return };
    let [high, low] = words.to_be_bytes();
    let packet = [&[0x8b, 205, high, low], body].concat();
    let Some(Rtcp::Ccfb(feedback)) = parse(&packet).next() else { return };
    let read: Vec<_> = feedback.packets().collect();
    assert!(read.len() <= body.len() / 2);
    let streams = streams(&read);
    let reports: Vec<_> =
        streams.iter().map(|(ssrc, base, packets)| StreamReport { ssrc: *ssrc, base: *base, packets }).collect();
    let mut written = Vec::new();
    write(&mut written, Ssrc(1), feedback.timestamp, &reports);
    let Some(Rtcp::Ccfb(again)) = parse(&written).next() else { panic!("what was written is malformed") };
    assert_eq!((again.timestamp, packets(&again)), (feedback.timestamp, read));
}

fn packets(feedback: &CcfbFeedback<'_>) -> Vec<PacketReport> {
    feedback.packets().collect()
}

/// Joins packets that follow each other. Each stream needs no more bytes than it had.
fn streams(read: &[PacketReport]) -> Vec<(Ssrc, u16, Vec<Option<Reception>>)> {
    let follows = |a: &PacketReport, b: &PacketReport| a.ssrc == b.ssrc && b.seq == a.seq.wrapping_add(1);
    let streams = read.chunk_by(follows).flat_map(|packets| packets.chunks(16_384));
    streams
        .filter_map(|packets| {
            let first = packets.first()?;
            Some((first.ssrc, first.seq, packets.iter().map(|packet| packet.reception).collect()))
        })
        .collect()
}
