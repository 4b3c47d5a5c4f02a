//! Sound from a device.

use super::{DeviceError, Health, Role, choose, find, format, refusal};
use crate::audio::{Channels, Resampler, SAMPLE_RATE, resample::remix};
use cpal::{
    Stream,
    traits::{DeviceTrait, StreamTrait},
};
use rtrb::{Consumer, RingBuffer};
use std::{sync::Arc, time::Duration};

/// Sound that is kept for a caller who is late: what is older is more than late.
const KEPT: Duration = Duration::from_millis(200);

/// A device that records.
pub struct Microphone {
    // Stopped when dropped.
    _stream: Stream,
    ring: Consumer<f32>,
    device_channels: usize,
    channels: Channels,
    resampler: Resampler,
    mixed: Vec<f32>,
    ready: Vec<f32>,
    health: Arc<Health>,
}

impl std::fmt::Debug for Microphone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Microphone").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl Microphone {
    /// Opens the device of this id, or the system's choice, and starts to record.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn open(id: Option<&str>, channels: Channels) -> Result<Self, DeviceError> {
        let role = Role::Microphone;
        let device = find(role, id)?;
        let (config, sample_format) = choose(role, id, &device)?;
        if !format::is_known(sample_format) {
            return Err(DeviceError::Format { role, format: sample_format });
        }
        let device_channels = usize::from(config.channels).max(1);
        let kept = KEPT.as_millis() as usize * config.sample_rate as usize / 1_000 * device_channels;
        let (mut sink, ring) = RingBuffer::new(kept.max(1));
        let health = Arc::new(Health::default());
        let counted = Arc::clone(&health);
        let record = move |data: &cpal::Data, _: &cpal::InputCallbackInfo| {
            // Whole callbacks or nothing, so that channels stay what they are.
            if sink.slots() < data.len() {
                counted.glitch();
                return;
            }
            format::read(data, |sample| {
                // There is room.
                let _ = sink.push(sample);
            });
        };
        let stream = device.build_input_stream_raw(config, sample_format, record, Health::watch(&health), None);
        let stream = stream.map_err(|error| refusal(role, id, &error))?;
        stream.play().map_err(|error| refusal(role, id, &error))?;
        Ok(Self {
            _stream: stream,
            ring,
            device_channels,
            channels,
            resampler: Resampler::new(config.sample_rate, SAMPLE_RATE, channels.count())?,
            mixed: Vec::new(),
            ready: Vec::new(),
            health,
        })
    }

    /// The next 20 ms if they are there; does not wait.
    ///
    /// # Errors
    /// [`DeviceError::Lost`]: there will be no more.
    pub fn block(&mut self) -> Result<Option<Vec<f32>>, DeviceError> {
        self.health.check(Role::Microphone)?;
        let whole = self.ring.slots() / self.device_channels * self.device_channels;
        if let Ok(chunk) = self.ring.read_chunk(whole) {
            let samples: Vec<f32> = chunk.into_iter().collect();
            self.mixed.clear();
            remix(&samples, self.device_channels, self.channels.count(), &mut self.mixed);
            // A driver may give anything.
            for sample in &mut self.mixed {
                *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
            }
            self.resampler.push(&self.mixed, &mut self.ready)?;
        }
        let wanted = self.channels.block_samples();
        Ok((self.ready.len() >= wanted).then(|| self.ready.drain(..wanted).collect()))
    }

    /// How often sound was lost, since it was not fetched in time or the machine was too slow.
    #[must_use]
    pub fn glitches(&self) -> u64 {
        self.health.glitches()
    }
}
