//! Participants on their way back with other keys: they have shown a token, and have not joined yet.
//!
//! ```text
//!   held ── token ──► returning ── join ──► the others are sent leave and join at once
//!                         └── 10 s ──────► the others are sent the leave
//! ```
//!
//! The session of before ends with the token, and its keys are replaced when its leave is sent. A leave that came ahead of the
//! join by a round trip would show a departure to everyone, for a page that is loaded again.

use super::{Room, Standing, wake};
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
    standing: Standing,
    due: Instant,
}

/// Leaves that the others have not been sent.
#[derive(Debug, Default)]
pub(super) struct Returning(BTreeMap<ParticipantId, Leave>);

impl Returning {
    /// The returning participants, as the others see them.
    pub(super) fn roster_entries(&self) -> impl Iterator<Item = RosterEntry> + '_ {
        self.0.keys().filter_map(|participant| self.roster_entry(*participant))
    }

    /// A returning participant, as the others see it.
    pub(super) fn roster_entry(&self, participant: ParticipantId) -> Option<RosterEntry> {
        let Leave { seat, standing, .. } = self.0.get(&participant)?;
        Some(RosterEntry { participant, seat: *seat, away: true, role: standing.role, hand: false })
    }

    /// What a returning participant could do in the session that has ended.
    pub(super) fn standing(&self, participant: ParticipantId) -> Option<&Standing> {
        self.0.get(&participant).map(|leave| &leave.standing)
    }

    /// The returning participants, and what they could do in the sessions that have ended.
    pub(super) fn standings(&self) -> impl Iterator<Item = (ParticipantId, &Standing)> {
        self.0.iter().map(|(participant, leave)| (*participant, &leave.standing))
    }

    /// A returning participant has another role.
    pub(super) fn set_role(&mut self, participant: ParticipantId, role: Role) {
        if let Some(leave) = self.0.get_mut(&participant) {
            leave.standing.role = role;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Room {
    /// Ends the session of a participant that has shown a token, to join with another one.
    pub(super) fn await_return(&mut self, now: Instant, participant: ParticipantId) {
        let Some(standing) = self.guests.get(&participant).map(|guest| guest.standing.clone()) else { return };
        let Some(seat) = self.remove(now, participant) else { return };
        // Of an earlier return that was not completed, the leave is still to come.
        let leave = self.returning.0.entry(participant).or_insert(Leave { seat, standing, due: now + JOIN });
        wake(&mut self.wake, Some(leave.due));
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
