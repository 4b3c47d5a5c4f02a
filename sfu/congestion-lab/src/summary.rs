//! Figures of several seeds.

use crate::scores::Score;
use std::fmt;

/// A score of several seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name.
    pub score: String,
    /// The median, the lower one of an even number of seeds.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.least, self.most)
    }
}

/// The figures of a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// In the order of the scores.
    pub figures: Vec<Figure>,
}

impl Summary {
    /// Of the scores of each seed, which are the same scores in the same order.
    pub fn of(seeds: &[Vec<Score>]) -> Self {
        let names = seeds.first().map(|scores| scores.iter().map(|score| score.name.clone())).into_iter().flatten();
        let figures = names.enumerate().filter_map(|(place, score)| {
            let mut values: Vec<f64> =
                seeds.iter().filter_map(|scores| scores.get(place)).map(|score| score.value).collect();
            values.sort_by(f64::total_cmp);
            let median = *values.get(values.len().saturating_sub(1) / 2)?;
            Some(Figure { score, median, least: *values.first()?, most: *values.last()? })
        });
        Self { figures: figures.collect() }
    }

    /// The figure of a score.
    pub fn figure(&self, score: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.score == score)
    }
}
