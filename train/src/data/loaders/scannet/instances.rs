//! The mesh, its over-segmentation and their aggregation in, objects with boxes in the axis-aligned frame out.
//!
//! Layout: README of ScanNet/ScanNet. Boxes as VoteNet and ScanRefer make them (load_scannet_data.py of
//! daveredrum/ScanRefer): the bounds of an object's vertices after alignment; a vertex of two objects belongs to the
//! later one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use nalgebra::{Isometry3, Point3};
use vantage_scene::OrientedBox;

use super::alignment;
use crate::data::loaders::fields::Fields;
use crate::data::loaders::file;
use crate::data::loaders::finding::{Dataset, Fault, Findings, Place};
use crate::data::loaders::json;
use crate::data::loaders::ply;
use crate::data::loaders::scene::{SceneObject, SceneTruth, check_box};
use crate::data::loaders::split::ALL;

const REMEDY: &str = "get the scan again from ScanNet's release";

/// The files of an annotation: aggregation, segments, mesh. The first is that of the mesh that ScanRefer and others
/// use.
const ANNOTATIONS: [[&str; 3]; 3] = [
    [".aggregation.json", "_vh_clean_2.0.010000.segs.json", "_vh_clean_2.ply"],
    ["_vh_clean.aggregation.json", "_vh_clean.segs.json", "_vh_clean.ply"],
    ["_vh_clean.aggregation.json", "_vh_clean_2.0.010000.segs.json", "_vh_clean_2.ply"],
];

/// Whether a folder is a scan's: `scene0000_00`, with at least one of its files.
pub(crate) fn is_scene_folder(folder: &Path) -> bool {
    let name = file::name(folder);
    let is_named = name.strip_prefix("scene").and_then(|n| n.split_once('_')).is_some_and(|(space, scan)| {
        let digits = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
        digits(space, 4) && digits(scan, 2)
    });
    let endings = [".txt", ".sens"].into_iter().chain(ANNOTATIONS.into_iter().flatten());
    is_named && endings.into_iter().any(|ending| beside(folder, ending).exists())
}

/// `<folder>/<scene><ending>`.
pub(crate) fn beside(folder: &Path, ending: &str) -> PathBuf {
    folder.join(format!("{}{ending}", file::name(folder)))
}

/// An object as the aggregation gives it.
struct Group {
    place: Place,
    id: i64,
    label: String,
}

/// Reads a scan's alignment, mesh and annotation; `None` when it has no mesh or no alignment to be had. A scan without
/// annotation has no objects.
pub fn load_scene(folder: &Path, findings: &mut Findings) -> Option<SceneTruth> {
    let mut out = None;
    let _ = read(folder, &mut out, findings);
    out
}

fn read(folder: &Path, out: &mut Option<SceneTruth>, findings: &mut Findings) -> ControlFlow<()> {
    let meta = beside(folder, ".txt");
    let world_from_raw = match alignment::read(&meta) {
        Ok(Some(alignment)) => alignment,
        Ok(None) => {
            let fault =
                Fault::new("axisAlignment", "is missing; the scan's own axes are taken", "nothing, for a test scan");
            findings.report(fault.note(&meta, Place::File))?;
            Isometry3::identity()
        }
        Err((fault, place)) => return findings.report(fault.error(&meta, place)),
    };
    let is_whole = |files: &&[&str; 3]| files[..2].iter().all(|ending| beside(folder, ending).exists());
    let annotation = ANNOTATIONS.iter().find(is_whole);
    let mesh = beside(folder, annotation.map_or(ANNOTATIONS[0][2], |files| files[2]));
    let vertices = match ply::read_vertices(&mesh) {
        Ok(vertices) => vertices,
        Err((fault, place)) => return findings.report(fault.error(&mesh, place)),
    };
    let mut objects = Vec::new();
    match annotation {
        Some(files) => {
            let [aggregation, segments, _] = files.map(|ending| beside(folder, ending));
            annotated(&aggregation, &segments, &vertices, &world_from_raw, &mut objects, findings)?;
        }
        None => {
            let present = |ending| beside(folder, ending).exists();
            let lone = ANNOTATIONS.iter().flat_map(|files| &files[..2]).find(|ending| present(ending));
            let what = "is missing: the scan has no boxes";
            let fault = Fault::new("", what, "get aggregation and segments; hidden test scans have none");
            let missing = match lone {
                Some(ending) if ending.ends_with(".segs.json") => ANNOTATIONS[0][0],
                Some(_) => ANNOTATIONS[0][1],
                None => return finish(folder, objects, world_from_raw, &vertices, out, findings, Some(fault)),
            };
            findings.report(fault.error(&beside(folder, missing), Place::File))?;
        }
    }
    finish(folder, objects, world_from_raw, &vertices, out, findings, None)
}

fn finish(
    folder: &Path,
    objects: Vec<SceneObject>,
    world_from_raw: Isometry3<f64>,
    vertices: &[[f32; 3]],
    out: &mut Option<SceneTruth>,
    findings: &mut Findings,
    unannotated: Option<Fault>,
) -> ControlFlow<()> {
    *out = Some(SceneTruth {
        scene: file::name(folder),
        dataset: Dataset::ScanNet,
        split: ALL.to_owned(),
        folder: folder.to_owned(),
        objects,
        world_from_raw,
        raw_center: bounds(vertices.iter().map(|v| Point3::from(v.map(f64::from)))).map(|b| b.center),
    });
    unannotated.map_or(ControlFlow::Continue(()), |fault| {
        findings.report(fault.note(&beside(folder, ANNOTATIONS[0][0]), Place::File))
    })
}

fn annotated(
    aggregation: &Path,
    segments: &Path,
    vertices: &[[f32; 3]],
    world_from_raw: &Isometry3<f64>,
    objects: &mut Vec<SceneObject>,
    findings: &mut Findings,
) -> ControlFlow<()> {
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of: HashMap<i64, usize> = HashMap::new();
    let mut ids = BTreeSet::new();
    let mut shared = 0;
    json::items(aggregation, Some("segGroups"), findings, &mut |place, value, findings| {
        let parsed = Fields::of(&value)
            .and_then(|f| Ok((f.integer("objectId")?, f.text("label")?.to_owned(), f.integers("segments")?)));
        let (id, label, parts) = match parsed {
            Ok(parsed) => parsed,
            Err(fault) => return findings.report(fault.error(aggregation, place)),
        };
        if !ids.insert(id) {
            let fault = Fault::new("objectId", format!("is {id}, as that of another object"), REMEDY);
            return findings.report(fault.error(aggregation, place));
        }
        for part in parts {
            shared += usize::from(group_of.insert(part, groups.len()).is_some());
        }
        groups.push(Group { place, id, label });
        ControlFlow::Continue(())
    })?;
    if shared > 0 {
        let what = format!("give {shared} segments to two objects; the later one has them, as in ScanRefer's reader");
        findings.report(Fault::new("segments", what, "nothing").note(aggregation, Place::File))?;
    }
    let Some(of_vertex) = segment_indices(segments, findings)? else { return ControlFlow::Continue(()) };
    if of_vertex.len() != vertices.len() {
        let what = format!("has {} entries, the mesh has {} vertices", of_vertex.len(), vertices.len());
        let fault = Fault::new("segIndices", what, "get segments and mesh of the same release");
        return findings.report(fault.error(segments, Place::File));
    }
    let mut members: BTreeMap<usize, Vec<Point3<f64>>> = BTreeMap::new();
    for (segment, vertex) in of_vertex.iter().zip(vertices) {
        if let Some(group) = group_of.get(segment) {
            members.entry(*group).or_default().push(world_from_raw * Point3::from(vertex.map(f64::from)));
        }
    }
    for (index, group) in groups.into_iter().enumerate() {
        let Some(bbox) = members.remove(&index).and_then(|points| bounds(points.into_iter())) else {
            let fault = Fault::new("segments", format!("of object {} hold no vertex: it has no box", group.id), REMEDY);
            findings.report(fault.warning(aggregation, group.place))?;
            continue;
        };
        match check_box("segments", &bbox) {
            Ok(()) => objects.push(SceneObject { id: group.id, label: group.label, bbox }),
            Err(fault) => findings.report(fault.error(aggregation, group.place))?,
        }
    }
    ControlFlow::Continue(())
}

/// The segment of each vertex; `None` when the file is of no use, which is reported.
fn segment_indices(path: &Path, findings: &mut Findings) -> ControlFlow<(), Option<Vec<i64>>> {
    let mut out = Vec::new();
    let before = findings.list().len();
    json::items(path, Some("segIndices"), findings, &mut |place, value, findings| match value.as_i64() {
        Some(index) => {
            out.push(index);
            ControlFlow::Continue(())
        }
        None => findings.report(Fault::new("segIndices", "holds no whole number", REMEDY).error(path, place)),
    })?;
    ControlFlow::Continue((findings.list().len() == before).then_some(out))
}

/// The axis-aligned box around points; `None` around none.
fn bounds(points: impl Iterator<Item = Point3<f64>>) -> Option<OrientedBox> {
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for p in points {
        for k in 0..3 {
            (low[k], high[k]) = (low[k].min(p[k]), high[k].max(p[k]));
        }
    }
    let center = std::array::from_fn(|k| 0.5 * (low[k] + high[k]));
    let size = std::array::from_fn(|k| high[k] - low[k]);
    (low[0] <= high[0]).then_some(OrientedBox { center, size, yaw: 0.0 })
}
