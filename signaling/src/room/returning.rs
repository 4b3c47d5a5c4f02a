//! Participants on their way back with other keys: they have shown a token, and have not joined yet.
//!
//! ```text
//!   held ── token ──► returning ── join ──► the others are sent leave and join at once
//!                         └── 10 s ──────► the others are sent the leave
//! ```
//!
//! The session of before ends with the token, and its keys are replaced when its leave is sent. A leave that came ahead of the
//! join by a round trip would show a departure to everyone, for a page that is loaded again.

use super::{Room, wake};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tacet_proto::{ParticipantId, Role, Seat, server::RosterEntry};

/// How long the leave of a returning participant waits for its join.
pub(super) const JOIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Leave {
    /// The seat of the session that has ended.
    seat: Seat,
    role: Role,
    due: Instant,
}

/// Leaves that the others have not been sent.
#[derive(Debug, Default)]
pub(super) struct Returning(BTreeMap<ParticipantId, Leave>);

impl Returning {
    /// The returning participants, as the others see them.
    pub(super) fn roster_entries(&self) -> impl Iterator<Item = RosterEntry> + '_ {
        self.0.iter().map(|(participant, leave)| RosterEntry {
            participant: *participant,
            seat: leave.seat,
            away: true,
            role: leave.role,
            hand: false,
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Room {
    /// Ends the session of a participant that has shown a token, to join with another one.
    pub(super) fn await_return(&mut self, now: Instant, participant: ParticipantId) {
        let role = self.guests.get(&participant).map_or(Role::Listener, |guest| guest.standing.role);
        let Some(seat) = self.remove(now, participant) else { return };
        // Of an earlier return that was not completed, the leave is still to come.
        let leave = self.returning.0.entry(participant).or_insert(Leave { seat, role, due: now + JOIN });
        wake(&mut self.wake, Some(leave.due));
    }

    /// A participant lost its connection before it joined again.
    pub(super) fn show_away(&mut self, now: Instant, participant: ParticipantId) {
        let Some(entry) = self.returning.roster_entries().find(|entry| entry.participant == participant) else {
            return;
        };
        for other in self.members.values_mut() {
            other.backlog.entry_changed(now, entry);
            wake(&mut self.wake, other.backlog.due());
        }
    }

    /// Sends the others the leave of a participant, if it waits.
    pub(super) fn send_leave(&mut self, now: Instant, participant: ParticipantId) {
        if let Some(Leave { seat, .. }) = self.returning.0.remove(&participant) {
            self.notify_left(now, participant, seat);
        }
    }

    /// Sends the leaves that have waited for long.
    pub(super) fn send_late_leaves(&mut self, now: Instant) {
        let late = |(participant, leave): (&ParticipantId, &Leave)| (leave.due <= now).then_some(*participant);
        let late: Vec<_> = self.returning.0.iter().filter_map(late).collect();
        for participant in late {
            tracing::debug!(participant = participant.0, "did not join again");
            self.send_leave(now, participant);
        }
        wake(&mut self.wake, self.returning.0.values().map(|leave| leave.due).min());
    }
}
