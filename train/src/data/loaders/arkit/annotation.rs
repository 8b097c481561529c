//! `<video_id>_3dod_annotation.json` in, boxes with a yaw out.
//!
//! Layout: threedod/README.md and benchmark_scripts of apple/ARKitScenes: {data: [{uid, label, segments: {obbAligned:
//! {centroid, axesLengths, normalizedAxes}}}], skipped}. The three rows of `normalizedAxes` are the box's axes in the
//! world, `axesLengths` its full extents along them, metres.

use std::ops::ControlFlow;
use std::path::Path;

use nalgebra::Isometry3;
use serde_json::Value;
use vantage_scene::OrientedBox;

use crate::data::loaders::fields::Fields;
use crate::data::loaders::file;
use crate::data::loaders::finding::{Dataset, Fault, Findings, Place};
use crate::data::loaders::json;
use crate::data::loaders::scene::{SceneObject, SceneTruth, check_box};

const ANNOTATION: &str = "_3dod_annotation.json";
const MESH: &str = "_3dod_mesh.ply";
const REMEDY: &str = "get the video again with ARKitScenes' download_data.py";
/// Least share of the upright axis along z: a box that leans further has no yaw (3 degrees).
const MIN_UPRIGHT: f64 = 0.9986;
/// How far axes may be from unit length.
const LENGTH_TOLERANCE: f64 = 1.0e-2;

/// Whether a folder is a video's: a number, with its annotation or its frames.
pub(crate) fn is_video_folder(folder: &Path) -> bool {
    let name = file::name(folder);
    let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    is_number && [ANNOTATION, MESH, "_frames"].iter().any(|ending| folder.join(format!("{name}{ending}")).exists())
}

/// Reads a video's boxes as those of a scene of `split`; `None` when there is no annotation to read. Objects are
/// numbered as they stand.
pub fn load_scene(folder: &Path, split: &str, findings: &mut Findings) -> Option<SceneTruth> {
    let name = file::name(folder);
    let path = folder.join(format!("{name}{ANNOTATION}"));
    let mut objects = Vec::new();
    let before = findings.list().len();
    let read = json::items(&path, Some("data"), findings, &mut |place, value, findings| {
        match object(&value, place) {
            Ok(object) => objects.push(object),
            Err(fault) => findings.report(fault.error(&path, place))?,
        }
        ControlFlow::Continue(())
    });
    if read.is_break() || (objects.is_empty() && findings.list().len() > before) {
        return None;
    }
    let mesh = folder.join(format!("{name}{MESH}"));
    if !mesh.is_file() {
        let _ = findings.report(Fault::new("", "is missing; boxes do not need it", REMEDY).note(&mesh, Place::File));
    }
    Some(SceneTruth {
        scene: name,
        dataset: Dataset::ArkitScenes,
        split: split.to_owned(),
        folder: folder.to_owned(),
        objects,
        world_from_raw: Isometry3::identity(),
        raw_center: None,
    })
}

fn object(value: &Value, place: Place) -> Result<SceneObject, Fault> {
    let f = Fields::of(value)?;
    let label = f.text("label")?.to_owned();
    let found = f.object("segments")?.object("obbAligned")?;
    let center = found.numbers::<3>("centroid")?;
    let lengths = found.numbers::<3>("axesLengths")?;
    let axes = found.numbers::<9>("normalizedAxes")?;
    let bbox = upright(center, lengths, &axes)?;
    check_box("axesLengths", &bbox)?;
    let id = match place {
        Place::Item(n) => i64::try_from(n).unwrap_or(i64::MAX),
        _ => 0,
    };
    Ok(SceneObject { id, label, bbox })
}

/// The box with the axis nearest to z as its height; the yaw is that of the axis that follows it in the list.
fn upright(center: [f64; 3], lengths: [f64; 3], axes: &[f64; 9]) -> Result<OrientedBox, Fault> {
    let axis = |i: usize| [axes[3 * i], axes[3 * i + 1], axes[3 * i + 2]];
    let fault = |what: String| Fault::new("normalizedAxes", what, REMEDY);
    for i in 0..3 {
        let length = axis(i).iter().map(|x| x * x).sum::<f64>().sqrt();
        if (length - 1.0).abs() > LENGTH_TOLERANCE {
            return Err(fault(format!("has an axis of length {length}, it must be 1")));
        }
    }
    let height = (0..3).max_by(|a, b| axis(*a)[2].abs().total_cmp(&axis(*b)[2].abs())).unwrap_or(2);
    if axis(height)[2].abs() < MIN_UPRIGHT {
        return Err(fault("leans: no axis is upright".to_owned()));
    }
    let (first, second) = ((height + 1) % 3, (height + 2) % 3);
    let yaw = axis(first)[1].atan2(axis(first)[0]);
    Ok(OrientedBox { center, size: [lengths[first], lengths[second], lengths[height]], yaw })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_of_axes_gives_the_same_box() {
        let (c, s) = (0.8, 0.6);
        let (along, across, up) = ([c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]);
        let corners = |order: [usize; 3]| {
            let axes: Vec<f64> = order.iter().flat_map(|i| [along, across, up][*i]).collect();
            let lengths = order.map(|i| [2.0, 1.0, 0.5][i]);
            let b = upright([1.0, 2.0, 3.0], lengths, axes.as_slice().try_into().unwrap()).unwrap();
            let truth = OrientedBox { center: [1.0, 2.0, 3.0], size: [2.0, 1.0, 0.5], yaw: s.atan2(c) };
            assert!((b.iou(&truth) - 1.0).abs() < 1.0e-9, "{order:?} {b:?}");
        };
        for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [1, 0, 2], [0, 2, 1], [2, 1, 0]] {
            corners(order);
        }
    }

    #[test]
    fn leaning_boxes_and_axes_of_no_unit_length_are_refused() {
        let lean = [0.8, 0.0, 0.6, 0.0, 1.0, 0.0, -0.6, 0.0, 0.8];
        assert!(upright([0.0; 3], [1.0; 3], &lean).unwrap_err().what.contains("leans"));
        assert!(upright([0.0; 3], [1.0; 3], &[0.5; 9]).unwrap_err().what.contains("of length"));
    }
}
