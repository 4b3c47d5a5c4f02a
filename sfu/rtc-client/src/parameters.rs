//! Transport parameters that signaling exchanges, named from the client's side.

use sfu_api::{LocalTransport, RemoteTransport};
use std::net::SocketAddr;

/// Parameters of the client, for the server. `Debug` hides the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalParameters {
    /// ICE username fragment (RFC 8445 section 5.3).
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the client's certificate, in DER form.
    pub fingerprint: [u8; 32],
}

/// Parameters of the server. `Debug` hides the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteParameters {
    /// ICE username fragment (RFC 8445 section 5.3).
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the server's certificate, in DER form.
    pub fingerprint: [u8; 32],
    /// Addresses of the server. The client uses the first.
    pub candidates: Vec<SocketAddr>,
}

/// The client's local half is the server's remote half.
impl From<LocalParameters> for RemoteTransport {
    fn from(LocalParameters { ufrag, pwd, fingerprint }: LocalParameters) -> Self {
        Self { ufrag, pwd, fingerprint }
    }
}

/// The server's local half is the client's remote half.
impl From<&LocalTransport> for RemoteParameters {
    fn from(server: &LocalTransport) -> Self {
        Self {
            ufrag: server.ufrag.clone(),
            pwd: server.pwd.clone(),
            fingerprint: server.fingerprint,
            candidates: server.candidates.clone(),
        }
    }
}

impl From<&RemoteParameters> for RemoteParameters {
    fn from(parameters: &RemoteParameters) -> Self {
        parameters.clone()
    }
}

impl std::fmt::Debug for LocalParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalParameters").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RemoteParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteParameters").field("candidates", &self.candidates).finish_non_exhaustive()
    }
}
