//! Packet loss of one slot by its sequence numbers.

/// Counts received and missing packets (RFC 3550 appendix A.3). Packets that arrive late, or by retransmission, are not
/// missing.
#[derive(Debug, Default)]
pub(super) struct PacketLoss {
    received: u64,
    /// First sequence number, and the distance from it to the highest one.
    range: Option<(u16, u64)>,
}

impl PacketLoss {
    pub(super) fn on_packet(&mut self, sequence: u16) {
        self.received += 1;
        let (first, distance) = self.range.get_or_insert((sequence, 0));
        let ahead = sequence.wrapping_sub(first.wrapping_add(*distance as u16)) as i16;
        *distance += u64::try_from(ahead).unwrap_or(0);
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn lost(&self) -> u64 {
        self.range.map_or(0, |(_, distance)| (distance + 1).saturating_sub(self.received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_packets_are_counted_across_the_wrap() {
        let mut loss = PacketLoss::default();
        for sequence in [65_534u16, 65_535, 2, 1, 5] {
            loss.on_packet(sequence);
        }
        assert_eq!((loss.received(), loss.lost()), (5, 3), "0, 3 and 4");
    }
}
