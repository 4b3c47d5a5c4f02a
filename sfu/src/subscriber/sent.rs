//! What a slot has sent, for its sender reports.

/// Totals of media without retransmissions: packets and payload bytes, modulo 2³² (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl Sent {
    /// Counts a packet with a payload of `octets` bytes.
    pub(crate) fn count(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((octets & 0xffff_ffff) as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_wrap_around() {
        let mut sent = Sent { packets: u32::MAX, octets: u32::MAX };
        sent.count(10);
        assert_eq!(sent, Sent { packets: 0, octets: 9 });
    }
}
