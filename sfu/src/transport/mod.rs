//! The path between the server and one client: ICE (lite), DTLS, SRTP.
//!
//! Everything that the process sends is made here: STUN responses, DTLS records, sealed SRTP and SRTCP. The types that a
//! socket accepts have no constructor outside of this module, so that a clear packet cannot reach one.

mod allowance;
mod datagram;
mod ice;
mod outbox;
mod server;
mod tuple;

pub use datagram::Datagram;
pub use dtls_srtp::{Credentials, DatagramKind, Identity, IdentityError, srtp};
pub(crate) use ice::Check;
pub use outbox::{Outbox, Run};
pub(crate) use server::{Blocked, Clear, ServerTransport, TransportEvent};
pub use tuple::{Protocol, Tuple};
