//! The parts of a DTLS-SRTP transport (RFC 5764) that the server and a client have in common. No I/O.
//!
//! | module | contents |
//! |---|---|
//! | [`DatagramKind`] | demultiplexes STUN, DTLS, SRTP and SRTCP on one port |
//! | [`stun`] | encoding and HMAC of STUN messages, [`Credentials`] of ICE |
//! | [`dtls`] | [`Identity`] (certificate), and the handshake in either role |
//! | [`srtp`] | sealing and opening of SRTP and SRTCP |
//!
//! The server's transport, with ICE lite and limits, is in the crate `sfu`; the client's is `rtc-client`.

mod datagram;
pub mod dtls;
#[cfg(test)]
mod hex;
pub mod srtp;
pub mod stun;

pub use datagram::DatagramKind;
pub use dtls::{Identity, IdentityError};
pub use stun::Credentials;
