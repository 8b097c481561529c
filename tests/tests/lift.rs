//! A plain Qwen2.5-VL in mode lift: the committed random checkpoint reads views of odd sizes, and a replay with it says that it
//! named no boxes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use vantage_model::lift::ViewReader;
use vantage_model::packed::MatrixType;
use vantage_model::qwen::{Message, Part, QwenVl, ReplyOptions, Role};
use vantage_model::weights::Placement;
use vantage_scene::ColorImage;
use vantage_tests::{program, root};

const QUESTION: &str = "Where is the chair?";
/// Side of a patch, pixels.
const PATCH: usize = 14;

/// A tiny random Qwen2.5-VL as transformers saved it.
fn checkpoint() -> PathBuf {
    root().join("tests/fixtures/parity/qwen/tied_two_images")
}

fn random_qwen() -> QwenVl {
    QwenVl::load(&checkpoint(), Placement::cpu(MatrixType::F32)).unwrap()
}

fn picture(width: u32, height: u32) -> ColorImage {
    let data = (0..3 * width * height).map(|i| (i * 31 % 251) as u8).collect();
    ColorImage::new(width, height, data).unwrap()
}

#[test]
fn rectangles_are_in_pixels_of_the_resized_picture() {
    let model = random_qwen();
    // width and height of the reference's smart_resize with 28 and 3136 to 50176 pixels
    assert_eq!(model.seen_size(640, 480).unwrap(), (252, 168));
    assert_eq!(model.seen_size(61, 47).unwrap(), (56, 56));
    let sizes = [(640, 480), (61, 47), (33, 129), (300, 20), (223, 225)];
    let pictures: Vec<ColorImage> = sizes.iter().map(|(width, height)| picture(*width, *height)).collect();
    let images: Vec<&ColorImage> = pictures.iter().collect();
    let parts = images.iter().map(|_| Part::Image).collect();
    // of several pictures, each is read at a size of its own
    let (_, grids) = model.prompt(&[Message { role: Role::User, parts }], &images).unwrap();
    for ((width, height), grid) in sizes.into_iter().zip(grids) {
        let seen = ((PATCH * grid.width) as u32, (PATCH * grid.height) as u32);
        assert_eq!(model.seen_size(width, height).unwrap(), seen, "{width} x {height}");
    }
    let error = model.seen_size(1000, 2).unwrap_err().to_string();
    assert!(error.contains("1000"), "{error}");
}

#[test]
fn budget_deadline_and_stop_reach_the_model() {
    let mut model = random_qwen();
    let pictures = [picture(61, 47), picture(130, 90)];
    let images: Vec<&ColorImage> = pictures.iter().collect();
    let options = ReplyOptions { max_tokens: 12, ..ReplyOptions::default() };
    let mut read = |options: &ReplyOptions, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>| {
        ViewReader::read(&mut model, &images, "What is it?", options, on_text).unwrap()
    };
    let mut streamed = String::new();
    let mut pieces = 0;
    let whole = read(&options, &mut |text| {
        streamed += text;
        pieces += usize::from(!text.is_empty());
        ControlFlow::Continue(())
    });
    assert!(!whole.is_empty() && whole == streamed && pieces <= 12, "{whole:?}");
    let less = read(&ReplyOptions { max_tokens: 3, ..options.clone() }, &mut |_| ControlFlow::Continue(()));
    assert!(less.len() < whole.len() && whole.starts_with(&less), "{less:?} of {whole:?}");
    assert_eq!(read(&options, &mut |_| ControlFlow::Break(())), "");
    let past = Instant::now().checked_sub(Duration::from_millis(1));
    assert_eq!(read(&ReplyOptions { deadline: past, ..options }, &mut |_| ControlFlow::Continue(())), "");
}

/// A small room as a recording in `dir`.
fn bag(dir: &Path) -> Option<PathBuf> {
    let room = dir.join("room");
    let arguments = ["rooms", "--seed", "3", "--frames", "12", "--width", "160", "--out", room.to_str().unwrap()];
    let output = Command::new(program("vantage-train")?).args(arguments).output().expect("vantage-train runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(room.join("bag"))
}

fn replay(bag: &Path, more: &[&str]) -> Option<Output> {
    let command = ["--ask", QUESTION, "--json", "--max-tokens", "24"];
    let output = Command::new(program("vantage")?).arg("replay").arg(bag).args(command).args(more).output();
    Some(output.expect("vantage runs"))
}

#[test]
fn a_model_that_says_nothing_of_use_gives_an_answer_without_boxes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(bag) = bag(dir.path()) else { return };
    let model = checkpoint();
    let model = model.to_str().unwrap();
    let Some(output) = replay(&bag, &["--mode", "lift", "--model", model]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let answer: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&answer["type"], &answer["question"]), (&"answer".into(), &QUESTION.into()));
    assert_eq!(answer["boxes"].as_array().map(Vec::len), Some(0), "{answer}");
    assert!(answer["answer"].as_str().unwrap().starts_with("the model named no boxes"), "{answer}");
    let views = answer["views"].as_array().unwrap().len();
    let said_of_views = answer["reasoning"].as_str().unwrap().split("; ").count();
    assert!(views > 0 && said_of_views >= views, "{answer}");
    // a Qwen2.5-VL needs no mode, and equal replays print equal bytes
    assert_eq!(replay(&bag, &["--model", model]).unwrap().stdout, output.stdout);
}

#[test]
fn a_mode_that_does_not_fit_the_model_is_refused_before_anything_is_fused() {
    let (qwen, nano) = (checkpoint(), root().join("model/checkpoints/nano"));
    let (qwen, nano) = (qwen.to_str().unwrap(), nano.to_str().unwrap());
    for (arguments, said) in [
        (vec!["--mode", "r1", "--model", qwen], ["mode r1", qwen, "choose mode lift"]),
        (vec!["--mode", "lift", "--model", nano], ["mode lift", nano, "choose mode r1"]),
        (vec!["--mode", "lift"], ["mode lift", "embedded model", "choose mode r1"]),
    ] {
        let Some(output) = replay(Path::new("no-such-recording"), &arguments) else { return };
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(said.iter().all(|words| error.contains(words)), "{error}");
    }
}
