//! A server in this process: SFU and signaling, connected as in the binary.

use sfu::net::{Sfu, SfuConfig};
use signaling::{
    AccessHash, Config, Kept, MediaEvents, MediaPlane, MemoryRegistry, Registry, ResumeKeys, Signaling, TokenKeys,
    config::RoomLimits,
    room_token::{TokenRequest, issue},
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tacet_native::link::RoomLink;
use tacet_proto::{Role, RoomId};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::TIMEOUT;

const INVITE: [u8; 32] = [9; 32];

/// A running server with one room. Dropping it stops it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) room: RoomId,
    pub(crate) media_port: u16,
    registry: Arc<dyn Registry>,
    resume_keys: Arc<ResumeKeys>,
    token_keys: Arc<TokenKeys>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

struct Plane(Sfu);

impl MediaPlane for Plane {
    fn workers(&self) -> usize {
        self.0.workers()
    }

    fn command(&self, worker: usize, request: sfu::Request) {
        self.0.command(worker, request).unwrap();
    }
}

impl Server {
    /// Starts one. Must be called inside a tokio runtime.
    pub(crate) fn start() -> Self {
        Self::start_with(None, Kept::nothing(&Config::default()).unwrap(), RoomLimits::default())
    }

    /// Starts one whose clients send no audio levels in packets.
    pub(crate) fn without_levels() -> Self {
        let limits = RoomLimits { audio_levels: false, ..RoomLimits::default() };
        Self::start_with(None, Kept::nothing(&Config::default()).unwrap(), limits)
    }

    /// Stops it and starts another one that knows what the first one has kept.
    pub(crate) async fn restart(self) -> Self {
        let Self { room, registry, resume_keys, token_keys, stop, serving, .. } = self;
        drop(stop);
        timeout(TIMEOUT, serving).await.unwrap().unwrap();
        // What tasks of the first one would still write is lost, as if its process had ended.
        let written = MemoryRegistry::new(1);
        written.insert(room, registry.get(room).unwrap()).unwrap();
        let kept = Kept { registry: Arc::new(written), resume_keys, token_keys, api: Arc::default() };
        Self::start_with(Some(room), kept, RoomLimits::default())
    }

    /// Starts another server with the same room. Calls of the two have nothing to do with each other.
    pub(crate) fn twin(&self) -> Self {
        let registry = MemoryRegistry::new(1);
        registry.insert(self.room, self.registry.get(self.room).unwrap()).unwrap();
        let (resume_keys, token_keys) = (Arc::clone(&self.resume_keys), Arc::clone(&self.token_keys));
        let kept = Kept { registry: Arc::new(registry), resume_keys, token_keys, api: Arc::default() };
        Self::start_with(Some(self.room), kept, RoomLimits::default())
    }

    /// Starts a server with what another one has kept, or with a new room.
    fn start_with(room: Option<RoomId>, kept: Kept, limits: RoomLimits) -> Self {
        let events = MediaEvents::default();
        let of_workers = events.clone();
        let sfu = Sfu::start(&SfuConfig::default(), move |_, event| of_workers.send(event)).unwrap();
        let media_port = sfu.local_ports()[0];
        let config =
            Config { room: limits, connections_per_address: None, handshakes_per_second: None, ..Config::default() };
        let (registry, resume_keys) = (Arc::clone(&kept.registry), Arc::clone(&kept.resume_keys));
        let token_keys = Arc::clone(&kept.token_keys);
        let signaling = Signaling::new(config, Arc::new(Plane(sfu)), events, kept);
        let room = room.unwrap_or_else(|| {
            let hash = AccessHash::of(&e2ee_frames::access_token(&INVITE));
            signaling.rooms().create(hash).unwrap()
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            signaling.serve(listener, None, None, stopped).await.unwrap();
        });
        Self { address, room, media_port, registry, resume_keys, token_keys, stop, serving }
    }

    /// The room's link, with a token for a role.
    pub(crate) fn link_of(&self, role: Role) -> RoomLink {
        let request = TokenRequest {
            room: self.room,
            role,
            capabilities: None,
            identity: None,
            not_before: None,
            lifetime: Duration::from_secs(600),
        };
        let id = std::array::from_fn(|_| role as u8);
        self.link().with_token(&issue(&self.token_keys, &request, id, SystemTime::now()).unwrap())
    }

    /// The room's link.
    pub(crate) fn link(&self) -> RoomLink {
        self.link_through(self.address)
    }

    /// The room's link with another address of the server.
    pub(crate) fn link_through(&self, address: SocketAddr) -> RoomLink {
        RoomLink::new(false, &address.to_string(), self.room, INVITE)
    }

    /// A link to the room with a wrong secret.
    pub(crate) fn forged_link(&self) -> RoomLink {
        RoomLink::new(false, &self.address.to_string(), self.room, [1; 32])
    }
}
