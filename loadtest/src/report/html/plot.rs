//! Line plots as inline SVG, drawn by `plotters`: no script, no font, nothing fetched.
//!
//! Colours are placeholders that the style sheet replaces for light, dark and paper.

use maud::{Markup, PreEscaped, html};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::ops::Range;

/// Pixels of the drawing, twice as many as it is shown with: `plotters` rounds to whole ones.
pub(super) const SIZE: (u32, u32) = (960, 580);
/// Number of labels that fit an axis.
const LABELS: usize = 6;

const GRID: RGBColor = RGBColor(2, 0, 0);
const AXIS: RGBColor = RGBColor(2, 0, 1);
const MARK: RGBColor = RGBColor(2, 0, 2);

/// How values become distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Equal distances are equal differences. Starts at zero.
    Linear,
    /// Equal distances are equal ratios. Smaller values are drawn at the smallest power of ten.
    Log,
}

/// An axis: its scale, and what it spans (powers of ten if it is logarithmic).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis that spans all these values, but for those that are not finite.
    pub(super) fn of(scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        let usable = values.into_iter().filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (f64::min(low, value), f64::max(high, value))
        });
        match scale {
            Scale::Linear if high > 0.0 && high.is_finite() => Self { scale, from: 0.0, to: high * 1.02 },
            Scale::Log if low.is_finite() => {
                let from = low.log10().floor();
                Self { scale, from, to: high.log10().ceil().max(from + 1.0) }
            }
            Scale::Linear => Self { scale, from: 0.0, to: 10.0 },
            Scale::Log => Self { scale, from: 0.0, to: 1.0 },
        }
    }

    pub(super) fn end(&self) -> f64 {
        self.value(self.to)
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }

    /// Where a value is drawn: always in the range.
    fn place(&self, value: f64) -> f64 {
        let place = if self.scale == Scale::Log { value.log10() } else { value };
        if place.is_nan() { self.from } else { place.clamp(self.from, self.to) }
    }

    fn value(&self, place: f64) -> f64 {
        if self.scale == Scale::Log { 10f64.powf(place) } else { place }
    }

    /// Label of a place, empty between powers of ten.
    fn label(&self, place: f64, text: fn(f64) -> String) -> String {
        let between = self.scale == Scale::Log && (place - place.round()).abs() > 1e-6;
        if between { String::new() } else { text(self.value(place)) }
    }

    fn labels(&self) -> usize {
        if self.scale == Scale::Log { ((self.to - self.from) as usize + 1).min(LABELS) } else { LABELS }
    }
}

/// A plot.
pub(super) struct Plot {
    /// Description for screen readers.
    pub(super) describes: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_label: &'static str,
    pub(super) y_label: &'static str,
    /// How a value is written on each axis.
    pub(super) x_text: fn(f64) -> String,
    pub(super) y_text: fn(f64) -> String,
    pub(super) series: Vec<Series>,
    pub(super) marks: Vec<Mark>,
}

/// Values that belong together.
pub(super) struct Series {
    /// Name in the legend; absent for lines that need none.
    pub(super) name: Option<String>,
    /// Index of the colour.
    pub(super) colour: usize,
    pub(super) shape: Shape,
    pub(super) points: Vec<(f64, f64)>,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Line,
    /// A line behind the others.
    FaintLine,
    /// Filled dots.
    Dots,
    /// Circles.
    Rings,
}

/// A line across the plot at one value.
pub(super) struct Mark {
    pub(super) at: At,
    pub(super) label: String,
}

/// Position of a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum At {
    X(f64),
    Y(f64),
}

impl Plot {
    /// Number of colours; further series reuse them.
    pub(super) const COLOURS: usize = 6;

    pub(super) fn draw(&self) -> Markup {
        let mut svg = String::new();
        // Writing to a string does not fail.
        let drawn = self.render(&mut svg).is_ok();
        // The head is our own: it has a description, and no namespace, which HTML does not need.
        let body = svg.split_once('>').map(|(_, body)| body).filter(|_| drawn).unwrap_or("</svg>");
        html! {
            (PreEscaped(format!("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"", SIZE.0, SIZE.1)))
            (self.describes) (PreEscaped("\">")) (PreEscaped(body))
            (self.legend())
        }
    }

    fn render(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(24)
            .margin_right(48)
            .x_label_area_size(64)
            .y_label_area_size(96)
            .build_cartesian_2d(self.x.range(), self.y.range())?;
        let text = ("sans-serif", 24).into_font().color(&AXIS);
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS)
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .x_labels(self.x.labels())
            .y_labels(self.y.labels())
            .x_label_formatter(&|place| self.x.label(*place, self.x_text))
            .y_label_formatter(&|place| self.y.label(*place, self.y_text))
            .draw()?;
        for (n, mark) in self.marks.iter().enumerate() {
            // Labels of vertical lines are stacked near the bottom, where rising curves leave room.
            let (ends, corner, side, (dx, dy)) = match mark.at {
                At::X(value) => {
                    let x = self.x.place(value);
                    let left_half = x < f64::midpoint(self.x.from, self.x.to);
                    let (side, dx) = if left_half { (HPos::Left, 10) } else { (HPos::Right, -10) };
                    let ends = [(x, self.y.from), (x, self.y.to)];
                    (ends, (x, self.y.from), side, (dx, -18 - 32 * i32::try_from(n).unwrap_or_default()))
                }
                At::Y(value) => {
                    let y = self.y.place(value);
                    ([(self.x.from, y), (self.x.to, y)], (self.x.from, y), HPos::Left, (12, -10))
                }
            };
            let style = ("sans-serif", 23).into_font().color(&MARK).pos(Pos::new(side, VPos::Bottom));
            chart.draw_series([PathElement::new(ends, MARK)])?;
            chart.draw_series([EmptyElement::at(corner) + Text::new(mark.label.clone(), (dx, dy), style)])?;
        }
        for series in &self.series {
            let colour = RGBColor(1, 0, (series.colour % Self::COLOURS) as u8);
            let finite = series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let points = finite.map(|&(x, y)| (self.x.place(x), self.y.place(y)));
            match series.shape {
                Shape::Line => drop(chart.draw_series(LineSeries::new(points, colour.stroke_width(4)))?),
                Shape::FaintLine => {
                    chart.draw_series(LineSeries::new(points, colour.mix(0.45).stroke_width(2)))?;
                }
                Shape::Dots => drop(chart.draw_series(points.map(|at| Circle::new(at, 8, colour.filled())))?),
                Shape::Rings => drop(chart.draw_series(points.map(|at| Circle::new(at, 7, colour.stroke_width(4))))?),
            }
        }
        root.present()
    }

    fn legend(&self) -> Markup {
        html! {
            @if self.series.iter().any(|series| series.name.is_some()) {
                ul class="legend" {
                    @for series in &self.series {
                        @if let Some(name) = &series.name {
                            li {
                                span class=(format!("key c{}{}", series.colour % Self::COLOURS,
                                    match series.shape {
                                        Shape::Line => "",
                                        Shape::FaintLine => " faint",
                                        Shape::Dots => " round",
                                        Shape::Rings => " round hollow",
                                    })) {}
                                (name)
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn linear_axis_starts_at_zero() {
        let axis = Axis::of(Scale::Linear, [3.0, 87.0]);
        assert_eq!(axis.from, 0.0);
        assert!((87.0..100.0).contains(&axis.to) && axis.place(1e9) == axis.to, "{axis:?}");
    }

    #[test]
    fn log_axis_spans_whole_decades() {
        let axis = Axis::of(Scale::Log, [45.0, 3_000.0, 0.0, f64::NAN]);
        assert_eq!((axis.range(), axis.labels()), (1.0..4.0, 4));
        let text = |value: f64| format!("{value:.0}");
        let labels = [1.0, 2.0, 3.0, 4.0].map(|place| axis.label(place, text));
        assert_eq!(labels, ["10", "100", "1000", "10000"]);
        assert_eq!((axis.label(1.5, text), axis.place(0.0)), (String::new(), 1.0));
    }

    #[test]
    fn axis_without_values() {
        for scale in [Scale::Linear, Scale::Log] {
            for values in [vec![], vec![0.0]] {
                let axis = Axis::of(scale, values);
                assert!(axis.from < axis.to && axis.labels() > 1);
            }
        }
    }

    proptest! {
        #[test]
        fn place_is_in_range(values in prop::collection::vec(prop::num::f64::ANY, 0..8), probe in prop::num::f64::ANY) {
            for scale in [Scale::Linear, Scale::Log] {
                let axis = Axis::of(scale, values.iter().map(|value| value.abs()));
                prop_assert!((axis.from..=axis.to).contains(&axis.place(probe)), "{axis:?}");
            }
        }
    }
}
