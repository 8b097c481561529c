//! A ROS 2 that the person has sourced (apt, or built from source). In: its environment. Out: the same with this project's packages in front.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Environment, overlay};
use crate::layout::Layout;
use crate::process::{self, Step};
use crate::{python, stamp};

/// What the tests' peers need beside rclpy; numpy is the one that ROS 2 was built with.
const TEST_REQUIREMENTS: &str = "rosbags==0.11.9\npillow\n";

/// The sourced ROS 2.
pub(crate) struct Sourced {
    pub(crate) distro: String,
    prefixes: String,
}

/// The ROS 2 of the environment, unless it is one that `wheels` made here (somebody sourced `.ros/env.sh`).
pub(crate) fn find(layout: &Layout) -> Option<Sourced> {
    let value = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let (distro, prefixes) = (value("ROS_DISTRO")?, value("AMENT_PREFIX_PATH")?);
    let prefixes = without(&prefixes, &layout.dot_ros());
    (!is_ours(&prefixes, &layout.store)).then_some(Sourced { distro, prefixes })
}

fn is_ours(prefixes: &str, store: &Path) -> bool {
    env::split_paths(prefixes).any(|prefix| prefix.starts_with(store) && prefix.ends_with("shim"))
}

/// Builds the interface packages that the sourced ROS 2 lacks, and a Python environment for the tests.
pub(crate) fn prepare(layout: &Layout, ros: &Sourced) -> Result<Environment> {
    let python = python_with_rclpy()?;
    let packages = overlay::packages(&layout.root)?;
    let wanted: Vec<_> = packages
        .iter()
        .filter(|package| package.name == "vantage_interfaces" || !ships(&ros.prefixes, &package.name))
        .collect();
    let test_python = test_venv(layout, ros, &python)?;
    let base = Environment::new(&ros.distro, test_python, vec![("AMENT_PREFIX_PATH", ros.prefixes.clone())]);
    overlay::prepare(layout, &layout.dot_ros(), &wanted, base, Some(&python))
}

/// The list without what lies in `folder`: packages that an earlier run put in front.
fn without(prefixes: &str, folder: &Path) -> String {
    let kept = env::split_paths(prefixes).filter(|prefix| !prefix.starts_with(folder));
    kept.map(|prefix| prefix.display().to_string()).collect::<Vec<_>>().join(":")
}

fn ships(prefixes: &str, package: &str) -> bool {
    env::split_paths(prefixes).any(|prefix| prefix.join("share").join(package).join("package.xml").is_file())
}

fn python_with_rclpy() -> Result<PathBuf> {
    let names = ["python3", "/usr/bin/python3"];
    let found = names.iter().find_map(|name| {
        let expression = "sys.executable";
        python::evaluate(Path::new(name), "sys, rclpy", expression).ok()
    });
    found.map(PathBuf::from).context(
        "ROS 2 is sourced, but neither python3 nor /usr/bin/python3 can import rclpy; install ros-<distro>-rclpy",
    )
}

/// A venv on top of the sourced ROS 2's Python: the system's own packages stay as they are.
fn test_venv(layout: &Layout, ros: &Sourced, python: &Path) -> Result<PathBuf> {
    let executable = python.to_string_lossy();
    let name = stamp::name_of([TEST_REQUIREMENTS.as_bytes(), executable.as_bytes(), ros.prefixes.as_bytes()]);
    let folder = layout.dot_ros().join(format!("test-python-{name}"));
    let venv_python = folder.join("venv/bin/python");
    stamp::once(&folder, || {
        let step = Step::begin("preparing Python for the tests", &layout.logs(), "test-python")?;
        python::make_venv(python, &folder.join("venv"), TEST_REQUIREMENTS, true, &step)?;
        process::output(Command::new(&venv_python).args(["-c", "import rclpy, rosbags, numpy, PIL"]))?;
        step.done();
        Ok(())
    })?;
    Ok(venv_python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_our_own_is_not_taken_for_a_sourced_one() {
        let store = Path::new("/home/ada/.cache/vantage");
        assert!(is_ours("/home/ada/.cache/vantage/ros-jazzy-1/shim:/x", store));
        assert!(!is_ours("/opt/ros/jazzy", store));
        assert_eq!(without("/src/.ros/interfaces-1/install:/opt/ros/jazzy", Path::new("/src/.ros")), "/opt/ros/jazzy");
    }
}
