//! The ratios as a drawing: how many times as good as its bar each row is.

use std::fmt::Write as _;

use crate::figures::{Spread, count, float};
use crate::report::{Bar, Report, Row};

const WIDTH: f64 = 900.0;
/// Where the names end, and the bars begin.
const LEFT: f64 = 400.0;
/// Where the bars end, and what they say begins.
const RIGHT: f64 = 780.0;
const TOP: f64 = 64.0;
const LINE: f64 = 30.0;
/// What is better than this is drawn no longer.
const MOST: f64 = 2.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.head{font-weight:600;\
    font-size:15px}.small{font-size:11px;fill:#57606a}.met{fill:#2da44e}.missed{fill:#cf222e}\
    .bar{stroke:#24292f;stroke-dasharray:4 3}.span{stroke:#24292f;stroke-width:1.5}";

/// Draws a report.
pub(crate) fn draw(report: &Report) -> String {
    let rows: Vec<_> = report.rows.iter().filter_map(|row| Some((row, row.ratio()?))).collect();
    let bottom = TOP + LINE * float(count(rows.len()));
    let height = bottom + 36.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, "head", (16.0, 24.0), "How each operation stands to its bar");
    text(&mut svg, "small", (16.0, 44.0), &report.place());
    for (number, (row, ratio)) in rows.into_iter().enumerate() {
        line(&mut svg, TOP + LINE * float(count(number)), row, ratio);
    }
    let bar = x(1.0);
    // Writing into text does not fail.
    let _ = writeln!(
        svg,
        "<line class=\"bar\" x1=\"{bar:.1}\" x2=\"{bar:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
        TOP - 6.0
    );
    text(&mut svg, "small", (bar - 20.0, bottom + 18.0), "the bar");
    svg.push_str("</svg>\n");
    svg
}

fn line(svg: &mut String, y: f64, row: &Row, ratio: Spread) {
    let class = if row.is_met() == Some(true) { "met" } else { "missed" };
    let Spread { median, least, greatest } = ratio;
    let (low, high) = (against(row.bar, least), against(row.bar, greatest));
    let (end, low, high) = (x(against(row.bar, median)), x(low.min(high)), x(low.max(high)));
    let middle = y + LINE / 2.0;
    text(svg, "", (16.0, middle + 4.0), &row.operation);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\n\
         <line class=\"span\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>",
        y + 6.0,
        end - LEFT,
        LINE - 12.0,
    );
    let said = match row.bar {
        Bar::AtLeast(least) => format!("{median:.2} (≥ {least})"),
        Bar::AtMost(most) => format!("{median:.2} (≤ {most})"),
    };
    text(svg, "", (RIGHT + 8.0, middle + 4.0), &said);
}

/// How many times as good as its bar a value is.
fn against(bar: Bar, value: f64) -> f64 {
    match bar {
        Bar::AtLeast(least) => value / least,
        Bar::AtMost(most) => most / value,
    }
}

fn x(times: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * times.clamp(0.0, MOST) / MOST
}

fn text(svg: &mut String, class: &str, (x, y): (f64, f64), words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}
