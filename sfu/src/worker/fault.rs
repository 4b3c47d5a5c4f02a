//! Containment of panics: what a step was working on, and what is removed if it panics.

use super::{Worker, rooms::RoomKey, transports::TransportKey};
use crate::{event::Event, metrics::Counter};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultScope {
    /// The step alone.
    Step,
    /// The transport, which fails.
    Transport(TransportKey),
    /// The room, with its transports.
    Room(RoomKey),
}

impl Worker {
    /// Runs a step, and contains a panic in it.
    pub(super) fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        self.scope = FaultScope::Step;
        // State that a panic leaves half changed belongs to the room or the transport, and is removed with it; the
        // outbox shows no packet that is not complete.
        if catch_unwind(AssertUnwindSafe(|| step(self))).is_err() {
            self.contain();
        }
    }

    fn contain(&mut self) {
        self.meter.count(Counter::Faults, 1);
        match self.scope {
            FaultScope::Step => tracing::error!("a panic ended one step of the worker"),
            FaultScope::Transport(key) => {
                tracing::error!("a panic ended a transport");
                self.transport_step(key, |transport, _| transport.fail("internal fault"));
            }
            FaultScope::Room(key) => {
                tracing::error!("a panic ended a room");
                let Some((id, room, _)) = self.rooms.remove(key) else { return };
                drop_contained(room);
                let participants = self.transports.participants_in(key);
                for participant in &participants {
                    drop_contained(self.discard(*participant));
                }
                self.events.push_back(Event::RoomFailed { room: id, participants });
            }
        }
    }
}

/// Drops what a panic has left behind, which may panic once more.
fn drop_contained<T>(broken: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
}

#[cfg(test)]
pub(crate) use injection::Fault;

#[cfg(test)]
mod injection {
    use super::{FaultScope, Worker};
    use crate::ids::RoomId;
    use std::sync::{Arc, Mutex};

    /// Makes steps of one room panic, from any thread. Clones belong to the same worker.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Fault(Arc<Mutex<Option<RoomId>>>);

    impl Fault {
        /// Steps of this room panic from now on.
        pub(crate) fn in_room(&self, room: RoomId) {
            *self.0.lock().unwrap() = Some(room);
        }

        /// No step panics from now on.
        pub(crate) fn mend(&self) {
            *self.0.lock().unwrap() = None;
        }
    }

    impl Worker {
        pub(crate) fn fault(&self) -> Fault {
            self.fault.clone()
        }

        /// Panics if the test asked for it.
        pub(in crate::worker) fn inject_fault(&self) {
            let FaultScope::Room(key) = self.scope else { return };
            let broken = *self.fault.0.lock().unwrap();
            assert!(broken.is_none() || broken != self.rooms.id(key), "a fault that the test asked for");
        }
    }
}
