//! Seeded random processes, the same on every machine and in every run.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Exp, LogNormal};
use std::time::Duration;

/// A separate generator for one purpose, which `path` distinguishes from the others of the same seed.
pub(crate) fn seed_of(seed: u64, path: [u64; 3]) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (chunk, value) in bytes.chunks_exact_mut(8).zip([seed, path[0], path[1], path[2]]) {
        chunk.copy_from_slice(&value.to_be_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

/// A factor around 1: log-normal with mean 1, so that the rate holds on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around(Option<LogNormal<f64>>);

impl Around {
    /// `spread` is the standard deviation of the logarithm; 0 is none.
    pub(crate) fn new(spread: f64) -> Self {
        Self((spread > 0.0).then(|| LogNormal::new(-spread * spread / 2.0, spread).ok()).flatten())
    }

    pub(crate) fn draw(&self, random: &mut ChaCha8Rng) -> f64 {
        self.0.map_or(1.0, |distribution| distribution.sample(random))
    }
}

/// A time with this mean, exponentially distributed.
pub(crate) fn exponential(mean_s: f64, random: &mut ChaCha8Rng) -> f64 {
    Exp::new(1.0 / mean_s).map_or(mean_s, |distribution| distribution.sample(random))
}

/// How long the people on one place stay, one after the other.
#[derive(Debug)]
pub(crate) struct Stays {
    mean_s: f64,
    random: ChaCha8Rng,
}

impl Stays {
    pub(crate) fn new(mean_s: f64, seed: u64, place: u64) -> Self {
        Self { mean_s, random: seed_of(seed, [3, place, 0]) }
    }

    /// How long the next one stays.
    pub(crate) fn next(&mut self) -> Duration {
        Duration::try_from_secs_f64(exponential(self.mean_s, &mut self.random)).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_follow_from_seed_and_path() {
        let first = |seed, place| Stays::new(5.0, seed, place).next();
        assert_eq!(first(1, 0), first(1, 0));
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
    }

    #[test]
    fn stays_are_exponential() {
        let mut stays = Stays::new(5.0, 1, 0);
        let all: Vec<f64> = (0..10_000).map(|_| stays.next().as_secs_f64()).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((4.8..5.2).contains(&mean), "{mean}");
        // Of an exponential distribution, 1/e lie above the mean.
        let above = all.iter().filter(|stay| **stay > 5.0).count();
        assert!((3_500..3_860).contains(&above), "{above}");
    }

    #[test]
    fn sizes_have_their_mean() {
        let (around, mut random) = (Around::new(0.5), seed_of(1, [0; 3]));
        let all: Vec<f64> = (0..20_000).map(|_| around.draw(&mut random)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((0.98..1.02).contains(&mean), "{mean}");
        assert!(all.iter().any(|factor| *factor > 2.0) && all.iter().all(|factor| *factor > 0.0));
        assert_eq!(Around::new(0.0).draw(&mut random), 1.0);
    }
}
