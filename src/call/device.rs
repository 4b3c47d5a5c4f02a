//! Microphone and loudspeaker of this machine, each on a thread of its own, as a device need not be moved between threads.

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
    client::{AudioPublication, Mixed},
    device::{DeviceError, Loudspeaker, Microphone},
};

/// Well below the 20 ms of a block.
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// Blocks that wait for the loudspeaker. More are late: the oldest goes.
const WAITING: usize = 4;

/// Both devices; they are let go of when this is dropped.
pub(super) struct Devices {
    loudspeaker: SyncSender<Vec<f32>>,
    stop: Arc<AtomicBool>,
}

impl Devices {
    /// Opens both, and sends what the microphone hears.
    pub(super) fn open(publication: AudioPublication) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (loudspeaker, blocks) = mpsc::sync_channel(50);
        let stopped = stop.clone();
        on_thread(move |opened| listen(&publication, &stopped, opened)).context("--device-audio: microphone")?;
        on_thread(move |opened| speak(&blocks, opened)).context("--device-audio: loudspeaker")?;
        Ok(Self { loudspeaker, stop })
    }

    /// Plays 20 ms.
    pub(super) fn play(&self, sound: &Mixed) {
        // A loudspeaker that is lost has said so, and nobody takes blocks any more.
        let _ = self.loudspeaker.try_send(sound.samples.clone());
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Runs work on a thread, and waits until it says whether its device was opened.
fn on_thread(work: impl FnOnce(SyncSender<()>) -> Result<(), DeviceError> + Send + 'static) -> anyhow::Result<()> {
    let (opened, is_open) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().spawn(move || work(opened))?;
    if is_open.recv().is_ok() {
        thread::spawn(move || {
            if let Ok(Err(error)) = thread.join() {
                tracing::error!(%error, "sound of this machine has ended");
            }
        });
        return Ok(());
    }
    match thread.join() {
        Ok(ended) => Ok(ended?),
        Err(_) => anyhow::bail!("the device's thread has failed"),
    }
}

fn listen(publication: &AudioPublication, stop: &AtomicBool, opened: SyncSender<()>) -> Result<(), DeviceError> {
    let mut microphone = Microphone::open(None, Channels::Mono)?;
    let _ = opened.send(());
    while !stop.load(Ordering::Relaxed) {
        match microphone.block()? {
            Some(block) => publication.write(&block),
            None => thread::sleep(LOOK_EVERY),
        }
    }
    Ok(())
}

fn speak(blocks: &Receiver<Vec<f32>>, opened: SyncSender<()>) -> Result<(), DeviceError> {
    let mut loudspeaker = Loudspeaker::open(None, Channels::Mono)?;
    let _ = opened.send(());
    let mut waiting = VecDeque::new();
    loop {
        loop {
            match blocks.try_recv() {
                Ok(block) => waiting.push_back(block),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        // Its clock is not ours: what comes too fast is dropped a block at a time.
        while waiting.len() > WAITING {
            waiting.pop_front();
        }
        match waiting.front() {
            Some(block) if loudspeaker.wants_block() => {
                loudspeaker.play(block)?;
                waiting.pop_front();
            }
            _ => thread::sleep(LOOK_EVERY),
        }
    }
}
