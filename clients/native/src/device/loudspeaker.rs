//! Plays audio on a device.

use super::{DeviceError, Found, Health, Role, format, refusal};
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

/// How much audio to keep queued. More adds latency; with less, the device runs dry when the program is busy.
const AHEAD: Duration = Duration::from_millis(60);
/// Capacity of the queue: more than is kept queued, since whole blocks are written.
const ROOM: Duration = Duration::from_millis(200);

/// A device that plays.
pub struct Loudspeaker {
    // Stops when dropped.
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
    /// Opens the device with this id, or the system's default. It plays silence until blocks are written.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn open(id: Option<&str>, channels: Channels) -> Result<Self, DeviceError> {
        let role = Role::Loudspeaker;
        let found = Found::new(role, id)?;
        let capacity = found.samples(ROOM).max(1);
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
            // Running dry counts once, and not before the first block.
            if playing.swap(!dry, Ordering::Relaxed) && dry {
                counted.glitch();
            }
        };
        let watch = Health::watch(&health);
        let stream = found.device.build_output_stream_raw(found.config, found.format, play, watch, None);
        let stream = stream.map_err(|error| refusal(role, id, &error))?;
        stream.play().map_err(|error| refusal(role, id, &error))?;
        Ok(Self {
            _stream: stream,
            ring,
            capacity,
            ahead: found.samples(AHEAD),
            device_channels: found.channels,
            channels,
            resampler: Resampler::new(SAMPLE_RATE, found.config.sample_rate, channels.count())?,
            converted: Vec::new(),
            mixed: Vec::new(),
            health,
        })
    }

    /// Whether the device will soon run dry, by its own clock.
    #[must_use]
    pub fn wants_block(&self) -> bool {
        self.capacity.saturating_sub(self.ring.slots()) < self.ahead
    }

    /// Plays 20 ms of interleaved samples. Samples that do not fit into the queue are dropped.
    ///
    /// # Errors
    /// [`DeviceError::Lost`]: nothing will be played any more.
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
            // The queue has room.
            let _ = self.ring.push(*sample);
        }
        Ok(())
    }

    /// Number of times that the queue ran dry or overflowed.
    #[must_use]
    pub fn glitches(&self) -> u64 {
        self.health.glitches()
    }
}
