//! A seed in, a folder out: the walk as a bag, `truth.json` with the exact boxes, `questions.jsonl` with the answers.
//!
//! A folder appears whole or not at all; of one that is there, only these three entries are ever replaced.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};
use vantage_node::sink::bag::BagWriter;
use vantage_scene::{OrientedBox, SensorEvent, Stream};

use super::config::{Difficulty, RoomConfig};
use super::layout::{ObjectTruth, Room, generate};
use super::record::{RecordConfig, Recording, record};
use super::sensing::SensingArgs;
use crate::tasks::{Question, Span, Task, TaskMix, questions};

/// The fixed frame; it is the room's own.
const GLOBAL_FRAME: &str = "odom";
/// The camera's body frame: x forward, y left, z up.
const BODY_FRAME: &str = "camera_link";
/// The optical frame: x right, y down, z forward.
const OPTICAL_FRAME: &str = "camera_color_optical_frame";
/// Topics of the bag, named as a RealSense driver with aligned depth names them.
const COLOR_TOPIC: &str = "/camera/color/image_raw/compressed";
const COLOR_INFO_TOPIC: &str = "/camera/color/camera_info";
const DEPTH_TOPIC: &str = "/camera/aligned_depth_to_color/image_raw/compressedDepth";
const DEPTH_INFO_TOPIC: &str = "/camera/aligned_depth_to_color/camera_info";
const TRANSFORM_TOPIC: &str = "/tf";
const STATIC_TRANSFORM_TOPIC: &str = "/tf_static";
/// What truth.json says it is, and its version.
const TRUTH_FORMAT: &str = "vantage-room";
const TRUTH_VERSION: u32 = 1;
/// Entries of the folder.
const BAG_DIR: &str = "bag";
const QUESTIONS_FILE: &str = "questions.jsonl";
const TRUTH_FILE: &str = "truth.json";
/// An object may be asked about when it covers this share of a picture...
const SEEN_SHARE: f64 = 0.003;
/// ...in this share of the frames, one at least.
const SEEN_FRAMES_SHARE: f64 = 0.04;
/// Widest picture, pixels, and longest walk, frames: what a bag is still written for in minutes.
const MAX_WIDTH: u32 = 1920;
const MAX_FRAMES: usize = 10_000;
/// Most questions a room.
const MAX_QUESTIONS: usize = 1000;

/// Arguments of `vantage-train rooms`.
#[derive(Debug, Clone, Args)]
pub struct RoomsArgs {
    /// Seed of the room.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How hard the room is.
    #[arg(long, value_enum, default_value_t = Difficulty::Default)]
    pub difficulty: Difficulty,
    /// Folder to write: bag/, truth.json, questions.jsonl.
    #[arg(long)]
    pub out: PathBuf,
    /// Frames of the walk, once around the room.
    #[arg(long, default_value_t = 90)]
    pub frames: usize,
    /// Picture width, pixels; the height is three quarters of it.
    #[arg(long, default_value_t = 320)]
    pub width: u32,
    /// Frames a second.
    #[arg(long, default_value_t = 10.0)]
    pub rate: f64,
    /// Questions at most.
    #[arg(long, default_value_t = 20)]
    pub questions: usize,
    /// How the room is seen.
    #[command(flatten)]
    pub sensing: SensingArgs,
    /// Write into a folder that holds other files too; they stay.
    #[arg(long)]
    pub force: bool,
}

/// truth.json.
#[derive(Debug, Serialize)]
struct Truth<'a> {
    format: &'a str,
    version: u32,
    seed: u64,
    frame: &'a str,
    size: [f64; 3],
    objects: Vec<ObjectTruth>,
}

/// The head of a truth.json that may or may not be ours.
#[derive(Debug, Deserialize)]
struct TruthHead {
    format: String,
}

/// A line of questions.jsonl.
#[derive(Debug, Serialize)]
struct QuestionLine<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    task: Task,
    /// All that is said before the question, and the question.
    question: String,
    answers: &'a [String],
    boxes: Vec<OrientedBox>,
    #[serde(skip_serializing_if = "Option::is_none")]
    situation: Option<Pose>,
}

/// Where a question is asked from; its words are part of the question.
#[derive(Debug, Serialize)]
struct Pose {
    position: [f64; 3],
    yaw: f64,
}

/// `vantage-train rooms`: makes the room of `args.seed` and writes its folder.
///
/// # Errors
/// When an argument is out of range, the folder holds something else, or a file cannot be written. Nothing is left half-written.
pub fn run(args: &RoomsArgs) -> Result<()> {
    export(args, &mut write_bag)?;
    eprintln!("room {} is in {}", args.seed, args.out.display());
    Ok(())
}

/// Writes `events` as a rosbag2 recording into the new folder `dir`.
fn write_bag(dir: &Path, events: &[SensorEvent]) -> Result<()> {
    let mut bag = BagWriter::create(dir)?;
    for event in events {
        match event {
            SensorEvent::Color { stamp, frame_id, image, .. } => {
                bag.write_color(COLOR_TOPIC, *stamp, frame_id, image)?
            }
            SensorEvent::Depth { stamp, frame_id, image, .. } => {
                bag.write_depth(DEPTH_TOPIC, *stamp, frame_id, image)?
            }
            SensorEvent::CameraInfo { stream, stamp, frame_id, camera, .. } => {
                let topic = match stream {
                    Stream::Color => COLOR_INFO_TOPIC,
                    Stream::Depth => DEPTH_INFO_TOPIC,
                };
                bag.write_camera_info(topic, *stamp, frame_id, camera)?;
            }
            SensorEvent::Transform { stamp, parent, child, parent_from_child, is_static } => {
                let topic = if *is_static { STATIC_TRANSFORM_TOPIC } else { TRANSFORM_TOPIC };
                bag.write_transform(topic, *stamp, parent, child, parent_from_child)?;
            }
        }
    }
    bag.finish()
}

/// Makes the room and its folder; `write_bag` gets the folder to make the bag in and its events in order of time.
fn export(args: &RoomsArgs, write_bag: &mut dyn FnMut(&Path, &[SensorEvent]) -> Result<()>) -> Result<()> {
    ensure!((16..=MAX_WIDTH).contains(&args.width), "--width {}: give 16 to {MAX_WIDTH} pixels", args.width);
    ensure!((1..=MAX_FRAMES).contains(&args.frames), "--frames {}: give 1 to {MAX_FRAMES}", args.frames);
    ensure!((0.1..=1000.0).contains(&args.rate), "--rate {}: give 0.1 to 1000 frames a second", args.rate);
    ensure!(args.questions <= MAX_QUESTIONS, "--questions {}: give at most {MAX_QUESTIONS}", args.questions);
    check_target(&args.out, args.force)?;
    let room = generate(args.seed, &RoomConfig::of(args.difficulty));
    let config = args.sensing.apply(RecordConfig {
        width: args.width,
        height: args.width * 3 / 4,
        frames: args.frames,
        rate_hz: args.rate,
        ..RecordConfig::default()
    });
    let recording = record(&room, &config);
    let mut asked =
        questions(&room, &well_seen(&recording, &config), args.seed, 2 * args.questions, &TaskMix::default());
    // a box in a question needs the bounds of a map, which only the one who fuses the bag has
    asked.retain(|q| !q.question.iter().any(|span| matches!(span, Span::Object(_))));
    let mut asked = varied_first(asked);
    asked.truncate(args.questions);

    let partial = partial_path(&args.out)?;
    remove(&partial)?;
    let written =
        write_partial(&partial, &room, &recording, &asked, write_bag).and_then(|()| install(&partial, &args.out));
    if written.is_err() || partial.exists() {
        // the first error is the one to tell
        let removed = remove(&partial);
        written?;
        removed?;
    }
    Ok(())
}

fn write_partial(
    partial: &Path,
    room: &Room,
    recording: &Recording,
    asked: &[Question],
    write_bag: &mut dyn FnMut(&Path, &[SensorEvent]) -> Result<()>,
) -> Result<()> {
    fs::create_dir_all(partial).with_context(|| format!("making {}", partial.display()))?;
    write_bag(&partial.join(BAG_DIR), &events(recording)).context("writing the bag")?;
    let truth = Truth {
        format: TRUTH_FORMAT,
        version: TRUTH_VERSION,
        seed: room.seed,
        frame: GLOBAL_FRAME,
        size: room.size,
        objects: room.truth(),
    };
    write_file(&partial.join(TRUTH_FILE), &(serde_json::to_string_pretty(&truth)? + "\n"))?;
    let mut lines = String::new();
    for q in asked {
        let line = QuestionLine {
            id: &q.id,
            task: q.task,
            question: q.prompt(&mut |_| String::new()),
            answers: &q.answers,
            boxes: q.boxes(room),
            situation: q.situation.as_ref().map(|s| Pose { position: s.position, yaw: s.yaw }),
        };
        lines += &serde_json::to_string(&line)?;
        lines.push('\n');
    }
    write_file(&partial.join(QUESTIONS_FILE), &lines)
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Everything that a robot's driver would have sent, in order of time: per frame its pose, intrinsics and images.
fn events(recording: &Recording) -> Vec<SensorEvent> {
    let link_from_optical = link_from_optical();
    let mut out = Vec::with_capacity(5 * recording.frames.len() + 1);
    for (i, frame) in recording.frames.iter().enumerate() {
        let stamp = frame.stamp;
        let transform = |parent: &str, child: &str, parent_from_child, is_static| SensorEvent::Transform {
            stamp,
            parent: parent.to_owned(),
            child: child.to_owned(),
            parent_from_child,
            is_static,
        };
        if i == 0 {
            out.push(transform(BODY_FRAME, OPTICAL_FRAME, link_from_optical, true));
        }
        out.push(transform(GLOBAL_FRAME, BODY_FRAME, frame.world_from_camera * link_from_optical.inverse(), false));
        let (camera_id, frame_id) = (frame.camera_id, || OPTICAL_FRAME.to_owned());
        for stream in [Stream::Color, Stream::Depth] {
            out.push(SensorEvent::CameraInfo { camera_id, stream, stamp, frame_id: frame_id(), camera: frame.camera });
        }
        out.push(SensorEvent::Color { camera_id, stamp, frame_id: frame_id(), image: frame.color.clone() });
        out.push(SensorEvent::Depth { camera_id, stamp, frame_id: frame_id(), image: frame.depth.clone() });
    }
    out
}

/// Optical axes (right, down, forward) in the body frame (forward, left, up), as REP-103 says.
fn link_from_optical() -> Isometry3<f64> {
    // the optical z is the body's x, the optical y the body's -z
    let rotation = UnitQuaternion::face_towards(&Vector3::x(), &-Vector3::z());
    Isometry3::from_parts(Translation3::identity(), rotation)
}

/// Which objects enough frames show well enough to ask about them.
fn well_seen(recording: &Recording, config: &RecordConfig) -> Vec<bool> {
    let pixels = SEEN_SHARE * f64::from(config.width) * f64::from(config.height);
    let frames = ((SEEN_FRAMES_SHARE * recording.frames.len() as f64) as usize).max(1);
    let objects = recording.visible_pixels.first().map_or(0, Vec::len);
    (0..objects)
        .map(|o| recording.visible_pixels.iter().filter(|seen| f64::from(seen[o]) >= pixels).count() >= frames)
        .collect()
}

/// The questions with one of each task and subtype first, as far as there are any: whoever asks only the first few asks varied ones.
fn varied_first(asked: Vec<Question>) -> Vec<Question> {
    let (mut first, mut rest): (Vec<Question>, Vec<Question>) = (Vec::new(), Vec::new());
    for q in asked {
        let known = first.iter().any(|f| f.task == q.task && f.subtype == q.subtype);
        if known { &mut rest } else { &mut first }.push(q);
    }
    first.append(&mut rest);
    first
}

/// Refuses a target that holds anything but an earlier room, unless forced.
fn check_target(out: &Path, force: bool) -> Result<()> {
    if !out.exists() || force && out.is_dir() {
        return Ok(());
    }
    ensure!(out.is_dir(), "{} is a file; give a folder as --out", out.display());
    let mut entries = fs::read_dir(out).with_context(|| format!("reading {}", out.display()))?;
    if entries.next().is_none() || is_room(out) {
        return Ok(());
    }
    bail!("{} is not empty and holds no room; give another --out, or --force to add one to it", out.display())
}

fn is_room(dir: &Path) -> bool {
    let text = fs::read_to_string(dir.join(TRUTH_FILE)).unwrap_or_default();
    serde_json::from_str::<TruthHead>(&text).is_ok_and(|head| head.format == TRUTH_FORMAT)
}

/// Where the folder is built: beside its place, so that moving it there is a rename.
fn partial_path(out: &Path) -> Result<PathBuf> {
    let name = out.file_name().with_context(|| format!("--out {} names no folder", out.display()))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(out.with_file_name(partial))
}

fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    result.with_context(|| format!("removing {}", path.display()))
}

/// Moves the finished folder to its place; into a folder that is there go only its entries, truth.json last.
fn install(partial: &Path, out: &Path) -> Result<()> {
    if !out.exists() {
        return fs::rename(partial, out).with_context(|| format!("moving {} to {}", partial.display(), out.display()));
    }
    remove(&out.join(TRUTH_FILE))?;
    for entry in [BAG_DIR, QUESTIONS_FILE, TRUTH_FILE] {
        let place = out.join(entry);
        remove(&place)?;
        fs::rename(partial.join(entry), &place).with_context(|| format!("moving {} into place", place.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Point3;

    fn args(out: &Path) -> RoomsArgs {
        let sensing = SensingArgs::default();
        RoomsArgs {
            seed: 6,
            difficulty: Difficulty::Default,
            out: out.to_owned(),
            frames: 6,
            width: 80,
            rate: 10.0,
            questions: 20,
            sensing,
            force: false,
        }
    }

    /// Stands for a bag: one file with the number of events.
    fn tally(dir: &Path, events: &[SensorEvent]) -> Result<()> {
        fs::create_dir(dir)?;
        Ok(fs::write(dir.join("events"), events.len().to_string())?)
    }

    #[test]
    fn the_folder_is_whole_and_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for out in [&a, &b] {
            export(&args(out), &mut tally).unwrap();
        }
        for entry in ["bag/events", QUESTIONS_FILE, TRUTH_FILE] {
            assert_eq!(fs::read(a.join(entry)).unwrap(), fs::read(b.join(entry)).unwrap(), "{entry}");
        }
        assert_eq!(fs::read_to_string(a.join("bag/events")).unwrap(), (6 * 5 + 1).to_string());
        let truth: serde_json::Value = serde_json::from_slice(&fs::read(a.join(TRUTH_FILE)).unwrap()).unwrap();
        assert_eq!((&truth["format"], &truth["version"]), (&TRUTH_FORMAT.into(), &TRUTH_VERSION.into()));
        assert!(truth["objects"][0]["box"]["size"][2].as_f64().unwrap() > 0.0);
        for line in fs::read_to_string(a.join(QUESTIONS_FILE)).unwrap().lines() {
            let q: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(Task::ALL.iter().any(|task| q["type"] == task.name()), "{line}");
            assert!(q["answers"][0].is_string() && q["boxes"].is_array() && q["id"].is_string());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn the_bag_holds_every_topic_as_often_as_there_are_frames() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("room");
        run(&args(&out)).unwrap();
        assert!(out.join("bag/metadata.yaml").exists());
        let recording = fs::read_dir(out.join("bag")).unwrap().map(|e| e.unwrap().path());
        let file = recording.into_iter().find(|p| p.extension().is_some_and(|e| e == "mcap")).unwrap();
        let bytes = fs::read(file).unwrap();
        let mut counts = std::collections::BTreeMap::new();
        for message in mcap::MessageStream::new(&bytes).unwrap() {
            *counts.entry(message.unwrap().channel.topic.clone()).or_insert(0) += 1;
        }
        let topics = [COLOR_TOPIC, COLOR_INFO_TOPIC, DEPTH_TOPIC, DEPTH_INFO_TOPIC, TRANSFORM_TOPIC];
        assert!(topics.iter().all(|t| counts.get(*t) == Some(&6)), "{counts:?}");
        assert_eq!((counts.get(STATIC_TRANSFORM_TOPIC), counts.len()), (Some(&1), 6));
    }

    #[test]
    fn other_files_are_kept_and_only_rooms_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("room");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("notes.txt"), "mine").unwrap();
        let refused = export(&args(&out), &mut tally).unwrap_err().to_string();
        assert!(refused.contains("room") && refused.contains("--force"), "{refused}");
        export(&RoomsArgs { force: true, ..args(&out) }, &mut tally).unwrap();
        export(&RoomsArgs { seed: 7, ..args(&out) }, &mut tally).unwrap();
        assert_eq!(fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
        assert!(fs::read_to_string(out.join(TRUTH_FILE)).unwrap().contains("\"seed\": 7"));
    }

    #[test]
    fn a_failed_bag_leaves_nothing_and_bad_numbers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("room");
        let failed = export(&args(&out), &mut |_, _| bail!("no space")).unwrap_err();
        assert!(format!("{failed:#}").contains("bag: no space"), "{failed:#}");
        for bad in [
            RoomsArgs { width: 0, ..args(&out) },
            RoomsArgs { frames: 0, ..args(&out) },
            RoomsArgs { rate: f64::NAN, ..args(&out) },
            RoomsArgs { questions: usize::MAX, ..args(&out) },
        ] {
            assert!(export(&bad, &mut tally).is_err());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn transforms_compose_to_the_cameras_pose_and_the_body_is_upright() {
        let room = generate(3, &RoomConfig::default());
        let recording = record(&room, &RecordConfig { frames: 3, ..RecordConfig::default() });
        let link_from_optical = link_from_optical();
        let ahead = link_from_optical * Point3::new(0.0, 0.0, 1.0);
        let right = link_from_optical * Point3::new(1.0, 0.0, 0.0);
        assert!((ahead - Point3::new(1.0, 0.0, 0.0)).norm() < 1e-12);
        assert!((right - Point3::new(0.0, -1.0, 0.0)).norm() < 1e-12);
        let poses: Vec<_> = events(&recording)
            .into_iter()
            .filter_map(|e| match e {
                SensorEvent::Transform { parent_from_child, is_static: false, .. } => Some(parent_from_child),
                _ => None,
            })
            .collect();
        for (frame, pose) in recording.frames.iter().zip(&poses) {
            let difference = (pose * link_from_optical).inverse() * frame.world_from_camera;
            assert!(difference.translation.vector.norm() < 1e-12 && difference.rotation.angle() < 1e-7);
        }
    }

    #[test]
    fn the_first_questions_are_varied() {
        let room = generate(7, &RoomConfig::default());
        let seen = vec![true; room.objects.len()];
        let asked = varied_first(questions(&room, &seen, 7, 20, &TaskMix::default()));
        let kinds: std::collections::BTreeSet<_> = asked.iter().map(|q| (q.task, q.subtype)).collect();
        let first: std::collections::BTreeSet<_> =
            asked.iter().take(kinds.len()).map(|q| (q.task, q.subtype)).collect();
        assert_eq!(kinds, first);
    }
}
