//! One line of the log for something that strangers can bring about as often as they like.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time between two lines.
const QUIET: Duration = Duration::from_secs(60);

/// Decides which occurrences are logged: the first, and then one a minute.
#[derive(Debug, Default)]
pub(crate) struct LogLimit(Mutex<Occurrences>);

#[derive(Debug, Default)]
struct Occurrences {
    logged: Option<Instant>,
    since: u64,
}

impl LogLimit {
    /// Counts an occurrence. Returns the number since the last line if it is time for another.
    pub(crate) fn due(&self, now: Instant) -> Option<u64> {
        let mut occurrences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        occurrences.since = occurrences.since.saturating_add(1);
        if occurrences.logged.is_some_and(|logged| now.saturating_duration_since(logged) < QUIET) {
            return None;
        }
        occurrences.logged = Some(now);
        Some(std::mem::take(&mut occurrences.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_occurrence_and_one_a_minute_are_logged() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.due(start), Some(1));
        for second in 1..60 {
            assert_eq!(limit.due(start + Duration::from_secs(second)), None);
        }
        assert_eq!(limit.due(start + QUIET), Some(60), "with the number of those that were not");
        assert_eq!(limit.due(start + QUIET), None);
    }
}
