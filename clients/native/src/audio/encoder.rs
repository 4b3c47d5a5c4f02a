//! Opus encoder.
//!
//! A sealed frame is as long as its plaintext. With variable bit rate, sizes follow speech so closely that phrases
//! have been recognised from them (White et al., "Phonotactic Reconstruction of Encrypted VoIP Conversations", IEEE
//! S&P 2011; RFC 6562), and discontinuous transmission shows who speaks when. Frames therefore have a constant size
//! unless an application asks otherwise, and discontinuous transmission cannot be enabled.

use super::{AudioError, Channels, SAMPLE_RATE};
use opus::{Application, Bitrate, Signal};

/// Maximum size of an Opus frame, in bytes (RFC 6716 section 3.2.1).
const MAX_FRAME_BYTES: usize = 1_275;

/// Options of an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Channels of the input.
    pub channels: Channels,
    /// Bit rate, and whether it is constant.
    pub rate: Rate,
    /// What the encoder is tuned for.
    pub content: Content,
    /// Packet loss that frames are prepared for, in percent: as reported by receivers, or a guess. At 0, frames carry
    /// no in-band FEC; above, a part of their bits is spent on it.
    pub expected_loss_percent: u8,
    /// Complexity from 0 to 10: higher values have better quality and use more CPU.
    pub complexity: u8,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            channels: Channels::Mono,
            rate: Rate::Constant(32_000),
            content: Content::Speech,
            expected_loss_percent: 10,
            complexity: 9,
        }
    }
}

/// Bit rate, in bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// All frames have the same size, which reveals nothing about the content.
    Constant(u32),
    /// Frames are as large as their content needs: about this rate on average and never much above. Has better quality at
    /// the same rate, but **frame sizes reveal what is said**: use it for music or public talks, not for
    /// conversations.
    Capped(u32),
}

/// What an encoder is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Voices. In-band FEC works.
    Speech,
    /// Music. Opus then mostly uses CELT, which has no in-band FEC.
    Music,
}

/// An Opus encoder for blocks of 20 ms with in-band FEC: each frame also carries its predecessor at a lower bit rate.
/// The FEC data is inside the sealed frame, so a server can neither read nor remove it.
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
    channels: Channels,
}

impl Encoder {
    /// Makes an encoder.
    ///
    /// # Errors
    /// [`AudioError::Codec`] if Opus rejects an option: a rate outside 500 to 512,000 bit/s, a complexity above 10.
    pub fn new(options: &EncoderOptions) -> Result<Self, AudioError> {
        let (application, signal) = match options.content {
            Content::Speech => (Application::Voip, Signal::Voice),
            Content::Music => (Application::Audio, Signal::Music),
        };
        let mut inner = opus::Encoder::new(SAMPLE_RATE, options.channels.into(), application)?;
        inner.set_signal(signal)?;
        let (Rate::Constant(bits) | Rate::Capped(bits)) = options.rate;
        inner.set_bitrate(Bitrate::Bits(i32::try_from(bits).unwrap_or(i32::MAX)))?;
        let variable = matches!(options.rate, Rate::Capped(_));
        inner.set_vbr(variable)?;
        inner.set_vbr_constraint(variable)?;
        inner.set_dtx(false)?;
        inner.set_complexity(i32::from(options.complexity))?;
        inner.set_inband_fec(true)?;
        let mut encoder = Self { inner, channels: options.channels };
        encoder.set_expected_loss(options.expected_loss_percent)?;
        Ok(encoder)
    }

    /// Channels of the blocks.
    #[must_use]
    pub const fn channels(&self) -> Channels {
        self.channels
    }

    /// Changes the packet loss that further frames are prepared for, in percent; values above 100 count as 100.
    ///
    /// # Errors
    /// [`AudioError::Codec`].
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), AudioError> {
        Ok(self.inner.set_packet_loss_perc(i32::from(percent.min(100)))?)
    }

    /// Encodes one block.
    ///
    /// # Errors
    /// [`AudioError::BlockLength`] if it is not 20 ms long, [`AudioError::Codec`].
    pub fn encode(&mut self, block: &[f32]) -> Result<Vec<u8>, AudioError> {
        let wanted = self.channels.block_samples();
        if block.len() != wanted {
            return Err(AudioError::BlockLength { got: block.len(), wanted });
        }
        Ok(self.inner.encode_vec_float(block, MAX_FRAME_BYTES)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A second of silence, a tone and noise.
    fn second(channels: Channels) -> Vec<f32> {
        let mut noise = 1u32;
        (0..50 * channels.block_samples())
            .map(|n| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match n / (17 * channels.block_samples()) {
                    0 => 0.0,
                    1 => (n as f32 * 0.05).sin() * 0.5,
                    _ => (noise >> 8) as f32 / (1 << 24) as f32 - 0.5,
                }
            })
            .collect()
    }

    fn sizes(options: &EncoderOptions) -> BTreeSet<usize> {
        let mut encoder = Encoder::new(options).unwrap();
        let samples = second(options.channels);
        samples.chunks(options.channels.block_samples()).map(|block| encoder.encode(block).unwrap().len()).collect()
    }

    #[test]
    fn constant_rate_frames_have_one_size() {
        assert_eq!(sizes(&EncoderOptions::default()), BTreeSet::from([80]));
        let stereo = EncoderOptions { channels: Channels::Stereo, rate: Rate::Constant(64_000), ..Default::default() };
        assert_eq!(sizes(&stereo), BTreeSet::from([160]));
    }

    #[test]
    fn capped_rate_frames_vary_in_size() {
        let capped = EncoderOptions { rate: Rate::Capped(32_000), ..Default::default() };
        assert!(sizes(&capped).len() > 5);
    }

    #[test]
    fn expected_loss_can_change() {
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        encoder.set_expected_loss(0).unwrap();
        encoder.set_expected_loss(255).unwrap();
        assert_eq!(encoder.encode(&[0.0; 960]).unwrap().len(), 80);
    }

    #[test]
    fn invalid_options_are_rejected() {
        assert!(Encoder::new(&EncoderOptions { complexity: 11, ..Default::default() }).is_err());
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        assert!(matches!(encoder.encode(&[0.0; 480]), Err(AudioError::BlockLength { got: 480, wanted: 960 })));
    }
}
