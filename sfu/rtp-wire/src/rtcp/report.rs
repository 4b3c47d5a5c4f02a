//! Contents of sender and receiver reports (RFC 3550 section 6.4).

use media_types::Ssrc;

/// Sender information (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall clock in NTP format: seconds since 1900 in 32.32 bits.
    pub ntp: u64,
    /// The same instant in RTP timestamp units of the stream.
    pub timestamp: u32,
    /// Packets sent since the stream began.
    pub packets: u32,
    /// Payload bytes sent since the stream began.
    pub octets: u32,
}

impl SenderInfo {
    /// The middle 32 bits of [`ntp`](Self::ntp), which report blocks refer to as LSR.
    #[must_use]
    pub const fn compact_ntp(&self) -> u32 {
        (self.ntp >> 16 & 0xffff_ffff) as u32
    }
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream that the block reports on.
    pub ssrc: Ssrc,
    /// Fraction lost since the previous report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the stream began: 24 bits, negative if there were duplicates.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of cycles in the upper 16 bits.
    pub highest_seq: u32,
    /// Interarrival jitter in RTP timestamp units.
    pub jitter: u32,
    /// [`SenderInfo::compact_ntp`] of the last sender report; 0 if there was none.
    pub last_sr: u32,
    /// Time from the arrival of that sender report to this block, in 1/65,536 s.
    pub delay_since_last_sr: u32,
}
