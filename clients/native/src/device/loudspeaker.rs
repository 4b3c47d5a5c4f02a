//! Sound to a device.

use super::{DeviceError, Health, Role, choose, find, format, refusal};
use crate::audio::{Channels, Resampler, SAMPLE_RATE, resample::remix};
use cpal::{
    Stream,
    traits::{DeviceTrait, StreamTrait},
};
use rtrb::{Producer, RingBuffer};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Sound that may wait for the device. More is heard later, less runs dry when a program is busy.
const AHEAD: Duration = Duration::from_millis(60);
/// Room for more, since a block is given whole.
const ROOM: Duration = Duration::from_millis(200);

/// A device that plays.
pub struct Loudspeaker {
    // Stopped when dropped.
    _stream: Stream,
    ring: Producer<f32>,
    capacity: usize,
    /// Samples of [`AHEAD`].
    ahead: usize,
    device_channels: usize,
    channels: Channels,
    resampler: Resampler,
    converted: Vec<f32>,
    mixed: Vec<f32>,
    health: Arc<Health>,
}

impl std::fmt::Debug for Loudspeaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loudspeaker").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl Loudspeaker {
    /// Opens the device of this id, or the system's choice. It is silent until it is given blocks.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn open(id: Option<&str>, channels: Channels) -> Result<Self, DeviceError> {
        let role = Role::Loudspeaker;
        let device = find(role, id)?;
        let (config, sample_format) = choose(role, id, &device)?;
        if !format::is_known(sample_format) {
            return Err(DeviceError::Format { role, format: sample_format });
        }
        let device_channels = usize::from(config.channels).max(1);
        let samples_of =
            |time: Duration| time.as_millis() as usize * config.sample_rate as usize / 1_000 * device_channels;
        let capacity = samples_of(ROOM).max(1);
        let (ring, mut source) = RingBuffer::<f32>::new(capacity);
        let health = Arc::new(Health::default());
        let counted = Arc::clone(&health);
        let playing = AtomicBool::new(false);
        let play = move |data: &mut cpal::Data, _: &cpal::OutputCallbackInfo| {
            let mut dry = false;
            format::write(data, || {
                source.pop().unwrap_or_else(|_| {
                    dry = true;
                    0.0
                })
            });
            // Running dry counts once, and not before there was sound.
            if playing.swap(!dry, Ordering::Relaxed) && dry {
                counted.glitch();
            }
        };
        let stream = device.build_output_stream_raw(config, sample_format, play, Health::watch(&health), None);
        let stream = stream.map_err(|error| refusal(role, id, &error))?;
        stream.play().map_err(|error| refusal(role, id, &error))?;
        Ok(Self {
            _stream: stream,
            ring,
            capacity,
            ahead: samples_of(AHEAD),
            device_channels,
            channels,
            resampler: Resampler::new(SAMPLE_RATE, config.sample_rate, channels.count())?,
            converted: Vec::new(),
            mixed: Vec::new(),
            health,
        })
    }

    /// Whether the device will soon have nothing to play. Its clock, not ours, says when.
    #[must_use]
    pub fn wants_block(&self) -> bool {
        self.capacity.saturating_sub(self.ring.slots()) < self.ahead
    }

    /// Plays 20 ms, interleaved. What does not fit, since it was not asked for, is dropped.
    ///
    /// # Errors
    /// [`DeviceError::Lost`]: nothing will be heard any more.
    pub fn play(&mut self, block: &[f32]) -> Result<(), DeviceError> {
        self.health.check(Role::Loudspeaker)?;
        self.converted.clear();
        self.mixed.clear();
        self.resampler.push(block, &mut self.converted)?;
        remix(&self.converted, self.channels.count(), self.device_channels, &mut self.mixed);
        let room = self.ring.slots() / self.device_channels * self.device_channels;
        if room < self.mixed.len() {
            self.health.glitch();
        }
        let fitting = self.mixed.get(..room.min(self.mixed.len())).unwrap_or_default();
        for sample in fitting {
            // There is room.
            let _ = self.ring.push(*sample);
        }
        Ok(())
    }

    /// How often it ran dry or was given too much.
    #[must_use]
    pub fn glitches(&self) -> u64 {
        self.health.glitches()
    }
}
