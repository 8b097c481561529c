//! `vantage bench realtime`: a recording in, how long its frames take into the map out.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;

use super::share;
use crate::engine::{DEFAULT_VOXEL_M, FusionSettings, fuse_recording};
use crate::sink::stdout;
use crate::source::{BagSource, TopicRequest};

/// Arguments of `vantage bench realtime`.
#[derive(Debug, Args)]
pub(crate) struct RealtimeArgs {
    /// A rosbag2 folder, an .mcap or a .db3 file.
    bag: PathBuf,
    /// Side of a map voxel, metres.
    #[arg(long, default_value_t = DEFAULT_VOXEL_M)]
    voxel: f32,
    /// Frame that everything is fused in.
    #[arg(long, default_value = "odom")]
    global_frame: String,
    /// One JSON object instead of a line of text.
    #[arg(long)]
    json: bool,
}

/// Times over all frames, milliseconds.
#[derive(Debug, Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    fn of(times: &mut [f64]) -> Self {
        Self { p50: share(times, 0.5), p99: share(times, 0.99), max: share(times, 1.0) }
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "realtime")]
struct Report {
    frames: usize,
    threads: usize,
    voxel_m: f32,
    /// Time between the frames' stamps.
    period_ms: f64,
    /// Time spent on a frame: reading, decoding, matching, fusing, keyframes.
    busy_ms: Spread,
    /// Time from a frame's stamp until it is in the map, if its messages come at their stamps and wait for those before them.
    frame_to_map_ms: Spread,
    keeps_up: bool,
}

/// Runs `vantage bench realtime`.
pub(crate) fn run(args: &RealtimeArgs) -> Result<()> {
    let mut source = BagSource::open(&args.bag, &TopicRequest::default())?;
    let settings = FusionSettings {
        global_frame: args.global_frame.clone(),
        voxel_size_m: args.voxel,
        ..FusionSettings::default()
    };
    let config = settings.engine();
    let mut stamps_ms = Vec::new();
    let mut busy_ms = Vec::new();
    let mut last = Instant::now();
    fuse_recording(&mut source, &config, &mut |frame, _| {
        stamps_ms.push(frame.stamp as f64 * 1e-6);
        busy_ms.push(last.elapsed().as_secs_f64() * 1e3);
        last = Instant::now();
        Ok(())
    })?;
    ensure!(busy_ms.len() > 1, "{}: one frame tells nothing about real time", args.bag.display());
    let span_ms = stamps_ms[stamps_ms.len() - 1] - stamps_ms[0];
    let mut late_ms = lateness(&stamps_ms, &busy_ms);
    let report = Report {
        frames: busy_ms.len(),
        threads: rayon::current_num_threads(),
        voxel_m: args.voxel,
        period_ms: span_ms / (busy_ms.len() - 1) as f64,
        keeps_up: busy_ms.iter().sum::<f64>() < span_ms,
        busy_ms: Spread::of(&mut busy_ms),
        frame_to_map_ms: Spread::of(&mut late_ms),
    };
    if args.json {
        return stdout::print(&serde_json::to_string(&report)?);
    }
    let (busy, late) = (&report.busy_ms, &report.frame_to_map_ms);
    stdout::print(&format!(
        "{} frames, one in {:.1} ms, voxels of {} m, {} threads: busy {:.1} ms (p99 {:.1}, most {:.1}), frame to map {:.1} ms \
         (p99 {:.1}, most {:.1}), {}",
        report.frames,
        report.period_ms,
        report.voxel_m,
        report.threads,
        busy.p50,
        busy.p99,
        busy.max,
        late.p50,
        late.p99,
        late.max,
        if report.keeps_up { "keeps up" } else { "does not keep up" }
    ))
}

/// When each frame is done after its stamp, one being worked on at a time in their order.
fn lateness(stamps_ms: &[f64], busy_ms: &[f64]) -> Vec<f64> {
    let mut free_at = f64::NEG_INFINITY;
    let done = |(&stamp, &busy): (&f64, &f64)| {
        free_at = stamp.max(free_at) + busy;
        free_at - stamp
    };
    stamps_ms.iter().zip(busy_ms).map(done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_frame_makes_those_behind_it_late() {
        assert_eq!(lateness(&[0.0, 10.0, 20.0, 30.0], &[4.0, 18.0, 5.0, 1.0]), [4.0, 18.0, 13.0, 4.0]);
    }
}
