//! A number of rooms and how they are seen in, the frames a second that their walks are recorded at out.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vantage_node::sink::stdout;

use crate::rooms::{RecordConfig, RoomConfig, SensingArgs, Sensor, generate, record};

/// Most rooms and frames of each, and widest picture, pixels: what is still measured in minutes.
const MAX_ROOMS: u64 = 10_000;
const MAX_FRAMES: usize = 1000;
const MAX_WIDTH: u32 = 1920;

/// Arguments of `vantage-train bench frames`.
#[derive(Debug, Clone, Args)]
pub struct FramesArgs {
    /// Rooms to record, seeds from 0; one more is recorded first and not counted.
    #[arg(long, default_value_t = 10)]
    pub rooms: u64,
    /// Frames of each walk.
    #[arg(long, default_value_t = 96)]
    pub frames: usize,
    /// Picture width, pixels; the height is three quarters of it.
    #[arg(long, default_value_t = 160)]
    pub width: u32,
    /// How the rooms are seen.
    #[command(flatten)]
    pub sensing: SensingArgs,
    /// Print one JSON object a line, the last the summary.
    #[arg(long)]
    pub json: bool,
}

/// A line of output: a room, or all of them.
#[derive(Debug, Serialize)]
struct Record {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    sensor: Sensor,
    textures: f64,
    lighting: f64,
    width: u32,
    height: u32,
    threads: usize,
    frames: usize,
    seconds: f64,
    frames_per_second: f64,
}

/// Records the walk through the room of `seed` and says how many frames there are and in how many seconds they were made; the
/// room's furnishing is not timed.
pub fn frames_per_second(seed: u64, config: &RecordConfig) -> (usize, f64) {
    let room = generate(seed, &RoomConfig::default());
    let start = Instant::now();
    let recording = record(&room, config);
    (recording.frames.len(), start.elapsed().as_secs_f64())
}

/// Measures and prints to stdout.
pub(super) fn run(args: &FramesArgs) -> Result<()> {
    ensure!((1..=MAX_ROOMS).contains(&args.rooms), "--rooms {}: give 1 to {MAX_ROOMS}", args.rooms);
    ensure!((1..=MAX_FRAMES).contains(&args.frames), "--frames {}: give 1 to {MAX_FRAMES}", args.frames);
    ensure!((16..=MAX_WIDTH).contains(&args.width), "--width {}: give 16 to {MAX_WIDTH} pixels", args.width);
    let config = args.sensing.apply(RecordConfig {
        width: args.width,
        height: args.width * 3 / 4,
        frames: args.frames,
        ..RecordConfig::default()
    });
    let line = |seed: Option<u64>, frames: usize, seconds: f64| Record {
        kind: if seed.is_some() { "room" } else { "bench_frames" },
        seed,
        sensor: config.sensor,
        textures: config.appearance.textures,
        lighting: config.appearance.lighting,
        width: config.width,
        height: config.height,
        threads: rayon::current_num_threads(),
        frames,
        seconds,
        frames_per_second: frames as f64 / seconds,
    };
    let bar = ProgressBar::new(args.rooms);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} rooms {elapsed} (left {eta})") {
        bar.set_style(style);
    }
    // the first room also starts the threads
    frames_per_second(args.rooms, &config);
    let (mut frames, mut seconds) = (0, 0.0);
    for seed in 0..args.rooms {
        let (made, took) = frames_per_second(seed, &config);
        (frames, seconds) = (frames + made, seconds + took);
        bar.inc(1);
        if args.json {
            stdout::print(&serde_json::to_string(&line(Some(seed), made, took))?)?;
        }
    }
    bar.finish_and_clear();
    let all = line(None, frames, seconds);
    if args.json {
        return stdout::print(&serde_json::to_string(&all)?);
    }
    stdout::print(&format!(
        "{:.0} frames a second: {frames} of {}x{} in {seconds:.2} s on {} threads",
        all.frames_per_second, all.width, all.height, all.threads
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_and_timed_and_bad_numbers_refused() {
        let config = RecordConfig { frames: 3, width: 32, height: 24, ..RecordConfig::default() };
        let (frames, seconds) = frames_per_second(1, &config);
        assert!(frames == 3 && seconds > 0.0);
        let sensing = SensingArgs::default();
        let args = FramesArgs { rooms: 1, frames: 2, width: 32, sensing, json: true };
        run(&args).unwrap();
        for bad in [
            FramesArgs { rooms: 0, ..args.clone() },
            FramesArgs { frames: usize::MAX, ..args.clone() },
            FramesArgs { width: 5, ..args },
        ] {
            assert!(run(&bad).is_err());
        }
    }
}
