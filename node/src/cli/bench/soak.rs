//! `vantage bench soak`: many frames in, the memory over time out. Fails when it grows.

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::ProgressBar;
use nalgebra::Translation3;
use serde::Serialize;
use vantage_scene::Scene;

use super::FramesArgs;
use crate::engine::FusionSettings;
use crate::sink::stdout;

const MB: usize = 1 << 20;
/// Frames of a minute at 30 Hz.
const MINUTE: usize = 1_800;
/// Places that the trajectory is carried to in turn, and their distance, metres.
const PLACES: usize = 8;
const APART_M: f64 = 6.0;
/// The surface is asked for as often as a node publishes it, frames.
const SURFACE_EVERY: usize = 30;
/// Growth that is allowed over the first minute.
const ALLOWED_GROWTH: f64 = 0.10;

/// Arguments of `vantage bench soak`.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    frames: FramesArgs,
    /// Frames to fuse; at least two minutes of them, as growth is measured against the first.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(2 * MINUTE as u64..))]
    count: u64,
    /// Memory of the map, MB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    map_mb: u32,
    /// Memory of the keyframes, MB.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    keyframes_mb: u32,
    /// Side of a map voxel, metres. With the one by default an indoor recording of some seconds fills the map within the first
    /// minute, so that blocks make room all the time.
    #[arg(long, default_value_t = 0.0075)]
    voxel: f32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// State after a minute of frames.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "minute")]
struct Minute {
    frames: usize,
    rss_mb: f64,
    map_mb: f64,
    blocks: usize,
    evicted: usize,
    carved: usize,
    keyframes: usize,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "soak")]
struct Summary {
    frames: usize,
    first_minute_rss_mb: f64,
    most_rss_mb: f64,
    growth: f64,
    allowed_growth: f64,
    ok: bool,
}

/// Runs `vantage bench soak`.
pub(crate) fn run(args: &SoakArgs) -> Result<()> {
    let folder = args.frames.open()?;
    let map_bytes_allowed = args.map_mb as usize * MB;
    let settings = FusionSettings {
        voxel_size_m: args.voxel,
        max_map_bytes: map_bytes_allowed,
        max_keyframe_bytes: args.keyframes_mb as usize * MB,
        ..FusionSettings::default()
    };
    let mut scene = Scene::new(settings.engine().scene)?;
    let count = usize::try_from(args.count).context("--count is too large for this machine")?;
    let bar = ProgressBar::new(args.count);
    let (mut evicted, mut carved) = (0, 0);
    let (mut first, mut most) = (None, 0.0f64);
    for i in 0..count {
        let mut frame = folder.frame(i)?;
        let place = (i / folder.len()) % PLACES;
        frame.world_from_camera = Translation3::new(APART_M * place as f64, 0.0, 0.0) * frame.world_from_camera;
        let report = scene.fuse(&frame)?.map;
        evicted += report.blocks_evicted;
        carved += report.blocks_carved;
        if i % SURFACE_EVERY == 0 {
            scene.surface();
        }
        let map_bytes = scene.map().bytes();
        ensure!(map_bytes <= map_bytes_allowed, "frame {i}: the map takes {map_bytes} bytes, more than its limit");
        bar.inc(1);
        if (i + 1) % MINUTE == 0 || i + 1 == count {
            let rss_mb = resident_mb()?;
            first.get_or_insert(rss_mb);
            most = most.max(rss_mb);
            let minute = Minute {
                frames: i + 1,
                rss_mb,
                map_mb: map_bytes as f64 / MB as f64,
                blocks: scene.map().block_count(),
                evicted,
                carved,
                keyframes: scene.keyframes().len(),
            };
            bar.suspend(|| match args.json {
                true => stdout::print(&serde_json::to_string(&minute)?),
                false => stdout::print(&format!(
                    "{} frames: {:.0} MB resident, map {:.0} MB in {} blocks, {} given up, {} carved, {} keyframes",
                    minute.frames, minute.rss_mb, minute.map_mb, minute.blocks, evicted, carved, minute.keyframes
                )),
            })?;
        }
    }
    bar.finish_and_clear();
    let first = first.context("--count is 0")?;
    let growth = most / first - 1.0;
    let ok = growth <= ALLOWED_GROWTH;
    let summary = Summary {
        frames: count,
        first_minute_rss_mb: first,
        most_rss_mb: most,
        growth,
        allowed_growth: ALLOWED_GROWTH,
        ok,
    };
    match args.json {
        true => stdout::print(&serde_json::to_string(&summary)?)?,
        false => stdout::print(&format!("{} MB after a minute, {} MB at most", first.round(), most.round()))?,
    }
    ensure!(ok, "memory grew by {:.0}% over that of the first minute", 100.0 * growth);
    Ok(())
}

/// Resident memory of this process, MB.
fn resident_mb() -> Result<f64> {
    let status =
        std::fs::read_to_string("/proc/self/status").context("/proc/self/status says how much memory is resident")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/self/status has no VmRSS")?;
    let kb: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS is no number")?;
    Ok(kb / 1024.0)
}
