//! The least-squares line through the latest twenty delays.
//!
//! Its sums are kept up to date by each point that comes and each that goes. Once a round they are formed again, with the
//! latest time as zero, so that neither errors nor times grow.

use super::packet::millis;

/// Points on the line.
pub(super) const GROUPS: usize = 20;
const COUNT: f64 = GROUPS as f64;

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    /// Milliseconds since the line's zero.
    x: f64,
    /// Delay in milliseconds.
    y: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Sums {
    fn with(self, point: Point, sign: f64) -> Self {
        Self {
            x: self.x + sign * point.x,
            y: self.y + sign * point.y,
            xx: self.xx + sign * point.x * point.x,
            xy: self.xy + sign * point.x * point.y,
        }
    }
}

/// Twenty points, of which the oldest is replaced by the next. Before there are twenty, the others are at zero.
#[derive(Debug, Default)]
pub(super) struct Line {
    points: [Point; GROUPS],
    oldest: usize,
    /// Zero of the times, in microseconds, and of the delays.
    zero: Option<i64>,
    level: f64,
    sums: Sums,
}

impl Line {
    /// Adds a delay in milliseconds at a time in microseconds.
    pub(super) fn add(&mut self, at: i64, delay: f64) {
        let point = Point { x: millis(at - *self.zero.get_or_insert(at)), y: delay - self.level };
        if let Some(oldest) = self.points.get_mut(self.oldest) {
            let replaced = std::mem::replace(oldest, point);
            self.sums = self.sums.with(replaced, -1.0).with(point, 1.0);
        }
        self.oldest += 1;
        if self.oldest >= GROUPS {
            self.oldest = 0;
            self.begin_round(at, point);
        }
    }

    /// Moves the zeros to the latest point.
    fn begin_round(&mut self, at: i64, latest: Point) {
        self.zero = Some(at);
        self.level += latest.y;
        for point in &mut self.points {
            point.x -= latest.x;
            point.y -= latest.y;
        }
        self.sums = self.points.iter().fold(Sums::default(), |sums, point| sums.with(*point, 1.0));
    }

    /// Change of the delay with time; `None` if all points are at one time.
    pub(super) fn slope(&self) -> Option<f64> {
        let Sums { x, y, xx, xy } = self.sums;
        let spread = xx - x * x / COUNT;
        (spread > 1e-6).then(|| (xy - x * y / COUNT) / spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook's formula over all points.
    fn slow_slope(points: &[(f64, f64)]) -> f64 {
        let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let (mean_x, mean_y) = (sum_x / COUNT, sum_y / COUNT);
        let products = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y));
        let squares = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x));
        products.sum::<f64>() / squares.sum::<f64>()
    }

    proptest! {
        /// The sums that are kept up to date say what the formula says, after hours too.
        #[test]
        fn line_agrees_with_the_formula(
            begin in 0i64..100_000_000_000,
            changes in prop::collection::vec((1_000i64..200_000, -50.0f64..50.0), 20..200),
        ) {
            let (mut line, mut at, mut delay) = (Line::default(), begin, 0.0);
            let mut points = Vec::new();
            for (elapsed, change) in changes {
                at += elapsed;
                delay += change;
                line.add(at, delay);
                points.push((millis(at - begin), delay));
                if let Some(latest) = points.len().checked_sub(GROUPS).map(|first| &points[first..]) {
                    let (fast, slow) = (line.slope().unwrap(), slow_slope(latest));
                    prop_assert!((fast - slow).abs() <= 1e-6 * (1.0 + slow.abs()), "{fast} {slow}");
                }
            }
        }
    }

    #[test]
    fn points_at_one_time_have_no_slope() {
        let mut line = Line::default();
        (0..40).for_each(|number| line.add(7, f64::from(number)));
        assert_eq!(line.slope(), None);
    }
}
