//! A worker that forwards steadily does not allocate.

use std::time::Duration;
use tacet_benches::{
    meeting::{Datagram, Meeting},
    webinar::{Call, PARTICIPANTS, Seal, TALKERS},
};

/// Rounds before counting: longer than packets are kept, so that every buffer has reached its size.
const WARM: u32 = 150;
const COUNTED: u32 = 50;
const FRAME: Duration = Duration::from_millis(33);

fn allocations(participants: usize, publishers: usize, of_each: u16) -> (u64, usize) {
    allocations_in(Meeting::new(participants, publishers), of_each, |_| Vec::new())
}

fn allocations_in(
    mut meeting: Meeting,
    of_each: u16,
    feedback: impl Fn(&mut Meeting) -> Vec<Datagram>,
) -> (u64, usize) {
    let (mut allocations, mut forwarded) = (0, 0);
    for round in 0..WARM + COUNTED {
        let mut packets = meeting.packets(of_each);
        let counted = allocation_counter::measure(|| {
            for packet in &mut packets {
                meeting.receive(packet);
            }
            forwarded += meeting.forward();
        });
        let mut feedback = feedback(&mut meeting);
        let reported = allocation_counter::measure(|| feedback.iter_mut().for_each(|packet| meeting.receive(packet)));
        if round < WARM {
            forwarded = 0;
        } else {
            allocations += counted.count_total + reported.count_total;
        }
        meeting.pass(FRAME);
    }
    (allocations, forwarded)
}

#[test]
fn forwarding_single_packets_allocates_nothing() {
    assert_eq!(allocations(6, 6, 1), (0, 6 * 5 * COUNTED as usize));
}

#[test]
fn forwarding_whole_frames_allocates_nothing() {
    assert_eq!(allocations(10, 1, 16), (0, 9 * 16 * COUNTED as usize));
}

/// Receivers report what has arrived: the server looks up each packet, and estimates.
#[test]
fn transport_feedback_allocates_nothing() {
    let meeting = Meeting::new(10, 1);
    assert_eq!(allocations_in(meeting, 16, Meeting::feedback), (0, 9 * 16 * COUNTED as usize));
}

/// Allocations of a meeting that adapts, in which one packet comes 30 times a second on average, but `together` of them at once,
/// and what leaves later. Timers allocate.
fn paced(together: u16) -> (u64, usize) {
    const MS: Duration = Duration::from_millis(1);
    /// Rounds before counting, and those that are counted: packets are kept for a second, and layers are chosen each second.
    const ROUNDS: u16 = 128;
    let mut meeting = Meeting::adapting(10, 1);
    // With the first feedback, timers begin.
    meeting.feedback().iter_mut().for_each(|packet| meeting.receive(packet));
    let (mut allocations, mut later) = (0, 0);
    for round in 0..2 * ROUNDS {
        let mut packets = if round.is_multiple_of(together) { meeting.packets(together) } else { Vec::new() };
        let forwarded = allocation_counter::measure(|| {
            packets.iter_mut().for_each(|packet| meeting.receive(packet));
            meeting.forward();
        });
        // When all have left.
        let reports = round % together == together / 2;
        let mut feedback = if reports { meeting.feedback() } else { Vec::new() };
        let mut left = 0;
        let reported = allocation_counter::measure(|| {
            feedback.iter_mut().for_each(|packet| meeting.receive(packet));
            (0..33).for_each(|_| left += meeting.tick(MS));
        });
        if round >= ROUNDS {
            assert_eq!(forwarded.count_total, 0);
            allocations += reported.count_total;
            later += left;
        }
    }
    (allocations, later)
}

/// What waits for slow downlinks, and leaves later, costs no more allocations than if nothing waited.
#[test]
fn pacing_allocates_nothing() {
    let ((of_single, other), (of_bursts, later)) = (paced(1), paced(16));
    assert!(later > other + 9 * 8 * 4, "{} packets have waited", later.saturating_sub(other));
    assert!(of_bursts <= of_single, "{of_bursts} allocations, {of_single} if nothing waits");
}

/// Six people talk at once in a room of a thousand.
#[test]
fn forwarding_speakers_allocates_nothing() {
    let mut egress = Seal::default();
    let mut call = Call::new(&mut egress);
    // Longer than audio is kept, and until after the first receiver reports.
    (0..60).for_each(|_| call.step(&mut egress));
    let before = egress.packets;
    let counted = allocation_counter::measure(|| (0..COUNTED).for_each(|_| call.step(&mut egress)));
    assert_eq!(egress.packets - before, u64::from(COUNTED * TALKERS * (PARTICIPANTS - 1)));
    assert_eq!(counted.count_total, 0);
}
