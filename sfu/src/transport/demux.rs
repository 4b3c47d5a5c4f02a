//! What a datagram is, by its first bytes (RFC 7983 section 7, RFC 5761 section 4).

/// The protocols that share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 8489.
    Stun,
    /// RFC 6347.
    Dtls,
    /// SRTP.
    Rtp,
    /// SRTCP.
    Rtcp,
}

impl Protocol {
    /// The protocol of a datagram; `None` if it is of none.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Option<Self> {
        match datagram {
            [0..=3, ..] => Some(Self::Stun),
            [20..=63, ..] => Some(Self::Dtls),
            // Packet types of RTCP; RTP has no payload types there (RFC 5761).
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
    fn the_first_bytes_tell_the_protocol() {
        for (bytes, protocol) in [
            (&[0u8, 1][..], Some(Protocol::Stun)),
            (&[22, 254], Some(Protocol::Dtls)),
            (&[0x80, 96], Some(Protocol::Rtp)),
            (&[0x90, 0x80 | 111], Some(Protocol::Rtp)),
            (&[0x80, 200], Some(Protocol::Rtcp)),
            (&[0x81, 206], Some(Protocol::Rtcp)),
            (&[64, 0], None),
            (&[255, 0], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(Protocol::of(bytes), protocol, "{bytes:?}");
        }
    }
}
