//! One client's path to the server: ICE (lite), DTLS, SRTP.
//!
//! Everything that leaves the process is made here: STUN replies, DTLS records, sealed SRTP and SRTCP. The types that a
//! socket accepts have no constructor outside of this module, so that a clear packet cannot reach one.

mod allowance;
mod connection;
mod ice;
mod outbox;

pub(crate) use connection::{Blocked, Clear, Connection};
pub use dtls_srtp::{Credentials, DatagramKind as Protocol, Identity, IdentityError, srtp};
pub(crate) use ice::Check;
pub use outbox::{Outbox, Run};
