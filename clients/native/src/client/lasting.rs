//! What outlives a connection: the wishes of the application, and the way to it.

use super::{
    event::{ClientEvent, ConnectionState},
    inlet::PublicationState,
    options::{ClientOptions, Receive},
    outlet::Outlet,
    roster::Roster,
    sending::Publication,
    snapshot::{ParticipantStatus, PublicationStatus, Received, Snapshot},
    sounds::Sounds,
};
use crate::call::JoinOptions;
use std::{collections::BTreeSet, sync::Arc, time::Instant};
use tacet_proto::TrackId;
use tokio::sync::{Notify, watch};

/// The state of a client beside its connection.
#[derive(Debug)]
pub(super) struct Lasting {
    pub(super) options: ClientOptions,
    pub(super) outlet: Outlet,
    /// Notified when the application has written something, or changed its mind.
    pub(super) wake: Arc<Notify>,
    pub(super) publications: Vec<Publication>,
    /// Emptied with each connection.
    pub(super) roster: Roster,
    /// Emptied with each connection; the mix goes on.
    pub(super) sounds: Sounds,
    /// Which tracks to ask for.
    pub(super) receive: Receive,
    /// With [`Receive::Chosen`].
    pub(super) chosen: BTreeSet<TrackId>,
    state: Option<ConnectionState>,
    pub(super) generation: Option<(u32, u8)>,
    pub(super) lost_on_the_way_up: f32,
    snapshot: watch::Sender<Snapshot>,
}

impl Lasting {
    pub(super) fn new(
        options: ClientOptions,
        outlet: Outlet,
        wake: Arc<Notify>,
        snapshot: watch::Sender<Snapshot>,
    ) -> Self {
        Self {
            sounds: Sounds::new(options.sound, options.channels),
            receive: options.receive,
            options,
            outlet,
            wake,
            publications: Vec::new(),
            roster: Roster::default(),
            chosen: BTreeSet::new(),
            state: None,
            generation: None,
            lost_on_the_way_up: 0.0,
            snapshot,
        }
    }

    /// How the next connection joins.
    pub(super) fn joining(&self) -> JoinOptions {
        JoinOptions {
            trust: self.options.trust,
            subscribe: self.receive == Receive::Everything,
            ..JoinOptions::new(&self.options.name)
        }
    }

    /// The connection's state has changed.
    pub(super) fn enter(&mut self, state: ConnectionState) {
        self.state = Some(state.clone());
        self.outlet.event(ClientEvent::Connection(state));
    }

    /// The connection is lost: what came with it goes.
    pub(super) fn forget(&mut self) {
        let outlet = &self.outlet;
        self.roster.clear(&mut |event| outlet.event(event));
        self.sounds.clear();
        self.generation = None;
        self.lost_on_the_way_up = 0.0;
        for publication in &self.publications {
            publication.set_state(PublicationState::Waiting);
        }
    }

    /// Throws away what is written while nothing can be sent, and publications that nobody holds.
    pub(super) fn idle(&mut self) {
        self.publications.retain(|publication| !publication.closed());
        self.publications.iter().for_each(Publication::discard);
    }

    /// Hands out the next 20 ms of sound.
    pub(super) fn sound(&mut self, now: Instant) {
        let outlet = &self.outlet;
        self.sounds.pull(now, &mut |block| outlet.sound(block));
    }

    /// Shows how things stand.
    pub(super) fn publish_snapshot(&self, received: Received) {
        let tracks: Vec<_> = self.roster.shown_tracks().collect();
        let participants = self.roster.members().map(|(participant, encryption)| ParticipantStatus {
            level: self.sounds.level(participant.id),
            tracks: tracks.iter().filter(|track| track.participant == participant.id).copied().collect(),
            participant,
            encryption,
        });
        let publications = self.publications.iter().map(|publication| PublicationStatus {
            source: publication.source(),
            state: publication.state(),
            muted: publication.muted(),
        });
        self.snapshot.send_replace(Snapshot {
            connection: self.state.clone(),
            generation: self.generation,
            participants: participants.collect(),
            publications: publications.collect(),
            received,
            lost_on_the_way_up: self.lost_on_the_way_up,
        });
    }
}
