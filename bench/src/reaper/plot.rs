//! Plots as SVG: the middle of some rounds against a size, with their least and greatest.

use crate::numbers::{Spread, grouped, rounded};
use anyhow::{Context, Result};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (720, 420);
const LINE: RGBColor = RGBColor(31, 119, 180);
/// Room above the highest point.
const HEADROOM: f64 = 1.15;

/// What is drawn.
pub(crate) struct Plot<'t> {
    pub(crate) title: &'t str,
    pub(crate) x: &'t str,
    pub(crate) y: &'t str,
    /// Size and spread, sizes rising.
    pub(crate) points: &'t [(u32, Spread)],
}

/// Writes it; the sizes are on a logarithmic axis.
pub(crate) fn draw(plot: &Plot<'_>, file: &Path) -> Result<()> {
    let first = plot.points.first().context("a point")?.0;
    let last = plot.points.last().context("a point")?.0;
    let top = plot.points.iter().map(|(_, spread)| spread.max).fold(1.0, f64::max) * HEADROOM;
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let sizes = (f64::from(first) * 0.6..f64::from(last) * 1.4).log_scale();
    let mut chart = ChartBuilder::on(&area)
        .caption(plot.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(sizes, 0.0..top)?;
    // The axis would name many more.
    let is_measured =
        |x: &f64| plot.points.iter().any(|(size, _)| (f64::from(*size) - x).abs() < 0.5);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_desc(plot.x)
        .y_desc(plot.y)
        .x_label_formatter(&|x| if is_measured(x) { grouped(*x) } else { String::new() })
        .y_label_formatter(&|y| grouped(*y))
        .draw()?;
    let middles = plot.points.iter().map(|(x, y)| (f64::from(*x), y.median));
    chart.draw_series(LineSeries::new(middles, LINE.stroke_width(2)))?;
    chart.draw_series(plot.points.iter().map(|(x, y)| {
        ErrorBar::new_vertical(f64::from(*x), y.min, y.median, y.max, LINE.filled(), 8)
    }))?;
    chart.draw_series(plot.points.iter().map(|(x, y)| {
        let place = (f64::from(*x), y.median);
        EmptyElement::at(place) + Text::new(rounded(y.median), (-40, -18), ("sans-serif", 14))
    }))?;
    Ok(area.present()?)
}
