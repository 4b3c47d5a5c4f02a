//! Audio from an encoder through a room to the ears of its listeners, in virtual time: silence, first words, and loss.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

mod call;
#[path = "../speech_survives_loss/speech.rs"]
mod speech;

use call::{Call, Options};
use tacet_impair::{Impairment, Loss, Share};
use tacet_native::audio::{EncoderOptions, FRAME_SAMPLES, PlayoutStats, SAMPLE_RATE};

const RATE: usize = SAMPLE_RATE as usize;

/// A room in which no one speaks: noise at -66 dBov.
fn quiet(samples: usize) -> Vec<f32> {
    let mut noise = 7u32;
    let sample = |_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((noise >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.0017
    };
    (0..samples).map(sample).collect()
}

fn mixed(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// 20 ms of delay and up to 10 ms of jitter.
fn usual_path() -> Impairment {
    Impairment::PERFECT.delay(call::BLOCK).jitter(call::BLOCK / 2)
}

/// "One", after ten seconds in which no one speaks, in a room of twelve microphones that plays the loudest.
#[test]
fn first_word_after_silence_is_heard_whole() {
    let word = speech::speech(5, RATE / 2);
    let silence = 10 * RATE;
    let samples = [quiet(silence), mixed(&word, &quiet(word.len())), quiet(2 * RATE)].concat();
    let mut call = Call::new(&Options { others: 11, listeners: vec![usual_path()], ..Options::default() });
    call.play(&samples);
    let listener = &call.listeners[0];
    let reference = call::decoded(&EncoderOptions::strict(), &samples);
    let sent = energy(&reference[silence..]);
    let heard = energy(&listener.audio);
    println!("first word: {:.1} % of the energy, {} packets in all", 100.0 * heard / sent, call.sent);
    assert!(heard >= 0.95 * sent, "{heard} of {sent}");
    assert!(heard <= 1.1 * sent, "nothing is played twice");
    assert_eq!(listener.playout.stats().jitter.late, 0);
}

#[test]
fn silent_microphone_costs_a_tenth_and_is_not_concealed() {
    let (spoken, seconds) = (speech::speech(8, RATE), 30);
    let mut call = Call::new(&Options { listeners: vec![usual_path()], ..Options::default() });
    call.play(&[spoken, quiet(seconds * RATE)].concat());
    let sent = call.sent - 50;
    let PlayoutStats { jitter, .. } = call.listeners[0].playout.stats();
    println!("silence: {sent} packets in {seconds} s, {jitter:?}");
    assert!(jitter.received >= call.sent as u64 - 5 && sent <= 10 * seconds, "{sent} packets");
    assert!(jitter.underruns <= seconds as u64 / 10 && jitter.concealed <= call::BLOCK * seconds as u32 / 10);
}

#[test]
fn strict_profile_sends_the_same_in_silence_and_speech() {
    let samples = [quiet(3 * RATE), speech::speech(6, 3 * RATE), vec![0.0; 3 * RATE]].concat();
    let options = Options { encoder: EncoderOptions::strict(), listeners: vec![usual_path()], ..Options::default() };
    let mut call = Call::new(&options);
    call.play(&samples);
    assert_eq!(call.sent, samples.len() / FRAME_SAMPLES, "a packet each 20 ms");
    assert_eq!(call.sizes.len(), 1, "of one size: {:?}", call.sizes);
}

/// A tenth of the packets is lost on the way to half of the listeners.
#[test]
fn loss_at_listeners_switches_in_band_fec_on() {
    let lossy = usual_path().loss(Loss::independent(Share::percent(10)));
    let hear = |adapts: bool| {
        let encoder = EncoderOptions { expected_loss_percent: 0, ..EncoderOptions::default() };
        let listeners = vec![usual_path(), lossy.clone(), usual_path(), lossy.clone()];
        let mut call = Call::new(&Options { encoder, listeners, adapts, ..Options::default() });
        call.play(&speech::speech(7, 25 * RATE));
        call
    };
    let (with, without) = (hear(true), hear(false));
    let first = with.first_fec.unwrap();
    println!("in-band FEC after {:.1} s", first.as_secs_f32());
    assert!(first.as_secs() < 5 && without.first_fec.is_none(), "{first:?}");
    for listener in [1, 3] {
        let of = |call: &Call| call.listeners[listener].playout.stats().jitter;
        let (repaired, guessed) = (of(&with), of(&without));
        println!(
            "listener {listener}: {:?} concealed, {:?} without; {} of {} recovered",
            repaired.concealed, guessed.concealed, repaired.recovered, repaired.lost
        );
        assert!(repaired.concealed * 2 <= guessed.concealed, "{:?} of {:?}", repaired.concealed, guessed.concealed);
    }
}
