//! Scenes with the boxes of their objects, by name: what questions are looked up in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nalgebra::Isometry3;
use vantage_scene::OrientedBox;

use super::finding::{Dataset, Fault};

/// Longest side of a box that is believed, metres; more is another unit.
const MAX_SIDE_M: f64 = 50.0;

/// An object of a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneObject {
    /// As the dataset numbers it: ScanNet's `objectId`; the place in the list elsewhere.
    pub id: i64,
    /// As the dataset names it.
    pub label: String,
    /// In the scene's world frame.
    pub bbox: OrientedBox,
}

/// A scene with its objects.
#[derive(Debug, Clone)]
pub struct SceneTruth {
    /// Its name.
    pub scene: String,
    /// Whose it is.
    pub dataset: Dataset,
    /// `train`, `val`, `test` or `all`.
    pub split: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// Those with a box.
    pub objects: Vec<SceneObject>,
    /// From the frame of its files to the world frame of the boxes: ScanNet's axis alignment, identity elsewhere.
    pub world_from_raw: Isometry3<f64>,
    /// Centre of the bounds of its mesh, in the frame of its files; `None` without a mesh.
    pub raw_center: Option<[f64; 3]>,
}

impl SceneTruth {
    /// The object numbered `id`.
    pub fn object(&self, id: i64) -> Option<&SceneObject> {
        self.objects.iter().find(|o| o.id == id)
    }
}

/// Scenes by name.
#[derive(Debug, Clone, Default)]
pub struct Scenes(BTreeMap<String, SceneTruth>);

impl Scenes {
    /// Adds one; the one that had its name before, if any.
    pub fn add(&mut self, scene: SceneTruth) -> Option<SceneTruth> {
        self.0.insert(scene.scene.clone(), scene)
    }

    /// The scene of that name.
    pub fn get(&self, name: &str) -> Option<&SceneTruth> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &SceneTruth> {
        self.0.values()
    }
}

/// What is wrong with a box, when something is.
pub(crate) fn check_box(field: &str, bbox: &OrientedBox) -> Result<(), Fault> {
    let fault = |what: String| Err(Fault::new(field, what, "give centre, full extents and yaw in metres and radians"));
    if !bbox.center.iter().chain(&bbox.size).chain([&bbox.yaw]).all(|x| x.is_finite()) {
        return fault("holds a number that is not finite".to_owned());
    }
    match bbox.size.iter().find(|s| **s < 0.0 || **s > MAX_SIDE_M) {
        Some(side) if *side < 0.0 => fault(format!("has a negative extent, {side}")),
        Some(side) => fault(format!("has an extent of {side}, plainly not metres")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_that_are_none_are_told() {
        let good = OrientedBox { center: [0.0; 3], size: [1.0, 2.0, 0.0], yaw: 0.0 };
        assert!(check_box("boxes", &good).is_ok());
        let bad = |change: fn(&mut OrientedBox)| {
            let mut b = good;
            change(&mut b);
            check_box("boxes", &b).unwrap_err().what
        };
        assert!(bad(|b| b.center[1] = f64::NAN).contains("not finite"));
        assert!(bad(|b| b.yaw = f64::INFINITY).contains("not finite"));
        assert!(bad(|b| b.size[2] = -0.1).contains("negative"));
        assert!(bad(|b| b.size[0] = 120.0).contains("not metres"));
    }
}
