//! RTCP as a bot needs it: reports, NACK, PLI, transport-wide feedback (RFC 3550, RFC 4585,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01).

/// What a sender is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// PLI or FIR.
    KeyFrame {
        /// Of this stream.
        ssrc: u32,
    },
    /// One packet again.
    Retransmit {
        /// Of this stream.
        ssrc: u32,
        /// The packet.
        sequence: u16,
    },
}

/// Reads the requests of a compound packet; stops at the first malformed part.
pub(crate) fn requests(mut compound: &[u8], mut each: impl FnMut(Request)) {
    while let Some(head) = compound.first_chunk::<4>() {
        let length = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
        let Some(packet) = compound.get(..length) else { return };
        compound = compound.get(length..).unwrap_or_default();
        let media = packet.get(8..12).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_be_bytes(*b));
        match (head[1], head[0] & 0x1f, media) {
            (206, 1, Some(ssrc)) => each(Request::KeyFrame { ssrc }),
            (206, 4, _) => {
                for entry in packet.get(12..).unwrap_or_default().chunks_exact(8) {
                    if let Some(ssrc) = entry.first_chunk::<4>() {
                        each(Request::KeyFrame { ssrc: u32::from_be_bytes(*ssrc) });
                    }
                }
            }
            (205, 1, Some(ssrc)) => {
                for entry in packet.get(12..).unwrap_or_default().chunks_exact(4) {
                    let Some([p0, p1, b0, b1]) = entry.first_chunk::<4>().copied() else { continue };
                    let (first, mask) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([b0, b1]));
                    each(Request::Retransmit { ssrc, sequence: first });
                    for bit in (0..16).filter(|bit| mask >> bit & 1 == 1) {
                        each(Request::Retransmit { ssrc, sequence: first.wrapping_add(bit + 1) });
                    }
                }
            }
            _ => {}
        }
    }
}

/// What a receiver keeps of a sender report, to repeat it in its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceivedReport {
    pub(crate) ssrc: u32,
    /// Middle 32 bits of its NTP time.
    pub(crate) compact_ntp: u32,
}

/// Reads the sender reports of a compound packet; stops at the first malformed part.
pub(crate) fn sender_reports(mut compound: &[u8], mut each: impl FnMut(ReceivedReport)) {
    while let Some(head) = compound.first_chunk::<4>() {
        let length = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
        let Some(packet) = compound.get(..length) else { return };
        compound = compound.get(length..).unwrap_or_default();
        let word = |at: usize| packet.get(at..).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_be_bytes(*b));
        if let (200, Some(ssrc), Some(seconds), Some(fraction)) = (head[1], word(4), word(8), word(12)) {
            each(ReceivedReport { ssrc, compact_ntp: seconds << 16 | fraction >> 16 });
        }
    }
}

/// Writes a picture loss indication (RFC 4585 section 6.3.1).
pub(crate) fn picture_loss(own_ssrc: u32, media_ssrc: u32, out: &mut Vec<u8>) {
    start(out, 1, 206, 2);
    out.extend_from_slice(&own_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
}

fn start(out: &mut Vec<u8>, count: u8, packet_type: u8, words_less_one: u16) {
    out.push(0x80 | count & 0x1f);
    out.push(packet_type);
    out.extend_from_slice(&words_less_one.to_be_bytes());
}

/// A sender report (RFC 3550 section 6.4.1) without report blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderReport {
    pub(crate) ssrc: u32,
    /// Now, in nanoseconds since 1970.
    pub(crate) now_ns: u64,
    /// RTP timestamp of now.
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) bytes: u32,
}

impl SenderReport {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        const SECONDS_FROM_1900_TO_1970: u64 = 2_208_988_800;
        start(out, 0, 200, 6);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        let seconds = (self.now_ns / 1_000_000_000 + SECONDS_FROM_1900_TO_1970) as u32;
        let fraction = ((self.now_ns % 1_000_000_000) << 32) / 1_000_000_000;
        out.extend_from_slice(&seconds.to_be_bytes());
        out.extend_from_slice(&(fraction as u32).to_be_bytes());
        for value in [self.timestamp, self.packets, self.bytes] {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// One stream of a receiver report.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReportBlock {
    pub(crate) ssrc: u32,
    /// Of 256, since the last report.
    pub(crate) fraction_lost: u8,
    /// In all.
    pub(crate) lost: u32,
    /// Highest sequence number, extended by its wraps.
    pub(crate) highest: u32,
    /// In RTP time.
    pub(crate) jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; 0 for none.
    pub(crate) last_sender_report: u32,
    /// Since that came, in 1/65,536 s.
    pub(crate) delay_since: u32,
}

/// Writes a receiver report (RFC 3550 section 6.4.2) of at most 31 streams.
pub(crate) fn receiver_report(own_ssrc: u32, blocks: &[ReportBlock], out: &mut Vec<u8>) {
    let blocks = blocks.get(..31).unwrap_or(blocks);
    start(out, blocks.len() as u8, 201, 1 + 6 * blocks.len() as u16);
    out.extend_from_slice(&own_ssrc.to_be_bytes());
    for block in blocks {
        out.extend_from_slice(&block.ssrc.to_be_bytes());
        out.extend_from_slice(&(u32::from(block.fraction_lost) << 24 | block.lost.min(0x7f_ffff)).to_be_bytes());
        out.extend_from_slice(&block.highest.to_be_bytes());
        for value in [block.jitter, block.last_sender_report, block.delay_since] {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Writes a NACK (RFC 4585 section 6.2.1) for sequence numbers in ascending order.
pub(crate) fn nack(own_ssrc: u32, media_ssrc: u32, missing: &[u16], out: &mut Vec<u8>) {
    let mut entries: Vec<(u16, u16)> = Vec::new();
    for sequence in missing {
        match entries.last_mut() {
            Some((first, mask)) if (1..=16).contains(&sequence.wrapping_sub(*first)) => {
                *mask |= 1 << (sequence.wrapping_sub(*first) - 1);
            }
            _ => entries.push((*sequence, 0)),
        }
    }
    start(out, 1, 205, 2 + entries.len() as u16);
    out.extend_from_slice(&own_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
    for (first, mask) in entries {
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
    }
}

/// Writes transport-wide feedback for the packets from `base` on: arrival times in microseconds, `None` for a packet
/// that has not come. All packets are told with two-bit symbols; deltas that do not fit 16 bits are left out.
pub(crate) fn transport_feedback(
    own_ssrc: u32,
    media_ssrc: u32,
    count: u8,
    base: u16,
    arrivals: &[Option<u64>],
    out: &mut Vec<u8>,
) {
    const TICK_US: u64 = 250;
    const REFERENCE_US: u64 = 64_000;
    let Some(first) = arrivals.iter().flatten().next() else { return };
    let reference = first / REFERENCE_US;
    let mut last_ticks = reference * (REFERENCE_US / TICK_US);
    let (mut symbols, mut deltas) = (Vec::with_capacity(arrivals.len()), Vec::new());
    for arrival in arrivals {
        let delta = arrival.map(|us| (us / TICK_US) as i64 - last_ticks as i64);
        match delta {
            Some(small @ 0..=255) => {
                symbols.push(1u16);
                deltas.push(small as u8);
            }
            Some(large) if i16::try_from(large).is_ok() => {
                symbols.push(2);
                deltas.extend_from_slice(&(large as i16).to_be_bytes());
            }
            _ => {
                symbols.push(0);
                continue;
            }
        }
        last_ticks = last_ticks.saturating_add_signed(delta.unwrap_or_default());
    }
    let begin = out.len();
    start(out, 15, 205, 0);
    out.extend_from_slice(&own_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
    out.extend_from_slice(&base.to_be_bytes());
    out.extend_from_slice(&(symbols.len() as u16).to_be_bytes());
    out.extend_from_slice(&(((reference as u32) << 8) | u32::from(count)).to_be_bytes());
    for chunk in symbols.chunks(7) {
        let vector = chunk.iter().enumerate().fold(0xc000u16, |v, (n, symbol)| v | symbol << (12 - 2 * n));
        out.extend_from_slice(&vector.to_be_bytes());
    }
    out.extend_from_slice(&deltas);
    while !(out.len() - begin).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - begin) / 4 - 1) as u16;
    if let Some(length) = out.get_mut(begin + 2..begin + 4) {
        length.copy_from_slice(&words.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(packet: &[u8]) -> Vec<Request> {
        let mut found = Vec::new();
        requests(packet, |request| found.push(request));
        found
    }

    #[test]
    fn a_nack_packs_neighbours_and_reads_back() {
        let missing = [65_534, 65_535, 3, 40];
        let mut packet = Vec::new();
        nack(1, 2, &missing, &mut packet);
        assert_eq!(packet.len(), 12 + 2 * 4, "two entries");
        let expected: Vec<_> = missing.iter().map(|s| Request::Retransmit { ssrc: 2, sequence: *s }).collect();
        assert_eq!(read(&packet), expected);
    }

    #[test]
    fn requests_are_found_behind_reports() {
        let mut packet = Vec::new();
        receiver_report(1, &[ReportBlock { ssrc: 2, ..Default::default() }], &mut packet);
        packet.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
        assert_eq!(read(&packet), [Request::KeyFrame { ssrc: 9 }]);
    }

    #[test]
    fn a_picture_loss_reads_back_as_a_request() {
        let mut packet = Vec::new();
        picture_loss(1, 9, &mut packet);
        assert_eq!(read(&packet), [Request::KeyFrame { ssrc: 9 }]);
    }

    #[test]
    fn sender_reports_are_found_in_a_compound() {
        let mut packet = Vec::new();
        receiver_report(1, &[], &mut packet);
        // Half a second past 1970.
        let report = SenderReport { ssrc: 5, now_ns: 500_000_000, timestamp: 1, packets: 2, bytes: 3 };
        report.write(&mut packet);
        let mut found = Vec::new();
        sender_reports(&packet, |report| found.push(report));
        let seconds = (2_208_988_800u64 & 0xffff) as u32;
        assert_eq!(found, [ReceivedReport { ssrc: 5, compact_ntp: seconds << 16 | 0x8000 }]);
    }

    #[test]
    fn feedback_tells_every_packet() {
        let mut packet = Vec::new();
        let arrivals = [Some(64_000), None, Some(64_500), Some(164_500), Some(164_250)];
        transport_feedback(1, 2, 7, 100, &arrivals, &mut packet);
        assert_eq!(packet.len() % 4, 0);
        assert_eq!(packet[12..16], [0, 100, 0, 5], "base and count");
        assert_eq!(packet[16..20], [0, 0, 1, 7], "reference in 64 ms, feedback count");
        assert_eq!(u16::from_be_bytes([packet[20], packet[21]]), 0b11_01_00_01_10_10_00_00);
        assert_eq!(packet[22..28], [0, 2, 1, 0x90, 0xff, 0xff], "deltas in 250 µs");
    }

    proptest! {
        #[test]
        fn reading_is_total(packet in proptest::collection::vec(any::<u8>(), 0..120)) {
            requests(&packet, |_| {});
            sender_reports(&packet, |_| {});
        }
    }
}
