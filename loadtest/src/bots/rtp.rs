//! RTP as a bot needs it (RFC 3550, RFC 8285): its own reader and writer, so that the server's are not tested with
//! themselves.

/// Fixed part of a header, in bytes.
pub(crate) const HEADER_BYTES: usize = 12;

/// The fields of a packet that a receiver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpView<'a> {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) transport_sequence: Option<u16>,
    pub(crate) payload: &'a [u8],
}

impl<'a> RtpView<'a> {
    /// Reads a packet; `transport_cc` is the id of the transport-wide sequence number.
    pub(crate) fn parse(packet: &'a [u8], transport_cc: Option<u8>) -> Option<Self> {
        let header = packet.first_chunk::<HEADER_BYTES>()?;
        if header[0] >> 6 != 2 {
            return None;
        }
        let mut rest = packet.get(HEADER_BYTES + 4 * usize::from(header[0] & 0x0f)..)?;
        let mut transport_sequence = None;
        if header[0] & 0x10 != 0 {
            let [p0, p1, l0, l1] = *rest.first_chunk::<4>()?;
            let length = 4 * usize::from(u16::from_be_bytes([l0, l1]));
            let extensions = rest.get(4..4 + length)?;
            rest = rest.get(4 + length..)?;
            let profile = u16::from_be_bytes([p0, p1]);
            transport_sequence = transport_cc
                .and_then(|id| extension(profile, extensions, id))
                .and_then(|value| value.first_chunk::<2>())
                .map(|bytes| u16::from_be_bytes(*bytes));
        }
        if header[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        Some(Self {
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            sequence: u16::from_be_bytes([header[2], header[3]]),
            payload_type: header[1] & 0x7f,
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            marker: header[1] & 0x80 != 0,
            transport_sequence,
            payload: rest,
        })
    }
}

/// The value of an extension of a packet, wherever it stands.
#[cfg(test)]
pub(crate) fn extension_of(packet: &[u8], id: u8) -> Option<&[u8]> {
    let [_, _, length @ ..] = *packet.get(HEADER_BYTES..)?.first_chunk::<4>()?;
    let (start, bytes) = (HEADER_BYTES + 4, 4 * usize::from(u16::from_be_bytes(length)));
    let profile = u16::from_be_bytes(*packet.get(HEADER_BYTES..)?.first_chunk()?);
    extension(profile, packet.get(start..start + bytes)?, id)
}

/// Profile of elements with an id and a length in one byte (RFC 8285 section 4.2), and in two (section 4.3).
const ONE_BYTE: u16 = 0xbede;
const TWO_BYTE: u16 = 0x1000;

/// Finds an extension element.
fn extension(profile: u16, mut extensions: &[u8], id: u8) -> Option<&[u8]> {
    while let Some((&first, rest)) = extensions.split_first() {
        if first == 0 {
            extensions = rest;
            continue;
        }
        let (element, length, rest) = match profile {
            ONE_BYTE => (first >> 4, usize::from(first & 0x0f) + 1, rest),
            TWO_BYTE => rest.split_first().map(|(length, rest)| (first, usize::from(*length), rest))?,
            _ => return None,
        };
        let value = rest.get(..length)?;
        if element == id {
            return Some(value);
        }
        extensions = rest.get(length..)?;
    }
    None
}

/// The value of the audio level extension (RFC 6464) for a level in -dBov. Above 114 the voice activity bit is not set.
pub(crate) fn audio_level(level: u8) -> u8 {
    const SILENCE: u8 = 115;
    let voice = if level < SILENCE { 0x80 } else { 0 };
    voice | level & 0x7f
}

/// The header fields that a sender writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtpHeader<'a> {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Id and value of each extension.
    pub(crate) extensions: &'a [Option<(u8, &'a [u8])>],
}

impl RtpHeader<'_> {
    /// Replaces the contents of `out` by the header. Uses the two-byte form only if an element needs it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let elements = || self.extensions.iter().flatten();
        let any = elements().next().is_some();
        out.clear();
        out.push(0x80 | if any { 0x10 } else { 0 });
        out.push(self.payload_type & 0x7f | if self.marker { 0x80 } else { 0 });
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        if !any {
            return;
        }
        let fits = |(id, value): &(u8, &[u8])| *id < 15 && (1..=16).contains(&value.len());
        let profile = if elements().all(fits) { ONE_BYTE } else { TWO_BYTE };
        out.extend_from_slice(&profile.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        let start = out.len();
        for (id, value) in elements() {
            match profile {
                ONE_BYTE => out.push(id << 4 | (value.len() - 1) as u8),
                _ => out.extend_from_slice(&[*id, value.len() as u8]),
            }
            out.extend_from_slice(value);
        }
        let words = (out.len() - start).div_ceil(4);
        out.resize(start + 4 * words, 0);
        if let Some(field) = out.get_mut(start - 2..start) {
            field.copy_from_slice(&(words as u16).to_be_bytes());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn audio_level_has_voice_activity() {
        assert_eq!([audio_level(25), audio_level(114), audio_level(127)], [0x80 | 25, 0x80 | 114, 127]);
    }

    #[test]
    fn long_element_needs_the_two_byte_form() {
        let header = |value: &[u8]| {
            let (mut packet, extensions) = (Vec::new(), [None, Some((4, value)), Some((3, &[1, 2][..]))]);
            let [ssrc, timestamp] = [0; 2];
            RtpHeader { ssrc, sequence: 0, payload_type: 96, timestamp, marker: false, extensions: &extensions }
                .write(&mut packet);
            packet
        };
        let (short, long) = (header(&[7; 16]), header(&[7; 17]));
        assert_eq!((&short[12..14], &long[12..14]), (&[0xbe, 0xde][..], &[0x10, 0][..]));
        for packet in [short, long] {
            assert_eq!(RtpView::parse(&packet, Some(3)).unwrap().transport_sequence, Some(0x0102));
        }
    }

    proptest! {
        #[test]
        fn header_round_trip(ssrc: u32, sequence: u16, timestamp: u32, marker: bool, twcc: Option<u16>,
            other in proptest::collection::vec(any::<u8>(), 0..40),
            payload in proptest::collection::vec(any::<u8>(), 0..50)) {
            let number = twcc.map(u16::to_be_bytes);
            let number = number.as_ref().map(|bytes| (3, &bytes[..]));
            let extensions = [(!other.is_empty()).then_some((5, &other[..])), number];
            let header = RtpHeader { ssrc, sequence, payload_type: 96, timestamp, marker, extensions: &extensions };
            let mut packet = Vec::new();
            header.write(&mut packet);
            packet.extend_from_slice(&payload);
            let view = RtpView::parse(&packet, Some(3)).unwrap();
            prop_assert_eq!((view.ssrc, view.sequence, view.timestamp), (ssrc, sequence, timestamp));
            prop_assert_eq!((view.marker, view.payload_type), (marker, 96));
            prop_assert_eq!(view.transport_sequence, twcc);
            prop_assert_eq!(view.payload, &payload[..]);
        }

        #[test]
        fn parse_is_total(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = RtpView::parse(&packet, Some(3));
        }
    }
}
