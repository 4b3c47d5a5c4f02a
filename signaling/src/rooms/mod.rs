//! All rooms of the server: creating them, entering them, and the tasks that run them.
//!
//! ```text
//!   Rooms ──► registry     existing rooms, and the credentials they admit
//!         ──► tasks        one for each room, around an I/O-free `Room`
//!         ──► media events routed straight to the task of their room
//! ```
//!
//! If a room panics its participants are closed, and no other room notices.

mod attendance;
pub(crate) mod file_registry;
mod ids;
mod join_times;
pub(crate) mod registry;
pub(crate) mod stock;
mod task;
#[cfg(test)]
mod tests;

use crate::{
    access_hash::AccessHash,
    api::ApiRecords,
    config::{Config, RoomLimits},
    media::MediaPlane,
    media_events::MediaEvents,
    metrics::{Metrics, Resumption},
    outbox::{Closer, Outbox, Outgoings},
    placement::Placement,
    random::random,
    rate::TypeRates,
    resume::{self, Invalid, Proven, ResumeKeys, origin::Origins, token::Claims},
    room::{Entered, Holder, RoomPolicy, Standing},
    room_token::{self, IssueError, TokenError, TokenKeys, TokenRequest},
    server::Kept,
};
use ids::Ids;
use registry::{Registry, RegistryError, RoomRecord, Unentered};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use stock::{Admission, MAX_OF_STARTS, Maker, Makers};
use tacet_proto::{
    CallId, Capabilities, ClientMessage, ParticipantId, Role, RoomId, SessionId,
    binary::ClientBinary,
    bytes::Fixed,
    client::{Credential, Hello},
    resume::{Continues, Resume, Tokens},
};
use task::Input;
use tokio::sync::{mpsc, oneshot};

/// A room cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The maximum number of rooms exists.
    #[error("the server has as many rooms as it may")]
    TooMany,
    /// The network has as many rooms as it may, until one of them is gone.
    #[error("too many rooms were created from your network and not entered")]
    TooManyOfNetwork(Duration),
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
    /// The room cannot be stored.
    #[error("the room cannot be stored")]
    Storage(#[source] RegistryError),
}

/// A room token is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// There is no such room.
    #[error("there is no such room")]
    NoRoom,
    /// No token like this is made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
}

/// A participant is not removed, or not for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KickError {
    /// There is no such participant.
    #[error("there is no such participant")]
    NoParticipant,
    /// It is there still: the room has as many bans as it may.
    #[error("the room has as many bans as it may: remove the participant without one, and lock the room")]
    BansFull,
    /// It is gone, but the record of the room does not say so.
    #[error("it is removed, but that could not be written: a restart of the server may undo it")]
    NotWritten,
}

/// What the operator may know of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomDescription {
    /// When a call in the room last began or ended, or when the room was created.
    pub used: SystemTime,
    /// Participants that have entered, those that are away among them.
    pub participants: usize,
    /// Who may come in.
    pub policy: RoomPolicy,
}

/// A participant as the operator may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its id, random for the call.
    pub participant: ParticipantId,
    /// What it is in the room.
    pub role: Role,
    /// Whether it has joined the call, or is about to.
    pub joined: bool,
}

/// Why a client cannot enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnterError {
    /// There is no such room.
    #[error("no such room")]
    NoRoom,
    /// The room is not open at this moment: it is about to open again after a fault.
    #[error("the room is not open")]
    NotOpen,
    /// The credential is not valid for this room.
    #[error("wrong credential")]
    WrongCredential,
    /// The room token does not admit.
    #[error("room token refused: {0}")]
    Token(TokenError),
    /// Guests by link do not come in.
    #[error("no guests")]
    NoGuests,
    /// The room is locked.
    #[error("the room is locked")]
    Locked,
    /// The holder of the token was banned.
    #[error("banned")]
    Banned,
    /// The worker of the call has more to send than it can.
    #[error("the media plane is overloaded")]
    Overloaded,
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
    /// The session that the client asks to continue cannot be continued.
    #[error("the session cannot be continued: {0}")]
    NotResumable(&'static str),
}

/// Where an input comes from. One that comes from a connection which is no longer the participant's is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    participant: ParticipantId,
    connection: u64,
}

/// A connection that asks to enter a room.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) hello: &'a Hello,
    /// The nonce of its challenge.
    pub(crate) nonce: [u8; 32],
    /// How the client may have reached the server.
    pub(crate) origins: &'a Origins,
    /// Ends it.
    pub(crate) closer: Closer,
}

/// A connection's hold on a session; `detach` it.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) entered: Entered,
    /// How to continue the session.
    pub(crate) tokens: Tokens,
    /// The room's number in logs.
    pub(crate) room: sfu_api::RoomId,
    /// The session's outbox.
    pub(crate) outbox: Outbox,
    /// The session's messages for this connection, to be taken once.
    pub(crate) outgoings: Option<Outgoings>,
    /// What the session may still send of each type of message.
    pub(crate) rates: Arc<Mutex<TypeRates>>,
    connection: u64,
    inputs: mpsc::Sender<Input>,
}

/// The room's task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room has ended")]
pub(crate) struct Ended;

impl Attachment {
    /// Hands a request to the room.
    pub(crate) async fn request(&self, id: Option<u32>, message: ClientMessage) -> Result<(), Ended> {
        self.put(Input::Request(self.source(), id, message)).await
    }

    /// Hands a binary message to the room.
    pub(crate) async fn binary(&self, id: Option<u32>, message: ClientBinary) -> Result<(), Ended> {
        self.put(Input::Binary(self.source(), id, message)).await
    }

    /// Lets go of the session, because the connection has ended.
    pub(crate) async fn detach(self) {
        let (reply, detached) = oneshot::channel();
        if self.put(Input::Detach(self.source(), reply)).await.is_ok() {
            let _ = detached.await;
        }
    }

    fn source(&self) -> Source {
        Source { participant: self.entered.participant, connection: self.connection }
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
    resume_keys: Arc<ResumeKeys>,
    token_keys: Arc<TokenKeys>,
    api: Arc<ApiRecords>,
    tasks: Mutex<HashMap<RoomId, Door>>,
    makers: Mutex<Makers>,
    ids: Ids,
    /// Number of the last connection that entered a room.
    connections: AtomicU64,
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
    /// The rooms of a registry, which open with [`open_known`](Self::open_known).
    #[must_use]
    pub(crate) fn new(
        config: Arc<Config>,
        media: Arc<dyn MediaPlane>,
        events: MediaEvents,
        metrics: Arc<Metrics>,
        Kept { registry, resume_keys, token_keys, api }: Kept,
    ) -> Self {
        Self(Arc::new(Shared {
            placement: Placement::new(media.workers()),
            registry,
            config,
            media,
            events,
            metrics,
            resume_keys,
            token_keys,
            api,
            tasks: Mutex::default(),
            makers: Mutex::default(),
            ids: Ids::default(),
            connections: AtomicU64::new(0),
        }))
    }

    /// The limits of each room.
    pub(crate) fn limits(&self) -> RoomLimits {
        self.0.config.room
    }

    /// Opens all rooms of the registry that are not open yet. Those with a call await its participants from now on. Must be
    /// called inside a tokio runtime.
    pub(crate) fn open_known(&self) {
        for room in self.0.registry.rooms() {
            if !self.0.tasks().contains_key(&room) {
                task::start(&self.0, room);
            }
        }
    }

    /// Creates a room of the operator for everyone who has the access token of this hash: [`create_by`](Self::create_by).
    ///
    /// # Errors
    /// See [`CreateError`].
    pub fn create(&self, access_hash: AccessHash) -> Result<RoomId, CreateError> {
        self.create_by(access_hash, Maker::Operator)
    }

    /// Creates a room for everyone who has the access token of this hash. If there is no space, a room goes that no one has
    /// entered. Must be called inside a tokio runtime, and may block until the room is stored.
    ///
    /// # Errors
    /// See [`CreateError`].
    pub fn create_by(&self, access_hash: AccessHash, maker: Maker) -> Result<RoomId, CreateError> {
        let id = RoomId(Fixed(random().map_err(|_| CreateError::NoRandomness)?));
        self.create_as(id, access_hash, maker, RoomPolicy::default())?;
        Ok(id)
    }

    /// Creates a room of this id and policy, unless it exists: [`create_by`](Self::create_by).
    pub(crate) fn create_as(
        &self,
        id: RoomId,
        access_hash: AccessHash,
        maker: Maker,
        policy: RoomPolicy,
    ) -> Result<(), CreateError> {
        let registry = &self.0.registry;
        let mut makers = self.0.makers.lock().unwrap_or_else(PoisonError::into_inner);
        if registry.get(id).is_some() {
            return Ok(());
        }
        match maker {
            Maker::Operator => {}
            Maker::Start => self.make_space_for_a_start().map_err(CreateError::Storage)?,
            Maker::Anyone(network) => {
                let now = SystemTime::now();
                match makers.admit(network, now, registry.capacity(), |room| registry.get(room)) {
                    Admission::Free => {}
                    Admission::InPlaceOf(room) => {
                        if registry.remove_idle(room).map_err(CreateError::Storage)? {
                            self.close(room);
                        }
                    }
                    Admission::Refused(wait) => return Err(CreateError::TooManyOfNetwork(wait)),
                }
            }
        }
        let record = RoomRecord { policy, unentered: maker.unentered(), ..RoomRecord::new(access_hash) };
        let inserted = registry.insert(id, record.clone()).or_else(|error| match error {
            RegistryError::Full => {
                let evicted = registry.evict()?.ok_or(RegistryError::Full)?;
                self.close(evicted);
                registry.insert(id, record)
            }
            error @ RegistryError::Storage(_) => Err(error),
        });
        inserted.map_err(|error| match error {
            RegistryError::Full => CreateError::TooMany,
            error @ RegistryError::Storage(_) => CreateError::Storage(error),
        })?;
        if let Maker::Anyone(network) = maker {
            makers.made(id, network);
        }
        task::start(&self.0, id);
        Ok(())
    }

    /// Lets go of the oldest rooms that earlier starts made and no one has entered.
    fn make_space_for_a_start(&self) -> Result<(), RegistryError> {
        let registry = &self.0.registry;
        let used_if_of_start = |room| {
            let record = registry.get(room).filter(|record| record.unentered == Some(Unentered::OfStart))?;
            Some((record.used, room))
        };
        let mut of_starts: Vec<_> = registry.rooms().into_iter().filter_map(used_if_of_start).collect();
        of_starts.sort_unstable();
        let surplus = (of_starts.len() + 1).saturating_sub(MAX_OF_STARTS);
        for (_, room) in of_starts.into_iter().take(surplus) {
            if registry.remove_idle(room)? {
                self.close(room);
            }
        }
        Ok(())
    }

    /// Closes the way into a room that is no longer in the registry. Its task ends once no connection has it open.
    fn close(&self, room: RoomId) {
        self.0.tasks().remove(&room);
        tracing::debug!("a room that was not used made space for another");
    }

    /// Ends a room for all: its link opens nothing any more. Returns whether there was such a room. May block until that is
    /// stored.
    ///
    /// # Errors
    /// It cannot be stored; the room goes on.
    pub fn end(&self, room: RoomId) -> Result<bool, RegistryError> {
        if self.0.registry.get(room).is_none() {
            return Ok(false);
        }
        self.0.registry.remove(room)?;
        // Of several that end it at once, one has.
        let Some(Door { inputs, .. }) = self.0.tasks().remove(&room) else { return Ok(false) };
        // A task that has ended has no participants.
        let _ = inputs.blocking_send(Input::End);
        Ok(true)
    }

    /// At most `limit` rooms whose ids come after one, in the order of ids.
    #[must_use]
    pub fn list(&self, after: Option<RoomId>, limit: usize) -> Vec<RoomId> {
        let mut rooms = self.0.registry.rooms();
        rooms.retain(|room| after.is_none_or(|after| *room > after));
        rooms.sort_unstable();
        rooms.truncate(limit);
        rooms
    }

    /// What is known of a room; `None` if there is no such room.
    pub async fn describe(&self, room: RoomId) -> Option<RoomDescription> {
        let record = self.0.registry.get(room)?;
        let (reply, count) = oneshot::channel();
        let participants = match self.door(room) {
            Ok(Door { inputs, .. }) if inputs.send(Input::Count(reply)).await.is_ok() => {
                count.await.unwrap_or_default()
            }
            _ => 0,
        };
        Some(RoomDescription { used: record.used, participants, policy: record.policy })
    }

    /// The participants of a room; `None` if there is no such room.
    pub async fn participants_of(&self, room: RoomId) -> Option<Vec<Present>> {
        self.0.registry.get(room)?;
        let Ok(Door { inputs, .. }) = self.door(room) else { return Some(Vec::new()) };
        let (reply, list) = oneshot::channel();
        match inputs.send(Input::List(reply)).await {
            Ok(()) => Some(list.await.unwrap_or_default()),
            Err(_) => Some(Vec::new()),
        }
    }

    /// Removes a participant from a room, and bans it if so asked. Its connection is closed, and this returns, once that is
    /// written.
    ///
    /// # Errors
    /// See [`KickError`].
    pub async fn kick(&self, room: RoomId, participant: ParticipantId, ban: bool) -> Result<(), KickError> {
        let Door { inputs, .. } = self.door(room).map_err(|_| KickError::NoParticipant)?;
        let (reply, removed) = oneshot::channel();
        let asked = inputs.send(Input::Remove { participant, ban, reply }).await;
        asked.map_err(|_| KickError::NoParticipant)?;
        removed.await.unwrap_or(Err(KickError::NoParticipant))
    }

    /// Changes who may come into a room. Those inside stay as they are. Returns who may now, or `None` if there is no such
    /// room. May block until that is stored.
    ///
    /// # Errors
    /// It cannot be stored; nothing is changed.
    pub fn change_policy(
        &self,
        room: RoomId,
        change: impl Fn(&mut RoomPolicy),
    ) -> Result<Option<RoomPolicy>, RegistryError> {
        let mut changed = None;
        self.0.registry.update(room, &mut |record| {
            change(&mut record.policy);
            changed = Some(record.policy);
        })?;
        if let (Some(policy), Ok(Door { inputs, .. })) = (changed, self.door(room)) {
            // A task that has ended reads the record when it starts again.
            let _ = inputs.blocking_send(Input::Policy(policy));
        }
        Ok(changed)
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
    pub(crate) async fn enter(&self, arrival: Arrival<'_>) -> Result<Attachment, EnterError> {
        let Arrival { hello, nonce, origins, closer } = arrival;
        let record = self.0.registry.get(hello.room).ok_or(EnterError::NoRoom)?;
        let standing = self.standing(hello.room, &record, &hello.credential)?;
        let resumed = match &hello.resume {
            Some(resume) => Some(self.proven(&nonce, origins, hello.room, resume).await?),
            None => None,
        };
        let entered = self.attach(hello.room, resumed, standing, closer).await;
        if resumed.is_some() {
            let outcome = match &entered {
                Ok(attachment) => match attachment.entered.continues {
                    Continues::Session => Resumption::Session,
                    Continues::Seat => Resumption::Seat,
                    Continues::Participant | Continues::Nothing => Resumption::Participant,
                },
                Err(_) => Resumption::Refused,
            };
            self.0.metrics.resumptions.count(outcome);
        }
        entered
    }

    /// What a credential allows in a room.
    fn standing(&self, room: RoomId, record: &RoomRecord, credential: &Credential) -> Result<Standing, EnterError> {
        match credential {
            Credential::GuestAccess { token } if record.access_hash.admits(token) => {
                record.policy.guests.map(Standing::guest).ok_or(EnterError::NoGuests)
            }
            Credential::GuestAccess { .. } => Err(EnterError::WrongCredential),
            Credential::RoomToken { token } => {
                let grant = room_token::verify(&self.0.token_keys, room, token, SystemTime::now());
                let grant = grant.map_err(EnterError::Token)?;
                let holder = Some(Holder { token: grant.id, identity: grant.identity });
                let at_most = grant.capabilities.unwrap_or(Capabilities::ALL);
                Ok(Standing { role: grant.role, at_most, holder, earlier: Vec::new() })
            }
        }
    }

    /// Makes a token that admits to a room.
    ///
    /// # Errors
    /// See [`TokenRefused`].
    pub fn issue_token(&self, request: &TokenRequest) -> Result<String, TokenRefused> {
        self.0.registry.get(request.room).ok_or(TokenRefused::NoRoom)?;
        let id = random().map_err(|_| TokenRefused::NoRandomness)?;
        Ok(room_token::issue(&self.0.token_keys, request, id, SystemTime::now())?)
    }

    async fn proven(
        &self,
        nonce: &[u8; 32],
        origins: &Origins,
        room: RoomId,
        resume: &Resume,
    ) -> Result<Proven, EnterError> {
        let invalid = |invalid: Invalid| {
            self.0.metrics.resumptions.count(Resumption::Invalid);
            EnterError::NotResumable(match invalid {
                Invalid::Token => "its token does not open",
                Invalid::Proof => "its proof is not of this device, connection and origin",
            })
        };
        let mut opened = resume::open(&self.0.resume_keys, room, resume).map_err(invalid)?;
        if opened.claims.device.is_none() {
            // The token was issued before the device was known.
            let Door { inputs, .. } = self.door(room)?;
            let (reply, device) = oneshot::channel();
            let Claims { participant, session, .. } = opened.claims;
            inputs.send(Input::Device { participant, session, reply }).await.map_err(|_| EnterError::NotOpen)?;
            opened.claims.device = device.await.map_err(|_| EnterError::NotOpen)?;
        }
        resume::check(opened, resume, room, origins, nonce).map_err(invalid)
    }

    fn door(&self, room: RoomId) -> Result<Door, EnterError> {
        self.0.tasks().get(&room).cloned().ok_or(EnterError::NotOpen)
    }

    async fn attach(
        &self,
        room: RoomId,
        resumed: Option<Proven>,
        standing: Standing,
        closer: Closer,
    ) -> Result<Attachment, EnterError> {
        let call = CallId(Fixed(random().map_err(|_| EnterError::NoRandomness)?));
        let session = SessionId(Fixed(random().map_err(|_| EnterError::NoRandomness)?));
        let id = self.0.ids.participant().map_err(|_| EnterError::NoRandomness)?;
        let Door { number, inputs } = self.door(room)?;
        let connection = self.0.connections.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (reply, welcomed) = oneshot::channel();
        let enter = task::Enter { resumed, standing, id, session, call, connection, closer, reply };
        inputs.send(Input::Enter(Box::new(enter))).await.map_err(|_| EnterError::NotOpen)?;
        let welcomed = welcomed.await.map_err(|_| EnterError::NotOpen)?;
        let task::Welcomed { entered, tokens, outbox, outgoings, rates } =
            welcomed.map_err(|not_welcome| match not_welcome {
                task::NotWelcome::NotResumable => EnterError::NotResumable("it is over"),
                task::NotWelcome::Overloaded => EnterError::Overloaded,
                task::NotWelcome::Locked => EnterError::Locked,
                task::NotWelcome::Banned => EnterError::Banned,
            })?;
        let outgoings = Some(outgoings);
        Ok(Attachment { entered, tokens, room: number, outbox, outgoings, rates, connection, inputs })
    }
}
