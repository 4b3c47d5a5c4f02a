//! The control plane as a whole, as a binary starts and stops it.

use crate::{
    accept::Acceptor,
    admission::Admission,
    api::ApiRecords,
    config::Config,
    http::{self, KeyRates, PageSource, Refusals},
    http1::Http1,
    media::MediaPlane,
    media_events::MediaEvents,
    metrics::Metrics,
    resume::ResumeKeys,
    room_token::TokenKeys,
    rooms::{
        Rooms,
        registry::{MemoryRegistry, Registry},
    },
    sockets::{SocketSettings, Sockets},
    webhooks,
};
use std::{
    io,
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::{interval, timeout},
};

/// Interval at which quiet addresses are forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// What a control plane keeps beyond its process, if it keeps anything.
#[derive(Debug)]
pub struct Kept {
    /// Its rooms.
    pub registry: Arc<dyn Registry>,
    /// What seals the tokens by which sessions are continued.
    pub resume_keys: Arc<ResumeKeys>,
    /// What belongs to programs that use the HTTP API.
    pub api: Arc<ApiRecords>,
    /// What signs the tokens that admit to rooms.
    pub token_keys: Arc<TokenKeys>,
}

impl Kept {
    /// Nothing: what it knows ends with the process.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn nothing(config: &Config) -> Result<Self, getrandom::Error> {
        let registry = Arc::new(MemoryRegistry::new(config.rooms));
        let (resume_keys, token_keys) = (Arc::new(ResumeKeys::random()?), Arc::new(TokenKeys::random()?));
        Ok(Self { registry, resume_keys, token_keys, api: Arc::default() })
    }
}

/// The control plane.
#[derive(Debug)]
pub struct Signaling {
    config: Arc<Config>,
    rooms: Rooms,
    api: Arc<ApiRecords>,
    metrics: Arc<Metrics>,
}

impl Signaling {
    /// A control plane with the rooms of a registry, whose tokens are sealed by these keys. `events` must be the one that the
    /// media plane reports to.
    #[must_use]
    pub fn new(config: Config, media: Arc<dyn MediaPlane>, events: MediaEvents, kept: Kept) -> Self {
        let hosts = config.hosts.clone().with_public(config.public_url.as_ref());
        let config = Arc::new(Config { hosts, ..config });
        let metrics = Arc::new(Metrics::default());
        let api = Arc::clone(&kept.api);
        let rooms = Rooms::new(Arc::clone(&config), media, events, Arc::clone(&metrics), kept);
        Self { config, rooms, api, metrics }
    }

    /// The rooms.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Opens the rooms of the registry and serves until `stop` is done. Then it tells every client that it may start again,
    /// closes every connection with 1012 and waits for them, up to twice [`Timing::linger`](crate::config::Timing).
    ///
    /// Without `tls` it speaks plain HTTP, for loopback or for proxies that encrypt it.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        &self,
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        page: Option<Arc<dyn PageSource>>,
        stop: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        self.rooms.open_known();
        let (stopping, stopped) = watch::channel(false);
        let (alive, mut ended) = mpsc::channel(1);
        let admission = Arc::new(Admission::new(&self.config));
        let key_rates = Arc::new(KeyRates::default());
        let refusals = Arc::new(Refusals::new(Arc::clone(&self.metrics)));
        let sockets = Sockets::new(SocketSettings::of(&self.config), Arc::clone(&self.metrics));
        self.metrics.sockets_most.store(sockets.total() as u64, Ordering::Relaxed);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let acceptor = Acceptor::new(listener, sockets, Arc::clone(&refusals), Arc::clone(&self.metrics));
        let app = http::router(http::Server {
            config: Arc::clone(&self.config),
            rooms: self.rooms.clone(),
            metrics: Arc::clone(&self.metrics),
            admission: Arc::clone(&admission),
            guesses: Arc::default(),
            api: Arc::clone(&self.api),
            key_rates: Arc::clone(&key_rates),
            refusals,
            page,
            stop: stopped.clone(),
            started: Instant::now(),
            alive,
        });
        // Every connection holds the routes, and with them the sender of `ended`.
        let serving = acceptor.run(Http1::new(app, tls, stopped, self.config.timing.linger));
        let forgetting = async {
            let mut every = interval(FORGET);
            loop {
                every.tick().await;
                admission.forget_quiet();
                key_rates.forget_quiet();
            }
        };
        let calling = webhooks::run(Arc::clone(&self.api), self.config.webhooks.clone(), Arc::clone(&self.metrics));
        let result = tokio::select! {
            result = serving => result,
            () = calling => Ok(()),
            () = forgetting => Ok(()),
            () = stop => Ok(()),
        };
        let _ = stopping.send(true);
        // When the last connection has ended, `recv` returns.
        let grace = self.config.timing.linger * 2;
        let _ = timeout(grace, ended.recv()).await;
        result
    }
}
