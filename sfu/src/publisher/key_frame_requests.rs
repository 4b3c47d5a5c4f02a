//! Requests of subscribers for key frames of a track.
//!
//! ```text
//!   joiner, switch, loss, decoder ─► KeyFrameBudget ─► PliThrottle ─► a PLI for each encoding that is awaited
//! ```
//! They belong to the track, not to its encodings: a browser answers a PLI for one encoding with key frames of all of them.
//! Other publishers may answer for the encoding alone, so a PLI names the SSRC of each encoding for which a subscriber
//! waits, and a key frame serves those that wait for the encoding on which it came.
//!
//! In a large room subscribers ask for key frames of some encoding all the time. One that waits for an encoding of which no
//! one else asks would see a recent PLI always, so how long it waits is known for each encoding.

use super::{key_frame_budget::KeyFrameBudget, pli_throttle::PliThrottle};
use crate::{command::MAX_ENCODINGS, keys::ParticipantKey};
use std::time::{Duration, Instant};

/// If a subscriber still lacks a key frame after this time, the PLI or the key frame is assumed lost.
const LOST: Duration = Duration::from_millis(1_000);

/// Why a key frame is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A slot that has no video of the track yet.
    Joiner,
    /// A slot that has video of the track, and changes to a layer that begins with a key frame.
    Switch,
    /// The same, and what the slot has until then is too much for its receiver.
    StepDown,
    /// The decoder of a receiver asks: PLI or FIR.
    Decoder,
}

/// Accepted requests, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Causes {
    pub(crate) joiners: u64,
    pub(crate) switches: u64,
    pub(crate) decoders: u64,
    /// Streams from the publisher that could not be repaired.
    pub(crate) losses: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A PLI will be sent, now or when the throttle permits.
    Accepted,
    /// A PLI that is about to be sent serves the request.
    Shared,
    /// The subscriber has requested too many.
    OverBudget,
}

/// Requests for the encodings of one track, which are named by their position.
#[derive(Debug, Default)]
pub(crate) struct KeyFrameRequests {
    budget: KeyFrameBudget,
    throttle: PliThrottle,
    /// Mask of the encodings that the next PLI is for.
    awaited: u8,
    /// Since when a subscriber waits for a key frame of each encoding that no PLI was for.
    waiting: [Option<Instant>; MAX_ENCODINGS],
    causes: Causes,
}

impl KeyFrameRequests {
    /// Requests a key frame of an encoding that is encoded after this moment.
    pub(crate) fn request(
        &mut self,
        now: Instant,
        encoding: usize,
        cause: Cause,
        subscriber: ParticipantKey,
    ) -> Outcome {
        if self.awaited & bit(encoding) != 0 {
            // Costs the publisher nothing, unless it has to be sooner.
            if cause != Cause::Switch {
                self.throttle.request();
            }
            return Outcome::Shared;
        }
        if !self.budget.take(now, subscriber) {
            return Outcome::OverBudget;
        }
        self.awaited |= bit(encoding);
        match cause {
            Cause::Joiner => {
                self.causes.joiners += 1;
                self.throttle.request();
            }
            Cause::Decoder => {
                self.causes.decoders += 1;
                self.throttle.request();
            }
            Cause::Switch => {
                self.causes.switches += 1;
                self.throttle.request_for_switch();
            }
            Cause::StepDown => {
                self.causes.switches += 1;
                self.throttle.request();
            }
        }
        Outcome::Accepted
    }

    /// Requests a key frame because the stream from the publisher cannot be repaired.
    pub(crate) fn request_for_loss(&mut self, encoding: usize) {
        self.causes.losses += 1;
        self.awaited |= bit(encoding);
        self.throttle.request();
    }

    /// Whether the key frame of an encoding that a subscriber still lacks seems lost, so that it is to be requested again.
    pub(crate) fn seems_lost(&mut self, now: Instant, encoding: usize) -> bool {
        if !self.throttle.is_recent(now, LOST) {
            return true;
        }
        let waiting = self.waiting.get_mut(encoding).map(|waiting| *waiting.get_or_insert(now));
        waiting.is_some_and(|since| now.saturating_duration_since(since) >= LOST)
    }

    /// A key frame of an encoding has reached a subscriber that waited for it. Others that have video and want this encoding
    /// begin with it as well: they need no other one.
    pub(crate) fn on_key_frame(&mut self, encoding: usize) {
        self.end_wait(encoding);
        if self.awaited == bit(encoding) && self.throttle.cancel_switches() {
            self.awaited = 0;
        }
    }

    fn end_wait(&mut self, encoding: usize) {
        self.waiting.get_mut(encoding).into_iter().for_each(|waiting| *waiting = None);
    }

    /// The encodings for which to send a PLI now, by position; it counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> impl Iterator<Item = usize> + use<> {
        let due = if self.throttle.poll(now) { std::mem::take(&mut self.awaited) } else { 0 };
        let asked = move |encoding: &usize| due & bit(*encoding) != 0;
        (0..MAX_ENCODINGS).filter(asked).for_each(|encoding| self.end_wait(encoding));
        (0..MAX_ENCODINGS).filter(asked)
    }

    /// When to call [`Self::poll`] next.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.throttle.deadline(now)
    }

    /// Takes the counts of accepted requests: they start again at 0.
    pub(crate) fn take_causes(&mut self) -> Causes {
        std::mem::take(&mut self.causes)
    }

    /// Forgets the subscribers whose budget is whole.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.budget.expire(now);
    }
}

fn bit(encoding: usize) -> u8 {
    1u8.checked_shl(encoding as u32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{super::pli_throttle::INTERVAL, *};
    use crate::limits::KEY_FRAME_BURST;
    use slotmap::SlotMap;

    /// Two subscribers.
    fn subscribers() -> [ParticipantKey; 2] {
        let mut participants = SlotMap::default();
        [(); 2].map(|()| participants.insert(()))
    }

    #[test]
    fn one_pli_names_every_awaited_encoding() {
        let (mut requests, now, [one, other]) = (KeyFrameRequests::default(), Instant::now(), subscribers());
        assert_eq!(requests.request(now, 0, Cause::Joiner, one), Outcome::Accepted);
        assert_eq!(requests.request(now, 2, Cause::Switch, other), Outcome::Accepted);
        assert_eq!(requests.request(now, 0, Cause::Joiner, other), Outcome::Shared);
        assert!(requests.poll(now).eq([0, 2]));
        assert!(requests.poll(now + INTERVAL).eq([0; 0]), "no one has asked again");
        requests.request_for_loss(1);
        assert!(requests.poll(now + INTERVAL).eq([1]));
        assert_eq!(requests.take_causes(), Causes { joiners: 1, switches: 1, decoders: 0, losses: 1 });
    }

    #[test]
    fn decoder_does_not_wait_for_a_switch() {
        let (mut requests, now, [one, other]) = (KeyFrameRequests::default(), Instant::now(), subscribers());
        requests.request(now, 0, Cause::Joiner, one);
        assert_eq!(requests.poll(now).count(), 1);
        requests.request(now, 1, Cause::Switch, one);
        assert!(requests.deadline(now) > Some(now + INTERVAL));
        assert_eq!(requests.request(now, 1, Cause::Decoder, other), Outcome::Shared);
        assert_eq!(requests.deadline(now), Some(now + INTERVAL));
    }

    #[test]
    fn missing_key_frame_seems_lost_after_a_second() {
        let (mut requests, start, [one, _]) = (KeyFrameRequests::default(), Instant::now(), subscribers());
        assert!(requests.seems_lost(start, 0));
        requests.request(start, 0, Cause::Joiner, one);
        assert!(!requests.seems_lost(start, 0), "requested already");
        assert_eq!(requests.poll(start).count(), 1);
        assert!(!requests.seems_lost(start + INTERVAL, 0));
        assert!(requests.seems_lost(start + LOST, 0));
    }

    /// The key frame that answers an earlier PLI serves those that want the encoding by now.
    #[test]
    fn key_frame_serves_switches_that_are_still_to_be_asked_for() {
        let (mut requests, start, [one, other]) = (KeyFrameRequests::default(), Instant::now(), subscribers());
        requests.request(start, 1, Cause::Switch, one);
        assert_eq!(requests.poll(start).count(), 1);
        requests.request(start, 1, Cause::Switch, other);
        requests.on_key_frame(1);
        assert_eq!(requests.deadline(start), None);
        // A joiner may lack the key of that frame, and another encoding's key frame is another one.
        for (cause, key_frame) in [(Cause::Joiner, 1), (Cause::Switch, 0)] {
            requests.request(start, 1, cause, other);
            requests.on_key_frame(key_frame);
            assert!(requests.deadline(start).is_some(), "{cause:?}");
        }
    }

    #[test]
    fn encoding_is_asked_for_however_often_others_are() {
        let (mut requests, start, [one, other]) = (KeyFrameRequests::default(), Instant::now(), subscribers());
        let mut asked = None;
        for ms in (0..3_000).step_by(50) {
            let now = start + Duration::from_millis(ms);
            requests.request(now, 0, Cause::Decoder, if ms < 1_500 { one } else { other });
            if requests.seems_lost(now, 2) {
                requests.request(now, 2, Cause::Joiner, other);
            }
            asked = asked.or(requests.poll(now).any(|encoding| encoding == 2).then_some(now - start));
        }
        assert!(asked.is_some_and(|after| after <= LOST + INTERVAL), "{asked:?}");
    }

    #[test]
    fn key_frame_ends_the_wait_for_it() {
        let (mut requests, start, [one, _]) = (KeyFrameRequests::default(), Instant::now(), subscribers());
        requests.request(start, 0, Cause::Joiner, one);
        assert_eq!(requests.poll(start).count(), 1);
        assert!(!requests.seems_lost(start, 1));
        requests.on_key_frame(1);
        let soon = start + INTERVAL;
        requests.request(soon, 0, Cause::Joiner, one);
        assert_eq!(requests.poll(soon).count(), 1);
        assert!(
            !requests.seems_lost(start + LOST + INTERVAL / 2, 1),
            "another subscriber, which has just begun to wait"
        );
    }

    #[test]
    fn budget_is_that_of_a_subscriber_over_all_encodings() {
        let (mut requests, now, [one, other]) = (KeyFrameRequests::default(), Instant::now(), subscribers());
        for encoding in 0..KEY_FRAME_BURST as usize {
            assert_eq!(requests.request(now, encoding, Cause::Decoder, one), Outcome::Accepted);
        }
        assert_eq!(requests.poll(now).count(), KEY_FRAME_BURST as usize);
        assert_eq!(requests.request(now, 0, Cause::Decoder, one), Outcome::OverBudget);
        assert_eq!(requests.request(now, 0, Cause::Decoder, other), Outcome::Accepted);
    }
}
