//! The control plane as a whole, as a binary starts and stops it.

use crate::{
    accept::{Acceptor, Peer},
    admission::Admission,
    config::Config,
    http::{self, PageSource, Refusals},
    media::MediaPlane,
    media_events::MediaEvents,
    metrics::Metrics,
    resume::ResumeKeys,
    rooms::{
        Rooms,
        registry::{MemoryRegistry, Registry},
    },
};
use axum_server::{
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{interval, timeout},
};

/// Interval at which quiet addresses are forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// Time within which the headers of a request must arrive.
const HEADERS: Duration = Duration::from_secs(10);

/// What a control plane keeps beyond its process, if it keeps anything.
#[derive(Debug)]
pub struct Kept {
    /// Its rooms.
    pub registry: Arc<dyn Registry>,
    /// What seals the tokens by which sessions are continued.
    pub resume_keys: Arc<ResumeKeys>,
}

impl Kept {
    /// Nothing: what it knows ends with the process.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub fn nothing(config: &Config) -> Result<Self, getrandom::Error> {
        let registry = Arc::new(MemoryRegistry::new(config.rooms));
        Ok(Self { registry, resume_keys: Arc::new(ResumeKeys::random()?) })
    }
}

/// The control plane.
#[derive(Debug)]
pub struct Signaling {
    config: Arc<Config>,
    rooms: Rooms,
    metrics: Arc<Metrics>,
}

impl Signaling {
    /// A control plane with the rooms of a registry, whose tokens are sealed by these keys. `events` must be the one that the
    /// media plane reports to.
    #[must_use]
    pub fn new(config: Config, media: Arc<dyn MediaPlane>, events: MediaEvents, kept: Kept) -> Self {
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::default());
        let rooms = Rooms::new(Arc::clone(&config), media, events, Arc::clone(&metrics), kept);
        Self { config, rooms, metrics }
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
        let acceptor = Acceptor::new(tokio::net::TcpListener::from_std(listener)?, Arc::clone(&self.metrics));
        let app = http::router(http::Server {
            config: Arc::clone(&self.config),
            rooms: self.rooms.clone(),
            metrics: Arc::clone(&self.metrics),
            admission: Arc::clone(&admission),
            refusals: Arc::new(Refusals::new(Arc::clone(&self.metrics))),
            page,
            stop: stopped,
            alive,
        })
        .into_make_service_with_connect_info::<SocketAddr>();

        let handle = axum_server::Handle::new();
        let serving = async {
            // Not `http1_only()`, which would refuse upgrades too. Over TLS the binary offers only HTTP/1.1 by ALPN.
            let mut server = axum_server::Server::<Peer>::from_listener(acceptor).acceptor(NoDelayAcceptor::new());
            server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
            let server = server.handle(handle.clone());
            match tls {
                None => server.serve(app).await,
                Some(tls) => {
                    let tls = RustlsConfig::from_config(tls);
                    server.map(|tcp| RustlsAcceptor::new(tls).acceptor(tcp)).serve(app).await
                }
            }
        };
        let forgetting = async {
            let mut every = interval(FORGET);
            loop {
                every.tick().await;
                admission.forget_quiet();
            }
        };
        let stopping = async {
            stop.await;
            let _ = stopping.send(true);
            handle.graceful_shutdown(Some(self.config.timing.linger));
        };
        let result = tokio::select! {
            result = async { tokio::join!(serving, stopping).0 } => result,
            () = forgetting => Ok(()),
        };
        // Every connection holds a sender; when the last one is dropped, `recv` returns.
        let grace = self.config.timing.linger * 2;
        let _ = timeout(grace, ended.recv()).await;
        result
    }
}
