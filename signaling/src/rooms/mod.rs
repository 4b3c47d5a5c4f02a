//! All rooms of the server: creating them, entering them, and the tasks that run them.
//!
//! ```text
//!   Rooms ──► registry     existing rooms, and the credentials they admit
//!         ──► tasks        one for each room, around an I/O-free `Room`
//!         ──► media events routed straight to the task of their room
//! ```
//!
//! If a room panics its participants are closed, and no other room notices.

mod ids;
mod join_times;
pub(crate) mod registry;
mod task;
#[cfg(test)]
mod tests;

use crate::{
    access_hash::AccessHash, config::Config, media::MediaPlane, media_events::MediaEvents, metrics::Metrics,
    outbox::Outbox, placement::Placement, random::random,
};
use ids::Ids;
use registry::{Registry, RegistryError, RoomRecord};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tacet_proto::{
    CallId, ClientMessage, ParticipantId, RoomId, binary::ClientBinary, bytes::Fixed, client::Credential,
};
use task::Input;
use tokio::sync::{mpsc, oneshot};

/// A room cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The maximum number of rooms exists.
    #[error("the server has as many rooms as it may")]
    TooMany,
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
    /// The room cannot be stored.
    #[error("the room cannot be stored")]
    Storage(#[source] RegistryError),
}

/// Why a client cannot enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnterError {
    /// There is no such room, or it has just ended.
    #[error("no such room")]
    NoRoom,
    /// The credential is not valid for this room.
    #[error("wrong credential")]
    WrongCredential,
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
}

/// A connection's hold on the room that it entered; `leave` it.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) participant: ParticipantId,
    pub(crate) call: CallId,
    /// The room's number in logs.
    pub(crate) room: sfu_api::RoomId,
    inputs: mpsc::Sender<Input>,
}

/// The room's task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room has ended")]
pub(crate) struct Ended;

impl Attachment {
    /// Hands a request to the room.
    pub(crate) async fn request(&self, id: Option<u32>, message: ClientMessage) -> Result<(), Ended> {
        self.put(Input::Request(self.participant, id, message)).await
    }

    /// Hands a binary message to the room.
    pub(crate) async fn binary(&self, id: Option<u32>, message: ClientBinary) -> Result<(), Ended> {
        self.put(Input::Binary(self.participant, id, message)).await
    }

    /// Leaves the room, because the connection has ended.
    pub(crate) async fn leave(self) {
        let (reply, left) = oneshot::channel();
        if self.put(Input::Leave(self.participant, reply)).await.is_ok() {
            let _ = left.await;
        }
    }

    async fn put(&self, input: Input) -> Result<(), Ended> {
        self.inputs.send(input).await.map_err(|_| Ended)
    }
}

/// The way into the task of a room.
#[derive(Clone, Debug)]
struct Door {
    /// The room's number in the media plane and in logs.
    number: sfu_api::RoomId,
    inputs: mpsc::Sender<Input>,
}

/// The rooms. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms(Arc<Shared>);

/// What all rooms share.
struct Shared {
    config: Arc<Config>,
    media: Arc<dyn MediaPlane>,
    events: MediaEvents,
    placement: Placement,
    metrics: Arc<Metrics>,
    registry: Arc<dyn Registry>,
    tasks: Mutex<HashMap<RoomId, Door>>,
    ids: Ids,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rooms").finish_non_exhaustive()
    }
}

impl Shared {
    /// The way into the task of each room.
    fn tasks(&self) -> MutexGuard<'_, HashMap<RoomId, Door>> {
        // Every critical section leaves the map whole, so a panic in one is no reason to stop.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// No rooms yet.
    #[must_use]
    pub(crate) fn new(
        config: Arc<Config>,
        media: Arc<dyn MediaPlane>,
        events: MediaEvents,
        metrics: Arc<Metrics>,
        registry: Arc<dyn Registry>,
    ) -> Self {
        Self(Arc::new(Shared {
            placement: Placement::new(media.workers()),
            registry,
            config,
            media,
            events,
            metrics,
            tasks: Mutex::default(),
            ids: Ids::default(),
        }))
    }

    /// Creates a room for everyone who has the access token of this hash. Must be called inside a tokio runtime, and may
    /// block until the room is stored.
    ///
    /// # Errors
    /// See [`CreateError`].
    pub fn create(&self, access_hash: AccessHash) -> Result<RoomId, CreateError> {
        let id = RoomId(Fixed(random().map_err(|_| CreateError::NoRandomness)?));
        self.0.registry.insert(id, RoomRecord::new(access_hash)).map_err(|error| match error {
            RegistryError::Full => CreateError::TooMany,
            error @ RegistryError::Storage(_) => CreateError::Storage(error),
        })?;
        task::start(&self.0, id);
        Ok(id)
    }

    /// Number of rooms.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.registry.count()
    }

    /// Number of participants in all rooms, whether or not they have joined the call.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.0.placement.participants()
    }

    /// Admits a client whose credential is valid for the room.
    pub(crate) async fn enter(
        &self,
        room: RoomId,
        credential: &Credential,
        outbox: Outbox,
    ) -> Result<Attachment, EnterError> {
        let record = self.0.registry.get(room).ok_or(EnterError::NoRoom)?;
        let Credential::GuestAccess { token } = credential;
        if !record.access_hash.admits(token) {
            return Err(EnterError::WrongCredential);
        }
        let fresh = CallId(Fixed(random().map_err(|_| EnterError::NoRandomness)?));
        let participant = self.0.ids.participant();
        let Door { number, inputs } = self.0.tasks().get(&room).cloned().ok_or(EnterError::NoRoom)?;
        let (reply, call) = oneshot::channel();
        inputs.send(Input::Enter { participant, outbox, fresh, reply }).await.map_err(|_| EnterError::NoRoom)?;
        let call = call.await.map_err(|_| EnterError::NoRoom)?;
        Ok(Attachment { participant, call, room: number, inputs })
    }
}
