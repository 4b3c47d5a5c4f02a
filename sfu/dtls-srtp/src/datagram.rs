//! Demultiplexing of the protocols that share a UDP port (RFC 7983 section 7, RFC 5761 section 4).

/// Protocol of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramKind {
    /// STUN (RFC 8489).
    Stun,
    /// DTLS (RFC 6347).
    Dtls,
    /// SRTP (RFC 3711).
    Rtp,
    /// SRTCP (RFC 3711).
    Rtcp,
}

impl DatagramKind {
    /// Returns the protocol of a datagram by its first bytes; `None` if none fits.
    #[inline]
    #[must_use]
    pub fn of(datagram: &[u8]) -> Option<Self> {
        match datagram {
            [0..=3, ..] => Some(Self::Stun),
            [20..=63, ..] => Some(Self::Dtls),
            // Packet types of RTCP, which RTP does not use as payload types with marker (RFC 5761 section 4).
            [128..=191, 192..=223, ..] => Some(Self::Rtcp),
            [128..=191, _, ..] => Some(Self::Rtp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagram_kind_follows_from_the_first_bytes() {
        for (bytes, kind) in [
            (&[0u8, 1][..], Some(DatagramKind::Stun)),
            (&[22, 254], Some(DatagramKind::Dtls)),
            (&[0x80, 96], Some(DatagramKind::Rtp)),
            (&[0x90, 0x80 | 111], Some(DatagramKind::Rtp)),
            (&[0x80, 200], Some(DatagramKind::Rtcp)),
            (&[0x81, 206], Some(DatagramKind::Rtcp)),
            (&[64, 0], None),
            (&[255, 0], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(DatagramKind::of(bytes), kind, "{bytes:?}");
        }
    }
}
