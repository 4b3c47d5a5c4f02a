//! One connection: signaling, keys and a media path, from `hello` until one of them is lost.
//!
//! Nothing of it is used again: the next connection has another device identity, other keys, another certificate and
//! other SSRCs, so that no (key, nonce) pair can come twice.

use super::{
    end::{Fate, Loss},
    event::{ClientEvent, ConnectionState, RemoteTrack},
    inlet::PublicationState,
    lasting::Lasting,
    options::{Receive, kind_of_source},
    path::Path,
    random::random_u32,
    reception::Reception,
    sending::{Line, Publication},
};
use crate::{
    audio::Level,
    call::{Call, CallError, CallEvent, JoinOptions},
    keys::SharedKeys,
    link::RoomLink,
    media::{Endpoint, Engine, MediaEvent},
    signaling::SignalingError,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::{
    TrackId,
    media::{Codec, Kind, Slot, Source},
    server::{ErrorMessage, ServerTransport, Slots, Tracks, TransportState},
};
use tokio::time::timeout;

/// How long joining may take, connecting included.
const JOIN: Duration = Duration::from_secs(20);
/// Between two requests for a key frame that the application is told of.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// A connection that has joined.
pub(super) struct Connection<G: Engine> {
    engine: Arc<G>,
    call: Call,
    keys: SharedKeys,
    /// The media path, once the server has told its half.
    endpoint: Option<G::Path>,
    path: Path,
    lines: Vec<Line>,
    reception: Reception,
    /// Slots that came before the media path.
    early_slots: Vec<Slots>,
}

/// What a connection waits for.
pub(super) enum Input {
    /// Signaling and keys.
    Call(Result<CallEvent, CallError>),
    /// The media path; `None` when it is closed.
    Media(Option<MediaEvent>),
}

/// What the application wants of the present connection.
#[derive(Debug)]
pub(super) enum Step {
    /// To publish what it holds.
    Attend,
    /// To receive these tracks.
    Subscribe(Vec<TrackId>),
    /// To receive them no longer.
    Unsubscribe(Vec<TrackId>),
    /// To ask the sender of this track for a key frame.
    AskSender(RemoteTrack),
}

impl<G: Engine> Connection<G> {
    /// Connects and joins.
    pub(super) async fn open(engine: Arc<G>, link: &RoomLink, options: JoinOptions) -> Result<Self, CallError> {
        let joining = timeout(JOIN, Call::join(link, &options)).await;
        let call = joining.map_err(|_| SignalingError::Timeout(link.authority().to_owned()))??;
        Ok(Self {
            engine,
            keys: call.keys(),
            call,
            endpoint: None,
            path: Path::start(Instant::now(), Duration::MAX),
            lines: Vec::new(),
            reception: Reception::default(),
            early_slots: Vec::new(),
        })
    }

    /// What happens next. Cancel safe.
    pub(super) async fn next(&mut self) -> Input {
        let media = async {
            match &mut self.endpoint {
                Some(endpoint) => endpoint.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.call.next() => Input::Call(event),
            event = media => Input::Media(event),
        }
    }

    /// Acts on it.
    pub(super) async fn handle(&mut self, input: Input, lasting: &mut Lasting) -> Result<(), Fate> {
        match input {
            Input::Call(event) => self.on_call(event?, lasting).await,
            Input::Media(event) => self.on_media(event.ok_or(Loss::Failed)?, lasting).await,
        }
    }

    async fn on_call(&mut self, event: CallEvent, lasting: &mut Lasting) -> Result<(), Fate> {
        let now = Instant::now();
        let outlet = &lasting.outlet;
        let mut tell = |event| outlet.event(event);
        match event {
            CallEvent::Transport(remote) => self.start_media(remote, lasting).await?,
            CallEvent::TransportState(TransportState::Failed) => return Err(Loss::Failed.into()),
            CallEvent::TransportState(state) => {
                let changed = self.path.server(now, state == TransportState::Connected);
                self.path_changed(changed, lasting).await?;
            }
            CallEvent::Slots(slots) => self.add_slots(slots).await?,
            CallEvent::Published { cid, track } => self.published(&cid, track, lasting).await?,
            CallEvent::Tracks(tracks) => self.tracks(tracks, lasting)?,
            CallEvent::Verified { participant, name, .. } => lasting.roster.verified(participant, name, &mut tell),
            CallEvent::Left(participant) => {
                lasting.roster.left(participant, &mut tell);
                lasting.sounds.remove(participant, None);
            }
            CallEvent::StreamReady(stream) => {
                let published = |line: &&mut Line| line.stream_id() == stream && line.request.is_some();
                if let Some(line) = self.lines.iter_mut().find(published) {
                    line.key_ready = true;
                }
                self.attend(lasting).await?;
            }
            CallEvent::KeyInstalled(participant) => {
                lasting.roster.opens(participant, &mut tell);
                tell(ClientEvent::KeyInstalled(participant));
                self.reception.key_came(participant, now, &self.keys, lasting);
                self.ask_for_key_frames(now).await?;
            }
            CallEvent::Generation { generation, step } => {
                lasting.generation = Some((generation, step));
                tell(ClientEvent::Generation { generation, step });
            }
            CallEvent::Problem { participant, problem } => lasting.roster.problem(participant, problem, &mut tell),
            CallEvent::Speakers(speakers) => {
                let loud = speakers.iter().filter(|speaker| lasting.roster.contains(speaker.participant));
                tell(ClientEvent::Speakers(
                    loud.map(|speaker| (speaker.participant, Level::from_dbov(speaker.level))).collect(),
                ));
            }
            CallEvent::Refused { re, error } => self.refused(re, &error, lasting)?,
        }
        Ok(())
    }

    async fn on_media(&mut self, event: MediaEvent, lasting: &mut Lasting) -> Result<(), Fate> {
        let now = Instant::now();
        match event {
            MediaEvent::Connected => {
                let changed = self.path.engine(now, true);
                self.path_changed(changed, lasting).await?;
            }
            MediaEvent::Disconnected => {
                let changed = self.path.engine(now, false);
                self.path_changed(changed, lasting).await?;
            }
            MediaEvent::Failed => return Err(Loss::Failed.into()),
            MediaEvent::Packet(packet) => {
                self.reception.packet(packet, &self.keys, lasting);
                self.ask_for_key_frames(now).await?;
            }
            MediaEvent::KeyFrameWanted { mid } => {
                let source = self.lines.iter().find(|line| line.send_stream().mid == mid).map(|line| line.source);
                if let Some(source) = source {
                    self.want_key_frame(source, lasting);
                }
            }
            MediaEvent::Loss { ssrc, fraction } => {
                let Some(line) = self.lines.iter().find(|line| line.send_stream().ssrc == ssrc) else { return Ok(()) };
                lasting.lost_on_the_way_up = fraction;
                for publication in &mut lasting.publications {
                    if let Publication::Audio(audio) = publication
                        && line.codec == Codec::Opus
                    {
                        audio.lost(fraction);
                    }
                }
            }
        }
        Ok(())
    }

    /// Builds the media path, with a section for all that is to be sent.
    async fn start_media(&mut self, remote: ServerTransport, lasting: &mut Lasting) -> Result<(), Fate> {
        if self.endpoint.is_some() {
            return Ok(());
        }
        for publication in &lasting.publications {
            self.lines.push(Line::new(publication.source(), publication.codec(), &mut random_u32));
        }
        // A path needs a section to begin with: the one that is most likely to be used.
        if self.lines.is_empty() {
            self.lines.push(Line::new(Source::Microphone, Codec::Opus, &mut random_u32));
        }
        let streams: Vec<_> = self.lines.iter().map(|line| line.send_stream().clone()).collect();
        let endpoint = self.engine.start(self.call.welcome(), remote, &streams).await?;
        self.path = Path::start(Instant::now(), lasting.options.media_patience);
        self.call.transport(endpoint.local().clone())?;
        self.endpoint = Some(endpoint);
        for slots in std::mem::take(&mut self.early_slots) {
            self.add_slots(slots).await?;
        }
        self.attend(lasting).await
    }

    async fn add_slots(&mut self, slots: Slots) -> Result<(), Fate> {
        let Some(endpoint) = &mut self.endpoint else {
            self.early_slots.push(slots);
            return Ok(());
        };
        let add: Vec<Slot> = slots.add;
        add.iter().for_each(|slot| self.reception.add(slot));
        slots.set.iter().for_each(|content| self.reception.set(content));
        endpoint.add_slots(&add).await?;
        self.call.slots_ready(slots.rev)?;
        Ok(())
    }

    fn tracks(&mut self, tracks: Tracks, lasting: &mut Lasting) -> Result<(), Fate> {
        let outlet = &lasting.outlet;
        let change = lasting.roster.tracks(tracks, &mut |event| outlet.event(event));
        for track in change.removed {
            lasting.sounds.remove(track.participant, Some(track.source));
        }
        let wanted: Vec<TrackId> = change
            .added
            .iter()
            .filter(|track| match lasting.receive {
                Receive::Everything => false,
                Receive::Sound => kind_of_source(track.source) == Kind::Audio,
                Receive::Chosen => lasting.chosen.contains(&track.track),
            })
            .map(|track| track.track)
            .collect();
        self.call.subscribe(&wanted)?;
        Ok(())
    }

    /// Does what the application wants of the present connection.
    pub(super) async fn step(&mut self, step: Step, lasting: &mut Lasting) -> Result<(), Fate> {
        match step {
            Step::Attend => self.attend(lasting).await,
            Step::Subscribe(tracks) => Ok(self.call.subscribe(&tracks)?),
            Step::Unsubscribe(tracks) => Ok(self.call.unsubscribe(&tracks)?),
            Step::AskSender(track) => {
                if let (Some(ssrc), Some(endpoint)) = (self.reception.slot_of(track.track), &mut self.endpoint) {
                    endpoint.want_key_frame(ssrc).await?;
                }
                Ok(())
            }
        }
    }

    /// Brings the server to what the application wants to publish, and sends what it has written.
    pub(super) async fn attend(&mut self, lasting: &mut Lasting) -> Result<(), Fate> {
        self.withdraw(lasting)?;
        let Some(endpoint) = &mut self.endpoint else {
            lasting.idle();
            return Ok(());
        };
        let up = self.path.is_up();
        let mut ask = Vec::new();
        for publication in &mut lasting.publications {
            let (source, codec, muted) = (publication.source(), publication.codec(), publication.muted());
            let same = |line: &Line| (line.source, line.codec) == (source, codec);
            if !self.lines.iter().any(same) {
                let line = Line::new(source, codec, &mut random_u32);
                endpoint.add_stream(line.send_stream()).await?;
                self.lines.push(line);
            }
            // The same source with another codec may still be on its way out.
            let busy = self.lines.iter().any(|line| line.source == source && !same(line) && line.request.is_some());
            let Some(line) = self.lines.iter_mut().find(|line| same(line)) else { continue };
            if !busy && line.request.is_none() && line.refused.is_none() {
                let track = line.publish(muted);
                line.request = Some(self.call.publish(line.stream_id(), track)?);
            }
            if let Some(track) = line.track
                && line.told_muted != muted
            {
                self.call.set_muted(track, muted)?;
                line.told_muted = muted;
            }
            let state = match line.refused {
                Some(code) => PublicationState::Refused(code),
                None if line.is_ready() && up => PublicationState::Live,
                None => PublicationState::Waiting,
            };
            let begins = state == PublicationState::Live && publication.state() != state;
            publication.set_state(state);
            if state != PublicationState::Live || muted {
                publication.discard();
                line.skipped();
                continue;
            }
            let asked = line.send(publication, &self.keys, endpoint, lasting.options.show_level).await?;
            if asked || (begins && codec != Codec::Opus) {
                ask.push(source);
            }
        }
        for source in ask {
            self.want_key_frame(source, lasting);
        }
        Ok(())
    }

    /// Withdraws what the application has let go of.
    fn withdraw(&mut self, lasting: &mut Lasting) -> Result<(), Fate> {
        lasting.publications.retain(|publication| !publication.closed());
        let publications = &lasting.publications;
        for line in &mut self.lines {
            let wanted = publications.iter().any(|p| (p.source(), p.codec()) == (line.source, line.codec));
            if wanted {
                continue;
            }
            line.refused = None;
            // One that has no number yet is withdrawn when it gets one.
            if let Some(track) = line.track {
                self.call.unpublish(line.stream_id(), track)?;
                line.withdrawn();
            }
        }
        Ok(())
    }

    async fn published(&mut self, cid: &str, track: TrackId, lasting: &mut Lasting) -> Result<(), Fate> {
        let Some(line) = self.lines.iter_mut().find(|line| line.send_stream().mid == cid) else { return Ok(()) };
        line.track = Some(track);
        lasting.outlet.event(ClientEvent::Published(line.source));
        self.attend(lasting).await
    }

    fn refused(&mut self, re: Option<u32>, error: &ErrorMessage, lasting: &mut Lasting) -> Result<(), Fate> {
        let line = self.lines.iter_mut().find(|line| re.is_some() && line.request == re && line.track.is_none());
        let Some(line) = line else {
            tracing::warn!(code = ?error.code, detail = error.detail, "the server refuses a request");
            return Ok(());
        };
        let (source, codec) = (line.source, line.codec);
        line.withdrawn();
        line.refused = Some(error.code);
        let stream = line.stream_id();
        self.call.close_stream(stream)?;
        for publication in &lasting.publications {
            if (publication.source(), publication.codec()) == (source, codec) {
                publication.set_state(PublicationState::Refused(error.code));
            }
        }
        lasting.outlet.event(ClientEvent::PublicationRefused { source, code: error.code });
        Ok(())
    }

    async fn path_changed(&mut self, changed: bool, lasting: &mut Lasting) -> Result<(), Fate> {
        if changed {
            let up = self.path.is_up();
            lasting.enter(if up { ConnectionState::Connected } else { ConnectionState::Interrupted });
            self.attend(lasting).await?;
        }
        Ok(())
    }

    fn want_key_frame(&mut self, source: Source, lasting: &Lasting) {
        let now = Instant::now();
        let asked = |publication: &&Publication| publication.source() == source;
        let Some(Publication::Video(video)) = lasting.publications.iter().find(asked) else { return };
        video.want_key_frame();
        let codec = video.codec();
        for line in self.lines.iter_mut().filter(|line| (line.source, line.codec) == (source, codec)) {
            if line.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= TELL_EVERY) {
                line.asked = Some(now);
                lasting.outlet.event(ClientEvent::KeyFrameWanted(source));
            }
        }
    }

    async fn ask_for_key_frames(&mut self, now: Instant) -> Result<(), Fate> {
        let Some(endpoint) = &mut self.endpoint else { return Ok(()) };
        for ssrc in self.reception.wanted_key_frames(now) {
            endpoint.want_key_frame(ssrc).await?;
        }
        Ok(())
    }

    /// Looks after all that waits for time to pass; called every 20 ms.
    pub(super) async fn look(&mut self, now: Instant, lasting: &mut Lasting) -> Result<(), Fate> {
        if let Some(loss) = self.path.lost(now) {
            return Err(loss.into());
        }
        self.reception.look(now, &self.keys, lasting);
        self.ask_for_key_frames(now).await
    }

    /// What has arrived.
    pub(super) fn received(&self) -> super::snapshot::Received {
        self.reception.received()
    }

    /// Leaves, and frees all that the connection holds.
    pub(super) async fn close(self) {
        if let Some(endpoint) = self.endpoint {
            endpoint.close().await;
        }
        self.call.leave().await;
    }
}
