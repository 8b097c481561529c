//! Model folders with one thing wrong: `vantage model verify` and `replay` end with exit 1 and name file, tensor or token, before
//! anything is answered.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use vantage_tests::{program, root};

/// A tensor's type, shape and bytes.
type Stored = (Dtype, Vec<usize>, Vec<u8>);
/// What goes wrong with a folder.
type Fault = fn(&Path);

const WEIGHTS: &str = "model.safetensors";
/// A small random Qwen2.5-VL.
const QWEN: &str = "tests/fixtures/parity/qwen/tied_two_images";
/// This project's own model.
const NANO: &str = "model/checkpoints/nano";

/// Files of a model folder; what a reference case adds is left out.
fn copy(from: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(root().join(from)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && !["case.json", "expected.safetensors", "MODEL_CARD.md"].contains(&name.as_str()) {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn edit(dir: &Path, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
    let path = dir.join(WEIGHTS);
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<String, Stored> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    change(&mut tensors);
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, data))| (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn first_name(tensors: &BTreeMap<String, Stored>) -> String {
    tensors.keys().next().unwrap().clone()
}

fn vantage(arguments: &[&str]) -> Option<Output> {
    Some(Command::new(program("vantage")?).args(arguments).output().expect("vantage runs"))
}

/// Exit 1, nothing on stdout, and every one of `says` in the error.
fn must_fail(name: &str, output: &Output, says: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{name}: {error}");
    assert!(output.stdout.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    for word in says {
        assert!(error.contains(word), "{name}: no `{word}` in `{error}`");
    }
}

/// Name, what is done to the folder, and what must be said.
const FAULTS: [(&str, Fault, &[&str]); 11] = [
    (
        "truncated",
        |dir| {
            let bytes = fs::read(dir.join(WEIGHTS)).unwrap();
            fs::write(dir.join(WEIGHTS), &bytes[..bytes.len() - 1000]).unwrap();
        },
        &[WEIGHTS, "truncated"],
    ),
    (
        "a header longer than the file",
        |dir| {
            let mut bytes = fs::read(dir.join(WEIGHTS)).unwrap();
            bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
            fs::write(dir.join(WEIGHTS), bytes).unwrap();
        },
        &[WEIGHTS, "damaged"],
    ),
    ("empty", |dir| fs::write(dir.join(WEIGHTS), b"").unwrap(), &[WEIGHTS]),
    ("no weights", |dir| fs::remove_file(dir.join(WEIGHTS)).unwrap(), &[WEIGHTS]),
    (
        "a pipe instead of the weights",
        |dir| {
            fs::remove_file(dir.join(WEIGHTS)).unwrap();
            assert!(Command::new("mkfifo").arg(dir.join(WEIGHTS)).status().unwrap().success());
        },
        &[WEIGHTS, "cannot be read"],
    ),
    ("no settings", |dir| fs::remove_file(dir.join("config.json")).unwrap(), &["config.json"]),
    (
        "a tensor is missing",
        |dir| {
            edit(dir, |tensors| {
                let name = first_name(tensors);
                tensors.remove(&name);
            });
        },
        &["missing"],
    ),
    (
        "a tensor of another shape",
        |dir| {
            edit(dir, |tensors| {
                let name = first_name(tensors);
                let (_, shape, _) = tensors.get_mut(&name).unwrap();
                shape.push(1);
            });
        },
        &["shape"],
    ),
    (
        "a tensor too many",
        |dir| edit(dir, |tensors| drop(tensors.insert("stray.weight".into(), (Dtype::F32, vec![1], vec![0; 4])))),
        &["stray.weight"],
    ),
    (
        "not a number",
        |dir| {
            edit(dir, |tensors| {
                for (dtype, _, data) in tensors.values_mut().filter(|(dtype, ..)| *dtype != Dtype::I64) {
                    let nan: &[u8] = if *dtype == Dtype::F32 { &[0, 0, 0xC0, 0x7F] } else { &[0xFF, 0x7F] };
                    data[..nan.len()].copy_from_slice(nan);
                }
            });
        },
        &["not finite"],
    ),
    (
        "the tokenizer of another model",
        |dir| {
            // each gets the other's
            let path = dir.join("tokenizer.json");
            let own = fs::read(&path).unwrap();
            let nano = fs::read(root().join(NANO).join("tokenizer.json")).unwrap();
            let qwen = fs::read(root().join(QWEN).join("tokenizer.json")).unwrap();
            fs::write(path, if own == nano { qwen } else { nano }).unwrap();
        },
        &["token"],
    ),
];

#[test]
fn broken_model_folders_are_refused_by_name() {
    if program("vantage").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for model in [QWEN, NANO] {
        let good = dir.path().join("good");
        copy(model, &good);
        let good = good.display().to_string();
        assert_eq!(vantage(&["model", "verify", &good]).unwrap().status.code(), Some(0), "{model}");
        fs::remove_dir_all(&good).unwrap();
        for (name, fault, says) in FAULTS {
            let folder = dir.path().join("model");
            copy(model, &folder);
            fault(&folder);
            let path = folder.display().to_string();
            let output = vantage(&["model", "verify", &path]).unwrap();
            must_fail(&format!("{model}, {name}"), &output, says);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(&path), "{model}, {name}: the folder is not named in `{said}`");
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

#[test]
fn an_imported_model_is_known_by_its_digests() {
    if program("vantage").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, imported) = (dir.path().join("source"), dir.path().join("imported"));
    copy(QWEN, &source);
    let [from, to] = [&source, &imported].map(|path| path.display().to_string());
    assert_eq!(vantage(&["model", "import", &from, "--out", &to, "--dtype", "bf16"]).unwrap().status.code(), Some(0));
    assert_eq!(vantage(&["model", "verify", &to]).unwrap().status.code(), Some(0));
    let shard = fs::read_dir(&imported)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .unwrap();
    let whole = fs::read(&shard).unwrap();
    let name = shard.file_name().unwrap().to_string_lossy().into_owned();

    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&shard, flipped).unwrap();
    must_fail("a changed byte", &vantage(&["model", "verify", &to]).unwrap(), &[&name, "sha256"]);

    fs::write(&shard, &whole[..whole.len() - 1]).unwrap();
    must_fail("a lost byte", &vantage(&["model", "verify", &to]).unwrap(), &[&name, "bytes", "vantage.json"]);

    fs::remove_file(&shard).unwrap();
    must_fail("a lost shard", &vantage(&["model", "verify", &to]).unwrap(), &[&name, "missing"]);
}

/// The other architectures: a good folder of each, and what is said of a broken one.
#[test]
fn encoders_are_verified_too() {
    if program("vantage").is_none() {
        return;
    }
    const PICTURES: (&str, &str, &str) = ("preprocessor_config.json", "\"do_rescale\": true", "\"do_rescale\": 7");
    const POINTS: (&str, &str, &str) = ("config.json", "\"mlp_ratio\": 2", "\"mlp_ratio\": 0");
    const ENCODERS: [(&str, (&str, &str, &str)); 5] = [
        ("siglip/fixed", PICTURES),
        ("siglip/naflex", PICTURES),
        ("depth_anything/metric", PICTURES),
        ("depth_anything/relative", PICTURES),
        ("ptv3/two_scenes", POINTS),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (model, (file, good, bad)) in ENCODERS {
        let verify = |name: &str, fault: &dyn Fn(&Path)| {
            let folder = dir.path().join("model");
            copy(&format!("tests/fixtures/parity/{model}"), &folder);
            fault(&folder);
            let output = vantage(&["model", "verify", &folder.display().to_string()]).unwrap();
            fs::remove_dir_all(folder).unwrap();
            (format!("{model}, {name}"), output)
        };
        let (name, output) = verify("good", &|_| ());
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        // they have no tokenizer
        for (name, fault, says) in FAULTS.into_iter().filter(|(name, ..)| !name.contains("tokenizer")) {
            let (name, output) = verify(name, &fault);
            must_fail(&name, &output, says);
        }
        let (name, output) = verify("wrong settings", &|dir| {
            let path = dir.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(good), "{file}: {text}");
            fs::write(path, text.replace(good, bad)).unwrap();
        });
        must_fail(&name, &output, &[file]);
    }
}

#[test]
fn a_training_run_s_point_transformer_is_imported_and_verified() {
    if program("vantage").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = root().join("tests/fixtures/parity/ptv3/saved_by_training/checkpoint.pth").display().to_string();
    let to = dir.path().join("ptv3").display().to_string();
    assert_eq!(vantage(&["model", "import", &source, "--out", &to]).unwrap().status.code(), Some(0));
    let output = vantage(&["model", "verify", &to]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("a good ptv3 model"));
}
