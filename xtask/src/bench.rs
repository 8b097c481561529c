//! `cargo xtask bench` and `soak`. In: a folder of frames. Out: our times beside those of Open3D on the same frames in the same run, as
//! ratios; the memory of a long run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::layout::Layout;
use crate::run::cargo;
use crate::{apt, peers, process};

/// Recordings that are measured when none is named, beside the project.
const FRAMES: &[&str] = &["../shared/data/livingroom1", "../shared/data/sun3d5"];
/// What runs Open3D: on the frames, and on the points that `vantage bench scene` wrote.
const FUSION_PEER: &str = "tests/python/bench_open3d_fusion.py";
const CLOUDS_PEER: &str = "tests/python/bench_open3d_clouds.py";
/// What runs transformers' decoder.
const MODEL_PEER: &str = "tests/python/bench_torch_decoder.py";
/// What trains and samples with transformers.
const TRAINING_PEER: &str = "tests/python/bench_torch_training.py";
/// Losses of equal weights on equal texts differ by less than this.
const EQUAL_LOSS: f64 = 1e-3;
/// Tokens that both decoders read and generate.
const PROMPT: &str = "256";
const TOKENS: &str = "64";
/// A point as `vantage bench scene` writes it: three f32, three bytes.
const POINT_BYTES: u64 = 15;
/// Times that everything is measured; the median counts.
const RUNS: &str = "5";

/// `cargo xtask bench scene`.
pub(crate) fn scene(frames: &[PathBuf], json: bool) -> Result<()> {
    let layout = Layout::find()?;
    apt::ensure(&layout, &[apt::BUILD])?;
    let folders = folders(&layout, frames)?;
    let python = peers::prepare(&layout)?;
    let program = release(&layout)?;
    let mut count = 0;
    for folder in &folders {
        let name =
            folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned());
        for ratio in ratios(&layout, &program, &python, folder)? {
            count += 1;
            if json {
                let mut line = ratio;
                line["frames"] = Value::from(name.clone());
                println!("{line}");
            } else {
                let number = |field: &str| ratio[field].as_f64().unwrap_or(f64::NAN);
                println!(
                    "{name:14} {:16} ours {:9.3} ms  {} {:9.3} ms  ratio {:.2}",
                    ratio["name"].as_str().unwrap_or_default(),
                    number("ours_ms"),
                    ratio["peer"].as_str().unwrap_or_default(),
                    number("peer_ms"),
                    number("ratio"),
                );
            }
        }
    }
    if json {
        println!("{}", json!({"type": "summary", "ratios": count, "folders": folders.len()}));
    }
    Ok(())
}

/// `cargo xtask bench model`.
pub(crate) fn model(json: bool) -> Result<()> {
    let layout = Layout::find()?;
    apt::ensure(&layout, &[apt::BUILD])?;
    let python = peers::prepare_reference(&layout)?;
    let program = release(&layout)?;
    let ours = |config: &str, dtype: &str| {
        let mut command = Command::new(&program);
        command.args(["bench", "model", "--json", "--config", config, "--dtype", dtype]);
        command.args(["--prompt", PROMPT, "--tokens", TOKENS, "--runs", RUNS]);
        lines(&mut command)
    };
    let small = ours("decoder-42m", "f32")?;
    let small = small.first().context("no measurement of the small decoder")?;
    let theirs = lines(Command::new(python).arg(layout.root.join(MODEL_PEER)).args([PROMPT, TOKENS, RUNS]))?;
    let ours_of = |name: &str| json!({"name": name, "ms": small[format!("{name}_ms")], "input": format!("prompt of {PROMPT}"), "output": "next token"});
    let mut results = join(&[ours_of("prefill"), ours_of("decode")], &theirs)?;
    // bound by memory, not by torch
    results.extend(ours("decoder-500m", "f32")?);
    for line in &results {
        if json {
            println!("{line}");
        } else if line["type"] == "ratio" {
            let number = |field: &str| line[field].as_f64().unwrap_or(f64::NAN);
            let (name, peer) = (line["name"].as_str().unwrap_or_default(), line["peer"].as_str().unwrap_or_default());
            println!(
                "{name:10} ours {:8.2} ms  {peer} {:8.2} ms  ratio {:.2}",
                number("ours_ms"),
                number("peer_ms"),
                number("ratio")
            );
        } else {
            println!(
                "{} of {:.0} M parameters generates at {:.0}% of the memory's bandwidth",
                line["config"].as_str().unwrap_or_default(),
                line["parameters"].as_f64().unwrap_or(f64::NAN) * 1e-6,
                line["bandwidth_share"].as_f64().unwrap_or(f64::NAN) * 1e2
            );
        }
    }
    if json {
        println!("{}", json!({"type": "summary", "results": results.len()}));
    }
    Ok(())
}

/// `cargo xtask bench train`.
pub(crate) fn train(json: bool) -> Result<()> {
    let layout = Layout::find()?;
    apt::ensure(&layout, &[apt::BUILD])?;
    let python = peers::prepare_reference(&layout)?;
    let program = release_of(&layout, "vantage-train", "vantage-train")?;
    let weights = std::env::temp_dir().join(format!("vantage-bench-{}.safetensors", std::process::id()));
    let joined = (|| {
        let theirs = lines(Command::new(&python).arg(layout.root.join(TRAINING_PEER)).arg(&weights).arg(RUNS))?;
        let ours =
            lines(Command::new(&program).args(["bench", "text", "--json", "--runs", RUNS, "--weights"]).arg(&weights))?;
        let loss = |all: &[Value]| all.first().and_then(|line| line["loss"].as_f64()).unwrap_or(f64::NAN);
        let apart = (loss(&ours) - loss(&theirs)).abs();
        ensure!(apart < EQUAL_LOSS, "not the same work: losses {} and {}", loss(&ours), loss(&theirs));
        join(&ours, &theirs)
    })();
    if weights.exists() {
        std::fs::remove_file(&weights).with_context(|| format!("removing {}", weights.display()))?;
    }
    let results = joined?;
    for line in &results {
        if json {
            println!("{line}");
        } else {
            let number = |field: &str| line[field].as_f64().unwrap_or(f64::NAN);
            let (name, peer) = (line["name"].as_str().unwrap_or_default(), line["peer"].as_str().unwrap_or_default());
            println!(
                "{name:10} ours {:8.1} ms  {peer} {:8.1} ms  ratio {:.2}",
                number("ours_ms"),
                number("peer_ms"),
                number("ratio")
            );
        }
    }
    if json {
        println!("{}", json!({"type": "summary", "results": results.len()}));
    }
    Ok(())
}

/// `cargo xtask soak`.
pub(crate) fn soak(frames: Option<&Path>, json: bool) -> Result<()> {
    let layout = Layout::find()?;
    apt::ensure(&layout, &[apt::BUILD])?;
    let named: Vec<PathBuf> = frames.map(Path::to_path_buf).into_iter().collect();
    let folders = folders(&layout, &named)?;
    let program = release(&layout)?;
    process::foreground(
        Command::new(program).args(["bench", "soak", "--frames"]).arg(&folders[0]).args(json.then_some("--json")),
    )
}

/// The folders named, or those that are there by default.
fn folders(layout: &Layout, named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let found: Vec<PathBuf> = FRAMES.iter().map(|path| layout.root.join(path)).filter(|path| path.is_dir()).collect();
    ensure!(!found.is_empty(), "none of {} is there; name a folder of frames with --frames", FRAMES.join(", "));
    Ok(found)
}

/// The program as robots run it.
fn release(layout: &Layout) -> Result<PathBuf> {
    release_of(layout, "vantage-node", "vantage")
}

/// A program built for speed: on a processor with AVX-512 built for it, as peers take it by themselves too.
fn release_of(layout: &Layout, package: &str, program: &str) -> Result<PathBuf> {
    let mut build = cargo(layout, "build");
    build.args(["--release", "-p", package, "--bin", program]);
    if std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpu| cpu.contains(" avx512f")) {
        build.args(["--features", &format!("{package}/x86-v4")]);
    }
    process::foreground(&mut build)?;
    Ok(layout.target.join("release").join(program))
}

/// Runs ours and theirs on one folder and joins the results by name.
fn ratios(layout: &Layout, program: &Path, python: &Path, folder: &Path) -> Result<Vec<Value>> {
    let points = std::env::temp_dir().join(format!("vantage-bench-{}.points", std::process::id()));
    // what downsampling leaves, as `vantage bench scene` names it
    let small = points.with_extension("points.small");
    let joined = (|| {
        let mut ours = Command::new(program);
        ours.args(["bench", "scene", "--json", "--runs", RUNS, "--frames"])
            .arg(folder)
            .arg("--points-out")
            .arg(&points);
        let ours = lines(&mut ours)?;
        let script = |path: &str| {
            let mut command = Command::new(python);
            command.arg(layout.root.join(path));
            command
        };
        let mut theirs = lines(script(FUSION_PEER).arg(folder).arg(RUNS))?;
        let bytes = std::fs::metadata(&points).with_context(|| format!("reading {}", points.display()))?.len();
        theirs.extend(lines(
            script(CLOUDS_PEER).arg(&points).arg((bytes / POINT_BYTES).to_string()).arg("--small").arg(&small),
        )?);
        join(&ours, &theirs)
    })();
    for file in [points, small].iter().filter(|file| file.exists()) {
        std::fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
    }
    joined
}

/// The JSON objects that a command prints, a line each.
fn lines(command: &mut Command) -> Result<Vec<Value>> {
    eprintln!("$ {}", process::show(command));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{}`", process::show(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", process::show(command), output.status);
    }
    let text = String::from_utf8(output.stdout).context("its output is no UTF-8")?;
    text.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect()
}

/// A ratio for each of ours; it is an error when theirs lacks one.
fn join(ours: &[Value], theirs: &[Value]) -> Result<Vec<Value>> {
    let by_name: BTreeMap<&str, &Value> =
        theirs.iter().filter_map(|line| Some((line["name"].as_str()?, line))).collect();
    ours.iter()
        .map(|line| {
            let name = line["name"].as_str().context("a measurement without a name")?;
            let peer = by_name.get(name).with_context(|| format!("the peer has not measured {name}"))?;
            let ours_ms = line["ms"].as_f64().filter(|ms| *ms > 0.0).context("a measurement without a time")?;
            let peer_ms = peer["peer_ms"].as_f64().context("a measurement of the peer without a time")?;
            Ok(json!({
                "type": "ratio", "name": name, "ours_ms": ours_ms, "peer": peer["peer"], "peer_ms": peer_ms,
                "ratio": peer_ms / ours_ms, "input": line["input"], "our_output": line["output"], "peer_output": peer["output"],
                "peer_way": if peer["way"].is_null() { &peer["call"] } else { &peer["way"] },
            }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_joined_by_name_and_a_missing_one_is_an_error() {
        let ours = [json!({"name": "a", "ms": 2.0}), json!({"name": "b", "ms": 4.0})];
        let theirs =
            [json!({"name": "b", "peer": "p", "peer_ms": 4.0}), json!({"name": "a", "peer": "p", "peer_ms": 6.0})];
        let joined = join(&ours, &theirs).unwrap();
        assert_eq!((joined[0]["ratio"].as_f64(), joined[1]["ratio"].as_f64()), (Some(3.0), Some(1.0)));
        assert!(join(&ours, &theirs[..1]).unwrap_err().to_string().contains('a'));
    }
}
