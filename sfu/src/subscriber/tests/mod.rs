//! The rules of forwarding layers, each as a property of random calls: structures, losses, reordering, wishes and switches.
//!
//! A call has one publisher and one slot. What the slot sends is compared with what the publisher knows, and shown to a
//! receiver that is as strict as a decoder's frame buffer. Each test of a rule also breaks it, and sees that it would fail.

mod call;
mod ordinals;
mod publisher;
mod random;
mod receiver;

use call::{Mutation, Outcome, play};
use std::{collections::BTreeMap, sync::LazyLock};

/// Number of calls.
const CALLS: u64 = 10_000;
/// Calls of which each rule has to have something to see.
const SEEN: usize = 1_000;

/// What holds in every slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Whatever a frame refers to was sent, too.
    Decodable,
    /// A layer changes where a receiver can follow, and to what was wished last.
    Switch,
    /// Numbers are used once, and continuous except for what the publisher's path lost.
    Numbers,
    /// Temporal units end with a marker.
    Marker,
    /// Frame numbers and picture ids are shifted by constants.
    Shifts,
    /// Timestamps keep the distances of the publisher's clock, and never go backwards.
    Timestamps,
    /// The layer below replaces one that has ended.
    EndedTarget,
}

/// What all calls showed together.
#[derive(Debug, Default)]
struct Calls {
    /// Seed of the call, rule, and how it was broken.
    broken: Vec<(u64, Rule, String)>,
    /// Number of calls that had something to see of a rule.
    seen: BTreeMap<Rule, usize>,
}

/// The calls as they are.
static CALLS_PLAYED: LazyLock<Calls> = LazyLock::new(|| {
    let Calls { mut broken, mut seen } = Calls::default();
    let outcomes = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                (0..CALLS).filter(|seed| seed % 2 == half).map(|seed| (seed, play(seed, None))).collect::<Vec<_>>()
            })
        });
        halves.map(|half| half.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    for (seed, Outcome { broken: rules, seen: mut of }) in outcomes.into_iter().flatten() {
        of.sort_unstable();
        of.dedup();
        of.into_iter().for_each(|rule| *seen.entry(rule).or_default() += 1);
        broken.extend(rules.into_iter().map(|(rule, how)| (seed, rule, how)));
    }
    Calls { broken, seen }
});

/// A rule holds in all calls, and each mutation breaks it in some.
fn holds(rule: Rule, mutations: &[Mutation]) {
    let Calls { broken, seen } = &*CALLS_PLAYED;
    let of_rule: Vec<_> = broken.iter().filter(|(_, of, _)| *of == rule).take(5).collect();
    assert!(of_rule.is_empty(), "{of_rule:#?}");
    assert!(seen.get(&rule).is_some_and(|seen| *seen >= SEEN), "{rule:?} is seen too rarely: {seen:?}");
    for &mutation in mutations {
        let breaks = |seed| play(seed, Some(mutation)).broken.iter().any(|(of, _)| *of == rule);
        assert!((0..CALLS).any(breaks), "{mutation:?} does not break {rule:?}");
    }
}

#[test]
fn rule_1_everything_sent_can_be_decoded() {
    holds(Rule::Decodable, &[Mutation::EverythingContained, Mutation::EverythingSwitches]);
}

#[test]
fn rule_2_layer_switches_where_possible_to_what_was_wished_last() {
    holds(Rule::Switch, &[Mutation::PendingKept]);
}

#[test]
fn rule_3_numbers_are_used_once_and_continuous() {
    holds(Rule::Numbers, &[Mutation::NoFiller, Mutation::NumberedByIndex]);
}

#[test]
fn rule_4_marker_ends_the_highest_layer_that_is_sent() {
    holds(Rule::Marker, &[Mutation::MarkerAsSent]);
}

#[test]
fn rule_5_shifts_are_constant_while_a_source_lasts() {
    holds(Rule::Shifts, &[Mutation::Unshifted]);
}

#[test]
fn rule_6_timestamps_follow_the_publishers_clock() {
    holds(Rule::Timestamps, &[Mutation::NoSenderReports]);
}

#[test]
fn rule_7_ended_target_is_replaced_by_the_next_lower_one() {
    holds(Rule::EndedTarget, &[Mutation::EndedTargetKept]);
}
