//! Microphone and loudspeaker as blocks of 20 ms at 48 kHz (feature `device-audio`; on Linux it is built with Debian's
//! `libasound2-dev`).
//!
//! ```text
//!  device's thread │ samples as the device has them │ whoever calls
//!   callback ──────► lock-free ring ────────────────► remix, resample ─► Microphone::block
//!   callback ◄────── lock-free ring ◄──────────────── resample, remix ◄─ Loudspeaker::play
//! ```
//! The device's thread only moves samples: it never waits, allocates or converts rates. The loudspeaker's clock sets the
//! pace: whoever plays gives a block when [`Loudspeaker::wants_block`] says so.

mod format;
mod loudspeaker;
mod microphone;

pub use self::{loudspeaker::Loudspeaker, microphone::Microphone};

use crate::audio::{ResampleError, SAMPLE_RATE};
use cpal::{
    Device, ErrorKind, SampleFormat, StreamConfig, SupportedStreamConfig,
    traits::{DeviceTrait, HostTrait},
};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Why a device cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The machine has none.
    #[error("there is no {0}")]
    None(Role),
    /// None has this name.
    #[error("there is no {role} {id:?}; `devices` lists what there is")]
    Unknown {
        /// What was looked for.
        role: Role,
        /// Its name.
        id: String,
    },
    /// It was unplugged, or taken away by the system. Open another, or it again.
    #[error("the {role} is gone: {reason}")]
    Lost {
        /// What it was.
        role: Role,
        /// What the system says.
        reason: String,
    },
    /// The system refuses, for example since another program has it, or since nobody gave leave.
    #[error("the {role} cannot be used: {reason}")]
    Refused {
        /// What it is.
        role: Role,
        /// What the system says.
        reason: String,
    },
    /// Its samples are of a kind that is not known here.
    #[error("the {role} has samples of an unknown kind: {format}")]
    Format {
        /// What it is.
        role: Role,
        /// The kind.
        format: SampleFormat,
    },
    /// Its rate cannot be converted.
    #[error("device: {0}")]
    Rate(#[from] ResampleError),
}

/// What a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To record.
    Microphone,
    /// To play.
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
    /// By this it is opened; stays the same from run to run.
    pub id: String,
    /// For people.
    pub name: String,
}

/// All devices of a kind.
///
/// # Errors
/// [`DeviceError::Refused`] if the system does not say.
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

/// The device of this id, or the system's choice.
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

/// What the device would choose, but at 48 kHz if it can.
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

/// Why the device of this id cannot be opened.
fn refusal(role: Role, id: Option<&str>, error: &cpal::Error) -> DeviceError {
    match (error.kind(), id) {
        (ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable, None) => DeviceError::None(role),
        (ErrorKind::DeviceNotAvailable, Some(id)) => DeviceError::Unknown { role, id: id.to_owned() },
        _ => DeviceError::Refused { role, reason: error.to_string() },
    }
}

/// What the device's thread has to tell.
#[derive(Debug, Default)]
struct Health {
    lost: Mutex<Option<String>>,
    glitches: AtomicU64,
}

impl Health {
    /// A function for the device's thread to call with errors.
    fn watch(health: &Arc<Self>) -> impl FnMut(cpal::Error) + Send + 'static {
        let health = Arc::clone(health);
        move |error| match error.kind() {
            // It goes on: with a gap, on another device, or less punctually.
            ErrorKind::Xrun => health.glitch(),
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
            _ => *health.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string()),
        }
    }

    /// Counts sound that was dropped or missing.
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
    fn a_device_that_is_gone_stays_gone_and_a_glitch_is_only_counted() {
        let health = Arc::new(Health::default());
        let mut told = Health::watch(&health);
        told(cpal::Error::new(ErrorKind::Xrun));
        told(cpal::Error::new(ErrorKind::DeviceChanged));
        assert!(health.check(Role::Microphone).is_ok());
        assert_eq!(health.glitches(), 1);
        told(cpal::Error::new(ErrorKind::DeviceNotAvailable));
        let error = health.check(Role::Loudspeaker).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.starts_with("the loudspeaker is gone: ")));
    }

    #[test]
    fn errors_say_what_to_do() {
        let unknown = DeviceError::Unknown { role: Role::Microphone, id: "alsa:hw:9".to_owned() };
        assert_eq!(unknown.to_string(), "there is no microphone \"alsa:hw:9\"; `devices` lists what there is");
        assert_eq!(DeviceError::None(Role::Loudspeaker).to_string(), "there is no loudspeaker");
    }
}
