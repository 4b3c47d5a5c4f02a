//! Floods by a member of the call: valid SRTP, and more of it than any honest client sends.

use crate::{
    amplification::Probe,
    flood::{PORTION, due},
    peer::PeerError,
};
use clap::ValueEnum;
use rtp_wire::rtcp::{ReportBlock, SenderInfo, twcc, write as rtcp};
use serde::{Deserialize, Serialize};
use sfu_api::Ssrc;
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

/// Sender SSRC of the member's RTCP.
const SENDER: Ssrc = Ssrc(0x6d65_6d62);
/// Requests in one packet: as many as the server reads, at as many packets as it reads.
const ITEMS: usize = 24;
/// Number of the latest packets that are requested again.
const LATEST: usize = 200;

/// What a member floods with. All name the stream that it receives, unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MemberKind {
    /// NACKs for packets that were never sent.
    Nacks,
    /// NACKs for the latest packets: each is retransmitted on the RTX stream.
    Retransmissions,
    /// PLIs.
    Plis,
    /// FIRs with many entries.
    Firs,
    /// Receiver reports with 31 blocks.
    ReceiverReports,
    /// Sender reports.
    SenderReports,
    /// Transport-wide feedback on hundreds of packets.
    TransportFeedback,
    /// All of these in one compound packet.
    Compound,
    /// RTCP whose parts are cut off.
    Malformed,
    /// RTP of streams that were not signaled.
    Packets,
    /// Retransmissions of streams that were not signaled.
    RtxPackets,
    /// Takes and leaves the track by signaling, as often as that accepts.
    Subscriptions,
}

impl MemberKind {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nacks => "NACKs for nothing",
            Self::Retransmissions => "NACKs for the latest packets (RTX)",
            Self::Plis => "PLIs",
            Self::Firs => "FIRs",
            Self::ReceiverReports => "receiver reports",
            Self::SenderReports => "sender reports",
            Self::TransportFeedback => "TWCC feedback",
            Self::Compound => "compound RTCP of all kinds",
            Self::Malformed => "malformed RTCP",
            Self::Packets => "RTP of unknown streams",
            Self::RtxPackets => "RTX of unknown streams",
            Self::Subscriptions => "subscription changes",
        }
    }

    /// Datagrams a second: more than the server handles, and less than fill its socket.
    pub(crate) fn rate(self) -> u64 {
        match self {
            Self::Subscriptions => 0,
            Self::Packets | Self::RtxPackets => 30_000,
            _ => 4_000,
        }
    }

    fn is_rtp(self) -> bool {
        matches!(self, Self::Packets | Self::RtxPackets)
    }
}

/// Writes the packets of a flood.
#[derive(Debug)]
struct Writer {
    kind: MemberKind,
    /// The stream that the member receives.
    media: Ssrc,
    /// Sequence numbers of its latest packets.
    latest: VecDeque<u16>,
    number: u32,
}

impl Writer {
    fn received(&mut self, packet: &[u8]) {
        let (Some(seq), Some(ssrc)) = (packet.get(2..4), packet.get(8..12)) else { return };
        if ssrc == self.media.0.to_be_bytes() {
            self.latest.push_back(seq.iter().fold(0, |seq, byte| seq << 8 | u16::from(*byte)));
            if self.latest.len() > LATEST {
                self.latest.pop_front();
            }
        }
    }

    /// Writes the next packet of RTCP.
    fn rtcp(&mut self, out: &mut Vec<u8>) {
        self.number = self.number.wrapping_add(1);
        match self.kind {
            MemberKind::Compound => {
                for kind in [
                    MemberKind::SenderReports,
                    MemberKind::ReceiverReports,
                    MemberKind::Retransmissions,
                    MemberKind::Plis,
                    MemberKind::TransportFeedback,
                ] {
                    self.part(kind, out);
                }
            }
            kind => self.part(kind, out),
        }
    }

    fn part(&self, kind: MemberKind, out: &mut Vec<u8>) {
        let media = self.media;
        match kind {
            MemberKind::Nacks => {
                let first = u64::from(self.number) * ITEMS as u64 % 30_000;
                rtcp::nack(out, SENDER, media, &(first..first + ITEMS as u64).collect::<Vec<_>>());
            }
            MemberKind::Retransmissions => {
                let skip = self.number as usize * ITEMS % LATEST;
                let mut latest: Vec<_> = self.latest.iter().skip(skip).take(ITEMS).map(|seq| u64::from(*seq)).collect();
                latest.sort_unstable();
                rtcp::nack(out, SENDER, media, &latest);
            }
            MemberKind::Plis => rtcp::pli(out, SENDER, media),
            MemberKind::Firs => {
                // RFC 5104 section 4.3.1: 8 bytes for each entry.
                let words = u16::try_from(2 + 2 * ITEMS).unwrap_or_default();
                out.extend([0x84, 206]);
                out.extend(words.to_be_bytes());
                out.extend(SENDER.0.to_be_bytes());
                out.extend([0; 4]);
                for _ in 0..ITEMS {
                    out.extend(media.0.to_be_bytes());
                    out.extend([(self.number & 0xff) as u8, 0, 0, 0]);
                }
            }
            MemberKind::ReceiverReports => {
                let block = ReportBlock {
                    ssrc: media,
                    last_sr: self.number,
                    fraction_lost: 0,
                    cumulative_lost: 0,
                    highest_seq: 0,
                    jitter: 0,
                    delay_since_last_sr: 0,
                };
                rtcp::receiver_report(out, SENDER, &[block; rtcp::MAX_REPORT_BLOCKS]);
            }
            MemberKind::SenderReports => {
                let info =
                    SenderInfo { ntp: u64::from(self.number) << 32, timestamp: self.number, packets: 1, octets: 1 };
                rtcp::sender_report(out, media, &info);
            }
            MemberKind::TransportFeedback => {
                let base = u64::from(self.number) * 20;
                let arrivals: Vec<_> =
                    (base..base + 250).map(|seq| twcc::Arrival { seq, micros: 1_000_000 + seq * 500 }).collect();
                twcc::write(out, SENDER, media, (self.number & 0xff) as u8, base, &arrivals);
            }
            MemberKind::Malformed => out.extend([0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9].repeat(20)),
            MemberKind::Compound | MemberKind::Packets | MemberKind::RtxPackets | MemberKind::Subscriptions => {}
        }
    }

    /// The header of the next RTP packet.
    fn rtp_header(&mut self) -> [u8; 12] {
        self.number = self.number.wrapping_add(1);
        let payload_type = if self.kind == MemberKind::RtxPackets { 97 } else { 96 };
        let [.., high, low] = self.number.to_be_bytes();
        [0x80, payload_type, high, low, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]
    }
}

/// A thread that floods as a member.
pub(crate) struct MemberFlood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), PeerError>>,
}

impl MemberFlood {
    /// Floods at this many packets a second.
    pub(crate) fn start(kind: MemberKind, mut member: Probe, media: u32) -> io::Result<Self> {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopping, counting) = (stop.clone(), sent.clone());
        let mut writer = Writer { kind, media: Ssrc(media), latest: VecDeque::new(), number: 0 };
        let thread = thread::Builder::new().name("member".to_owned()).spawn(move || {
            let (begin, mut done) = (Instant::now(), 0);
            let (mut clear, mut sealed) = (Vec::new(), Vec::new());
            while !stopping.load(Ordering::Relaxed) {
                member.step(|packet| writer.received(packet))?;
                let (from, to) = due(begin, kind.rate(), done);
                for _ in from..to {
                    clear.clear();
                    sealed.clear();
                    if kind.is_rtp() {
                        member.client().seal_rtp(&writer.rtp_header(), &[0xee; 1_000], &mut sealed)?;
                    } else {
                        writer.rtcp(&mut clear);
                        if clear.is_empty() {
                            continue;
                        }
                        member.client().seal_rtcp(&clear, &mut sealed)?;
                    }
                    counting.fetch_add(u64::from(member.send(&sealed)), Ordering::Relaxed);
                }
                done = to;
                thread::sleep(PORTION);
            }
            Ok(())
        })?;
        Ok(Self { stop, sent, thread })
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(self) -> Result<(), PeerError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the flood has ended"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_the_parts_of_their_kind() {
        for kind in MemberKind::value_variants().iter().filter(|kind| kind.rate() == 4_000) {
            let mut writer = Writer { kind: *kind, media: Ssrc(7), latest: (0..200).collect(), number: 0 };
            for _ in 0..100 {
                let mut packet = Vec::new();
                writer.rtcp(&mut packet);
                let parts: Vec<_> = rtp_wire::rtcp::parse(&packet).collect();
                let malformed =
                    parts.iter().filter(|part| matches!(part, rtp_wire::rtcp::Rtcp::Malformed { .. })).count();
                assert_eq!(malformed > 0, *kind == MemberKind::Malformed, "{kind:?}");
                assert_eq!(parts.len() > 1, matches!(kind, MemberKind::Compound | MemberKind::Malformed), "{kind:?}");
                assert!(packet.len() <= 1_400, "{kind:?}: {} bytes", packet.len());
            }
        }
    }
}
