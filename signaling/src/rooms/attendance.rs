//! Who is in the call of a room, as webhooks are informed of it.

use crate::{
    api::ApiRecords,
    webhooks::{Event, EventKind},
};
use std::{collections::BTreeSet, fmt, sync::Arc};
use tacet_proto::{CallId, ParticipantId, RoomId};

/// Informs webhooks of a room's call.
pub(super) struct Attendance {
    api: Arc<ApiRecords>,
    room: RoomId,
    call: Option<CallId>,
    present: BTreeSet<ParticipantId>,
}

impl fmt::Debug for Attendance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attendance").finish_non_exhaustive()
    }
}

impl Attendance {
    /// Of a room in which this call goes on, if one does.
    pub(super) fn new(api: Arc<ApiRecords>, room: RoomId, call: Option<CallId>) -> Self {
        Self { api, room, call, present: BTreeSet::new() }
    }

    /// A call begins.
    pub(super) fn started(&mut self, call: CallId) {
        self.call = Some(call);
        self.notify(EventKind::RoomStarted, None);
    }

    /// A participant has joined: it is new, or has returned.
    pub(super) fn joined(&mut self, participant: ParticipantId) {
        if self.present.insert(participant) {
            self.notify(EventKind::ParticipantJoined, Some(participant));
        }
    }

    /// A participant goes on where it was before the server started.
    pub(super) fn continued(&mut self, participant: ParticipantId) {
        self.present.insert(participant);
    }

    /// A participant has left, if it had joined.
    pub(super) fn left(&mut self, participant: ParticipantId) {
        if self.present.remove(&participant) {
            self.notify(EventKind::ParticipantLeft, Some(participant));
        }
    }

    /// The call has ended, with all who are still in it.
    pub(super) fn ended(&mut self) {
        while let Some(participant) = self.present.pop_first() {
            self.notify(EventKind::ParticipantLeft, Some(participant));
        }
        if self.call.is_some() {
            self.notify(EventKind::RoomEnded, None);
        }
        self.call = None;
    }

    fn notify(&self, kind: EventKind, participant: Option<ParticipantId>) {
        if let Some(call) = self.call {
            self.api.webhooks.notify(Event { kind, room: self.room, call, participant });
        }
    }
}
