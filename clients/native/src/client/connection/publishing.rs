//! Publishing: local tracks and what the server knows of them.

use super::Connection;
use crate::{
    call::Call,
    client::{
        disconnect::{ConnectionEnd, DisconnectReason},
        event::ClientEvent,
        local_track::LocalTrack,
        random::random_u32,
        session_state::SessionState,
        track::TrackState,
        track_sender::{AudioLevels, TrackSender},
    },
    media::{Endpoint, Engine},
    sdp::parameters::LEVEL_URI,
};
use e2ee_frames::StreamId;
use std::time::Instant;
use tacet_proto::{
    ErrorCode, TrackId,
    layers::TrackWant,
    media::{Codec, Source},
    server::{ErrorMessage, RoleChange},
};

/// Number of refused ICE restarts in a row after which the server has no transport to restart.
const MAX_RESTARTS_REFUSED: u32 = 3;

impl<G: Engine> Connection<G> {
    /// Reconciles what is published with the local tracks: unpublishes, publishes and mutes until the server knows what
    /// the application wants, then sends queued input.
    ///
    /// Idempotent; called whenever either side has changed.
    pub(in crate::client) async fn reconcile_tracks(
        &mut self,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        self.unpublish_closed(session)?;
        let Some(endpoint) = &mut self.endpoint else {
            session.discard_input();
            return Ok(());
        };
        let path_is_up = self.path.is_up();
        let forwarded: Vec<_> = self.call.welcome().codecs.iter().map(|entry| entry.codec).collect();
        let levels = match session.options().send_audio_level {
            false => AudioLevels::Hidden,
            true if self.call.welcome().hdrext.iter().any(|entry| entry.uri == LEVEL_URI) => AudioLevels::Packets,
            true => AudioLevels::Speech,
        };
        let (mut key_frames_wanted, mut refusals) = (Vec::new(), Vec::new());
        for track in session.local_tracks_mut().iter_mut() {
            let (source, codec, muted) = (track.source(), track.codec(), track.muted());
            if !forwarded.contains(&codec) {
                let refused = TrackState::Refused(ErrorCode::CodecUnsupported);
                if track.state() != refused {
                    track.set_state(refused);
                    refusals.push(source);
                }
                track.discard_input();
                continue;
            }
            if !self.senders.iter().any(|sender| sender.sends(source, codec)) {
                let sender = TrackSender::new(source, codec, &mut random_u32);
                endpoint.add_stream(sender.send_stream()).await?;
                self.senders.push(sender);
            }
            // The server may not have confirmed yet that this source is no longer published with another codec.
            let busy = self
                .senders
                .iter()
                .any(|other| other.source == source && !other.sends(source, codec) && other.request.is_some());
            let Some(sender) = self.senders.iter_mut().find(|sender| sender.sends(source, codec)) else { continue };
            if !busy && sender.request.is_none() && sender.refused.is_none() {
                let request = sender.publish_request(muted);
                sender.request = Some(self.call.publish(sender.stream_id(), request)?);
            }
            if let Some(id) = sender.track
                && sender.signaled_muted != muted
            {
                self.call.set_muted(id, muted)?;
                sender.signaled_muted = muted;
            }
            let state = match sender.refused {
                Some(code) => TrackState::Refused(code),
                None if sender.is_ready() && path_is_up => TrackState::Live,
                None => TrackState::Pending,
            };
            let becomes_live = state == TrackState::Live && track.state() != state;
            track.set_state(state);
            if state != TrackState::Live || muted || !sender.is_wanted {
                track.discard_input();
                sender.on_discarded();
                Self::tell_speech(&mut self.call, sender)?;
                continue;
            }
            let key_frame_wanted = sender.send(track, &self.keys, endpoint, levels).await?;
            Self::tell_speech(&mut self.call, sender)?;
            if key_frame_wanted || (becomes_live && codec != Codec::Opus) {
                key_frames_wanted.push(source);
            }
        }
        for source in refusals {
            session.events().emit(ClientEvent::PublicationRefused { source, code: ErrorCode::CodecUnsupported });
        }
        for source in key_frames_wanted {
            self.request_own_key_frame(source, session);
        }
        Ok(())
    }

    /// Tells the server whether the participant speaks, if that has changed and is for it to know.
    fn tell_speech(call: &mut Call, sender: &mut TrackSender) -> Result<(), ConnectionEnd> {
        if let (Some(track), Some(speaking)) = (sender.track, sender.take_speech()) {
            call.set_speaking(track, speaking)?;
        }
        Ok(())
    }

    /// Unpublishes the tracks whose handles the application has dropped.
    fn unpublish_closed(&mut self, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        session.local_tracks_mut().remove_closed();
        for sender in &mut self.senders {
            if session.local_tracks().contains(sender.source, sender.codec) {
                continue;
            }
            sender.refused = None;
            // A track without an id is unpublished when the server has assigned one.
            if let Some(track) = sender.track {
                self.call.unpublish(sender.stream_id(), track)?;
                sender.reset_publication();
            }
        }
        Ok(())
    }

    /// The server has assigned an id to a track.
    pub(super) async fn on_published(
        &mut self,
        cid: &str,
        track: TrackId,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        let Some(sender) = self.senders.iter_mut().find(|sender| sender.send_stream().mid == cid) else {
            return Ok(());
        };
        sender.track = Some(track);
        session.events().emit(ClientEvent::Published(sender.source));
        self.reconcile_tracks(session).await
    }

    /// The server says which tracks are received by anyone. Of others nothing is sent, until a key frame begins them again.
    pub(super) async fn on_want(
        &mut self,
        tracks: &[TrackWant],
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        for TrackWant { track, active, .. } in tracks {
            let Some(sender) = self.senders.iter_mut().find(|sender| sender.track == Some(*track)) else { continue };
            let (is_wanted, source) = (active.contains(&true), sender.source);
            if !std::mem::replace(&mut sender.is_wanted, is_wanted) && is_wanted {
                self.request_own_key_frame(source, session);
            }
        }
        self.reconcile_tracks(session).await
    }

    /// The session has a key for a stream.
    pub(super) async fn on_stream_ready(
        &mut self,
        stream: StreamId,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        let published = |sender: &&mut TrackSender| sender.stream_id() == stream && sender.request.is_some();
        if let Some(sender) = self.senders.iter_mut().find(published) {
            sender.key_ready = true;
        }
        self.reconcile_tracks(session).await
    }

    /// The server refused a request: a track, or something that is only logged.
    pub(super) fn on_refused(
        &mut self,
        re: Option<u32>,
        error: &ErrorMessage,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        if re.is_some() && self.restart_request == re {
            // Either the server still makes an earlier restart, which it received over a lost connection, or it has no
            // transport whose ICE could be restarted.
            self.restart_request = None;
            self.restarts_refused += 1;
            tracing::warn!(code = ?error.code, detail = error.detail, "the server refused an ICE restart");
            let again = error.code == ErrorCode::OutOfOrder && self.restarts_refused < MAX_RESTARTS_REFUSED;
            return if again { Ok(()) } else { Err(DisconnectReason::MediaFailed.into()) };
        }
        let pending = |sender: &&mut TrackSender| re.is_some() && sender.request == re && sender.track.is_none();
        let Some(sender) = self.senders.iter_mut().find(pending) else {
            tracing::warn!(code = ?error.code, detail = error.detail, "the server refused a request");
            return Ok(());
        };
        Self::end_publication(&mut self.call, sender, error.code, session)
    }

    /// This client has another role. What it may no longer publish is not published again by itself once it may: that is up
    /// to its user.
    pub(super) fn on_role(&mut self, change: &RoleChange, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        let RoleChange { role, capabilities, withdrawn } = change;
        session.events().emit(ClientEvent::RoleChanged { role: *role, capabilities: *capabilities });
        for sender in self.senders.iter_mut().filter(|sender| sender.track.is_some_and(|id| withdrawn.contains(&id))) {
            Self::end_publication(&mut self.call, sender, ErrorCode::Forbidden, session)?;
        }
        Ok(())
    }

    /// The server does not forward a track.
    fn end_publication(
        call: &mut Call,
        sender: &mut TrackSender,
        code: ErrorCode,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        let (source, codec) = (sender.source, sender.codec);
        sender.reset_publication();
        sender.refused = Some(code);
        call.close_stream(sender.stream_id())?;
        for track in session.local_tracks().iter() {
            if (track.source(), track.codec()) == (source, codec) {
                track.set_state(TrackState::Refused(code));
            }
        }
        session.events().emit(ClientEvent::PublicationRefused { source, code });
        Ok(())
    }

    /// A receiver of one of our streams needs a key frame.
    pub(super) fn on_key_frame_request(&mut self, mid: &str, session: &SessionState) {
        let sender = self.senders.iter().find(|sender| sender.send_stream().mid == mid);
        if let Some(source) = sender.map(|sender| sender.source) {
            self.request_own_key_frame(source, session);
        }
    }

    /// A receiver report arrived for one of our streams, with the packets lost in all and the highest sequence number.
    pub(super) fn on_receiver_report(
        &mut self,
        ssrc: u32,
        fraction_lost: f32,
        (total_lost, highest): (u32, u32),
        session: &mut SessionState,
    ) {
        let Some(sender) = self.senders.iter_mut().find(|sender| sender.send_stream().ssrc == ssrc) else { return };
        if let Some(fraction) = sender.uplink_loss.on_report(total_lost, highest) {
            session.set_uplink_loss(fraction);
        }
        if sender.codec == Codec::Opus {
            session.local_tracks_mut().adapt_audio_to_loss(fraction_lost);
        }
    }

    /// Asks the application's encoder for a key frame.
    fn request_own_key_frame(&mut self, source: Source, session: &SessionState) {
        let Some(LocalTrack::Video(video)) = session.local_tracks().find(source) else { return };
        video.request_key_frame();
        let now = Instant::now();
        for sender in self.senders.iter_mut().filter(|sender| sender.sends(source, video.codec())) {
            if sender.take_key_frame_event(now) {
                session.events().emit(ClientEvent::KeyFrameRequested(source));
            }
        }
    }
}
