//! Records audio from a device.

use super::{DeviceError, Found, Health, Role, format, refusal};
use crate::audio::{Channels, Resampler, SAMPLE_RATE, resample::remix};
use cpal::{
    Stream,
    traits::{DeviceTrait, StreamTrait},
};
use rtrb::{Consumer, RingBuffer};
use std::{sync::Arc, time::Duration};

/// How much audio is kept for a caller that reads late.
const KEPT: Duration = Duration::from_millis(200);

/// A device that records.
pub struct Microphone {
    // Stops when dropped.
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
    /// Opens the device with this id, or the system's default, and starts recording.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn open(id: Option<&str>, channels: Channels) -> Result<Self, DeviceError> {
        let role = Role::Microphone;
        let found = Found::new(role, id)?;
        let (mut sink, ring) = RingBuffer::new(found.samples(KEPT).max(1));
        let health = Arc::new(Health::default());
        let counted = Arc::clone(&health);
        let record = move |data: &cpal::Data, _: &cpal::InputCallbackInfo| {
            // Whole callbacks or nothing, so that channels are not swapped.
            if sink.slots() < data.len() {
                counted.glitch();
                return;
            }
            format::read(data, |sample| {
                // The queue has room.
                let _ = sink.push(sample);
            });
        };
        let watch = Health::watch(&health);
        let stream = found.device.build_input_stream_raw(found.config, found.format, record, watch, None);
        let stream = stream.map_err(|error| refusal(role, id, &error))?;
        stream.play().map_err(|error| refusal(role, id, &error))?;
        Ok(Self {
            _stream: stream,
            ring,
            device_channels: found.channels,
            channels,
            resampler: Resampler::new(found.config.sample_rate, SAMPLE_RATE, channels.count())?,
            mixed: Vec::new(),
            ready: Vec::new(),
            health,
        })
    }

    /// Returns the next 20 ms if they are available; does not block.
    ///
    /// # Errors
    /// [`DeviceError::Lost`]: nothing will be recorded any more.
    pub fn block(&mut self) -> Result<Option<Vec<f32>>, DeviceError> {
        self.health.check(Role::Microphone)?;
        let whole = self.ring.slots() / self.device_channels * self.device_channels;
        if let Ok(chunk) = self.ring.read_chunk(whole) {
            let samples: Vec<f32> = chunk.into_iter().collect();
            self.mixed.clear();
            remix(&samples, self.device_channels, self.channels.count(), &mut self.mixed);
            // A driver may deliver invalid samples.
            for sample in &mut self.mixed {
                *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
            }
            self.resampler.push(&self.mixed, &mut self.ready)?;
        }
        let wanted = self.channels.block_samples();
        Ok((self.ready.len() >= wanted).then(|| self.ready.drain(..wanted).collect()))
    }

    /// Number of times that audio was lost because it was read late or the machine was too slow.
    #[must_use]
    pub fn glitches(&self) -> u64 {
        self.health.glitches()
    }
}
