//! What a controller must achieve.

use crate::summary::Summary;
use std::fmt;

/// A bound of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

/// A bound of a score of a scenario. The median of the seeds must keep it, the worst within a factor of 1.5.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Name of the score.
    pub score: &'static str,
    /// Its bound.
    pub bound: Bound,
}

impl Expectation {
    /// By how much the worst seed may be beyond the bound.
    const WORST: f64 = 1.5;

    pub(crate) const fn at_least(score: &'static str, bound: f64) -> Self {
        Self { score, bound: Bound::AtLeast(bound) }
    }

    pub(crate) const fn at_most(score: &'static str, bound: f64) -> Self {
        Self { score, bound: Bound::AtMost(bound) }
    }

    /// `None` if the summary keeps it, otherwise what is wrong.
    pub fn violation(&self, summary: &Summary) -> Option<String> {
        let Some(figure) = summary.figure(self.score) else { return Some(format!("{}: no such score", self.score)) };
        let (median, worst) = match self.bound {
            Bound::AtLeast(bound) => (figure.median >= bound, figure.least >= bound / Self::WORST),
            Bound::AtMost(bound) => (figure.median <= bound, figure.most <= bound * Self::WORST),
        };
        (!(median && worst)).then(|| format!("{self}: {figure}"))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound {
            Bound::AtLeast(bound) => write!(f, "{} ≥ {bound}", self.score),
            Bound::AtMost(bound) => write!(f, "{} ≤ {bound}", self.score),
        }
    }
}
