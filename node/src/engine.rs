//! A source and questions in, a fused scene and answers out: what replay and the demo run.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use vantage_scene::{FuseReport, RgbdFrame, Scene, SceneConfig, SyncConfig, SyncStats, Synchronizer};

use crate::source::BagSource;

/// How a recording is fused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EngineConfig {
    /// Synchronisation and the global frame.
    pub sync: SyncConfig,
    /// The map and the keyframes.
    pub scene: SceneConfig,
}

/// A fused recording.
#[derive(Debug)]
pub struct Replay {
    /// The scene.
    pub scene: Scene,
    /// What became of the images.
    pub stats: SyncStats,
    /// Time spent fusing, milliseconds.
    pub fuse_ms: f64,
}

/// Fuses a whole recording; nothing is dropped for being late. `on_frame` sees every fused frame.
///
/// # Errors
/// When the recording is broken or gives no frame at all; the error says why.
pub fn fuse_recording(
    source: &mut BagSource,
    config: &EngineConfig,
    on_frame: &mut dyn FnMut(&RgbdFrame, &FuseReport) -> Result<()>,
) -> Result<Replay> {
    let mut sync = Synchronizer::new(config.sync.clone());
    let mut scene = Scene::new(config.scene)?;
    let mut fuse_ms = 0.0;
    let mut fuse = |frames: Vec<RgbdFrame>, scene: &mut Scene| -> Result<()> {
        for frame in frames {
            let start = Instant::now();
            let report = scene.fuse(&frame).with_context(|| format!("fusing the frame at stamp {}", frame.stamp))?;
            fuse_ms += start.elapsed().as_secs_f64() * 1e3;
            on_frame(&frame, &report)?;
        }
        Ok(())
    };
    while let Some(event) = source.next_event()? {
        let frames = sync.push(event);
        fuse(frames, &mut scene)?;
    }
    let rest = sync.flush();
    fuse(rest, &mut scene)?;
    let stats = sync.stats().clone();
    if scene.frames_fused() == 0 {
        bail!("{}: no frame could be fused. {}", source.file().display(), why_nothing(source, config, &stats));
    }
    if scene.bounds().is_none() {
        bail!(
            "{}: {} frames came, but no surface: their depth has no reading up to {} m (--max-depth), or they were seen too rarely, or \
             their poses are out of range; check the depth topic's unit, the focal lengths and the transforms",
            source.file().display(),
            scene.frames_fused(),
            config.scene.tsdf.max_depth_m
        );
    }
    report_drops(source, &stats);
    Ok(Replay { scene, stats, fuse_ms })
}

/// The first reason that explains why there is no frame.
fn why_nothing(source: &BagSource, config: &EngineConfig, stats: &SyncStats) -> String {
    if source.depth_images() == 0 {
        return "The depth topic holds no message".to_owned();
    }
    let mut why: Vec<String> =
        stats.drops().map(|(reason, count)| format!("{count} depth images dropped: {reason}")).collect();
    if let Some(refused) = &stats.last_refused_transform {
        why.push(format!("{} transforms refused, the last: {refused}", stats.transforms_refused));
    }
    if let Some(error) = &stats.last_transform_error {
        why.push(format!(
            "transforms to `{}`: {error}; record /tf and /tf_static, or name another frame with --global-frame",
            config.sync.global_frame
        ));
    }
    why.join("; ")
}

fn report_drops(source: &BagSource, stats: &SyncStats) {
    let file = source.file().display();
    for (reason, count) in stats.drops() {
        tracing::warn!("{file}: {count} depth images dropped: {reason}");
    }
    if stats.dropped_total() > 0
        && let Some(error) = &stats.last_transform_error
    {
        tracing::warn!("{file}: last transform error: {error}");
    }
    if stats.clock_jumps > 0 {
        tracing::warn!("{file}: the clock was set back {} times", stats.clock_jumps);
    }
}
