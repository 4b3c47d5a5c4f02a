//! Line plots as inline SVG: no script, no font, nothing fetched.
//!
//! A plot is drawn about as large as it is shown (half a page, or the width of a phone), so that its text is as large as
//! the text around it. Colours are classes, which the style sheet fills for light, dark and paper.

use super::axis::Axis;
use maud::{Markup, html};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// A plot.
pub(super) struct Plot {
    /// What it shows, in a sentence, for who cannot see it.
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
    /// Name in the legend; none for lines that need no name of their own.
    pub(super) name: Option<String>,
    /// Which of the colours.
    pub(super) colour: usize,
    pub(super) shape: Shape,
    pub(super) points: Vec<(f64, f64)>,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line.
    Line,
    /// A line behind the others.
    FaintLine,
    /// Dots.
    Dots,
    /// Dots that are not filled.
    Rings,
}

/// A line across the plot at one value.
pub(super) struct Mark {
    pub(super) at: At,
    pub(super) label: String,
}

/// Where a mark stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum At {
    X(f64),
    Y(f64),
}

/// A coordinate, to a tenth of a pixel. Places are never out of range, so neither is this.
fn number(value: f64) -> String {
    format!("{value:.1}")
}

impl Plot {
    /// The colours there are; series beyond them begin again.
    pub(super) const COLOURS: usize = 6;

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    pub(super) fn draw(&self) -> Markup {
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.describes) {
                (self.grid())
                @for (n, mark) in self.marks.iter().enumerate() { (self.mark(n, mark)) }
                @for series in &self.series { (self.curve(series)) }
            }
            (self.legend())
        }
    }

    fn grid(&self) -> Markup {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        html! {
            @for tick in self.x.ticks(self.x_text) {
                @let x = number(self.x_at(tick.value));
                line class=(if tick.label.is_empty() { "grid minor" } else { "grid" })
                    x1=(x) x2=(x) y1=(number(TOP)) y2=(number(bottom)) {}
                @if !tick.label.is_empty() {
                    @let at_end = self.x.place(tick.value) > 0.98;
                    text class="tick" text-anchor=(if at_end { "end" } else { "middle" }) x=(x) y=(number(bottom + 15.0)) { (tick.label) }
                }
            }
            @for tick in self.y.ticks(self.y_text) {
                @let y = self.y_at(tick.value);
                line class=(if tick.label.is_empty() { "grid minor" } else { "grid" })
                    x1=(number(LEFT)) x2=(number(right)) y1=(number(y)) y2=(number(y)) {}
                @if !tick.label.is_empty() {
                    text class="tick" text-anchor="end" x=(number(LEFT - 6.0)) y=(number(y + 4.0)) { (tick.label) }
                }
            }
            line class="axis" x1=(number(LEFT)) x2=(number(right)) y1=(number(bottom)) y2=(number(bottom)) {}
            text class="label" text-anchor="middle" x=(number(f64::midpoint(LEFT, right))) y=(number(HEIGHT - 8.0)) {
                (self.x_label)
            }
            text class="label" text-anchor="middle" transform=(format!("translate(12 {}) rotate(-90)",
                number(f64::midpoint(TOP, bottom)))) { (self.y_label) }
        }
    }

    /// A dashed line and its label; labels of several vertical lines stand above each other, low, where curves that
    /// rise leave room.
    fn mark(&self, n: usize, mark: &Mark) -> Markup {
        match mark.at {
            At::X(value) => {
                let x = self.x_at(value);
                let left_half = x < WIDTH * 0.6;
                html! {
                    line class="mark" x1=(number(x)) x2=(number(x)) y1=(number(TOP)) y2=(number(HEIGHT - BOTTOM)) {}
                    text class="mark-label" text-anchor=(if left_half { "start" } else { "end" })
                        x=(number(if left_half { x + 5.0 } else { x - 5.0 }))
                        y=(number(HEIGHT - BOTTOM - 9.0 - n as f64 * 16.0)) { (mark.label) }
                }
            }
            At::Y(value) => {
                let y = self.y_at(value);
                html! {
                    line class="mark" x1=(number(LEFT)) x2=(number(WIDTH - RIGHT)) y1=(number(y)) y2=(number(y)) {}
                    text class="mark-label" text-anchor="start" x=(number(LEFT + 6.0)) y=(number(y - 5.0)) {
                        (mark.label)
                    }
                }
            }
        }
    }

    fn curve(&self, series: &Series) -> Markup {
        let colour = format!("c{}", series.colour % Self::COLOURS);
        let points = || series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let place = |&(x, y): &(f64, f64)| (number(self.x_at(x)), number(self.y_at(y)));
        html! {
            @match series.shape {
                Shape::Line | Shape::FaintLine => {
                    polyline class=(format!("line {colour}{}", if series.shape == Shape::FaintLine { " faint" } else { "" }))
                        points=(points().map(|point| { let (x, y) = place(point); format!("{x},{y}") })
                            .collect::<Vec<_>>().join(" ")) {}
                }
                Shape::Dots | Shape::Rings => {
                    @for point in points() {
                        @let (x, y) = place(point);
                        circle class=(format!("{} {colour}", if series.shape == Shape::Dots { "dot" } else { "ring" }))
                            cx=(x) cy=(y) r="4" {
                            title { (series.name.as_deref().unwrap_or_default()) " " (self.x_label) " "
                                ((self.x_text)(point.0)) ", " (self.y_label) " " ((self.y_text)(point.1)) }
                        }
                    }
                }
            }
        }
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
