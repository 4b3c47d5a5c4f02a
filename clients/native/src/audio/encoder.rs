//! Opus encoder.
//!
//! A sealed frame is as long as its plaintext. With variable bit rate, sizes follow speech so closely that phrases
//! have been recognised from them (White et al., "Phonotactic Reconstruction of Encrypted VoIP Conversations", IEEE
//! S&P 2011; RFC 6562). Frames therefore have a constant size unless an application asks otherwise. Discontinuous
//! transmission shows who speaks when, as the audio levels of the header extension do; [`EncoderOptions::strict`] shows
//! neither.

use super::{AudioError, Channels, Level, SAMPLE_RATE, opus_packet::DTX_BYTES};
use opus::{Application, Bitrate, Signal};

/// Maximum size of an Opus frame, in bytes (RFC 6716 section 3.2.1).
const MAX_FRAME_BYTES: usize = 1_275;

/// Level above which a block is encoded as it is, in −dBov, if silence is not sent. Opus judges noise by the loudest speech so
/// far, and takes all of it for speech before there was any. So what no one hears becomes digital silence.
const AUDIBLE: u8 = 60;

/// Loss that reports can make an encoder prepare for, in percent. More would leave little of the frame itself.
const MAX_PREPARED_LOSS: f32 = 50.0;

/// Options of an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Channels of the input.
    pub channels: Channels,
    /// Bit rate, and whether it is constant.
    pub rate: Rate,
    /// What is sent while no one speaks.
    pub silence: Silence,
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
            silence: Silence::Discontinuous,
            content: Content::Speech,
            expected_loss_percent: 10,
            complexity: 9,
        }
    }
}

impl EncoderOptions {
    /// The strict profile: a frame of the same size every 20 ms, whether anyone speaks or not. Levels in header extensions still
    /// tell; [`ClientOptions::send_audio_level`](crate::client::ClientOptions) switches them off.
    #[must_use]
    pub fn strict() -> Self {
        Self { silence: Silence::Continuous, ..Self::default() }
    }
}

/// What is sent while no one speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// A frame every 400 ms, from which the receiver makes comfort noise (DTX): a silent microphone costs a tenth.
    /// **When someone speaks is seen in the packets.**
    Discontinuous,
    /// As many frames as in speech.
    Continuous,
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
    silence: Silence,
    /// Packet loss that frames are prepared for at least, and at present, in percent.
    minimum_loss: f32,
    prepared_loss: f32,
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
        inner.set_dtx(options.silence == Silence::Discontinuous)?;
        inner.set_complexity(i32::from(options.complexity))?;
        inner.set_inband_fec(true)?;
        let mut encoder =
            Self { inner, channels: options.channels, silence: options.silence, minimum_loss: 0.0, prepared_loss: 0.0 };
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
        self.minimum_loss = f32::from(percent.min(100));
        self.prepare(self.minimum_loss)
    }

    /// Adapts to the loss that a receiver report contains, from 0 to 1: the expected loss rises at once, decays by a tenth
    /// with each report, and never falls below what was set.
    ///
    /// # Errors
    /// [`AudioError::Codec`].
    pub fn adapt_to_loss(&mut self, fraction: f32) -> Result<(), AudioError> {
        let decayed = self.prepared_loss * 0.9;
        self.prepare((fraction * 100.0).max(decayed).clamp(self.minimum_loss, self.minimum_loss.max(MAX_PREPARED_LOSS)))
    }

    fn prepare(&mut self, percent: f32) -> Result<(), AudioError> {
        self.prepared_loss = percent;
        Ok(self.inner.set_packet_loss_perc(percent as i32)?)
    }

    /// Encodes one block. Returns `None` if nothing is to be sent: the receiver goes on with the silence that it has.
    ///
    /// # Errors
    /// [`AudioError::BlockLength`] if it is not 20 ms long, [`AudioError::Codec`].
    pub fn encode(&mut self, block: &[f32]) -> Result<Option<Vec<u8>>, AudioError> {
        let wanted = self.channels.block_samples();
        if block.len() != wanted {
            return Err(AudioError::BlockLength { got: block.len(), wanted });
        }
        let is_silent = self.silence == Silence::Discontinuous && Level::measure(block).dbov() > AUDIBLE;
        let silence = [0.0; Channels::Stereo.block_samples()];
        let block = if is_silent { silence.get(..wanted).unwrap_or(block) } else { block };
        let frame = self.inner.encode_vec_float(block, MAX_FRAME_BYTES)?;
        Ok((frame.len() > DTX_BYTES).then_some(frame))
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

    fn frames(options: &EncoderOptions, samples: &[f32]) -> Vec<Option<Vec<u8>>> {
        let mut encoder = Encoder::new(options).unwrap();
        samples.chunks(options.channels.block_samples()).map(|block| encoder.encode(block).unwrap()).collect()
    }

    fn sizes(options: &EncoderOptions) -> BTreeSet<usize> {
        frames(options, &second(options.channels)).iter().flatten().map(Vec::len).collect()
    }

    /// A room in which no one speaks: noise at -66 dBov.
    fn quiet(seconds: usize) -> Vec<f32> {
        let mut noise = 7u32;
        let sample = |_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((noise >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.0017
        };
        (0..seconds * SAMPLE_RATE as usize).map(sample).collect()
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
    fn silence_is_a_tenth_of_the_packets() {
        for silence in [quiet(10), vec![0.0; 10 * SAMPLE_RATE as usize]] {
            let sent = frames(&EncoderOptions::default(), &silence).iter().flatten().count();
            println!("{sent} packets in 10 s of silence");
            assert!((20..=100).contains(&sent), "{sent} packets: at least one each 500 ms, at most ten a second");
        }
    }

    #[test]
    fn strict_profile_sends_the_same_in_silence_and_speech() {
        let samples = [quiet(3), second(Channels::Mono), vec![0.0; 96_000]].concat();
        let frames = frames(&EncoderOptions::strict(), &samples);
        assert!(frames.iter().all(|frame| frame.as_ref().is_some_and(|frame| frame.len() == 80)));
    }

    #[test]
    fn expected_loss_can_change() {
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        encoder.set_expected_loss(0).unwrap();
        encoder.set_expected_loss(255).unwrap();
        assert_eq!(encoder.encode(&[0.1; 960]).unwrap().map(|frame| frame.len()), Some(80));
    }

    #[test]
    fn expected_loss_follows_reports_and_fades() {
        let mut encoder = Encoder::new(&EncoderOptions { expected_loss_percent: 5, ..Default::default() }).unwrap();
        let mut after = |fraction| {
            encoder.adapt_to_loss(fraction).unwrap();
            encoder.inner.get_packet_loss_perc().unwrap()
        };
        assert_eq!([0.0, 0.2, 0.0, 0.9].map(&mut after), [5, 20, 18, 50]);
        assert_eq!((0..60).map(|_| after(0.0)).last(), Some(5));
    }

    #[test]
    fn invalid_options_are_rejected() {
        assert!(Encoder::new(&EncoderOptions { complexity: 11, ..Default::default() }).is_err());
        let mut encoder = Encoder::new(&EncoderOptions::default()).unwrap();
        assert!(matches!(encoder.encode(&[0.0; 480]), Err(AudioError::BlockLength { got: 480, wanted: 960 })));
    }
}
