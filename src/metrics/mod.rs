//! Server metrics in the Prometheus text format, on a separate address.
//!
//! ```text
//!   SFU workers ──► media ──┐
//!   signaling ────► control ├──► Exposition ──► GET /metrics (loopback by default)
//!   /proc/self ───► process ┘
//! ```
//! Values are read when they are requested. Label values come from fixed sets: a worker's number, a reason, a code. No
//! label contains a room, a participant or an address.

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
use signaling::config::Hosts;
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

/// Default address of the metrics: the port that is usual for exporters inside a program.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9_464);

/// Binds the listener. If the default port is in use, for example by another server on this machine, metrics are
/// disabled; a port that was configured must be free.
pub(crate) fn listen(address: Option<MetricsAddress>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(MetricsAddress::Off) => Ok(None),
        Some(MetricsAddress::At(address)) => {
            let listener =
                TcpListener::bind(address).with_context(|| format!("cannot bind {address} for metrics (--metrics)"))?;
            if !address.ip().is_loopback() {
                tracing::warn!("anyone who can reach {address} can read the metrics");
            }
            Ok(Some(listener))
        }
        None => match TcpListener::bind(DEFAULT) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) => {
                tracing::warn!(%error, "cannot bind {DEFAULT}; metrics are disabled. Set another address with --metrics, or --metrics off");
                Ok(None)
            }
        },
    }
}

/// URL of the metrics of a listener.
pub(crate) fn url(listener: &TcpListener) -> String {
    listener.local_addr().map(|address| format!("http://{address}/metrics")).unwrap_or_default()
}

/// All metrics of the process.
#[derive(Clone, Debug)]
pub(crate) struct Exposition(Arc<Registry>);

impl Exposition {
    /// Metrics of the SFU, of signaling and of the process.
    pub(crate) fn new(sfu: Arc<Sfu>, rooms: signaling::Rooms, signaling: Arc<signaling::Metrics>) -> Self {
        let mut registry = Registry::default();
        // Dashboards expect these under their usual names.
        registry.register_collector(Box::new(Process::new()));
        let own = registry.sub_registry_with_prefix("tacet");
        own.register_collector(Box::new(Media(sfu)));
        own.register_collector(Box::new(Control { rooms, signaling }));
        Self(Arc::new(registry))
    }

    /// Serves requests until the future is dropped.
    pub(crate) async fn serve(self, listener: TcpListener, hosts: Hosts) {
        let text = move || self.text();
        // Metrics on loopback are for this machine, even if the rest is not.
        let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let hosts = if is_local { Hosts::Loopback(Vec::new()) } else { hosts };
        if let Err(error) = signaling::scrape::serve(listener, hosts, prometheus_text::CONTENT_TYPE, text).await {
            tracing::error!(%error, "the metrics server failed");
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails only if a collector fails; the text up to there is valid.
        if prometheus_text::encode(&mut text, &self.0).is_err() {
            tracing::error!("a collector failed; metrics are incomplete");
        }
        text
    }
}
