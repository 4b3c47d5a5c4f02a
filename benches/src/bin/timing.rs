//! `make timing`: whether the time of a refusal tells where a wrong secret first differs from the right one.
//!
//! The method is that of dudect (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017). Two classes of input
//! are measured in random order: in one the first byte is wrong, in the other the last. Welch's t-test compares the means of
//! their times, over all measurements and over those below each of several percentiles, since interruptions only ever add
//! time. A comparison that stops at the first wrong byte yields |t| in the hundreds; noise stays below the bound. The first row
//! is such a comparison, and the program fails if the method does not detect it, or if another row is over the bound.
//!
//! The clock has steps of 10 ns and the machine has moods, so a single pass now and then is over the bound in one direction and
//! the next in the other. A leak has a direction: what counts is the smallest |t| of several passes that agree about it.
//!
//! Refusals of one kind are compared. That a refusal differs from success is no secret: it shows in what follows.

#![allow(clippy::print_stdout, reason = "the result is this program's output")]

use dtls_srtp::stun;
use e2ee_frames::{Codec, Event, FrameKind, Session, StreamId, codec};
use is::stun::{StunMessage, TransId};
use signaling::{
    AccessHash, ResumeKey, ResumeKeys,
    config::ApiKey,
    resume::token::{self, Claims},
};
use std::{hint::black_box, process::ExitCode, time::Instant};
use tacet_benches::calls::{CLOCK, device, pair, source};
use tacet_proto::{CallId, ParticipantId, RoomId, Seat, SessionId, bytes::Fixed};

/// Measurements of a pass, of both classes together.
const MEASUREMENTS: usize = 200_000;
/// Passes of a row.
const PASSES: u8 = 7;
/// The bound for |t|. dudect takes 10 for "probably a leak"; over many thresholds and on a busy machine chance comes to 5.
const BOUND: f64 = 10.0;
/// Differences of means below this are not looked at, in nanoseconds: half of the clock's step. The layout of the
/// program and process in memory makes some of 1 to 2 ns, in either direction.
const SMALLEST: f64 = 5.0;
/// Shares of the measurements that are looked at, the fastest first.
const CROPS: [f64; 8] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0];

/// Count, mean and sum of squared differences, as Welford updates them.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Welch's t of the times below a limit.
fn welch(times: &[(bool, f64)], limit: f64) -> f64 {
    let mut classes = [Moments::default(); 2];
    for (class, time) in times.iter().filter(|(_, time)| *time <= limit) {
        let [first, last] = &mut classes;
        if *class { last.add(*time) } else { first.add(*time) }
    }
    let [first, last] = classes;
    let error = first.error() + last.error();
    let difference = first.mean - last.mean;
    // Where the clock cannot tell any two times apart, there is no difference.
    if first.count < 100.0 || last.count < 100.0 || error <= 0.0 || difference.abs() < SMALLEST {
        0.0
    } else {
        difference / error.sqrt()
    }
}

/// Measures refusals of `right` with one bit of byte `first` or `last` changed, in several passes. Returns the smallest t if
/// all have the same sign, else 0, and the median time in nanoseconds.
fn measure(right: &[u8], wrong: [usize; 2], repeat: u32, mut refuse: impl FnMut(&[u8])) -> (f64, f64) {
    let passes: Vec<_> = (0..PASSES).map(|seed| pass(seed, right, wrong, repeat, &mut refuse)).collect();
    let agree = passes.iter().all(|(t, _)| *t > 0.0) || passes.iter().all(|(t, _)| *t < 0.0);
    let smallest = passes.iter().map(|(t, _)| *t).min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|_| agree);
    let mut medians: Vec<f64> = passes.iter().map(|(_, median)| *median).collect();
    medians.sort_by(f64::total_cmp);
    (smallest.unwrap_or_default(), medians.get(medians.len() / 2).copied().unwrap_or_default())
}

/// One pass. Returns the t with the largest magnitude over all shares, and the median time in nanoseconds.
fn pass(seed: u8, right: &[u8], [first, last]: [usize; 2], repeat: u32, refuse: &mut impl FnMut(&[u8])) -> (f64, f64) {
    let with = |at: usize| {
        let mut wrong = right.to_vec();
        if let Some(byte) = wrong.get_mut(at) {
            *byte ^= 1;
        }
        wrong
    };
    let classes = [with(first), with(last)];
    let mut random = source(u64::from(seed));
    let mut input = right.to_vec();
    let mut times = Vec::with_capacity(MEASUREMENTS);
    for round in 0..MEASUREMENTS + 1_000 {
        let mut byte = [0];
        random(&mut byte);
        let class = byte.first().is_some_and(|byte| byte & 1 == 1);
        let [wrong_first, wrong_last] = &classes;
        // One buffer for both, since their addresses must not differ, and no branch, which would be predicted better for one.
        let mask = 0u8.wrapping_sub(u8::from(class));
        for ((byte, first), last) in input.iter_mut().zip(wrong_first).zip(wrong_last) {
            *byte = (first & !mask) | (last & mask);
        }
        let begun = Instant::now();
        for _ in 0..repeat {
            refuse(black_box(&input));
        }
        let time = begun.elapsed().as_nanos() as f64 / f64::from(repeat);
        // Caches and branch predictors are warm after the first.
        if round >= 1_000 {
            times.push((class, time));
        }
    }
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get(((sorted.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
    let values = CROPS.map(|share| welch(&times, at(share)));
    let worst = values.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
    (worst, at(0.5))
}

struct Table {
    fails: bool,
}

impl Table {
    fn row(&mut self, name: &str, leaks: bool, (t, median): (f64, f64)) {
        let is_over = t.abs() >= BOUND;
        let verdict = match (is_over, leaks) {
            (true, true) => "detected, as it must be",
            (false, false) => "no difference",
            (true, false) => "LEAKS",
            (false, true) => "NOT DETECTED",
        };
        self.fails |= is_over != leaks;
        println!("| {name} | {median:.0} ns | {t:+.1} | {verdict} |");
    }
}

/// Stops at the first wrong byte, as `==` on slices may.
fn compare_naively(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| black_box(*a) == black_box(*b))
}

fn compare_secrets(table: &mut Table) -> Option<()> {
    let secret = [0x5a; 32];
    let naive = measure(&secret, [0, 31], 4, |wrong| {
        black_box(compare_naively(wrong, black_box(&secret)));
    });
    table.row("control: a comparison that stops at the first wrong byte", true, naive);

    let hash = AccessHash::of(&secret);
    let access = measure(&secret, [0, 31], 4, |wrong| {
        let token = Fixed(wrong.try_into().unwrap_or([0; 32]));
        black_box(hash.admits(&token));
    });
    table.row("access token of a room", false, access);

    let text = "correct horse battery staple....";
    let key = ApiKey::new(text).ok()?;
    let api = measure(text.as_bytes(), [0, text.len() - 1], 4, |wrong| {
        black_box(key.is(std::str::from_utf8(wrong).unwrap_or_default()));
    });
    table.row("API key", false, api);
    Some(())
}

fn open_tokens(table: &mut Table) -> Option<()> {
    let keys = ResumeKeys::new(ResumeKey([3; 32]), None);
    let room = RoomId(Fixed([1; 16]));
    let claims = Claims {
        call: CallId(Fixed([2; 16])),
        session: SessionId(Fixed([3; 16])),
        participant: ParticipantId(4),
        seat: Seat(5),
        device: Some([6; 32]),
    };
    let token = token::issue(&keys, room, &claims).ok()?.session.0;
    // The tag is the last 16 bytes.
    let tag = [token.len() - 16, token.len() - 1];
    let refused = measure(&token, tag, 1, |wrong| {
        black_box(token::open(&keys, room, wrong).is_err());
    });
    table.row("resume token, tag", false, refused);
    Some(())
}

fn check_stun(table: &mut Table) -> Option<()> {
    let password = "p".repeat(24);
    let mut request = Vec::new();
    stun::encode(StunMessage::binding_request("serv:clie", TransId::new(), true, 1, 1, true), &password, |bytes| {
        request.extend_from_slice(bytes);
    });
    // MESSAGE-INTEGRITY has 20 bytes, and FINGERPRINT with its head 8 after it. Its sum is not compared here.
    let mac = [request.len() - 28, request.len() - 9];
    let refused = measure(&request, mac, 1, |wrong| {
        if let Ok(message) = StunMessage::parse(wrong) {
            black_box(message.verify(password.as_bytes(), stun::hmac_sha1));
        }
    });
    table.row("STUN MESSAGE-INTEGRITY", false, refused);
    Some(())
}

fn refuse_announce(table: &mut Table) -> Option<()> {
    let ((mut session, _), (_, body)) = (device(0)?, device(1)?);
    // A list of one: kind, participant, seat, the announce of 298 bytes, which ends in its MAC of 32.
    let end = 1 + 4 + 2 + 298;
    let refused = measure(&body, [end - 32, end - 1], 1, |wrong| {
        let _ = black_box(session.handle(CLOCK, Event::Announces(wrong)));
    });
    table.row("announce, MAC", false, refused);
    Some(())
}

fn refuse_frame(table: &mut Table) -> Option<()> {
    let (mut sender, mut receiver): (Session, Session) = pair()?;
    let plain = vec![0; 1_000];
    let mut sealed = vec![0; codec::max_sealed_bytes(Codec::Vp8, plain.len())];
    let length = sender.seal(CLOCK, StreamId::CAMERA, Codec::Vp8, FrameKind::Delta, &plain, &mut sealed).ok()?;
    sealed.truncate(length);
    let mut frame = sealed.clone();
    let refused = measure(&sealed, [length - 16, length - 1], 1, |wrong| {
        frame.copy_from_slice(wrong);
        black_box(receiver.open(CLOCK, Codec::Vp8, &mut frame).is_err());
    });
    table.row("frame, tag", false, refused);
    Some(())
}

fn main() -> ExitCode {
    println!("| refusal | median | t | |\n|---|---|---|---|");
    let mut table = Table { fails: false };
    let rows = [compare_secrets, open_tokens, check_stun, refuse_announce, refuse_frame];
    let done = rows.into_iter().all(|row| row(&mut table).is_some());
    println!(
        "\n{PASSES} passes of {MEASUREMENTS} measurements a row; the bound is |t| < {BOUND}, for differences from {SMALLEST} ns."
    );
    if done && !table.fails { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
