//! Receivers on the `webrtc` crate: an implementation that shares no code with the server, so that it finds what bots
//! built from the server's own parts cannot.

use crate::{
    clock::now_ns,
    frame,
    latencies::Latencies,
    tally::{Arrival, Counts, Tally},
};
use e2ee_frames::Codec as FrameCodec;
use std::collections::{HashMap, HashSet};
use tacet_native::{
    call::{Call, CallError, CallEvent, JoinOptions},
    link::RoomLink,
    media::{Endpoint, IncomingPacket, MediaError, MediaEvent, SendStream},
    packet::Assembler,
    webrtc::WebrtcEndpoint,
};
use tacet_proto::{
    ParticipantId,
    media::{Codec, Kind, Slot},
};
use tokio::sync::{oneshot, watch};

/// Why a canary ended early.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// Its call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Its media path.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Its media path did not come up.
    #[error("the media path of a webrtc bot failed")]
    Failed,
}

/// What a canary waits for before it counts as ready.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    /// Whose keys are needed.
    pub(crate) publishers: HashSet<ParticipantId>,
}

/// Runs until `stop` changes; tells `ready` once media and keys of all publishers can come.
pub(crate) async fn run(
    link: RoomLink,
    options: JoinOptions,
    mut tally: Tally,
    readiness: Readiness,
    ready: oneshot::Sender<()>,
    mut stop: watch::Receiver<bool>,
) -> Result<(Counts, Latencies), CanaryError> {
    let mut call = Call::join(&link, &options).await?;
    let keys = call.keys();
    let mut endpoint: Option<WebrtcEndpoint> = None;
    let mut assemblers: HashMap<u32, Assembler> = HashMap::new();
    let mut progress = Progress { readiness, connected: false, keys: HashSet::new(), filled: HashSet::new() };
    let mut ready = Some(ready);
    let mut latencies = Latencies::new();
    let mut held: Vec<Slot> = Vec::new();
    loop {
        if progress.is_complete()
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(());
        }
        let media = async {
            match &mut endpoint {
                Some(endpoint) => endpoint.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stop.changed() => break,
            event = media => match event {
                Some(MediaEvent::Connected) => progress.connected = true,
                Some(MediaEvent::Failed) | None => return Err(CanaryError::Failed),
                Some(MediaEvent::Packet(packet)) => {
                    let ssrc = packet.ssrc;
                    let assembler = assemblers.entry(ssrc).or_default();
                    if let Some(frame) = assembler.push(packet.sequence, packet.marker, &packet.payload) {
                        count(&keys, &mut tally, frame, &packet, &mut latencies);
                    }
                }
                Some(MediaEvent::Disconnected | MediaEvent::KeyFrameWanted { .. } | MediaEvent::Loss { .. }) => {}
            },
            event = call.next() => match event? {
                CallEvent::Transport(remote) => {
                    let mut started = WebrtcEndpoint::start(call.welcome(), remote, &own_streams()).await?;
                    call.transport(started.local().clone())?;
                    started.add_slots(&std::mem::take(&mut held)).await?;
                    endpoint = Some(started);
                }
                CallEvent::Slots(slots) => {
                    match &mut endpoint {
                        Some(endpoint) => endpoint.add_slots(&slots.add).await?,
                        None => held.extend(slots.add),
                    }
                    progress.fill(&slots.set);
                    call.slots_ready(slots.rev)?;
                }
                CallEvent::KeyInstalled(participant) => {
                    progress.keys.insert(participant);
                }
                _ => {}
            },
        }
    }
    if let Some(endpoint) = endpoint {
        endpoint.close().await;
    }
    call.leave().await;
    Ok((tally.counts, latencies))
}

fn count(
    keys: &tacet_native::keys::SharedKeys,
    tally: &mut Tally,
    mut frame: Vec<u8>,
    packet: &IncomingPacket,
    latencies: &mut Latencies,
) {
    let Some(header) = frame::header(&frame) else { return };
    let late_ns = u64::try_from(packet.arrived.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let arrived_ns = now_ns().saturating_sub(late_ns);
    if tally.arrived(header.kid, header.ctr, arrived_ns, latencies) == Arrival::New {
        let opened = keys.open(FrameCodec::Vp8, &mut frame);
        if !opened.is_ok_and(|opened| frame.get(opened.range).is_some_and(frame::is_ours)) {
            tally.did_not_open();
        }
    }
}

/// Sections in which a canary could send: a session needs one before there are slots.
fn own_streams() -> [SendStream; 1] {
    [SendStream { mid: "sa".to_owned(), codec: Codec::Opus, ssrc: 1, rtx: None }]
}

/// How far a receiver is from being ready.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) readiness: Readiness,
    pub(crate) connected: bool,
    pub(crate) keys: HashSet<ParticipantId>,
    pub(crate) filled: HashSet<ParticipantId>,
}

impl Progress {
    /// Notes what slots show.
    pub(crate) fn fill(&mut self, set: &[tacet_proto::media::SlotSource]) {
        self.filled.extend(set.iter().filter_map(|slot| slot.source.map(|source| source.participant)));
    }

    /// Whether the path is up, and every publisher's stream and key are here.
    pub(crate) fn is_complete(&self) -> bool {
        let publishers = &self.readiness.publishers;
        self.connected && publishers.is_subset(&self.filled) && publishers.is_subset(&self.keys)
    }
}

/// Slots that carry pictures.
pub(crate) fn video_slots(slots: &[Slot]) -> impl Iterator<Item = &Slot> {
    slots.iter().filter(|slot| slot.kind == Kind::Video)
}
