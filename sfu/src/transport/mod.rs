//! One client's path to the server: ICE (lite), DTLS, SRTP.
//!
//! Everything that leaves the process is made here: STUN replies, DTLS records, sealed SRTP and SRTCP. The types that a
//! socket accepts have no constructor outside of this module, so that a clear packet cannot reach one.

mod allowance;
mod cipher;
mod connection;
mod demux;
mod dtls;
mod endpoint;
#[cfg(test)]
mod hex;
mod ice;
mod kdf;
mod outbox;
mod replay;
pub mod srtp;
mod stun;

pub(crate) use connection::{Blocked, Clear, Connection};
pub use demux::Protocol;
pub use dtls::{Identity, IdentityError};
pub use endpoint::{ClientState, ClientTransport, Received};
pub(crate) use ice::Check;
pub use outbox::{Outbox, Run};
pub use stun::Credentials;
