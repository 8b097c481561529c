//! Frames in, one fused scene out: the map, its surface, its bounds and the keyframes.

use std::sync::{Arc, Mutex};

use crate::bounding_box::Aabb;
use crate::cloud::PointCloud;
use crate::frame::{RgbdFrame, StampNanos};
use crate::keyframe::{Keyframe, KeyframeConfig, KeyframeStore};
use crate::tsdf::{IntegrateReport, TsdfConfig, TsdfError, TsdfMap};

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
    newest_stamp: Option<StampNanos>,
    frames_fused: u64,
    /// The surface of a revision, made when asked for.
    surface: Mutex<Option<(u64, Arc<PointCloud>)>>,
}

impl Scene {
    /// An empty scene.
    ///
    /// # Errors
    /// [`SceneError::Map`] naming the setting.
    pub fn new(config: SceneConfig) -> Result<Self, SceneError> {
        Ok(Self {
            map: TsdfMap::new(config.tsdf)?,
            keyframes: KeyframeStore::new(config.keyframes),
            newest_stamp: None,
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
        self.newest_stamp = self.newest_stamp.max(Some(frame.stamp));
        self.frames_fused += 1;
        Ok(FuseReport { map, keyframe })
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

    /// Grows with every frame.
    pub fn revision(&self) -> u64 {
        self.map.revision()
    }
}
