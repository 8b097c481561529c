//! The logs of runs in, one picture (SVG) with a chart a column out: `vantage-train curves RUN... --out curves.svg`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use vantage_node::plot::{Series, lines};

use super::folder::RunFolder;

/// Charts side by side.
const ACROSS: usize = 2;
/// Size of a chart and of the title above it, pixels.
const CHART: [f64; 2] = [560.0, 143.0];
const TITLE: f64 = 22.0;
/// Most points of a line; longer logs are averaged.
const MOST_POINTS: usize = 400;
/// Columns that are no curve.
const NO_CURVE: [&str; 2] = ["step", "seconds"];

/// Arguments of `vantage-train curves`.
#[derive(Debug, Args)]
pub struct CurvesArgs {
    /// Folders of runs; their curves are drawn into the same charts.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The picture.
    #[arg(long, default_value = "curves.svg")]
    pub out: PathBuf,
}

/// Draws the runs' logs.
///
/// # Errors
/// When a log is missing or has a line that is no number, or the picture cannot be written.
pub fn run(args: &CurvesArgs) -> Result<()> {
    let logs: Vec<Log> = args.runs.iter().map(|run| Log::read(run)).collect::<Result<_>>()?;
    fs::write(&args.out, picture(&logs)).with_context(|| format!("writing {}", args.out.display()))?;
    eprintln!("{}", args.out.display());
    Ok(())
}

/// A run's log.
#[derive(Debug, Clone, PartialEq)]
struct Log {
    name: String,
    columns: Vec<Column>,
}

/// One column: the steps that have a value, and these.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    points: Vec<[f64; 2]>,
}

impl Log {
    fn read(run: &Path) -> Result<Self> {
        ensure!(run.is_dir(), "{} is no folder of a run", run.display());
        let path = run.join(RunFolder::LOG);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&run.display().to_string(), &text).with_context(|| path.display().to_string())
    }

    /// Empty cells have no value.
    fn parse(name: &str, text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().context("the log is empty")?.split(',').collect();
        ensure!(names.first() == Some(&"step"), "line 1: the first column is not `step`");
        let mut columns: Vec<Column> =
            names.iter().map(|n| Column { name: (*n).to_owned(), points: Vec::new() }).collect();
        for (number, line) in (2..).zip(lines) {
            let cells: Vec<&str> = line.split(',').collect();
            ensure!(cells.len() == names.len(), "line {number}: {} values, not {}", cells.len(), names.len());
            let value = |cell: &str| -> Result<f64> {
                cell.parse().with_context(|| format!("line {number}: `{cell}` is no number"))
            };
            let step = value(cells[0])?;
            for (column, cell) in columns.iter_mut().zip(&cells).filter(|(_, cell)| !cell.is_empty()) {
                column.points.push([step, value(cell)?]);
            }
        }
        columns.retain(|c| !NO_CURVE.contains(&c.name.as_str()));
        columns.iter_mut().for_each(|c| c.points.retain(|p| p.iter().all(|x| x.is_finite())));
        Ok(Self { name: name.to_owned(), columns })
    }
}

/// Means of `size` neighbours each.
fn thinned(points: &[[f64; 2]], size: usize) -> Vec<[f64; 2]> {
    let mean = |chunk: &[[f64; 2]]| {
        let n = chunk.len() as f64;
        chunk.iter().fold([0.0; 2], |sum, p| [sum[0] + p[0] / n, sum[1] + p[1] / n])
    };
    points.chunks(size).map(mean).collect()
}

/// A chart for each column, in the order they first come up, with a line for each log.
fn picture(logs: &[Log]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for column in logs.iter().flat_map(|log| &log.columns) {
        if !columns.contains(&column.name.as_str()) {
            columns.push(&column.name);
        }
    }
    let names: Vec<String> = logs.iter().map(|log| escaped(&log.name)).collect();
    let mut charts = String::new();
    let mut drawn = 0;
    for column in columns {
        let of_runs: Vec<(&String, &Column)> = logs
            .iter()
            .zip(&names)
            .flat_map(|(log, name)| log.columns.iter().filter(|c| c.name == column).map(move |c| (name, c)))
            .collect();
        // all runs alike, so that a short one is no noisier than a long one
        let longest = of_runs.iter().map(|(_, c)| c.points.len()).max().unwrap_or(0);
        let size = longest.div_ceil(MOST_POINTS).max(1);
        let series: Vec<Series<'_>> =
            of_runs.into_iter().map(|(name, c)| Series { name, points: thinned(&c.points, size) }).collect();
        let Some(chart) = lines(&series, "step") else { continue };
        let x = (drawn % ACROSS) as f64 * CHART[0];
        let y = (drawn / ACROSS) as f64 * (CHART[1] + TITLE);
        drawn += 1;
        // writing to a String cannot fail
        let _ = writeln!(
            charts,
            "<text x=\"{}\" y=\"{}\" font-size=\"13\" font-weight=\"bold\">{}</text>\
             <svg x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{}\">{chart}</svg>",
            x + 12.0,
            y + TITLE - 6.0,
            escaped(column),
            y + TITLE,
            CHART[0],
            CHART[1]
        );
    }
    let (width, height) = (ACROSS as f64 * CHART[0], drawn.div_ceil(ACROSS).max(1) as f64 * (CHART[1] + TITLE));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\">\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{charts}</svg>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_every_run_is_drawn_where_its_values_are() {
        let a = Log::parse("a<b", "step,seconds,loss,validation\n1,0.5,4,\n2,1.0,3,\n3,1.5,2,9\n").unwrap();
        let b = Log::parse("b", "step,seconds,loss\n1,1,1.0\n5,2,NaN\n").unwrap();
        assert_eq!(a.columns[0].points, [[1.0, 4.0], [2.0, 3.0], [3.0, 2.0]]);
        assert_eq!((a.columns.len(), a.columns[1].points.len(), b.columns[0].points.len()), (2, 1, 1));
        let svg = picture(&[a, b]);
        assert_eq!(svg.matches("<path").count(), 3);
        assert!(svg.contains("a&lt;b") && svg.contains(">loss<") && svg.contains(">validation<"));
        assert!(!svg.contains("seconds") && !svg.contains("NaN"));
    }

    #[test]
    fn broken_logs_are_named_by_line() {
        for (text, said) in [
            ("", "empty"),
            ("loss\n", "line 1"),
            ("step,loss\n1,2\n2\n", "line 3"),
            ("step,loss\n1,two\n", "line 2: `two`"),
        ] {
            let error = format!("{:#}", Log::parse("run", text).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn long_logs_are_averaged() {
        let points: Vec<[f64; 2]> = (0..4000).map(|i| [f64::from(i), f64::from(i % 2)]).collect();
        let thin = thinned(&points, 10);
        assert_eq!(thin.len(), 400);
        assert!(thin.iter().all(|p| (p[1] - 0.5).abs() < 1e-9));
    }
}
