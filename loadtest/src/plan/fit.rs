//! Least squares with costs that cannot be negative.
//!
//! There are few columns, so every subset of them is tried: of those whose solution has no negative cost, the one that
//! explains the points best is *the* optimum (Lawson and Hanson 1974, chapter 23: an optimum is the ordinary solution on
//! its positive columns). Errors count relative to the point, since a point of a tenth of a core matters as much as one
//! of a whole.

/// Why points do not determine costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Fewer points than costs.
    #[error("{points} different points cannot tell {costs} costs apart")]
    TooFew {
        /// Points there are.
        points: usize,
        /// Costs that are wanted.
        costs: usize,
    },
    /// The points differ in the same way in two columns, or a column is empty.
    #[error("the points vary too little to tell the costs apart: vary fan-out, rate and kind of media")]
    Alike,
    /// A point is no number, or costs nothing.
    #[error("a point without CPU time cannot be explained")]
    Empty,
}

/// Columns may be dependent up to this share of their size.
const DEPENDENT: f64 = 1e-6;

/// Finds the costs `c ≥ 0` of `K` columns for which `Σ c·row` comes closest to `y`, of all points relative to `y`.
///
/// # Errors
/// [`FitError`] when the points do not determine the costs.
pub(super) fn fit<const K: usize>(points: &[([f64; K], f64)]) -> Result<[f64; K], FitError> {
    if points.len() < K {
        return Err(FitError::TooFew { points: points.len(), costs: K });
    }
    if points.iter().any(|(row, y)| !y.is_finite() || *y <= 0.0 || row.iter().any(|x| !x.is_finite())) {
        return Err(FitError::Empty);
    }
    // Each column is made as large as the others, so that the tests for zero mean the same in all.
    let mut scale = [0.0; K];
    for (row, y) in points {
        for (scale, x) in scale.iter_mut().zip(row) {
            *scale = f64::max(*scale, (x / y).abs());
        }
    }
    if scale.contains(&0.0) {
        return Err(FitError::Alike);
    }
    let rows: Vec<[f64; K]> = points
        .iter()
        .map(|(row, y)| {
            let mut scaled = *row;
            scaled.iter_mut().zip(&scale).for_each(|(x, scale)| *x /= y * scale);
            scaled
        })
        .collect();
    // All columns together must be independent, even if some of them turn out to cost nothing.
    solve(&rows, usize::MAX).ok_or(FitError::Alike)?;
    let subsets = 1..(1usize << K);
    let (_, mut best) = subsets
        .filter_map(|subset| solve(&rows, subset))
        .filter(|costs| costs.iter().all(|cost| *cost >= 0.0))
        .map(|costs| (residual(&rows, &costs), costs))
        .min_by(|(one, _), (other, _)| one.total_cmp(other))
        .ok_or(FitError::Alike)?;
    best.iter_mut().zip(&scale).for_each(|(cost, scale)| *cost /= scale);
    Ok(best)
}

/// Sum of squared relative errors; each scaled point should be one.
fn residual<const K: usize>(rows: &[[f64; K]], costs: &[f64; K]) -> f64 {
    rows.iter().map(|row| (dot(row, costs) - 1.0).powi(2)).sum()
}

fn dot<const K: usize>(row: &[f64; K], costs: &[f64; K]) -> f64 {
    row.iter().zip(costs).map(|(x, cost)| x * cost).sum()
}

/// Ordinary least squares on the columns whose bit is set: normal equations, eliminated with the largest pivot. `None`
/// when they are dependent.
fn solve<const K: usize>(rows: &[[f64; K]], subset: usize) -> Option<[f64; K]> {
    let columns: Vec<usize> = (0..K).filter(|column| subset >> column & 1 == 1).collect();
    let mut system: Vec<Vec<f64>> = columns
        .iter()
        .map(|&i| {
            let product = |j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
            let target = rows.iter().map(|row| row[i]).sum();
            columns.iter().map(|&j| product(j)).chain([target]).collect()
        })
        .collect();
    let size = columns.len();
    let largest = system.iter().flatten().fold(0.0, |a: f64, b| a.max(b.abs()));
    for step in 0..size {
        let pivot = (step..size).max_by(|&a, &b| system[a][step].abs().total_cmp(&system[b][step].abs()))?;
        system.swap(step, pivot);
        if system[step][step].abs() <= largest * DEPENDENT {
            return None;
        }
        let (done, open) = system.split_at_mut(step + 1);
        let reference = done.last()?;
        for row in open {
            let factor = row[step] / reference[step];
            row.iter_mut().zip(reference).for_each(|(x, known)| *x -= factor * known);
        }
    }
    let mut costs = [0.0; K];
    for step in (0..size).rev() {
        let known: f64 = (step + 1..size).map(|later| system[step][later] * costs[columns[later]]).sum();
        costs[columns[step]] = (system[step][size] - known) / system[step][step];
    }
    Some(costs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-6 * one.abs().max(other.abs()).max(1e-12)
    }

    #[test]
    fn exact_costs_of_any_scale() {
        let costs = [2e-6, 8e-7, 5e-4];
        let points: Vec<_> =
            [[500.0, 5_000.0, 11.0], [500.0, 40_000.0, 81.0], [4_000.0, 40_000.0, 14.0], [50.0, 5e3, 101.0]]
                .map(|row| (row, dot(&row, &costs)))
                .to_vec();
        let found = fit(&points).unwrap();
        assert!(found.iter().zip(&costs).all(|(one, other)| close(*one, *other)), "{found:?}");
    }

    #[test]
    fn negative_cost_becomes_zero() {
        // Noise made the second column's best cost negative: y = x1 but for a little less where x2 is large.
        let points = [([1.0, 0.0], 1.0), ([2.0, 1.0], 1.9), ([3.0, 5.0], 2.7)];
        let [first, second] = fit(&points).unwrap();
        assert!(second == 0.0 && (0.9..1.0).contains(&first), "{first} {second}");
    }

    #[test]
    fn underdetermined_is_refused() {
        assert_eq!(fit(&[([1.0, 2.0], 1.0)]), Err(FitError::TooFew { points: 1, costs: 2 }));
        let alike = [([1.0, 2.0], 1.0), ([2.0, 4.0], 2.0), ([3.0, 6.0], 3.0)];
        assert_eq!(fit(&alike), Err(FitError::Alike));
        assert_eq!(fit(&[([1.0, 0.0], 1.0), ([2.0, 0.0], 2.0)]), Err(FitError::Alike));
        assert_eq!(fit(&[([1.0], 0.0)]), Err(FitError::Empty));
        assert_eq!(fit(&[([f64::NAN], 1.0)]), Err(FitError::Empty));
    }

    proptest! {
        #[test]
        fn fit_is_optimal(
            rows in prop::collection::vec((prop::array::uniform3(0.1..10.0f64), 0.1..10.0f64), 4..10),
            other in prop::array::uniform3(0.0..2.0f64),
        ) {
            let Ok(found) = fit(&rows) else { return Ok(()) };
            let error = |costs: &[f64; 3]| rows.iter().map(|(row, y)| (dot(row, costs) / y - 1.0).powi(2)).sum::<f64>();
            prop_assert!(found.iter().all(|cost| *cost >= 0.0));
            prop_assert!(error(&found) <= error(&other) + 1e-9, "{found:?} is worse than {other:?}");
        }
    }
}
