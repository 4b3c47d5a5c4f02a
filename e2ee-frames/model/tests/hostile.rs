//! A malicious server: what is never read, and a counterexample for each rule that is left out.

mod exploring;

use e2ee_frames_model::{
    Ages, Protocol, Rule, Sizes, Times,
    hostile::{Hostile, Limits},
};
use exploring::{counterexample, explore};

const BEFORE_JOIN: &str = "a device never reads a frame sealed before it joined";
const AFTER_LEAVE: &str = "a device that left reads nothing sealed after its windows";
const COUNTER: &str = "no key and counter seal two frames";
const STRANGER: &str = "keys go only to roster members";
const BOOKS: &str = "who is booked as a holder was given the key";
const REPLAY: &str = "no device opens a frame twice";
const RETIRED: &str = "a replaced generation opens nothing after its time";
const DOOMED: &str = "a key of before a leave opens nothing after its time";

const OLD: &str = "a generation opens nothing when it is old or was said to die";

const AGAIN: &str = "a leave comes while a generation is on its way";
const LAST_STEP: &str = "a key is at its last step";
const ROTATED: &str = "a frame is sealed under a later generation";
const GONE: &str = "a frame is not for a device that left";
const ANSWERED: &str = "a request is answered";
const READ: &str = "every receiver opens the same frame";

/// The shortest times under which every rule matters.
const TIMES: Times = Times {
    window: 2,
    linger: 1,
    coalesce_joins: 1,
    settle: 1,
    coalesce_answers: 1,
    answer_every: 2,
    rotation: 6,
    hold: 2,
    request_every: 2,
    grace: 1,
    first_grace: 1,
    forget: 4,
    life: 5,
    ages: None,
    rosters: None,
};
const SIZES: Sizes = Sizes { steps: 3, generations: 2, keys: 2 };
const NOTHING: Limits = Limits {
    ticks: 0,
    frames: 0,
    admissions: 0,
    dismissals: 0,
    switches: 0,
    requests: 0,
    forgeries: 0,
    outages: 0,
    unknown_leaves: 0,
};

fn without(rule: Rule, call: Hostile) -> Hostile {
    Hostile { protocol: Protocol { without: Some(rule), ..call.protocol }, ..call }
}

/// Recipients of keys: a sender, and others that keep every key that was boxed for them.
fn distribution(devices: u8, limits: Limits) -> Hostile {
    let protocol = Protocol { times: TIMES, sizes: SIZES, eager: true, without: None };
    Hostile { protocol, devices, receivers: Vec::new(), limits, punctual: true, accepting: true }
}

/// Receivers of keys and frames: as above, with device 1 by the rules. Generations follow fast.
fn reception(devices: u8, limits: Limits) -> Hostile {
    let call = distribution(devices, limits);
    let times = Times { window: 1, rotation: 2, ..TIMES };
    Hostile { protocol: Protocol { times, ..call.protocol }, receivers: vec![1], ..call }
}

fn four_devices() -> Hostile {
    distribution(4, Limits { ticks: 5, frames: 2, admissions: 3, dismissals: 2, switches: 2, requests: 1, ..NOTHING })
}

fn three_devices_that_come_back() -> Hostile {
    distribution(3, Limits { ticks: 6, frames: 2, admissions: 4, dismissals: 3, switches: 1, ..NOTHING })
}

fn one_receiver() -> Hostile {
    reception(2, Limits { ticks: 6, frames: 2, admissions: 3, dismissals: 1, switches: 1, ..NOTHING })
}

fn one_receiver_and_a_forger() -> Hostile {
    reception(3, Limits { ticks: 5, frames: 1, admissions: 3, switches: 1, forgeries: 2, ..NOTHING })
}

fn muted_and_unmuted() -> Hostile {
    distribution(3, Limits { ticks: 4, frames: 2, admissions: 2, dismissals: 1, switches: 4, ..NOTHING })
}

#[test]
fn sender_mutes_and_unmutes() {
    explore("muted and unmuted", muted_and_unmuted(), &[LAST_STEP, ROTATED, GONE]);
}

#[test]
fn four_devices_in_a_small_room() {
    explore("four devices", four_devices(), &[AGAIN, LAST_STEP, ROTATED, GONE, ANSWERED]);
}

#[test]
fn four_devices_in_a_large_room() {
    let call = distribution(4, Limits { requests: 0, ..four_devices().limits });
    let call = Hostile { protocol: Protocol { eager: false, ..call.protocol }, ..call };
    explore("four devices, large room", call, &[AGAIN, LAST_STEP, ROTATED, GONE]);
}

#[test]
fn devices_leave_and_return() {
    explore("three devices, coming back", three_devices_that_come_back(), &[AGAIN, LAST_STEP, ROTATED, GONE]);
}

#[test]
fn receiver_with_replays_and_reordering() {
    explore("one receiver", one_receiver(), &[AGAIN, ROTATED, GONE, READ]);
}

#[test]
fn receiver_of_three_generations() {
    let limits = Limits { ticks: 7, frames: 3, admissions: 2, switches: 1, ..NOTHING };
    explore("one receiver, long call", reception(2, limits), &[ROTATED, READ]);
}

#[test]
fn receiver_and_forging_member() {
    explore("one receiver, one forger", one_receiver_and_a_forger(), &[ROTATED, READ]);
}

#[test]
fn two_receivers() {
    let limits = Limits { ticks: 4, frames: 1, admissions: 4, switches: 1, ..NOTHING };
    let call = Hostile { receivers: vec![1, 2], ..reception(3, limits) };
    explore("two receivers", call, &[ROTATED, READ]);
}

/// A server that accepts keys late or never, and one that cuts the sender off.
fn server_that_withholds_answers() -> Hostile {
    let times = Times { window: 1, rotation: 100, ..TIMES };
    let limits = Limits { ticks: 7, frames: 2, admissions: 2, dismissals: 1, switches: 1, outages: 2, ..NOTHING };
    let call = distribution(3, limits);
    Hostile { protocol: Protocol { times, ..call.protocol }, accepting: false, ..call }
}

/// The receiver hears of leaves that the sender does not hear of.
fn receiver_and_leaves() -> Hostile {
    let limits = Limits { ticks: 7, frames: 1, admissions: 2, unknown_leaves: 1, switches: 1, ..NOTHING };
    let call = distribution(2, limits);
    let times = Times { rotation: 100, ..TIMES };
    Hostile { protocol: Protocol { times, ..call.protocol }, receivers: vec![1], ..call }
}

#[test]
fn server_that_accepts_late_or_never() {
    explore("answers withheld", server_that_withholds_answers(), &[ROTATED, GONE]);
}

#[test]
fn without_death_of_own_keys_leaver_reads_on() {
    let call = without(Rule::OwnDeath, server_that_withholds_answers());
    counterexample("own keys live on", call, AFTER_LEAVE);
}

#[test]
fn receiver_that_hears_of_leaves() {
    explore("leaves at a receiver", receiver_and_leaves(), &[READ]);
}

#[test]
fn without_death_after_leave_keys_live_on() {
    counterexample("keys live on", without(Rule::DeathAfterLeave, receiver_and_leaves()), DOOMED);
}

fn with_ages(ages: Ages, call: Hostile) -> Hostile {
    let times = Times { ages: Some(ages), ..call.protocol.times };
    Hostile { protocol: Protocol { times, ..call.protocol }, ..call }
}

/// The server withholds a key until the receiver has heard of a leave.
fn receiver_of_withheld_keys() -> Hostile {
    with_ages(Ages { hard_life: 100, heard_late: 1, apart: 1 }, receiver_and_leaves())
}

#[test]
fn receiver_of_keys_withheld_across_leave() {
    explore("keys withheld across a leave", receiver_of_withheld_keys(), &[READ]);
}

#[test]
fn without_death_of_withheld_keys_they_live_on() {
    let call = without(Rule::DeathOfWithheld, receiver_of_withheld_keys());
    counterexample("withheld keys live on", call, DOOMED);
}

/// The server reports no leave, and withholds what replaces a key.
fn receiver_of_old_keys() -> Hostile {
    let limits = Limits { ticks: 6, frames: 2, admissions: 2, switches: 1, ..NOTHING };
    let call = distribution(2, limits);
    let times = Times { rotation: 100, ..TIMES };
    let call = Hostile { protocol: Protocol { times, ..call.protocol }, receivers: vec![1], ..call };
    with_ages(Ages { hard_life: 4, heard_late: 100, apart: 1 }, call)
}

#[test]
fn receiver_of_generations_that_grow_old() {
    explore("old keys", receiver_of_old_keys(), &[READ]);
}

#[test]
fn without_hard_life_generations_live_on() {
    counterexample("old keys live on", without(Rule::HardLife, receiver_of_old_keys()), OLD);
}

#[test]
fn without_ratchet_newcomer_reads_past() {
    counterexample("no ratchet on join", without(Rule::RatchetOnJoin, four_devices()), BEFORE_JOIN);
}

#[test]
fn without_start_rule_newcomer_reads_past() {
    counterexample("no rule at start", without(Rule::Start, muted_and_unmuted()), BEFORE_JOIN);
}

#[test]
fn answering_device_without_key_reveals_past() {
    counterexample("answer any member", without(Rule::AnswerHolders, four_devices()), BEFORE_JOIN);
}

#[test]
fn answering_strangers_leaks_keys() {
    counterexample("answer anyone", without(Rule::AnswerMembers, four_devices()), STRANGER);
}

#[test]
fn without_rotation_leaver_reads_on() {
    counterexample("no rotation on leave", without(Rule::RotateOnLeave, four_devices()), AFTER_LEAVE);
}

#[test]
fn without_second_rotation_leaver_reads_on() {
    counterexample("no rotation again", without(Rule::Again, four_devices()), AFTER_LEAVE);
}

#[test]
fn restarted_counters_repeat() {
    counterexample("counters restart", without(Rule::CountersGoOn, muted_and_unmuted()), COUNTER);
}

#[test]
fn reinstalled_keys_allow_replay() {
    counterexample("erased keys come back", without(Rule::ErasedStayErased, one_receiver()), REPLAY);
}

#[test]
fn older_keys_bring_back_replaced_ones() {
    counterexample("older keys are taken", without(Rule::EpochsIncrease, one_receiver()), RETIRED);
}

#[test]
fn without_retirement_member_forges_for_silent_sender() {
    counterexample("no retirement", without(Rule::Retirement, one_receiver_and_a_forger()), RETIRED);
}

#[test]
fn derived_keys_outlive_base() {
    counterexample("derived keys live on", without(Rule::DerivedDieToo, one_receiver_and_a_forger()), RETIRED);
}

/// The windows are enforced by timers and by the clock before every frame, also on a device that sleeps through its timers.
#[test]
fn sleeping_device_keeps_windows() {
    let limits = Limits { switches: 1, requests: 0, ..four_devices().limits };
    let call = Hostile { punctual: false, ..distribution(4, limits) };
    explore("late timers", call, &[AGAIN, ROTATED, GONE]);
}

#[test]
fn every_property_is_tested() {
    use stateright::{Expectation, Model};
    let call = Hostile { limits: Limits { requests: 1, ..NOTHING }, ..one_receiver() };
    let named = |expectation: &Expectation| {
        let properties = call.properties();
        let of_kind = properties.iter().filter(|property| property.expectation == *expectation);
        of_kind.map(|property| property.name).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(
        named(&Expectation::Always),
        [BEFORE_JOIN, AFTER_LEAVE, COUNTER, STRANGER, BOOKS, REPLAY, RETIRED, DOOMED, OLD].into()
    );
    assert_eq!(named(&Expectation::Sometimes), [AGAIN, LAST_STEP, ROTATED, GONE, ANSWERED, READ].into());
}
