//! Microphone and loudspeaker as blocks of 20 ms at 48 kHz (feature `device-audio`; on Linux it needs Debian's
//! `libasound2-dev`).
//!
//! ```text
//!  device thread  │ samples in device format       │ caller's thread
//!   callback ──────► lock-free ring ────────────────► remix, resample ─► Microphone::block
//!   callback ◄────── lock-free ring ◄──────────────── resample, remix ◄─ Loudspeaker::play
//! ```
//! The device thread only moves samples: it never blocks, allocates or resamples. The loudspeaker's clock sets the
//! pace: the caller writes a block when [`Loudspeaker::wants_block`] returns `true`.

mod format;
mod loudspeaker;
mod microphone;

pub use self::{loudspeaker::Loudspeaker, microphone::Microphone};

use crate::audio::{ResampleError, SAMPLE_RATE};
use cpal::{
    Device, ErrorKind, SampleFormat, StreamConfig, SupportedStreamConfig,
    traits::{DeviceTrait, HostTrait},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The machine has no such device.
    #[error("there is no {0}")]
    None(Role),
    /// No device has this id.
    #[error("no {role} has the id {id:?}; `devices` lists the available ones")]
    Unknown {
        /// Requested role.
        role: Role,
        /// Requested id.
        id: String,
    },
    /// The device was unplugged, or the system took it away. It may be opened again.
    #[error("the {role} was lost: {reason}")]
    Lost {
        /// Role of the device.
        role: Role,
        /// Error of the system.
        reason: String,
    },
    /// The system refused, for example because another program uses the device or permission is missing.
    #[error("the {role} cannot be used: {reason}")]
    Refused {
        /// Role of the device.
        role: Role,
        /// Error of the system.
        reason: String,
    },
    /// The device has an unsupported sample format.
    #[error("the {role} has an unsupported sample format: {format}")]
    Format {
        /// Role of the device.
        role: Role,
        /// The sample format.
        format: SampleFormat,
    },
    /// The device's sample rate is not supported.
    #[error("device: {0}")]
    Rate(#[from] ResampleError),
}

/// What a device is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Recording.
    Microphone,
    /// Playback.
    Loudspeaker,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Microphone => "microphone",
            Self::Loudspeaker => "loudspeaker",
        })
    }
}

/// A device that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Identifies the device; stable across runs.
    pub id: String,
    /// Human-readable name.
    pub name: String,
}

/// Lists the devices of a role.
///
/// # Errors
/// [`DeviceError::Refused`] if the system cannot list them.
pub fn devices(role: Role) -> Result<Vec<DeviceInfo>, DeviceError> {
    let host = cpal::default_host();
    let refused = |error: cpal::Error| DeviceError::Refused { role, reason: error.to_string() };
    let all: Vec<Device> = match role {
        Role::Microphone => host.input_devices().map_err(refused)?.collect(),
        Role::Loudspeaker => host.output_devices().map_err(refused)?.collect(),
    };
    let known = all.iter().filter_map(|device| {
        let id = device.id().ok()?.to_string();
        let name = device.description().map_or_else(|_| id.clone(), |description| description.name().to_owned());
        Some(DeviceInfo { id, name })
    });
    Ok(known.collect())
}

/// The device with this id, or the system's default.
fn find(role: Role, id: Option<&str>) -> Result<Device, DeviceError> {
    let host = cpal::default_host();
    match (id, role) {
        (Some(id), _) => {
            let device = id.parse().ok().and_then(|id| host.device_by_id(&id));
            device.ok_or_else(|| DeviceError::Unknown { role, id: id.to_owned() })
        }
        (None, Role::Microphone) => host.default_input_device().ok_or(DeviceError::None(role)),
        (None, Role::Loudspeaker) => host.default_output_device().ok_or(DeviceError::None(role)),
    }
}

/// A device and the configuration to open it with.
struct Found {
    device: Device,
    config: StreamConfig,
    format: SampleFormat,
    channels: usize,
}

impl Found {
    /// The device with this id, or the system's default.
    fn new(role: Role, id: Option<&str>) -> Result<Self, DeviceError> {
        let device = find(role, id)?;
        let (config, format) = choose(role, id, &device)?;
        if !format::is_known(format) {
            return Err(DeviceError::Format { role, format });
        }
        Ok(Self { device, config, format, channels: usize::from(config.channels).max(1) })
    }

    /// Number of samples, all channels counted, of a duration at the device's rate.
    fn samples(&self, time: Duration) -> usize {
        time.as_millis() as usize * self.config.sample_rate as usize / 1_000 * self.channels
    }
}

/// The device's default configuration, but at 48 kHz if it supports that.
fn choose(role: Role, id: Option<&str>, device: &Device) -> Result<(StreamConfig, SampleFormat), DeviceError> {
    let error = |error| refusal(role, id, &error);
    let default = match role {
        Role::Microphone => device.default_input_config(),
        Role::Loudspeaker => device.default_output_config(),
    };
    let default = default.map_err(error)?;
    let alike = |config: &cpal::SupportedStreamConfigRange| {
        config.channels() == default.channels() && config.sample_format() == default.sample_format()
    };
    let preferred: Option<SupportedStreamConfig> = match role {
        Role::Microphone => device.supported_input_configs().ok().and_then(|mut configs| {
            configs.find_map(|config| alike(&config).then(|| config.try_with_sample_rate(SAMPLE_RATE)).flatten())
        }),
        Role::Loudspeaker => device.supported_output_configs().ok().and_then(|mut configs| {
            configs.find_map(|config| alike(&config).then(|| config.try_with_sample_rate(SAMPLE_RATE)).flatten())
        }),
    };
    let chosen = preferred.unwrap_or(default);
    Ok((chosen.into(), chosen.sample_format()))
}

/// Maps an error of the system while opening a device.
fn refusal(role: Role, id: Option<&str>, error: &cpal::Error) -> DeviceError {
    match (error.kind(), id) {
        (ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable, None) => DeviceError::None(role),
        (ErrorKind::DeviceNotAvailable, Some(id)) => DeviceError::Unknown { role, id: id.to_owned() },
        _ => DeviceError::Refused { role, reason: error.to_string() },
    }
}

/// State shared with the device thread.
#[derive(Debug, Default)]
struct Health {
    lost: Mutex<Option<String>>,
    glitches: AtomicU64,
}

impl Health {
    /// The error callback for the device thread.
    fn watch(health: &Arc<Self>) -> impl FnMut(cpal::Error) + Send + 'static {
        let health = Arc::clone(health);
        move |error| match error.kind() {
            // The device goes on: with a gap, on another device, or with less priority.
            ErrorKind::Xrun => health.glitch(),
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
            _ => *health.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string()),
        }
    }

    /// Counts audio that was dropped or missing.
    fn glitch(&self) {
        self.glitches.fetch_add(1, Ordering::Relaxed);
    }

    fn check(&self, role: Role) -> Result<(), DeviceError> {
        match self.lost.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(reason) => Err(DeviceError::Lost { role, reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn glitches(&self) -> u64 {
        self.glitches.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_device_stays_lost_and_glitches_are_counted() {
        let health = Arc::new(Health::default());
        let mut report = Health::watch(&health);
        report(cpal::Error::new(ErrorKind::Xrun));
        report(cpal::Error::new(ErrorKind::DeviceChanged));
        assert!(health.check(Role::Microphone).is_ok());
        assert_eq!(health.glitches(), 1);
        report(cpal::Error::new(ErrorKind::DeviceNotAvailable));
        let error = health.check(Role::Loudspeaker).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.starts_with("the loudspeaker was lost: ")));
    }

    #[test]
    fn error_texts() {
        let unknown = DeviceError::Unknown { role: Role::Microphone, id: "alsa:hw:9".to_owned() };
        assert_eq!(unknown.to_string(), "no microphone has the id \"alsa:hw:9\"; `devices` lists the available ones");
        assert_eq!(DeviceError::None(Role::Loudspeaker).to_string(), "there is no loudspeaker");
    }
}
