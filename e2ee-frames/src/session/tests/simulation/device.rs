//! A device: its session, and what its user sees of the call.

use super::{
    super::world::{CALL, Dice, EPOCH, INVITE, ROOM},
    slots::{Slot, Slots},
};
use crate::{
    Action, Clock, Codec, FrameKind, MonotonicTime, OpenError, Opened, Session, SessionConfig, StreamId, Timing,
    WallTime,
};
use alloc::vec::Vec;
use e2ee_core::Primitives;

/// Maximum number of frames held until their key arrives.
const MAX_HELD: usize = 8;

pub(super) struct Device<P: Primitives> {
    pub(super) session: Session<P>,
    pub(super) name: &'static str,
    /// The participants shown to the user.
    pub(super) shown: Slots,
    /// Its newest announce, as the server distributes it.
    pub(super) announce: u32,
    pub(super) microphone: bool,
    pub(super) camera: bool,
    /// Media may start.
    pub(super) ready: bool,
    /// Frames whose key may still arrive.
    pub(super) held: Vec<u32>,
    /// How far its clock is off, milliseconds.
    skew: u64,
}

/// The clocks of a device whose wall clock is off by `skew` milliseconds.
fn skewed(now: u64, skew: u64) -> Clock {
    Clock { now: MonotonicTime::from_millis(now), wall: WallTime::from_millis(EPOCH + now + skew) }
}

/// Random bytes of a session.
fn random(seed: u64) -> impl FnMut(&mut [u8]) + Send {
    let mut dice = Dice(seed);
    move |bytes: &mut [u8]| {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&dice.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

impl<P: Primitives> Device<P> {
    /// The device, announce and sealed name.
    pub(super) fn new(dice: &mut Dice, name: &'static str, timing: Timing, now: u64) -> (Self, Vec<u8>, Vec<u8>) {
        let skew = dice.below(5 * 60_000);
        let config = SessionConfig { timing, ..SessionConfig::new(ROOM, CALL, INVITE, name) };
        let mut session = Session::with_primitives(config, random(dice.next()), skewed(now, skew)).unwrap();
        let Some(Action::SendAnnounce { first: true, announce, display }) = session.poll() else {
            panic!("no announce")
        };
        let device = Self {
            session,
            name,
            shown: Slots::default(),
            announce: 0,
            microphone: false,
            camera: false,
            ready: false,
            held: Vec::new(),
            skew,
        };
        (device, announce, display)
    }

    /// The clocks of this device at a time of the simulation.
    pub(super) fn clock(&self, now: u64) -> Clock {
        skewed(now, self.skew)
    }

    /// When its next tick is due, milliseconds; `u64::MAX` for never.
    pub(super) fn deadline(&self) -> u64 {
        self.session.deadline().map_or(u64::MAX, MonotonicTime::as_millis)
    }

    /// A stream that is open, the camera if there is the choice.
    pub(super) fn stream(&self) -> Option<StreamId> {
        let camera = self.camera.then_some(StreamId::CAMERA);
        camera.or(self.microphone.then_some(StreamId::MICROPHONE))
    }

    pub(super) fn hold(&mut self, frame: u32) {
        if self.held.len() >= MAX_HELD {
            self.held.remove(0);
        }
        self.held.push(frame);
    }

    /// Opens the bytes of a frame in the buffer.
    pub(super) fn open(&mut self, now: u64, codec: Codec, buffer: &mut [u8]) -> Result<Opened, OpenError> {
        let clock = self.clock(now);
        self.session.open(clock, codec, buffer)
    }
}

/// The codec of a stream, and the visible kind of its frames.
pub(super) fn codec(stream: StreamId, number: usize) -> (Codec, FrameKind) {
    match stream {
        StreamId::CAMERA => (Codec::Vp8, if number.is_multiple_of(4) { FrameKind::Key } else { FrameKind::Delta }),
        _ => (Codec::Opus, FrameKind::Delta),
    }
}

/// Bytes of an announces message about one participant, without the count.
pub(super) fn announces(slot: Slot, announce: &[u8], display: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(8 + announce.len() + display.len());
    body.extend_from_slice(&slot.participant().0.to_be_bytes());
    body.extend_from_slice(&slot.seat().0.to_be_bytes());
    body.extend_from_slice(announce);
    body.extend_from_slice(&(display.len() as u16).to_be_bytes());
    body.extend_from_slice(display);
    body
}
