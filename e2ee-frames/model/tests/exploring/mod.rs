//! Runs the checker and prints what it saw.

#![allow(clippy::print_stdout, dead_code)]

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::{fmt::Debug, hash::Hash, time::Instant};

/// Explores all states: no property that must always hold is violated, and every state of interest is reached.
pub(crate) fn explore<M>(name: &str, model: M, reached: &[&'static str])
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let start = Instant::now();
    let properties = model.properties();
    let checker = model.checker().threads(2).spawn_dfs().join();
    report(name, &checker, start);
    for property in properties {
        match property.expectation {
            Expectation::Always | Expectation::Eventually => {
                if let Some(path) = checker.discovery(property.name) {
                    path.into_actions().iter().for_each(|step| println!("      {step:?}"));
                }
                checker.assert_no_discovery(property.name);
            }
            Expectation::Sometimes if reached.contains(&property.name) => {
                checker.assert_any_discovery(property.name);
            }
            Expectation::Sometimes => {}
        }
    }
    assert!(checker.is_done(), "all states were explored");
}

/// Finds a shortest way to violate this property; fails if there is none.
pub(crate) fn counterexample<M>(name: &str, model: M, property: &'static str) -> Vec<M::Action>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let start = Instant::now();
    let found = HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().threads(2).finish_when(found).spawn_bfs().join();
    report(name, &checker, start);
    let moves = checker.assert_any_discovery(property).into_actions();
    println!("    breaks: {property}");
    moves.iter().for_each(|step| println!("      {step:?}"));
    moves
}

fn report<M: Model>(name: &str, checker: &impl Checker<M>, start: Instant)
where
    M::State: Debug,
    M::Action: Debug,
{
    println!(
        "{name}: {} unique states of {} generated, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f32(),
    );
}
