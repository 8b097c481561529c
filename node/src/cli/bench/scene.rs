//! `vantage bench scene`: frames in, the times of fusion and of point cloud kernels out. Reading and decompressing files is not
//! counted; turning raw depth into metres is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use comfy_table::Table;
use indicatif::ProgressBar;
use serde::Serialize;
use vantage_calibration::RayTable;
use vantage_scene::cloud::{VoxelMeans, cluster_points, estimate_normals, voxel_downsample};
use vantage_scene::{PointCloud, RgbdFrame, TsdfConfig, TsdfMap, unproject};

use super::{FramesArgs, median};
use crate::sink::stdout;
use crate::source::pixels::{RawImage, raw_depth};

/// Depths beyond this are not used, metres.
const MAX_DEPTH_M: f32 = 4.0;
/// Truncation of the maps in voxels.
const TRUNCATION_VOXELS: f32 = 4.0;
/// Memory of the maps: enough that nothing is given up.
const MAP_BYTES: usize = 4 << 30;
/// Voxels of the downsampled cloud, metres.
const DOWN_M: f32 = 0.02;
/// Neighbours of a normal, and how far they may be, metres.
const NORMAL_NEIGHBOURS: usize = 30;
const NORMAL_RADIUS_M: f32 = 0.1;
/// Points of a cluster are this close to each other, metres, and this many make a dense place.
const CLUSTER_RADIUS_M: f32 = 0.05;
const CLUSTER_POINTS: usize = 10;

/// Arguments of `vantage bench scene`.
#[derive(Debug, Args)]
pub(crate) struct SceneArgs {
    #[command(flatten)]
    frames: FramesArgs,
    /// Times that everything is measured; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Points of the cloud that is downsampled, at the most; whole frames are taken, evenly.
    #[arg(long, default_value_t = 13_000_000)]
    points: usize,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Writes that cloud here, for another program to work on: for each point three little-endian f32 (metres) and three bytes of
    /// colour; and what downsampling leaves of it beside, with `.small` at the end of its name, without colours.
    #[arg(long)]
    points_out: Option<PathBuf>,
}

/// One measurement.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "bench")]
struct Measured {
    name: &'static str,
    /// Median over the runs; for maps and clouds of frames, per frame.
    ms: f64,
    runs: u32,
    /// Frames or points that went in.
    input: usize,
    /// Blocks, points or clusters that came out.
    output: usize,
}

/// A frame as a driver sends it, decoded from its file.
struct RawFrame {
    frame: RgbdFrame,
    /// 16-bit millimetres, little-endian.
    depth_mm: Vec<u8>,
}

impl RawFrame {
    /// The frame with its depth read from the raw picture.
    fn read(&self) -> Result<RgbdFrame> {
        let (width, height) = (self.frame.depth.width, self.frame.depth.height);
        let raw =
            RawImage { width, height, step: 2 * width, encoding: "16UC1", big_endian: false, data: &self.depth_mm };
        Ok(RgbdFrame { depth: Arc::new(raw_depth(&raw)?), ..self.frame.clone() })
    }
}

/// Runs `vantage bench scene`.
pub(crate) fn run(args: &SceneArgs) -> Result<()> {
    let folder = args.frames.open()?;
    let bar = ProgressBar::new(folder.len() as u64).with_message("reading frames");
    let mut frames = Vec::with_capacity(folder.len());
    for i in 0..folder.len() {
        let frame = folder.frame(i)?;
        let size = |frame: &RgbdFrame| (frame.depth.width, frame.depth.height);
        if let Some(RawFrame { frame: first, .. }) = frames.first() {
            let same = size(first) == size(&frame);
            ensure!(
                same,
                "frame {i}: depth is {:?}, the first frame's {:?}; all must be alike",
                size(&frame),
                size(first)
            );
        }
        let depth_mm = frame.depth.data.iter().flat_map(|z| ((z * 1000.0).round() as u16).to_le_bytes()).collect();
        frames.push(RawFrame { frame, depth_mm });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut measured = vec![
        fuse("tsdf_2cm", 0.02, &frames, args.runs)?,
        fuse("tsdf_1cm", 0.01, &frames, args.runs)?,
        clouds(&frames, args.runs)?,
    ];
    let cloud = joined(&frames, args.points)?;
    drop(frames);
    let mut means = VoxelMeans::default();
    measured.extend(kernels(&cloud, args.runs, &mut means)?);
    if let Some(path) = &args.points_out {
        write_points(&cloud.positions, &cloud.colors, path)?;
        let mut small = path.as_os_str().to_owned();
        small.push(".small");
        write_points(&means.positions, &[], Path::new(&small))?;
    }
    if args.json {
        let lines: Result<Vec<String>, _> = measured.iter().map(serde_json::to_string).collect();
        return stdout::print(&lines?.join("\n"));
    }
    let mut table = Table::new();
    table.set_header(["what", "ms", "in", "out"]);
    for m in &measured {
        table.add_row([m.name.to_owned(), format!("{:.3}", m.ms), m.input.to_string(), m.output.to_string()]);
    }
    stdout::print(&table.to_string())
}

/// Runs `work` as often as asked; the median time in milliseconds and the last result.
fn timed<T>(runs: u32, mut work: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut times = Vec::with_capacity(runs as usize);
    loop {
        let start = Instant::now();
        let result = work()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if times.len() >= runs as usize {
            return Ok((median(&mut times), result));
        }
    }
}

fn fuse(name: &'static str, voxel_size_m: f32, frames: &[RawFrame], runs: u32) -> Result<Measured> {
    let config = TsdfConfig {
        voxel_size_m,
        truncation_m: TRUNCATION_VOXELS * voxel_size_m,
        max_depth_m: MAX_DEPTH_M,
        max_bytes: MAP_BYTES,
        ..TsdfConfig::default()
    };
    let (ms, map) = timed(runs, || {
        let mut map = TsdfMap::new(config)?;
        for frame in frames {
            map.integrate(&frame.read()?)?;
        }
        Ok(map)
    })?;
    Ok(Measured { name, ms: ms / frames.len() as f64, runs, input: frames.len(), output: map.block_count() })
}

fn clouds(frames: &[RawFrame], runs: u32) -> Result<Measured> {
    let rays = RayTable::new(&frames[0].frame.camera);
    let mut cloud = PointCloud::default();
    let (ms, points) = timed(runs, || {
        let mut points = 0;
        for frame in frames {
            unproject(&frame.read()?, &rays, MAX_DEPTH_M, &mut cloud);
            points += cloud.positions.len();
        }
        Ok(points)
    })?;
    Ok(Measured { name: "rgbd_to_cloud", ms: ms / frames.len() as f64, runs, input: frames.len(), output: points })
}

/// The points of as many frames, evenly spread, as have at most `most` points together; at least of one.
fn joined(frames: &[RawFrame], most: usize) -> Result<PointCloud> {
    let rays = RayTable::new(&frames[0].frame.camera);
    let pixels = rays.rays.len();
    let count = (most / pixels).clamp(1, frames.len());
    let mut all = PointCloud::default();
    let mut one = PointCloud::default();
    for i in 0..count {
        unproject(&frames[i * frames.len() / count].read()?, &rays, MAX_DEPTH_M, &mut one);
        all.positions.extend_from_slice(&one.positions);
        all.colors.extend_from_slice(&one.colors);
    }
    Ok(all)
}

fn kernels(cloud: &PointCloud, runs: u32, means: &mut VoxelMeans) -> Result<[Measured; 3]> {
    let (down_ms, ()) = timed(runs, || Ok(voxel_downsample(&cloud.positions, &cloud.colors, None, DOWN_M, means)?))?;
    let points = &means.positions;
    let mut normals = Vec::new();
    let (normals_ms, ()) =
        timed(runs, || Ok(estimate_normals(points, NORMAL_NEIGHBOURS, NORMAL_RADIUS_M, [0.0; 3], &mut normals)?))?;
    let mut labels = Vec::new();
    let (cluster_ms, clusters) =
        timed(runs, || Ok(cluster_points(points, CLUSTER_RADIUS_M, CLUSTER_POINTS, &mut labels)?))?;
    let measured = |name, ms, input, output| Measured { name, ms, runs, input, output };
    Ok([
        measured("voxel_down_2cm", down_ms, cloud.positions.len(), points.len()),
        measured("normals", normals_ms, points.len(), normals.len()),
        measured("cluster", cluster_ms, points.len(), clusters as usize),
    ])
}

/// Points, each with its colour where there is one.
fn write_points(positions: &[[f32; 3]], colors: &[[u8; 3]], path: &Path) -> Result<()> {
    let write = || {
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        for (i, position) in positions.iter().enumerate() {
            for x in position {
                out.write_all(&x.to_le_bytes())?;
            }
            out.write_all(colors.get(i).map_or(&[], |rgb| rgb.as_slice()))?;
        }
        out.flush()
    };
    write().with_context(|| format!("writing {}", path.display()))
}
