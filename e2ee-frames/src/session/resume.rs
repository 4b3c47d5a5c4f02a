//! The proof that this device continues its session with the server on a new connection.

use super::Session;
use e2ee_core::{Primitives, ResumeStatement};

impl<P: Primitives> Session<P> {
    /// Signs a resume statement with the device key that this session's announces show.
    ///
    /// Works after a jump of the clock has [ended](super::Action::Ended) the session, too: the device can prove which participant it was, and
    /// keep that id when it joins with a new session. Drop this one then. `None` in a forked copy, which has no key.
    #[must_use]
    pub fn prove_resume(&self, statement: &ResumeStatement<'_>) -> Option<[u8; 64]> {
        (!self.life.forked()).then(|| self.identity.prove_resume(statement))
    }
}
