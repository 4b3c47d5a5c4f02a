//! What a load run is asked to do.

use std::{path::PathBuf, time::Duration};
use tacet_native::{link::RoomLink, packet::MAX_PAYLOAD_BYTES, tls::Trust};

/// Settings of one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bots that send one video stream each, and receive nothing.
    pub publishers: usize,
    /// Light bots that receive every stream.
    pub subscribers: usize,
    /// Bots on the `webrtc` crate that receive every stream, counted apart.
    pub canaries: usize,
    /// How long is measured.
    pub measure: Duration,
    /// How long media flows before.
    pub warmup: Duration,
    /// Packets a second of each publisher.
    pub pps: u32,
    /// Bytes of RTP payload of each packet, about: the SFrame header grows with the counter.
    pub size: usize,
    /// Packets sent at once, so `pps / burst` bursts a second.
    pub burst: u32,
    /// Subscribers authenticate SRTP and read the clear SFrame header, but open no frame.
    pub light: bool,
    /// The server under test.
    pub server: Server,
}

/// The server under test.
#[derive(Clone, Debug)]
pub enum Server {
    /// A child process: this program, run as `PROGRAM serve --json …`, with a room of its own.
    Child {
        /// The program.
        program: PathBuf,
    },
    /// One that runs already.
    Running {
        /// A room on it.
        link: RoomLink,
        /// How it proves itself.
        trust: Trust,
    },
}

/// Why settings cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Nobody sends.
    #[error("at least one publisher is needed")]
    NoPublisher,
    /// Nobody receives.
    #[error("at least one subscriber or canary is needed")]
    NoSubscriber,
    /// Nothing is measured.
    #[error("the measured time must be longer than zero")]
    NoTime,
    /// No packets.
    #[error("--pps and --burst must be at least 1, and --burst no more than --pps")]
    Rate,
    /// Packets too small for header and tag, or too large for a path.
    #[error("--size must be {} to {MAX_PAYLOAD_BYTES} bytes", Options::MIN_SIZE)]
    Size,
}

impl Options {
    /// Smallest payload: descriptor, envelope, SFrame header and tag, and the marker that receivers check.
    pub const MIN_SIZE: usize = 80;

    /// One publisher, twenty subscribers and two canaries on a server of our own, for ten seconds.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            publishers: 1,
            subscribers: 20,
            canaries: 2,
            measure: Duration::from_secs(10),
            warmup: Duration::from_secs(2),
            pps: 500,
            size: 1_100,
            burst: 1,
            light: false,
            server: Server::Child { program },
        }
    }

    /// Checks that the settings make sense together.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.publishers == 0 {
            return Err(OptionsError::NoPublisher);
        }
        if self.subscribers == 0 && self.canaries == 0 {
            return Err(OptionsError::NoSubscriber);
        }
        if self.measure.is_zero() {
            return Err(OptionsError::NoTime);
        }
        if self.pps == 0 || self.burst == 0 || self.burst > self.pps {
            return Err(OptionsError::Rate);
        }
        if !(Self::MIN_SIZE..=MAX_PAYLOAD_BYTES).contains(&self.size) {
            return Err(OptionsError::Size);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_named() {
        let good = Options::new(PathBuf::new());
        assert_eq!(good.check(), Ok(()));
        let check = |change: fn(&mut Options)| {
            let mut options = good.clone();
            change(&mut options);
            options.check()
        };
        assert_eq!(check(|o| o.publishers = 0), Err(OptionsError::NoPublisher));
        assert_eq!(check(|o| (o.subscribers, o.canaries) = (0, 0)), Err(OptionsError::NoSubscriber));
        assert_eq!(check(|o| o.measure = Duration::ZERO), Err(OptionsError::NoTime));
        assert_eq!(check(|o| o.burst = 501), Err(OptionsError::Rate));
        assert_eq!(check(|o| o.size = 79), Err(OptionsError::Size));
        assert_eq!(check(|o| o.size = 1_101), Err(OptionsError::Size));
    }
}
