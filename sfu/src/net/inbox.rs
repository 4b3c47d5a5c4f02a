//! A bounded queue of commands to a worker.
//!
//! Commands that remove something are accepted even when the queue is full: a refused removal would never be repeated, and
//! there cannot be more of them than there are participants and tracks.

use super::poll::Wakeup;
use crate::{
    command::{Command, CommandError, Request},
    limits::{COMMANDS, COMMANDS_AT_ONCE},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

/// The sending end, for any thread.
#[derive(Debug)]
pub(super) struct Commands {
    queue: mpsc::Sender<Request>,
    queued: Arc<AtomicUsize>,
    wakeup: Arc<Wakeup>,
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: mpsc::Receiver<Request>,
    queued: Arc<AtomicUsize>,
    wakeup: Arc<Wakeup>,
}

/// Creates a queue whose worker is woken by `wakeup`.
pub(super) fn queue(wakeup: Arc<Wakeup>) -> (Commands, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let queued = Arc::new(AtomicUsize::new(0));
    (
        Commands { queue: sender, queued: queued.clone(), wakeup: wakeup.clone() },
        Inbox { queue: receiver, queued, wakeup },
    )
}

impl Commands {
    /// Queues a command and wakes the worker.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] if the queue is full, [`CommandError::Unavailable`] if the worker has ended.
    pub(super) fn send(&self, request: Request) -> Result<(), CommandError> {
        let removes = matches!(request.command, Command::RemoveParticipant { .. } | Command::Unpublish { .. });
        let queued = self.queued.fetch_add(1, Ordering::Relaxed);
        if queued >= COMMANDS && !removes {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(CommandError::Overloaded);
        }
        self.queue.send(request).map_err(|_| CommandError::Unavailable)?;
        self.wakeup.wake();
        Ok(())
    }
}

impl Inbox {
    /// Takes queued commands, at most [`COMMANDS_AT_ONCE`]; if there are more, the worker is woken again.
    pub(super) fn take(&self) -> impl Iterator<Item = Request> + '_ {
        let mut left = COMMANDS_AT_ONCE;
        std::iter::from_fn(move || {
            if left == 0 {
                self.wakeup.wake();
                return None;
            }
            left -= 1;
            let request = self.queue.try_recv().ok()?;
            self.queued.fetch_sub(1, Ordering::Relaxed);
            Some(request)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CommandId, ParticipantId, RoomId};
    use crate::net::poll::Poll;

    const PARTICIPANT: ParticipantId = ParticipantId(1);
    const ADD: Request = request(Command::AddParticipant { room: RoomId(1), participant: PARTICIPANT });
    const REMOVE: Request = request(Command::RemoveParticipant { participant: PARTICIPANT });

    const fn request(command: Command) -> Request {
        Request { id: CommandId(1), command }
    }

    #[test]
    fn full_queue_accepts_removals_only() {
        let (commands, inbox) = queue(Arc::new(Poll::new().unwrap().1));
        assert_eq!((0..2 * COMMANDS).filter(|_| commands.send(ADD).is_ok()).count(), COMMANDS);
        assert_eq!(commands.send(ADD), Err(CommandError::Overloaded));
        assert_eq!(commands.send(REMOVE), Ok(()));
        assert_eq!(inbox.take().count(), COMMANDS_AT_ONCE, "packets are served in between");
        assert_eq!(commands.send(ADD), Ok(()));
        let rest = std::iter::from_fn(|| Some(inbox.take().count()).filter(|count| *count > 0)).sum::<usize>();
        assert_eq!(rest, COMMANDS - COMMANDS_AT_ONCE + 2);
    }

    #[test]
    fn ended_worker_is_unavailable() {
        let (commands, inbox) = queue(Arc::new(Poll::new().unwrap().1));
        drop(inbox);
        assert_eq!(commands.send(ADD), Err(CommandError::Unavailable));
    }
}
