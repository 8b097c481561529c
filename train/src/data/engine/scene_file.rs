//! A file of described scenes in, scenes to ask about out: one JSON object (`.json`), or one a line (`.jsonl`). Bad ones
//! are named by file and line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vantage_scene::{Aabb, OrientedBox};

use super::scene::{EngineScene, Origin, SceneObject};

/// Version of a scene; another is refused.
const SCENE_FORMAT_VERSION: u32 = 1;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// Most objects of a scene: their description must fit into a prompt.
const MAX_OBJECTS: usize = 1000;
/// Longest name of a scene, an object or a colour, bytes.
const MAX_NAME_BYTES: usize = 100;
/// Farthest coordinate and longest side, metres.
const MAX_METRES: f64 = 10_000.0;

/// What is wrong with a scene file, or with one scene of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SceneFileError {
    /// It cannot be read.
    #[error("{path}: {error}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is too large.
    #[error("{path}: {bytes} bytes; at most {MAX_FILE_BYTES} are read, so split it", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A scene is of no use.
    #[error("{path}:{line}: {fault}", path = path.display())]
    BadScene {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        fault: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SceneLine {
    format_version: u32,
    scene: String,
    #[serde(default)]
    bounds: Option<Aabb>,
    objects: Vec<ObjectLine>,
    #[serde(default)]
    views: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectLine {
    label: String,
    #[serde(default)]
    color: Option<String>,
    #[serde(rename = "box")]
    bbox: OrientedBox,
}

/// The good scenes of a file in its order, and what is wrong with the others.
#[derive(Debug)]
pub(crate) struct SceneFile {
    /// Those to ask about.
    pub(crate) scenes: Vec<EngineScene>,
    /// Those left out.
    pub(crate) bad: Vec<SceneFileError>,
    /// The file as it was read.
    pub(crate) bytes: Vec<u8>,
}

/// Reads `path`.
///
/// # Errors
/// When the file itself cannot be read; what is wrong with single scenes is in [`SceneFile::bad`].
pub(crate) fn read(path: &Path) -> Result<SceneFile, SceneFileError> {
    let unreadable = |error| SceneFileError::Unreadable { path: path.to_owned(), error };
    let meta = fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(unreadable(std::io::Error::other("no regular file")));
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(SceneFileError::TooLarge { path: path.to_owned(), bytes: meta.len() });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let by_lines = path.extension().is_some_and(|e| e == "jsonl");
    let parts: Vec<(usize, &[u8])> =
        if by_lines { (1..).zip(bytes.split(|b| *b == b'\n')).collect() } else { vec![(1, bytes.as_slice())] };
    let folder = path.parent().unwrap_or(Path::new("."));
    let (mut scenes, mut bad) = (Vec::new(), Vec::new());
    let mut lines_of_ids = BTreeMap::new();
    for (line, part) in parts {
        if by_lines && part.trim_ascii().is_empty() {
            continue;
        }
        let scene = parse(part, line, folder).and_then(|scene| match lines_of_ids.insert(scene.id.clone(), line) {
            Some(first) => Err((line, format!("scene `{}` is on line {first} already", scene.id))),
            None => Ok(scene),
        });
        match scene {
            Ok(scene) => scenes.push(scene),
            Err((line, fault)) => bad.push(SceneFileError::BadScene { path: path.to_owned(), line, fault }),
        }
    }
    Ok(SceneFile { scenes, bad, bytes })
}

/// One scene, whose text begins on `line`; or the line and what is wrong there.
fn parse(text: &[u8], line: usize, folder: &Path) -> Result<EngineScene, (usize, String)> {
    let read: SceneLine =
        serde_json::from_slice(text).map_err(|e| (line + e.line().saturating_sub(1), format!("no scene: {e}")))?;
    check(read, folder).map_err(|fault| (line, fault))
}

fn check(read: SceneLine, folder: &Path) -> Result<EngineScene, String> {
    if read.format_version != SCENE_FORMAT_VERSION {
        return Err(format!("format_version {}; {SCENE_FORMAT_VERSION} is read", read.format_version));
    }
    check_name("scene", &read.scene)?;
    if read.objects.is_empty() {
        return Err(format!("scene `{}` has no objects: nothing can be asked about it", read.scene));
    }
    if read.objects.len() > MAX_OBJECTS {
        return Err(format!("scene `{}` has {} objects; give at most {MAX_OBJECTS}", read.scene, read.objects.len()));
    }
    let mut objects = Vec::with_capacity(read.objects.len());
    for (i, object) in read.objects.into_iter().enumerate() {
        let named = |fault: String| format!("objects[{i}]: {fault}");
        check_name("label", &object.label).map_err(named)?;
        object.color.as_deref().map_or(Ok(()), |color| check_name("color", color)).map_err(named)?;
        check_box(&object.bbox).map_err(named)?;
        objects.push(SceneObject { label: object.label, color: object.color, bbox: object.bbox });
    }
    let bounds = read.bounds.unwrap_or_else(|| around(&objects));
    let length = |k: usize| bounds.max[k] - bounds.min[k];
    if !(0..3).all(|k| length(k) > 0.0 && length(k) <= MAX_METRES && bounds.min[k].abs() <= MAX_METRES) {
        return Err(format!("bounds {:?} to {:?} enclose nothing", bounds.min, bounds.max));
    }
    let views = read.views.iter().map(|view| folder.join(view)).collect();
    Ok(EngineScene { id: read.scene, bounds, objects, origin: Origin::File(views) })
}

/// A name goes into prompts and into the grammar's text.
fn check_name(field: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| !c.is_control() && !matches!(c, '<' | '>');
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
        let start: String = name.chars().take(MAX_NAME_BYTES).collect();
        return Err(format!("{field} {start:?}: give 1 to {MAX_NAME_BYTES} bytes without <, > and control characters"));
    }
    Ok(())
}

fn check_box(bbox: &OrientedBox) -> Result<(), String> {
    let place = |x: &f64| x.abs() <= MAX_METRES;
    if !bbox.center.iter().all(place) || !bbox.yaw.is_finite() {
        return Err(format!("box: centre {:?} and yaw {} are no place", bbox.center, bbox.yaw));
    }
    if !bbox.size.iter().all(|s| *s > 0.0 && *s <= MAX_METRES) {
        return Err(format!("box: size {:?}; every side is more than 0 and at most {MAX_METRES} m", bbox.size));
    }
    Ok(())
}

/// The smallest bounds around the objects.
fn around(objects: &[SceneObject]) -> Aabb {
    let mut bounds = Aabb { min: [f64::INFINITY; 3], max: [f64::NEG_INFINITY; 3] };
    for own in objects.iter().map(|o| o.bbox.aabb()) {
        for k in 0..3 {
            bounds.min[k] = bounds.min[k].min(own.min[k]);
            bounds.max[k] = bounds.max[k].max(own.max[k]);
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"format_version":1,"scene":"s1","objects":[{"label":"chair","color":"red","box":{"center":[1,2,0.5],"size":[0.5,0.5,1],"yaw":0.1}}],"views":["a.png"]}"#;

    fn read_text(name: &str, text: &str) -> SceneFile {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path).unwrap()
    }

    #[test]
    fn scenes_come_with_bounds_and_views() {
        let file = read_text("s.jsonl", &format!("{GOOD}\n\n{}\n", GOOD.replace("s1", "s2")));
        assert!(file.bad.is_empty(), "{:?}", file.bad);
        assert_eq!(file.scenes.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["s1", "s2"]);
        let bounds = file.scenes[0].bounds;
        assert!((bounds.max[2] - 1.0).abs() < 1e-12 && bounds.min[0] < 0.75);
        assert!(matches!(&file.scenes[0].origin, Origin::File(views) if views[0].ends_with("a.png")));
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(GOOD).unwrap()).unwrap();
        assert_eq!(read_text("s.json", &pretty).scenes.len(), 1);
    }

    #[test]
    fn each_fault_is_named_with_its_line() {
        for (from, to, fault) in [
            ("\"s1\"", "\"s1", "no scene"),
            ("0.1}", "NaN}", "no scene"),
            ("0.1}", "1e999}", "no scene"),
            ("[1,2,0.5]", "[1,null,0.5]", "no scene"),
            ("[1,2,0.5]", "[1,2e9,0.5]", "centre"),
            ("[0.5,0.5,1]", "[0.5,0,1]", "size"),
            ("[0.5,0.5,1]", "[0.5,-1,1]", "size"),
            ("\"chair\"", "\"\"", "label"),
            ("\"chair\"", "\"</think>\"", "label"),
            ("\"red\"", "\"r\\ned\"", "color"),
            ("\"format_version\":1", "\"format_version\":2", "format_version 2"),
            ("\"views\"", "\"pictures\"", "pictures"),
        ] {
            let text = format!("{GOOD}\n{}\n", GOOD.replace("s1", "s2").replace(from, to).replace("\"s2,", "\"s2"));
            let text = if from.contains("s1") { format!("{GOOD}\n{}\n", GOOD.replace(from, to)) } else { text };
            let file = read_text("s.jsonl", &text);
            assert_eq!((file.scenes.len(), file.bad.len()), (1, 1), "{to}");
            let said = file.bad[0].to_string();
            assert!(said.contains("s.jsonl:2: ") && said.contains(fault), "{said}");
        }
        let empty = read_text("s.json", r#"{"format_version":1,"scene":"s","objects":[]}"#);
        assert!(empty.bad[0].to_string().contains("no objects"));
        let twice = read_text("s.jsonl", &format!("{GOOD}\n{GOOD}"));
        assert!(twice.bad[0].to_string().contains("on line 1 already"));
        let flat = r#","bounds":{"min":[0,0,0],"max":[1,1,0]},"objects""#;
        assert!(
            read_text("s.json", &GOOD.replace(",\"objects\"", flat)).bad[0].to_string().contains("enclose nothing")
        );
    }

    #[test]
    fn a_missing_file_and_a_folder_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(&dir.path().join("none.json")).unwrap_err().to_string().contains("none.json"));
        assert!(read(dir.path()).unwrap_err().to_string().contains("no regular file"));
    }
}
