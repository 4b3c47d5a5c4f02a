//! What the server measures, in the Prometheus text format, on an address of its own.
//!
//! ```text
//!   SFU workers ──► media ──┐
//!   signaling ────► control ├──► Exposition ──► GET /metrics (loopback unless told otherwise)
//!   /proc/self ───► process ┘
//! ```
//! Everything is read when it is asked for. Labels have values of fixed sets: a worker's number, a reason, a code. None
//! names a room, a participant or an address.

mod control;
mod family;
mod media;
mod process;

use crate::config::MetricsAddress;
use anyhow::Context;
use control::Control;
use media::Media;
use process::Process;
use prometheus_client::{encoding::prometheus_text, registry::Registry};
use sfu::Sfu;
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

/// Where metrics are if nothing is said: the port that is customary for exporters that are part of a program.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9_464);

/// Takes the port. That of the default may be in use, by another server on this machine for example; one that was asked
/// for must be free.
pub(crate) fn listen(address: Option<MetricsAddress>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(MetricsAddress::Off) => Ok(None),
        Some(MetricsAddress::At(address)) => {
            let listener =
                TcpListener::bind(address).with_context(|| format!("cannot show metrics on {address} (--metrics)"))?;
            if !address.ip().is_loopback() {
                tracing::warn!("the metrics are readable for whoever reaches {address}");
            }
            Ok(Some(listener))
        }
        None => match TcpListener::bind(DEFAULT) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) => {
                tracing::warn!(%error, "no metrics: {DEFAULT} is not to be had. Name another address with --metrics, or off");
                Ok(None)
            }
        },
    }
}

/// Where the metrics of a listener are.
pub(crate) fn url(listener: &TcpListener) -> String {
    listener.local_addr().map(|address| format!("http://{address}/metrics")).unwrap_or_default()
}

/// All measurements of the process.
#[derive(Clone, Debug)]
pub(crate) struct Exposition(Arc<Registry>);

impl Exposition {
    /// Measurements of these and of the process itself.
    pub(crate) fn new(sfu: Arc<Sfu>, rooms: signaling::Rooms, signaling: Arc<signaling::Metrics>) -> Self {
        let mut registry = Registry::default();
        // Dashboards expect these under their usual names.
        registry.register_collector(Box::new(Process::new()));
        let own = registry.sub_registry_with_prefix("tacet");
        own.register_collector(Box::new(Media(sfu)));
        own.register_collector(Box::new(Control { rooms, signaling }));
        Self(Arc::new(registry))
    }

    /// Answers those who ask, until the future is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let text = move || self.text();
        if let Err(error) = signaling::scrape::serve(listener, prometheus_text::CONTENT_TYPE, text).await {
            tracing::error!(%error, "metrics are no longer shown");
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails only if a collector does, and what was written by then is still right.
        if prometheus_text::encode(&mut text, &self.0).is_err() {
            tracing::error!("metrics are incomplete");
        }
        text
    }
}
