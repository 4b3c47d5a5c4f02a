//! The path between the server and one client: ICE (lite), DTLS, SRTP.
//!
//! Everything that the process sends is made here: STUN messages, DTLS records, sealed SRTP and SRTCP. The types that a
//! socket accepts have no constructor outside of this module, so that a clear packet cannot reach one.

mod allowance;
mod check_ids;
mod datagram;
mod ice;
mod outbox;
mod path_proof;
mod seen_checks;
mod server;
mod tuple;

pub(crate) use check_ids::{CheckIds, KEY_LEN};
pub use datagram::Datagram;
pub use dtls_srtp::{Credentials, DatagramKind, Identity, IdentityError, srtp};
pub(crate) use ice::{Check, CheckError, IceCounts};
pub use outbox::{Forwarded, Outbox, Run};
pub(crate) use server::{Blocked, Clear, ServerTransport, TransportEvent};
pub use tuple::{Protocol, Tuple};
