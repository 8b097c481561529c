//! Frames in, one fused scene out: the map, its surface, its bounds and the keyframes.

use std::sync::{Arc, Mutex};

use nalgebra::Isometry3;
use rustc_hash::FxHashSet;
use vantage_calibration::PinholeCamera;

use crate::bounding_box::Aabb;
use crate::cloud::PointCloud;
use crate::frame::{RgbdFrame, StampNanos};
use crate::keyframe::{Keyframe, KeyframeConfig, KeyframeStore};
use crate::tsdf::{IntegrateReport, TsdfConfig, TsdfError, TsdfMap};
use crate::visibility::CellKey;

/// Frames after which keyframes forget what has vanished meanwhile.
const FORGET_EVERY: u64 = 15;
/// ... or when this many cells may have.
const MAX_DOUBTED: usize = 1 << 14;
/// A cell's surface may lie beside it by this many voxels, as readings err.
const BESIDE_VOXELS: f64 = 2.0;

/// Settings of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SceneConfig {
    /// The map.
    pub tsdf: TsdfConfig,
    /// The keyframes.
    pub keyframes: KeyframeConfig,
}

/// Why a frame was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SceneError {
    /// By the map.
    #[error(transparent)]
    Map(#[from] TsdfError),
    /// A setting of the keyframes is not usable.
    #[error("keyframe setting {field} is {value}: {reason}")]
    Keyframes {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What one frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuseReport {
    /// In the map.
    pub map: IntegrateReport,
    /// The id, when the frame became a keyframe.
    pub keyframe: Option<u32>,
}

/// Everything fused so far.
#[derive(Debug)]
pub struct Scene {
    map: TsdfMap,
    keyframes: KeyframeStore,
    /// Side of the keyframes' cells, metres.
    cell_m: f64,
    /// Cells in which something was seen through since the keyframes last forgot. Only looked up.
    doubted: FxHashSet<CellKey>,
    newest_stamp: Option<StampNanos>,
    newest_view: Option<(PinholeCamera, Isometry3<f64>)>,
    frames_fused: u64,
    /// The surface of a revision, made when asked for.
    surface: Mutex<Option<(u64, Arc<PointCloud>)>>,
}

impl Scene {
    /// An empty scene.
    ///
    /// # Errors
    /// [`SceneError`] naming the setting.
    pub fn new(config: SceneConfig) -> Result<Self, SceneError> {
        let cell_m = config.keyframes.visibility_cell_m;
        if !(0.01..=10.0).contains(&cell_m) {
            let reason = "it must be from 0.01 to 10 m";
            return Err(SceneError::Keyframes { field: "visibility_cell_m", value: cell_m, reason });
        }
        Ok(Self {
            map: TsdfMap::new(config.tsdf)?,
            keyframes: KeyframeStore::new(config.keyframes),
            cell_m,
            doubted: FxHashSet::default(),
            newest_stamp: None,
            newest_view: None,
            frames_fused: 0,
            surface: Mutex::new(None),
        })
    }

    /// Fuses one frame.
    ///
    /// # Errors
    /// [`SceneError`]; the scene is then unchanged.
    pub fn fuse(&mut self, frame: &RgbdFrame) -> Result<FuseReport, SceneError> {
        let map = self.map.integrate(frame)?;
        let keyframe = self.keyframes.offer(frame);
        self.doubt();
        if self.doubted.len() > MAX_DOUBTED || self.frames_fused.is_multiple_of(FORGET_EVERY) {
            self.forget_vanished();
        }
        if self.newest_stamp.is_none_or(|newest| frame.stamp >= newest) {
            self.newest_stamp = Some(frame.stamp);
            self.newest_view = Some((frame.camera, frame.world_from_camera));
        }
        self.frames_fused += 1;
        Ok(FuseReport { map, keyframe })
    }

    /// Remembers the cells in which the last frame saw through something.
    fn doubt(&mut self) {
        for bounds in self.map.cut_bounds() {
            let cells =
                |k: usize| (bounds.min[k] / self.cell_m).floor() as i64..=(bounds.max[k] / self.cell_m).floor() as i64;
            for x in cells(0) {
                for y in cells(1) {
                    self.doubted.extend(cells(2).filter_map(|z| CellKey::new([x, y, z])));
                }
            }
        }
    }

    /// Takes the cells whose surface is gone out of what keyframes see.
    fn forget_vanished(&mut self) {
        let beside_m = BESIDE_VOXELS * f64::from(self.map.config().voxel_size_m);
        let (map, cell_m) = (&self.map, self.cell_m);
        self.doubted.retain(|cell| {
            let low = cell.coordinates().map(|c| c as f64 * cell_m);
            let around = Aabb { min: low.map(|x| x - beside_m), max: low.map(|x| x + cell_m + beside_m) };
            !map.is_solid_within(&around)
        });
        if !self.doubted.is_empty() {
            let gone = &self.doubted;
            self.keyframes.retain_cells(|cell| !gone.contains(&cell));
            self.doubted.clear();
        }
    }

    /// The map.
    pub fn map(&self) -> &TsdfMap {
        &self.map
    }

    /// The keyframes, oldest first.
    pub fn keyframes(&self) -> &[Keyframe] {
        self.keyframes.keyframes()
    }

    /// The map's surface; made once a revision.
    pub fn surface(&self) -> Arc<PointCloud> {
        let mut cached = self.surface.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match cached.as_ref() {
            Some((revision, cloud)) if *revision == self.revision() => Arc::clone(cloud),
            _ => {
                let cloud = Arc::new(self.map.surface_points());
                *cached = Some((self.revision(), Arc::clone(&cloud)));
                cloud
            }
        }
    }

    /// Bounds of the surface; `None` while there is none.
    pub fn bounds(&self) -> Option<Aabb> {
        self.surface().bounds()
    }

    /// Frames fused.
    pub fn frames_fused(&self) -> u64 {
        self.frames_fused
    }

    /// Stamp of the newest frame.
    pub fn newest_stamp(&self) -> Option<StampNanos> {
        self.newest_stamp
    }

    /// Camera of the newest frame, and its pose: where the robot is now.
    pub fn newest_view(&self) -> Option<(PinholeCamera, Isometry3<f64>)> {
        self.newest_view
    }

    /// Grows with every frame.
    pub fn revision(&self) -> u64 {
        self.map.revision()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsdf::synthetic::{World, furnished};

    #[test]
    fn keyframes_forget_what_was_moved_away_and_nothing_else() {
        let view = |world: &World, i: i64| world.frame(i * 33_000_000, [0.3, 0.3, 1.5], [1.5, 1.3, 0.2], (192, 144));
        let tsdf = TsdfConfig { voxel_size_m: 0.04, truncation_m: 0.16, ..TsdfConfig::default() };
        let mut scene = Scene::new(SceneConfig { tsdf, ..SceneConfig::default() }).unwrap();
        let on_box = |scene: &Scene| {
            let cell_m = KeyframeConfig::default().visibility_cell_m;
            let centre = |cell: &CellKey| cell.coordinates().map(|c| (c as f64 + 0.5) * cell_m);
            let on = |c: [f64; 3]| c[2] > 0.3 && (1.0..1.8).contains(&c[0]) && (0.9..1.6).contains(&c[1]);
            let cells = scene.keyframes()[0].visible_cells();
            (cells.iter().filter(|cell| on(centre(cell))).count(), cells.len())
        };
        for i in 0..40 {
            scene.fuse(&view(&furnished(), i)).unwrap();
        }
        let before = on_box(&scene);
        for i in 40..90 {
            scene.fuse(&view(&World::default(), i)).unwrap();
        }
        let after = on_box(&scene);
        assert_eq!(scene.keyframes().len(), 1, "the camera stood still");
        assert!(before.0 > 20 && after.0 == 0, "{before:?} {after:?}");
        assert!(before.1 - after.1 < 2 * before.0, "{before:?} {after:?}");
    }
}
