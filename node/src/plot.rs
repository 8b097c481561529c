//! Numbers in, plots as SVG out.

use std::fmt::Write;

/// Size of a plot, and the margins that hold its numbers, in user units.
const SIZE: [f64; 2] = [860.0, 220.0];
const MARGIN: [f64; 4] = [64.0, 10.0, 10.0, 30.0];
/// Colours of successive lines.
const COLORS: [&str; 3] = ["#d1495b", "#00798c", "#8d8d8d"];
/// Most points of a line; more are thinned.
const MAX_POINTS: usize = 1_500;

/// A line to draw: its name and points.
pub struct Series<'a> {
    /// As it is to stand in the picture: marks of XML escaped.
    pub name: &'a str,
    /// Where one is not finite the line breaks.
    pub points: Vec<[f64; 2]>,
}

/// What is drawn within: lowest and highest x and y.
struct Area {
    x: [f64; 2],
    y: [f64; 2],
}

impl Area {
    fn of(points: impl Iterator<Item = [f64; 2]> + Clone) -> Option<Self> {
        let range = |k: usize| {
            let values = points.clone().map(|p| p[k]).filter(|v| v.is_finite());
            let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(v), b.max(v)]);
            (low <= high).then_some(if low < high { [low, high] } else { [low - 0.5, high + 0.5] })
        };
        Some(Self { x: range(0)?, y: range(1)? })
    }

    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let share = |v: f64, [low, high]: [f64; 2]| (v - low) / (high - low);
        let [left, right, top, bottom] = MARGIN;
        [
            left + share(x, self.x) * (SIZE[0] - left - right),
            SIZE[1] - bottom - share(y, self.y) * (SIZE[1] - top - bottom),
        ]
    }

    /// Frame, numbers at the ends of the axes, and what x is.
    fn frame(&self, svg: &mut String, x_label: &str) {
        let [left, _, top, _] = MARGIN;
        let [[x0, y0], [x1, y1]] = [self.place([self.x[0], self.y[0]]), self.place([self.x[1], self.y[1]])];
        // writing to a String cannot fail
        let _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"none\" stroke=\"#ccc\"/>\
             <text x=\"{x0:.1}\" y=\"{2:.1}\">{3}</text><text x=\"{x1:.1}\" y=\"{2:.1}\" text-anchor=\"end\">{4}</text>\
             <text x=\"{5:.1}\" y=\"{2:.1}\" text-anchor=\"middle\">{x_label}</text>\
             <text x=\"{6:.1}\" y=\"{y0:.1}\" text-anchor=\"end\">{7}</text>\
             <text x=\"{6:.1}\" y=\"{8:.1}\" text-anchor=\"end\">{9}</text>",
            x1 - x0,
            y0 - y1,
            SIZE[1] - 10.0,
            number(self.x[0]),
            number(self.x[1]),
            (x0 + x1) / 2.0,
            left - 4.0,
            number(self.y[0]),
            y1 + 9.0,
            number(self.y[1])
        );
    }
}

/// To three places or one, without the sign of a zero.
fn number(x: f64) -> String {
    let places = if x.abs() < 10.0 { 1_000.0 } else { 10.0 };
    ((x * places).round() / places + 0.0).to_string()
}

fn open() -> String {
    format!("<svg viewBox=\"0 0 {} {}\" role=\"img\" font-size=\"11\" fill=\"#444\">", SIZE[0], SIZE[1])
}

/// Lines over one another; `None` where no point is finite.
pub fn lines(series: &[Series<'_>], x_label: &str) -> Option<String> {
    let area = Area::of(series.iter().flat_map(|s| s.points.iter().copied()))?;
    let mut svg = open();
    area.frame(&mut svg, x_label);
    for (i, s) in series.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        let stride = s.points.len().div_ceil(MAX_POINTS).max(1);
        let mut path = String::new();
        let mut pen = "M";
        for point in s.points.iter().step_by(stride) {
            if point.iter().all(|v| v.is_finite()) {
                let [x, y] = area.place(*point);
                let _ = write!(path, "{pen}{x:.1} {y:.1}");
                pen = "L";
            } else {
                pen = "M";
            }
        }
        let _ = write!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.2\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{color}\">{}</text>",
            MARGIN[0] + 8.0,
            MARGIN[2] + 14.0 * (i + 1) as f64,
            s.name
        );
    }
    svg += "</svg>";
    Some(svg)
}

/// Bars from lower to upper ends `[low, high, height]`; `None` where all are empty.
pub fn bars(bars: &[[f64; 3]], x_label: &str) -> Option<String> {
    let highest = bars.iter().map(|b| b[2]).fold(0.0, f64::max);
    let (first, last) = (bars.first()?, bars.last()?);
    if highest <= 0.0 {
        return None;
    }
    let area = Area { x: [first[0], last[1]], y: [0.0, highest] };
    let mut svg = open();
    area.frame(&mut svg, x_label);
    for [low, high, height] in bars.iter().filter(|b| b[2] > 0.0) {
        let ([x0, y0], [x1, y1]) = (area.place([*low, 0.0]), area.place([*high, *height]));
        let _ = write!(
            svg,
            "<rect x=\"{x0:.1}\" y=\"{y1:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            (x1 - x0 - 0.5).max(0.5),
            y0 - y1,
            COLORS[1]
        );
    }
    svg += "</svg>";
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_break_a_line_and_nothing_makes_no_plot() {
        let points = vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, 3.0], [3.0, 2.0]];
        let svg = lines(&[Series { name: "x", points }], "s").unwrap();
        assert!(svg.matches('M').count() == 2 && svg.matches('L').count() == 1, "{svg}");
        assert!(lines(&[Series { name: "x", points: vec![[f64::NAN; 2]] }], "s").is_none());
        assert_eq!([-0.00001, 1.23456, -147.88].map(number), ["0", "1.235", "-147.9"]);
        assert!(bars(&[], "m").is_none() && bars(&[[0.0, 1.0, 0.0]], "m").is_none());
        assert!(!bars(&[[0.0, 1.0, 0.5]], "m").unwrap().contains("NaN"));
    }
}
