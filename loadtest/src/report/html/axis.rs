//! The axis of a plot: from values to a place between 0 and 1, and the values worth a line.

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Equal distances are equal differences. Begins at zero.
    Linear,
    /// Equal distances are equal ratios; values below the smallest power of ten stand at it.
    Log,
}

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
}

/// A value that is drawn as a line, with its label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    /// Empty for a line without label.
    pub(super) label: String,
}

impl Axis {
    /// About so many labels fit.
    const LABELS: f64 = 5.0;

    /// An axis on which all these values have a place; those that are no number are left out.
    pub(super) fn of(scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        let usable = values.into_iter().filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (f64::min(low, value), f64::max(high, value))
        });
        if !low.is_finite() || !high.is_finite() {
            return Self { scale, from: if scale == Scale::Log { 1.0 } else { 0.0 }, to: 10.0 };
        }
        match scale {
            Scale::Linear => {
                let step = nice_step(high.max(f64::MIN_POSITIVE) / Self::LABELS);
                Self { scale, from: 0.0, to: ((high / step).ceil() * step).max(step) }
            }
            Scale::Log => {
                let floor = low.log10().floor();
                Self { scale, from: 10f64.powf(floor), to: 10f64.powf(high.log10().ceil().max(floor + 1.0)) }
            }
        }
    }

    /// Where a value stands: 0 at the beginning of the axis, 1 at its end. Never outside, never no number.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => (value.max(self.from) / self.from).log10() / (self.to / self.from).log10(),
        };
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// Values worth a line.
    pub(super) fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => {
                let step = nice_step((self.to - self.from) / Self::LABELS);
                let last = ((self.to - self.from) / step + 1e-9).floor() as u32;
                (0..=last.min(20))
                    .map(|n| self.from + f64::from(n) * step)
                    .map(|value| Tick { value, label: label(value) })
                    .collect()
            }
            Scale::Log => {
                let decades = ((self.to / self.from).log10().round() as i32).clamp(1, 12);
                let every = if decades > 6 { 2 } else { 1 };
                (0..=decades)
                    .flat_map(|decade| {
                        let power = self.from * 10f64.powi(decade);
                        let between = if decades <= 4 && decade < decades { 2..10 } else { 2..2 };
                        let labelled = decade % every == 0;
                        let text = if labelled { label(power) } else { String::new() };
                        let first = Tick { value: power, label: text };
                        let rest = between.map(move |n| Tick { value: power * f64::from(n), label: String::new() });
                        [first].into_iter().chain(rest)
                    })
                    .collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, not below the value.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_at_a_round_value() {
        let axis = Axis::of(Scale::Linear, [3.0, 87.0]);
        let ticks = axis.ticks(|value| format!("{value}"));
        let labels: Vec<_> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["0", "20", "40", "60", "80", "100"]);
        assert_eq!((axis.place(0.0), axis.place(50.0), axis.place(100.0), axis.place(1e9)), (0.0, 0.5, 1.0, 1.0));
    }

    #[test]
    fn a_logarithmic_axis_spans_whole_decades() {
        let axis = Axis::of(Scale::Log, [45.0, 3_000.0, 0.0, f64::NAN]);
        let labelled: Vec<_> =
            axis.ticks(|value| format!("{value:.0}")).into_iter().filter(|t| !t.label.is_empty()).collect();
        let values: Vec<_> = labelled.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(values, ["10", "100", "1000", "10000"]);
        assert!((axis.place(100.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(axis.place(0.0), 0.0);
    }

    #[test]
    fn an_axis_without_values_is_an_axis() {
        for scale in [Scale::Linear, Scale::Log] {
            assert!(Axis::of(scale, []).ticks(|_| String::new()).len() > 1);
            assert!(Axis::of(scale, [0.0]).ticks(|_| String::new()).len() > 1);
        }
    }

    proptest! {
        #[test]
        fn every_value_has_a_place(values in prop::collection::vec(prop::num::f64::ANY, 0..8), probe in prop::num::f64::ANY) {
            for scale in [Scale::Linear, Scale::Log] {
                let axis = Axis::of(scale, values.iter().map(|value| value.abs()));
                prop_assert!((0.0..=1.0).contains(&axis.place(probe)));
                prop_assert!(axis.ticks(|_| String::new()).len() < 100);
            }
        }
    }
}
