//! `vantage bench`: how fast the parts are on this machine, as a table or JSON lines.

mod model;
mod realtime;
mod scene;
mod soak;
mod views;
mod whole;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::source::RedwoodFolder;

/// Arguments of `vantage bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Threads of the parallel parts; one for each processor when left out.
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Fusion and point clouds, on a folder of frames.
    Scene(scene::SceneArgs),
    /// From a recording's frames to the map: whether it keeps up, and how late the map is.
    Realtime(realtime::RealtimeArgs),
    /// The model's parts with random weights: parameters, bytes, times.
    Model(model::ModelArgs),
    /// Choosing views for a question, by the number of keyframes.
    Views(views::ViewsArgs),
    /// Memory over a long run: the frames of a folder again and again, in ever new places.
    Soak(soak::SoakArgs),
}

/// Where frames come from.
#[derive(Debug, Args)]
struct FramesArgs {
    /// Folder with color/, depth/ (16-bit PNG, millimetres) and trajectory.log (Redwood's layout).
    #[arg(long)]
    frames: PathBuf,
    /// fx,fy,cx,cy of both cameras, pixels.
    #[arg(long, default_value = "525,525,319.5,239.5", value_parser = intrinsics, allow_hyphen_values = true)]
    intrinsics: Intrinsics,
}

/// fx, fy, cx, cy in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Intrinsics([f64; 4]);

fn intrinsics(text: &str) -> Result<Intrinsics, String> {
    let number = |n: &str| n.trim().parse().ok().filter(|n: &f64| n.is_finite());
    let numbers: Option<Vec<f64>> = text.split(',').map(number).collect();
    let four = numbers.and_then(|n| <[f64; 4]>::try_from(n).ok()).ok_or("it takes four numbers: fx,fy,cx,cy")?;
    if four[0] > 0.0 && four[1] > 0.0 { Ok(Intrinsics(four)) } else { Err("focal lengths are positive".to_owned()) }
}

impl FramesArgs {
    fn open(&self) -> Result<RedwoodFolder> {
        Ok(RedwoodFolder::open(&self.frames, self.intrinsics.0)?)
    }
}

/// Runs `vantage bench`.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global().context("--threads")?;
    }
    match &args.what {
        What::Scene(args) => scene::run(args),
        What::Realtime(args) => realtime::run(args),
        What::Model(args) => model::run(args),
        What::Views(args) => views::run(args),
        What::Soak(args) => soak::run(args),
    }
}

/// The middle one; of an even number the lower of the two. 0 of none.
fn median(times: &mut [f64]) -> f64 {
    share(times, 0.5)
}

/// The value that `share` of all lie at or below. 0 of none.
fn share(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = (times.len() as f64 * share).ceil() as usize;
    times.get(place.clamp(1, times.len().max(1)) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsics_are_four_numbers() {
        assert_eq!(intrinsics("525, 520,1,2.5"), Ok(Intrinsics([525.0, 520.0, 1.0, 2.5])));
        for bad in ["1,2,3", "1,2,3,4,5", "a,2,3,4", "NaN,2,3,4", "0,2,3,4", "1,-2,3,4", ""] {
            assert!(intrinsics(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_values_that_occurred() {
        let mut times = [3.0, 1.0, 2.0, 4.0];
        assert_eq!((median(&mut times), share(&mut times, 0.99), share(&mut times, 0.0)), (2.0, 4.0, 1.0));
        assert_eq!(median(&mut []), 0.0);
    }
}
