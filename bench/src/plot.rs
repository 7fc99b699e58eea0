//! Plots as SVG: the middle of some rounds against a size, with their least and greatest.

use crate::numbers::{Spread, grouped, rounded};
use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (720, 420);
const LINES: [RGBColor; 3] =
    [RGBColor(31, 119, 180), RGBColor(214, 102, 31), RGBColor(44, 140, 60)];
const LIMIT: RGBColor = RGBColor(150, 150, 150);
const SMALL: (&str, u32) = ("sans-serif", 14);
/// Room above the highest point.
const HEADROOM: f64 = 1.15;
/// Where the figure of a point stands, by series: above the line, below it, beside it.
const FIGURES: [(i32, i32); 3] = [(-40, -18), (-14, 12), (10, -6)];

/// What is drawn.
pub(crate) struct Plot<'t> {
    pub(crate) title: &'t str,
    pub(crate) x: &'t str,
    pub(crate) y: &'t str,
    pub(crate) axis: Axis,
    /// At most three; more would not be told apart.
    pub(crate) series: &'t [Series<'t>],
    /// What should not be exceeded.
    pub(crate) limit: Option<f64>,
}

/// Of the sizes.
pub(crate) enum Axis {
    /// From 0.
    Linear,
    /// For sizes that differ by powers of ten.
    Logarithmic,
}

/// One line.
pub(crate) struct Series<'t> {
    /// Empty if there is no other.
    pub(crate) name: &'t str,
    /// Size and spread, sizes rising.
    pub(crate) points: &'t [(u32, Spread)],
}

/// Writes it.
pub(crate) fn draw(plot: &Plot<'_>, file: &Path) -> Result<()> {
    let points = &plot.series.first().context("a series")?.points;
    let first = f64::from(points.first().context("a point")?.0);
    let last = f64::from(points.last().context("a point")?.0);
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    match plot.axis {
        Axis::Linear => draw_on(plot, &area, 0.0..last * 1.1)?,
        Axis::Logarithmic => draw_on(plot, &area, (first * 0.6..last * 1.4).log_scale())?,
    }
    Ok(area.present()?)
}

fn draw_on<'f, X>(
    plot: &Plot<'_>,
    area: &DrawingArea<SVGBackend<'f>, Shift>,
    sizes: X,
) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let points = || plot.series.iter().flat_map(|series| series.points);
    let top = points().map(|(_, y)| y.max).chain(plot.limit).fold(1.0, f64::max) * HEADROOM;
    let mut chart = ChartBuilder::on(area)
        .caption(plot.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(sizes, 0.0..top)?;
    // A logarithmic axis would name many more.
    let is_measured = |x: &f64| points().any(|(size, _)| (f64::from(*size) - x).abs() < 0.5);
    let is_named = |x: &f64| matches!(plot.axis, Axis::Linear) || is_measured(x);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_desc(plot.x)
        .y_desc(plot.y)
        .x_label_formatter(&|x| if is_named(x) { grouped(*x) } else { String::new() })
        .y_label_formatter(&|y| grouped(*y))
        .draw()?;
    if let (Some(limit), Some(first), Some(last)) =
        (plot.limit, points().map(|(x, _)| *x).min(), points().map(|(x, _)| *x).max())
    {
        let ends = [(f64::from(first), limit), (f64::from(last), limit)];
        chart.draw_series(LineSeries::new(ends, LIMIT.stroke_width(1)))?;
    }
    for ((series, color), figure) in plot.series.iter().zip(LINES).zip(FIGURES) {
        let middles = series.points.iter().map(|(x, y)| (f64::from(*x), y.median));
        let line = LineSeries::new(middles.clone(), color.stroke_width(2));
        let drawn = chart.draw_series(line)?;
        if !series.name.is_empty() {
            drawn
                .label(series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
        }
        chart.draw_series(series.points.iter().map(|(x, y)| {
            ErrorBar::new_vertical(f64::from(*x), y.min, y.median, y.max, color.filled(), 8)
        }))?;
        chart
            .draw_series(middles.map(|place| {
                EmptyElement::at(place) + Text::new(rounded(place.1), figure, SMALL)
            }))?;
    }
    if plot.series.len() > 1 {
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).draw()?;
    }
    Ok(())
}
