//! The proof that this device continues its session with the server on a new connection.

use super::Session;
use e2ee_core::{Primitives, ResumeStatement};

impl<P: Primitives> Session<P> {
    /// Signs a resume statement with the device key that this session's announces show.
    ///
    /// Works after the session has [ended](super::Action::Ended), too: the device can prove which participant it was, and
    /// keep that id when it joins with a new session.
    #[must_use]
    pub fn prove_resume(&self, statement: &ResumeStatement<'_>) -> [u8; 64] {
        self.identity.prove_resume(statement)
    }
}
