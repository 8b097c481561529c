//! ROS 2 for the build and the tests. In: a sourced ROS 2, or nothing. Out: an environment with client libraries,
//! interface packages and a Python that can talk to the node; `.ros/env.sh` holds it for a shell.

mod environment;
mod overlay;
mod sourced;
mod wheels;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub(crate) use environment::Environment;

use crate::layout::Layout;

/// Prepares ROS 2 (once) and returns the environment to build and run under.
pub(crate) fn prepare(layout: &Layout) -> Result<Environment> {
    let environment = match sourced::find(layout) {
        Some(ros) => {
            eprintln!("ROS 2 {} is sourced: using it", ros.distro);
            sourced::prepare(layout, &ros)?
        }
        None => wheels::prepare(layout)?,
    };
    let environment = environment.with_fast_dds_profile(&layout.root);
    let script = layout.dot_ros().join("env.sh");
    fs::create_dir_all(layout.dot_ros()).context("cannot create .ros in the project")?;
    environment.write_script(&script)?;
    eprintln!("ROS 2 {} is ready: {}", environment.distro(), script.display());
    Ok(environment)
}

/// Points `link` to `target`, so that a person finds what was prepared; where links are refused it is left out.
fn point(link: &Path, target: &Path) {
    let here = fs::read_link(link).is_ok_and(|old| old == target);
    if !here {
        // Only ever a link of ours: a real folder makes both calls fail, and stays.
        let _ = fs::remove_file(link);
        let _ = std::os::unix::fs::symlink(target, link);
    }
}
