//! Rates over time, as plots of the page.

use crate::CONTESTANTS;
use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, LineSeries, PathElement, RGBColor, SVGBackend, WHITE,
};
use std::{error::Error, path::Path};
use tacet_congestion_lab::{named, run};

const SIZE: (u32, u32) = (900, 300);
const COLOURS: [RGBColor; 3] = [RGBColor(200, 80, 40), RGBColor(30, 100, 180), RGBColor(90, 90, 90)];
const PLOTS: [&str; 3] = ["rfc8867_5_1_variable_capacity_single_flow", "rfc8869_wifi_to_lte", "step_down_and_up"];

/// Writes a plot of each of some scenarios.
pub(crate) fn write(directory: &Path) -> Result<(), Box<dyn Error>> {
    for name in PLOTS {
        let file = directory.join(format!("congestion-{}.svg", name.replace('_', "-")));
        draw(name, &file)?;
    }
    Ok(())
}

fn draw(name: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let scenario = named(name).ok_or("no such scenario")?;
    let lines: Vec<Vec<(f64, f64)>> = CONTESTANTS
        .iter()
        .map(|(_, controller)| {
            let recording = run(&scenario, 1, controller);
            let deliveries = recording.media.first().map(|media| media.deliveries.clone()).unwrap_or_default();
            let halves = (0..(scenario.lasts * 2.0) as u32).map(|half| f64::from(half) / 2.0);
            halves
                .map(|from| {
                    let within = deliveries.iter().filter(|delivery| delivery.at >= from && delivery.at < from + 0.5);
                    (from + 0.25, within.map(|delivery| delivery.bytes).sum::<usize>() as f64 * 16.0 / 1e6)
                })
                .collect()
        })
        .collect();
    let most = lines.iter().flatten().map(|(_, rate)| *rate).fold(0.5, f64::max) * 1.1;
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{}: received, Mbit/s by seconds", scenario.title), ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(40)
        .build_cartesian_2d(0.0..scenario.lasts, 0.0..most)?;
    chart.configure_mesh().disable_mesh().draw()?;
    let changes: Vec<(f64, f64)> = scenario.changes.iter().map(|(at, rate)| (*at, rate / 1e6)).collect();
    let steps = changes.iter().enumerate().flat_map(|(place, (at, rate))| {
        let end = changes.get(place + 1).map_or(scenario.lasts, |(at, _)| *at);
        [(*at, rate.min(most)), (end, rate.min(most))]
    });
    chart
        .draw_series(LineSeries::new(steps, BLACK.mix(0.5)))?
        .label("capacity")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLACK.mix(0.5)));
    for (((name, _), line), colour) in CONTESTANTS.iter().zip(lines).zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}
