//! Published datasets in, [`SceneQuestion`](super::SceneQuestion)s and scenes with boxes out; every problem is a
//! [`Finding`].
//!
//! The layouts and where each is described: docs/datasets.md.

pub mod arkit;
mod fields;
mod file;
mod finding;
mod json;
mod nr3d;
mod ply;
mod pose;
mod question;
mod records;
mod rooms;
pub mod scannet;
mod scanqa;
mod scanrefer;
mod scene;
mod scene30k;
mod split;
mod sqa3d;
mod three_d_llm;

pub(crate) use file::{name as file_name, open as open_file, read_text as read_text_file};
pub(crate) use finding::Fault;
pub use finding::{Dataset, Finding, Findings, Place, Severity};
pub use question::Loaded;
pub use rooms::load_room;
pub(crate) use rooms::{QUESTIONS_FILE, is_room};
pub use scene::{SceneObject, SceneTruth, Scenes};
pub(crate) use split::of_word;
pub use split::split_of;
pub(crate) use sqa3d::annotations_path;
pub(crate) use three_d_llm::is_scene_map;

use std::path::Path;

/// Reads one file of questions of `dataset`, as `split` (which the file's name tells, see [`split_of`]). Of SQA3D,
/// `path` is the questions; the annotations lie beside it under their own name. Boxes and situations are looked up in
/// `scenes`. Items that are bad are reported and left out; with [`Findings::strict`] reading ends at the first.
///
/// Of ScanNet, ARKitScenes and rooms there is nothing to read here: see [`scannet::load_scene`], [`arkit::load_scene`],
/// [`load_room`].
pub fn load_questions(
    dataset: Dataset,
    path: &Path,
    split: &str,
    scenes: &Scenes,
    findings: &mut Findings,
) -> Vec<Loaded> {
    match dataset {
        Dataset::ScanRefer => scanrefer::load(path, scenes, findings),
        Dataset::Nr3d => nr3d::load(path, scenes, findings),
        Dataset::ScanQa => scanqa::load(path, split, scenes, findings),
        Dataset::Sqa3d => sqa3d::load(path, scenes, findings),
        Dataset::ThreeDLlm => three_d_llm::load(path, scenes, findings),
        Dataset::Scene30k => scene30k::load(path, scenes, findings),
        Dataset::Records => records::load(path, scenes, findings),
        Dataset::ScanNet | Dataset::ArkitScenes | Dataset::Rooms => Vec::new(),
    }
}
