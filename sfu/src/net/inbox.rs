//! Commands on their way to a worker: a queue that has an end.
//!
//! What takes something away is accepted even when the queue is full: it could otherwise never be said again, and there
//! cannot be more of it than there are things to take away.

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

/// Where commands go in, from any thread.
#[derive(Debug)]
pub(super) struct Commands {
    queue: mpsc::Sender<Request>,
    waiting: Arc<AtomicUsize>,
    wakeup: Arc<Wakeup>,
}

/// Where the worker takes them out.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: mpsc::Receiver<Request>,
    waiting: Arc<AtomicUsize>,
    wakeup: Arc<Wakeup>,
}

/// A queue whose worker is woken by `wakeup`.
pub(super) fn queue(wakeup: Arc<Wakeup>) -> (Commands, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (
        Commands { queue: sender, waiting: waiting.clone(), wakeup: wakeup.clone() },
        Inbox { queue: receiver, waiting, wakeup },
    )
}

impl Commands {
    /// Puts a command in and wakes the worker.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] if too many wait, [`CommandError::Unavailable`] if the worker has ended.
    pub(super) fn send(&self, request: Request) -> Result<(), CommandError> {
        let takes_away = matches!(request.command, Command::RemoveParticipant { .. } | Command::Unpublish { .. });
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting >= COMMANDS && !takes_away {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(CommandError::Overloaded);
        }
        self.queue.send(request).map_err(|_| CommandError::Unavailable)?;
        self.wakeup.wake();
        Ok(())
    }
}

impl Inbox {
    /// Takes out what waits, but no more than a turn may take; if there is more, the worker is woken again.
    pub(super) fn turn(&self) -> impl Iterator<Item = Request> + '_ {
        let mut left = COMMANDS_AT_ONCE;
        std::iter::from_fn(move || {
            if left == 0 {
                self.wakeup.wake();
                return None;
            }
            left -= 1;
            let request = self.queue.try_recv().ok()?;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
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
    fn a_full_queue_refuses_what_adds_and_takes_what_takes_away() {
        let (commands, inbox) = queue(Arc::new(Poll::new().unwrap().1));
        assert_eq!((0..2 * COMMANDS).filter(|_| commands.send(ADD).is_ok()).count(), COMMANDS);
        assert_eq!(commands.send(ADD), Err(CommandError::Overloaded));
        assert_eq!(commands.send(REMOVE), Ok(()));
        assert_eq!(inbox.turn().count(), COMMANDS_AT_ONCE, "packets get their turn");
        assert_eq!(commands.send(ADD), Ok(()));
        let rest = std::iter::from_fn(|| Some(inbox.turn().count()).filter(|count| *count > 0)).sum::<usize>();
        assert_eq!(rest, COMMANDS - COMMANDS_AT_ONCE + 2);
    }

    #[test]
    fn a_worker_that_has_ended_takes_no_commands() {
        let (commands, inbox) = queue(Arc::new(Poll::new().unwrap().1));
        drop(inbox);
        assert_eq!(commands.send(ADD), Err(CommandError::Unavailable));
    }
}
