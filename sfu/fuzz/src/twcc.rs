//! TWCC feedback: parsing of any bytes ends, and written feedback says which packets arrived, and when, to the unit of the
//! format. An independent parser of arrival times checks it.

use rtp_wire::{
    rtcp::{
        Rtcp, parse,
        twcc::{Arrival, Status, TwccFeedback, write},
    },
    seq::low,
};
use sfu::Ssrc;
use tacet_fuzz::Script;

const TICK: u64 = 250;
/// Reference times have 24 bits of 64 ms.
const CYCLE: u64 = 64_000 << 24;

/// Input: a body to parse, or a base and the steps between arrivals to write.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    match script.byte() {
        Some(kind) if kind % 2 == 0 => read(script.0),
        Some(_) => round_trip(script),
        None => {}
    }
}

fn read(body: &[u8]) {
    let body = &body[..body.len() / 4 * 4];
    let words = u16::try_from(body.len() / 4).expect("a short input").to_be_bytes();
    let packet = [&[0x8f, 205, words[0], words[1]], body].concat();
    let Some(Rtcp::Twcc(feedback)) = parse(&packet).next() else { return };
    let numbers: Vec<u16> = feedback.packets().map(|(seq, _)| seq).collect();
    assert_eq!(numbers.len(), usize::from(feedback.covered));
    assert!(numbers.iter().zip(0..).all(|(seq, offset)| *seq == feedback.base.wrapping_add(offset)));
}

fn round_trip(mut script: Script<'_>) {
    let (Some(cycle), Some(start), Some(late)) = (script.byte(), script.word(), script.word()) else { return };
    // Extended numbers start in cycle 1.
    let mut base = (u64::from(cycle) + 1) << 16 | u64::from(start);
    let (mut seq, mut micros) = (base, u64::from(late) << 24);
    let mut arrivals = Vec::new();
    while let (Some(gap), Some(wait)) = (script.byte(), script.word()) {
        // Some gaps and pauses are long, and some packets are reordered.
        seq += if gap > 250 { 100 * u64::from(gap) } else { 1 + u64::from(gap / 32) };
        let wait = u64::from(wait);
        micros = if wait % 5 == 0 {
            micros.saturating_sub(wait)
        } else {
            micros + wait * if wait > 60_000 { 300 } else { 1 }
        };
        arrivals.push(Arrival { seq, micros });
    }
    let mut left = &arrivals[..];
    while !left.is_empty() {
        let mut packet = Vec::new();
        let next = write(&mut packet, Ssrc(1), Ssrc(2), 3, base, left).expect("there are arrivals");
        assert!(packet.len() < 1_000 && packet.len().is_multiple_of(4));
        let Some(Rtcp::Twcc(feedback)) = parse(&packet).next() else { panic!("no feedback") };
        assert_eq!((feedback.count, next > base), (3, true));
        let covered = left.partition_point(|arrival| arrival.seq < next);
        let (reported, later) = left.split_at(covered);
        let read = times(&packet, &feedback);
        let arrived = feedback.packets().filter_map(|(seq, status)| match status {
            Status::Arrived(micros) => {
                let reference = CYCLE + u64::from(feedback.reference) * 64_000;
                Some((seq, reference.wrapping_add_signed(micros) % CYCLE))
            }
            _ => None,
        });
        assert!(arrived.eq(read.iter().copied()));
        assert_eq!(read.len(), reported.len());
        for ((seq, time), arrival) in read.into_iter().zip(reported) {
            assert_eq!(seq, low(arrival.seq));
            assert!((arrival.micros % CYCLE + CYCLE - time) % CYCLE < TICK, "{time} for {}", arrival.micros);
        }
        (base, left) = (next, later);
    }
}

/// Returns the packets that arrived, with their times in µs, from the bytes of a feedback.
fn times(packet: &[u8], feedback: &TwccFeedback<'_>) -> Vec<(u16, u64)> {
    let covered = usize::from(feedback.covered);
    let (mut at, mut symbols) = (20, Vec::new());
    while symbols.len() < covered {
        let chunk = u16::from_be_bytes([packet[at], packet[at + 1]]);
        at += 2;
        match chunk >> 14 {
            0b11 => symbols.extend((0..7).map(|place| (chunk >> (12 - 2 * place)) & 3)),
            0b10 => symbols.extend((0..14).map(|place| (chunk >> (13 - place)) & 1)),
            _ => symbols.extend(std::iter::repeat_n(chunk >> 13 & 3, usize::from(chunk & 0x1fff))),
        }
    }
    symbols.truncate(covered);
    let mut time = u64::from(feedback.reference) * 64_000;
    let mut read = Vec::new();
    for (symbol, (seq, status)) in symbols.into_iter().zip(feedback.packets()) {
        assert_eq!(status.has_arrived(), symbol != 0);
        let (length, ticks) = match symbol {
            0 => continue,
            1 => (1, i64::from(packet[at])),
            2 => (2, i64::from(i16::from_be_bytes([packet[at], packet[at + 1]]))),
            _ => panic!("a symbol that the writer does not use"),
        };
        at += length;
        time = (time + CYCLE).wrapping_add_signed(ticks * TICK as i64) % CYCLE;
        read.push((seq, time));
    }
    read
}
