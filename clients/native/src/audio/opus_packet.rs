//! What an Opus packet says of itself, without decoding it (RFC 6716 sections 3 and 4.2).

use super::{FRAME_SAMPLES, MAX_PACKET_SAMPLES, SAMPLE_RATE};

/// Maximum size of a packet, in bytes: that of a datagram.
const MAX_BYTES: usize = 1_500;
/// A packet that contains no more than its table of contents and a byte is DTX: the decoder makes comfort noise.
pub(super) const DTX_BYTES: usize = 2;

/// Samples per channel, at 48 kHz; `None` if it is not an Opus packet.
pub(super) fn samples(packet: &[u8]) -> Option<i64> {
    if packet.is_empty() || packet.len() > MAX_BYTES {
        return None;
    }
    let samples = opus::packet::get_nb_samples(packet, SAMPLE_RATE).ok()?;
    (1..=MAX_PACKET_SAMPLES).contains(&samples).then_some(i64::try_from(samples).ok()?)
}

/// Whether an encoder says that no one speaks in this packet, so that discontinuous transmission may follow it. A packet
/// without a SILK layer does not say.
pub(crate) fn is_pause(packet: &[u8]) -> bool {
    packet.len() <= DTX_BYTES || Flags::of(packet).is_some_and(|flags| !flags.voice)
}

/// Whether an Opus packet carries in-band FEC (LBRR) of its predecessor (RFC 6716 section 2.1.7).
#[must_use]
pub fn has_in_band_fec(packet: &[u8]) -> bool {
    Flags::of(packet).is_some_and(|flags| flags.fec)
}

/// The flags of a SILK layer, which precede everything else.
struct Flags {
    voice: bool,
    fec: bool,
}

impl Flags {
    /// `None` if the packet is not valid, or is CELT only.
    fn of(packet: &[u8]) -> Option<Self> {
        let celt_only = packet.first().is_none_or(|toc| toc & 0x80 != 0);
        if celt_only {
            return None;
        }
        let parsed = opus::packet::parse(packet).ok()?;
        let first = *parsed.frames.first()?.first()?;
        let stereo = opus::packet::get_nb_channels(packet).ok()? == opus::Channels::Stereo;
        let samples = opus::packet::get_samples_per_frame(packet, SAMPLE_RATE).unwrap_or(FRAME_SAMPLES);
        // One VAD flag for each 20 ms of the first frame, then the LBRR flag; then the same for the second channel.
        let voices = (samples / FRAME_SAMPLES).clamp(1, 3);
        let channels = if stereo { 2 } else { 1 };
        let flag = |at: usize| first.checked_shr(7u32.saturating_sub(at as u32)).unwrap_or(0) & 1 == 1;
        let start = |channel: usize| channel * (voices + 1);
        Some(Self {
            voice: (0..channels).any(|channel| (0..voices).any(|n| flag(start(channel) + n))),
            fec: (0..channels).any(|channel| flag(start(channel) + voices)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 ms of wideband SILK.
    const SILK: u8 = 0x48;

    #[test]
    fn flags_of_a_silk_layer_are_read() {
        for (first, voice, fec) in [(0x80, true, false), (0xc0, true, true), (0x40, false, true), (0, false, false)] {
            let packet = [SILK, first, 0, 0];
            assert_eq!((is_pause(&packet), has_in_band_fec(&packet)), (!voice, fec), "{first:x}");
        }
    }

    #[test]
    fn packets_without_silk_say_nothing() {
        assert!(!has_in_band_fec(&[0xfc, 0xff, 0xff]) && !is_pause(&[0xfc, 0, 0]), "CELT");
        assert!(!has_in_band_fec(&[]) && samples(&[]).is_none());
        assert!(is_pause(&[SILK]) && is_pause(&[0xfc, 0]), "DTX");
    }
}
