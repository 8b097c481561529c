//! `vantage-train data generate` with templates: killed over and over it writes what it would have written undisturbed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use vantage_model::{grammar, target_text};
use vantage_train::data::SceneQuestion;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vantage-train");
/// Rooms with several questions each, of which some fail the filters.
const WORK: [&str; 8] = ["--rooms", "8", "--per-scene", "10", "--first-room", "100", "--seed", "4"];
const FILES: [&str; 3] = ["samples.jsonl", "rejected.jsonl", "manifest.json"];
/// The signal of a file that grows beyond its limit.
const SIGXFSZ: i32 = 25;
/// What `ulimit -f` of a POSIX shell counts in, bytes.
const LIMIT_BLOCK: u64 = 512;
/// The first manifest is smaller than so many blocks.
const FIRST_LIMIT: u64 = 2;
const KILLS: usize = 20;

fn generate(out: &Path, more: &[&str]) -> Output {
    Command::new(PROGRAM).args(["data", "generate", "--out"]).arg(out).args(more).output().unwrap()
}

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn files(out: &Path) -> BTreeMap<&'static str, String> {
    FILES.iter().map(|name| (*name, fs::read_to_string(out.join(name)).unwrap())).collect()
}

fn lines<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_it_writes_is_in_the_grammar_in_order_and_split_by_scene() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let done = generate(&out, &[&WORK[..], &["--json"]].concat());
    assert_done(&done);
    assert!(done.stderr.is_empty(), "no progress into a pipe: {}", String::from_utf8_lossy(&done.stderr));
    let summary: Value = serde_json::from_str(String::from_utf8_lossy(&done.stdout).lines().last().unwrap()).unwrap();
    let files = files(&out);
    let samples: Vec<SceneQuestion> = lines(&files["samples.jsonl"]);
    let rejected: Vec<Value> = lines(&files["rejected.jsonl"]);
    let manifest: Value = serde_json::from_str(&files["manifest.json"]).unwrap();
    assert_eq!(summary["type"], "generated");
    assert_eq!(summary["samples"], samples.len());
    assert_eq!(summary["rejected"], rejected.len());
    assert_eq!(summary["finished"], true);
    assert_eq!((summary["requests"].as_u64(), summary["items"].as_u64()), (Some(0), Some(80)));
    assert!(samples.len() > 40, "{summary}");

    let place = |id: &str| -> (u64, u64) {
        let (room, slot) = id.strip_prefix("room-").unwrap().split_once('-').unwrap();
        (room.parse().unwrap(), slot.parse().unwrap())
    };
    assert!(samples.windows(2).all(|w| place(&w[0].id) < place(&w[1].id)));
    for sample in &samples {
        let text = target_text(sample.think.as_ref().unwrap(), sample.answer.as_ref().unwrap());
        grammar::parse(&text).unwrap();
        // what is not there has no box
        let nothing = ["0", "no", "none"].iter().any(|n| sample.answers.iter().any(|a| a == n));
        assert!(!sample.answers.is_empty() && (!sample.boxes.is_empty() || nothing), "{sample:?}");
    }
    for line in &rejected {
        assert!(!line["reason"].as_str().unwrap().is_empty() && !line["text"].as_str().unwrap().is_empty(), "{line}");
    }
    let part = |name: &str| -> BTreeSet<&str> {
        let scenes = manifest["scenes"].as_array().unwrap().iter().filter(|s| s["split"] == name);
        scenes.map(|s| s["scene"].as_str().unwrap()).collect()
    };
    let (train, val) = (part("train"), part("val"));
    assert_eq!((train.len(), val.len()), (7, 1));
    let in_val = samples.iter().filter(|s| val.contains(s.scene.as_str())).count();
    assert_eq!(
        (summary["val"].as_u64(), summary["train"].as_u64()),
        (Some(in_val as u64), Some((samples.len() - in_val) as u64))
    );
}

#[test]
fn kills_at_any_byte_of_the_journal_lose_and_repeat_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    assert_done(&generate(&whole, &[&WORK[..], &["--concurrency", "1"]].concat()));
    let length = fs::metadata(whole.join("journal")).unwrap().len();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    // growing limits of the file's size: the kernel writes up to the limit and kills the program there
    let step = (length / LIMIT_BLOCK - FIRST_LIMIT) / KILLS as u64;
    assert!(step > 1, "the journal of {length} bytes is too short");
    let mut torn = 0;
    for kill in 0..KILLS as u64 {
        let limit = FIRST_LIMIT + kill * step + rng.random_range(0..step);
        let script = format!("ulimit -c 0; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, PROGRAM, "data", "generate", "--out"]).arg(&killed).args(WORK);
        let output = command.args(["--concurrency", ["1", "3", "8"][kill as usize % 3]]).output().unwrap();
        assert_eq!(output.status.signal(), Some(SIGXFSZ), "{}", String::from_utf8_lossy(&output.stderr));
        let journal = fs::read(killed.join("journal")).unwrap();
        assert_eq!(journal.len() as u64, limit * LIMIT_BLOCK);
        torn += usize::from(journal.last() != Some(&b'\n'));
        assert!(!killed.join("samples.jsonl").exists(), "nothing is shown that is not whole");
    }
    assert!(torn > KILLS / 2, "{torn} of {KILLS} kills tore a line");
    assert_done(&generate(&killed, &WORK));
    assert_eq!(files(&killed), files(&whole));
    // and what is finished stays as it is
    let journal = fs::read(killed.join("journal")).unwrap();
    assert_done(&generate(&killed, &WORK));
    assert_eq!((files(&killed), fs::read(killed.join("journal")).unwrap()), (files(&whole), journal));
}

#[test]
fn kills_at_random_moments_lose_and_repeat_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    assert_done(&generate(&whole, &WORK));
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for _ in 0..KILLS {
        let mut command = Command::new(PROGRAM);
        command.args(["data", "generate", "--out"]).arg(&killed).args(WORK);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(rng.random_range(1..120)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_done(&generate(&killed, &WORK));
    assert_eq!(files(&killed), files(&whole));
}

#[test]
fn a_folder_keeps_to_its_settings_and_to_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let small = ["--rooms", "2", "--per-scene", "3"];
    assert_done(&generate(&out, &small));
    let before = files(&out);
    let refused = |more: &[&str], said: &str| {
        let output = generate(&out, more);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(said), "{more:?}: {error}");
    };
    refused(&["--rooms", "3", "--per-scene", "3"], "another --rooms: 2, not 3");
    refused(&["--rooms", "2", "--per-scene", "3", "--seed", "1"], "another --seed");
    let lock = fs::File::open(out.join("journal")).unwrap();
    lock.lock().unwrap();
    refused(&small, "another run");
    drop(lock);
    assert_eq!(files(&out), before);
    fs::write(
        out.join("manifest.json"),
        before["manifest.json"].replace("\"format_version\": 1", "\"format_version\": 2"),
    )
    .unwrap();
    refused(&small, "version 2");
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("notes.txt"), "mine").unwrap();
    let output = generate(&foreign, &small);
    assert!(String::from_utf8_lossy(&output.stderr).contains("notes.txt"));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
    // wrong usage
    assert_eq!(generate(&dir.path().join("x"), &["--images", "2"]).status.code(), Some(2));
}
