//! Runs every scenario with both controllers and writes what came out: `make cc`.
//!
//! ```text
//! evaluate [--seeds N] [--only TEXT] [--json FILE] [--document FILE] [--plots DIRECTORY] [--trace]
//! ```
//! `--document` replaces the tables between two marks of a page; without options, figures go to standard output.

#![allow(clippy::print_stdout, reason = "that is its purpose")]

mod document;
#[path = "../../controllers/goog_cc.rs"]
mod gcc;
#[path = "../../controllers/own.rs"]
mod own;
mod plot;

use std::{error::Error, fs, path::Path, sync::Mutex, thread, time::Instant};
use tacet_congestion_lab::{Controller, Scenario, Start, Summary, run, scenarios, scores};

/// A controller by name.
type Contestant = (&'static str, fn(&Start) -> Box<dyn Controller>);

/// Who takes part.
const CONTESTANTS: [Contestant; 2] =
    [("tacet", |start| Box::new(own::Own::new(start))), ("goog_cc", |start| Box::new(gcc::GoogCc::new(start)))];

/// A scenario, and the summary of each contestant.
struct Evaluated {
    scenario: Scenario,
    summaries: Vec<Summary>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|place| arguments.get(place + 1));
    let seeds: u64 = option("--seeds").map_or(Ok(5), |seeds| seeds.parse())?;
    let only = option("--only").map_or("", String::as_str);
    let begun = Instant::now();
    let chosen: Vec<Scenario> = scenarios().into_iter().filter(|scenario| scenario.name.contains(only)).collect();
    if arguments.iter().any(|argument| argument == "--trace") {
        chosen.iter().for_each(trace);
        return Ok(());
    }
    let evaluated = evaluate(chosen, seeds);
    println!("{} scenarios, {seeds} seeds, {:.1} s", evaluated.len(), begun.elapsed().as_secs_f64());
    if let Some(file) = option("--json") {
        fs::write(file, serde_json::to_string_pretty(&document::json(&evaluated, seeds))?)?;
    }
    if let Some(file) = option("--document") {
        document::write(Path::new(file), &evaluated, seeds)?;
    }
    if let Some(directory) = option("--plots") {
        plot::write(Path::new(directory))?;
    }
    if option("--document").is_none() {
        evaluated.iter().for_each(print);
    }
    Ok(())
}

/// As many at a time as there are cores.
fn evaluate(scenarios: Vec<Scenario>, seeds: u64) -> Vec<Evaluated> {
    let results: Mutex<Vec<(usize, Evaluated)>> = Mutex::default();
    let waiting = Mutex::new(scenarios.into_iter().enumerate());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((place, scenario)) = next() {
                    let of = |controller: fn(&Start) -> Box<dyn Controller>| {
                        let seed = |seed| scores(&scenario, &run(&scenario, seed, &controller));
                        Summary::of(&(1..=seeds).map(seed).collect::<Vec<_>>())
                    };
                    let summaries = CONTESTANTS.iter().map(|(_, controller)| of(*controller)).collect();
                    if let Ok(mut results) = results.lock() {
                        results.push((place, Evaluated { scenario, summaries }));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, evaluated)| evaluated).collect()
}

fn print(Evaluated { scenario, summaries }: &Evaluated) {
    println!("## {} ({})", scenario.title, scenario.name);
    for (place, figure) in summaries.first().into_iter().flat_map(|summary| summary.figures.iter().enumerate()) {
        let all = summaries
            .iter()
            .filter_map(|summary| summary.figures.get(place))
            .map(|figure| format!("{:>28}", figure.to_string()));
        println!("  {:28} {}", figure.score, all.collect::<Vec<_>>().join(" "));
    }
    for ((name, _), summary) in CONTESTANTS.iter().zip(summaries) {
        for violation in scenario.expectations.iter().filter_map(|expectation| expectation.violation(summary)) {
            println!("  {name} misses {violation}");
        }
    }
}

/// Estimates and rates of the first call, each half second, and why they are so.
fn trace(scenario: &Scenario) {
    for (name, controller) in CONTESTANTS {
        println!("## {} {name}", scenario.title);
        let recording = run(scenario, 1, &controller);
        let Some(media) = recording.media.first() else { continue };
        for half in 0..(scenario.lasts * 2.0) as u32 {
            let (from, to) = (f64::from(half) / 2.0, f64::from(half + 1) / 2.0);
            let bytes: usize = media.deliveries.iter().filter(|d| d.at >= from && d.at < to).map(|d| d.bytes).sum();
            let estimate = media.estimates.iter().rev().find(|(at, _)| *at < to).map_or(0.0, |(_, estimate)| *estimate);
            let queue = recording.queue.iter().filter(|sample| sample.at >= from && sample.at < to);
            let longest = queue.map(|sample| sample.ms).fold(0.0, f64::max);
            let cause = media.causes.iter().rev().find(|(at, _)| *at < to).map_or("", |(_, cause)| cause.as_str());
            println!(
                "{from:6.1} estimate {:6.0}k rate {:6.0}k queue {longest:4.0} ms {cause}",
                estimate / 1e3,
                bytes as f64 * 16.0 / 1e3
            );
        }
    }
}
