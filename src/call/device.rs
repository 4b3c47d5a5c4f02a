//! Microphone and loudspeaker of this machine, each on its own thread, since a device cannot always be moved between
//! threads.

use anyhow::Context;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender, TryRecvError},
    },
    thread,
    time::Duration,
};
use tacet_native::{
    audio::Channels,
    client::{AudioTrack, MixedAudio},
    device::{DeviceError, Loudspeaker, Microphone},
};

/// How often a device is polled: well below the 20 ms of a block.
const POLL_INTERVAL: Duration = Duration::from_millis(4);
/// Maximum number of blocks queued for the loudspeaker; beyond it the oldest is dropped.
const MAX_QUEUED: usize = 4;

/// Both devices, closed when this is dropped.
pub(super) struct Devices {
    loudspeaker: SyncSender<Vec<f32>>,
    stop: Arc<AtomicBool>,
}

impl Devices {
    /// Opens both devices and sends the microphone's audio on a track.
    pub(super) fn open(track: AudioTrack) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (loudspeaker, blocks) = mpsc::sync_channel(50);
        let stopped = stop.clone();
        on_thread(move |opened| capture(&track, &stopped, opened)).context("--device-audio: microphone")?;
        on_thread(move |opened| play(&blocks, opened)).context("--device-audio: loudspeaker")?;
        Ok(Self { loudspeaker, stop })
    }

    /// Plays 20 ms.
    pub(super) fn play(&self, audio: &MixedAudio) {
        // Fails if the loudspeaker is lost, which its thread has logged.
        let _ = self.loudspeaker.try_send(audio.samples.clone());
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Runs work on a thread and waits until it has opened its device.
fn on_thread(work: impl FnOnce(SyncSender<()>) -> Result<(), DeviceError> + Send + 'static) -> anyhow::Result<()> {
    let (opened, is_open) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().spawn(move || work(opened))?;
    if is_open.recv().is_ok() {
        thread::spawn(move || {
            if let Ok(Err(error)) = thread.join() {
                tracing::error!(%error, "the audio device has failed");
            }
        });
        return Ok(());
    }
    match thread.join() {
        Ok(ended) => Ok(ended?),
        Err(_) => anyhow::bail!("the device thread panicked"),
    }
}

fn capture(track: &AudioTrack, stop: &AtomicBool, opened: SyncSender<()>) -> Result<(), DeviceError> {
    let mut microphone = Microphone::open(None, Channels::Mono)?;
    let _ = opened.send(());
    while !stop.load(Ordering::Relaxed) {
        match microphone.block()? {
            Some(block) => track.write(&block),
            None => thread::sleep(POLL_INTERVAL),
        }
    }
    Ok(())
}

fn play(blocks: &Receiver<Vec<f32>>, opened: SyncSender<()>) -> Result<(), DeviceError> {
    let mut loudspeaker = Loudspeaker::open(None, Channels::Mono)?;
    let _ = opened.send(());
    let mut queued = VecDeque::new();
    loop {
        loop {
            match blocks.try_recv() {
                Ok(block) => queued.push_back(block),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        // The device has its own clock: blocks that arrive too fast are dropped one at a time.
        while queued.len() > MAX_QUEUED {
            queued.pop_front();
        }
        match queued.front() {
            Some(block) if loudspeaker.wants_block() => {
                loudspeaker.play(block)?;
                queued.pop_front();
            }
            _ => thread::sleep(POLL_INTERVAL),
        }
    }
}
