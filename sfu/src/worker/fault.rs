//! Makes a worker's turns panic, for tests of what that ends.

use super::{Turn, Worker};
use std::sync::{Arc, Mutex};

/// Breaks a worker, from any thread. Clones are of the same worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<Turn>>>);

impl Fault {
    /// Turns of this room panic from now on; rooms are numbered from 0 as they are made.
    pub(crate) fn in_room(&self, key: usize) {
        *self.0.lock().unwrap() = Some(Turn::Room(key));
    }

    /// No turn panics from now on.
    pub(crate) fn mend(&self) {
        *self.0.lock().unwrap() = None;
    }

    pub(super) fn is_of(&self, turn: Turn) -> bool {
        *self.0.lock().unwrap() == Some(turn)
    }
}

impl Worker {
    /// To break it.
    pub(crate) fn fault(&self) -> Fault {
        self.fault.clone()
    }
}
