//! Requests that the server refused because they came too fast, and when to send each again.
//!
//! The outbox stays within the server's rates, so this is rare: messages of an earlier connection count as well, and the
//! network may deliver at once what was sent over a while.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Delay if the server names none.
const DELAY: Duration = Duration::from_secs(1);
/// Maximum delay that the server may ask for.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Requests that wait, by the time at which they are due.
#[derive(Debug, Default)]
pub(super) struct Retries(BTreeSet<(Instant, u32)>);

impl Retries {
    /// The server refused a request, which may be repeated after this many milliseconds.
    pub(super) fn add(&mut self, now: Instant, number: u32, retry_ms: Option<u32>) {
        let delay = retry_ms.map_or(DELAY, |ms| Duration::from_millis(ms.into()).min(MAX_DELAY));
        self.0.insert((now + delay, number));
    }

    /// When [`Self::due`] will next return a request.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The numbers of the requests to send again, in the order in which they were made.
    pub(super) fn due(&mut self, now: Instant) -> BTreeSet<u32> {
        let later = self.0.split_off(&(now + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.0, later).into_iter().map(|(_, number)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_when_the_server_says() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        retries.add(now, 7, Some(200));
        retries.add(now, 5, Some(200));
        retries.add(now, 6, None);
        retries.add(now, 4, Some(u32::MAX));
        let after = |ms| now + Duration::from_millis(ms);
        assert_eq!(retries.deadline(), Some(after(200)));
        assert!(retries.due(after(199)).is_empty());
        assert!(retries.due(after(200)).into_iter().eq([5, 7]));
        assert!(retries.due(after(1_000)).into_iter().eq([6]));
        assert!(retries.due(after(30_000)).into_iter().eq([4]));
        assert_eq!(retries.deadline(), None);
    }
}
