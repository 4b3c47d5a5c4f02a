//! The two halves of a participant's transport, and its state.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The client's half of a transport. `Debug` shows no credentials.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteTransport {
    /// ICE username fragment (RFC 8445 section 5.3).
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the certificate that the client will present, in DER form.
    pub fingerprint: [u8; 32],
}

impl std::fmt::Debug for RemoteTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteTransport").finish_non_exhaustive()
    }
}

/// The server's half of a transport. `Debug` shows no credentials.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalTransport {
    /// ICE username fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the server's certificate, in DER form.
    pub fingerprint: [u8; 32],
    /// Where the client reaches the worker: advertised addresses, with the worker's own port.
    pub candidates: Vec<SocketAddr>,
}

impl std::fmt::Debug for LocalTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalTransport").field("candidates", &self.candidates).finish_non_exhaustive()
    }
}

/// State of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransportState {
    /// SRTP keys are in use.
    Connected,
    /// The client has not answered a connectivity check for a while; the transport is kept and may recover.
    Disconnected,
    /// The handshake failed: wrong fingerprint, no common SRTP profile. The transport does not recover.
    Failed,
    /// The client closed it.
    Closed,
}
