//! The variables under which ROS 2 programs are built and run. In: names and values. Out: a child's environment, a script to source.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The packages that Rust bindings are made for, with everything their definitions name. More would only cost build time.
const BOUND_PACKAGES: &[&str] = &[
    "action_msgs",
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rosgraph_msgs",
    "sensor_msgs",
    "service_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
    "type_description_interfaces",
    "unique_identifier_msgs",
    "vantage_interfaces",
    "vision_msgs",
    "visualization_msgs",
];

/// The Fast DDS profile with room for images; Jazzy reads the first name, later releases the second.
const PROFILE_VARIABLES: [&str; 2] = ["FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"];

/// A prepared ROS 2.
pub(crate) struct Environment {
    distro: String,
    /// The Python with rclpy, rosbags, numpy and pillow.
    python: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Environment {
    /// Collects the variables; the list of bound packages and the tests' Python are added.
    pub(crate) fn new(distro: &str, python: PathBuf, variables: Vec<(&'static str, String)>) -> Self {
        let mut variables = variables;
        variables.push(("ROS_DISTRO", distro.to_owned()));
        variables.push(("IDL_PACKAGE_FILTER", BOUND_PACKAGES.join(";")));
        variables.push(("VANTAGE_PYTHON", python.display().to_string()));
        Self { distro: distro.to_owned(), python, variables }
    }

    /// Adds the project's Fast DDS profile: the default shared-memory segment loses most messages of an image's size.
    pub(crate) fn with_fast_dds_profile(mut self, root: &Path) -> Self {
        let profile = root.join("launch/config/fastdds_large_messages.xml");
        self.variables.extend(PROFILE_VARIABLES.map(|name| (name, profile.display().to_string())));
        self
    }

    /// This environment with an installed overlay in front, and its Python modules.
    pub(crate) fn with_overlay(&self, install: &Path, python_folders: &[PathBuf]) -> Self {
        let mut variables = self.variables.clone();
        prepend(&mut variables, "AMENT_PREFIX_PATH", &install.display().to_string());
        prepend(&mut variables, "LD_LIBRARY_PATH", &install.join("lib").display().to_string());
        for folder in python_folders {
            prepend(&mut variables, "PYTHONPATH", &folder.display().to_string());
        }
        Self { distro: self.distro.clone(), python: self.python.clone(), variables }
    }

    /// A variable's value, empty where it has none.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The release's name, such as `jazzy`.
    pub(crate) fn distro(&self) -> &str {
        &self.distro
    }

    /// Gives a child process this environment.
    pub(crate) fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }

    /// Writes the environment as a script for `. .ros/env.sh`, in one go.
    pub(crate) fn write_script(&self, path: &Path) -> Result<()> {
        let unfinished = path.with_extension("sh.new");
        fs::write(&unfinished, self.script()).with_context(|| format!("cannot write {}", unfinished.display()))?;
        fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
    }

    fn script(&self) -> String {
        let mut text =
            format!("# ROS 2 {} for this checkout; source it. Written by `cargo xtask setup`.\n", self.distro);
        for (name, value) in &self.variables {
            text.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
        }
        if let Some(folder) = self.python.parent() {
            text.push_str(&format!("export PATH='{}':\"$PATH\"\n", folder.display()));
        }
        text
    }
}

/// Puts `front` before the variable's value; a variable that is not ours yet starts from the process's own value.
fn prepend(variables: &mut Vec<(&'static str, String)>, name: &'static str, front: &str) {
    let joined = |old: &str| {
        if old.is_empty() { front.to_owned() } else { format!("{front}:{old}") }
    };
    match variables.iter_mut().find(|(known, _)| *known == name) {
        Some((_, value)) => *value = joined(value),
        None => variables.push((name, joined(&env::var(name).unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_quotes_every_value() {
        let environment =
            Environment::new("jazzy", "/p/bin/python".into(), vec![("AMENT_PREFIX_PATH", "/it's:/b".into())]);
        let script = environment.script();
        assert!(script.contains(r"export AMENT_PREFIX_PATH='/it'\''s:/b'"), "{script}");
        assert!(script.contains("export VANTAGE_PYTHON='/p/bin/python'"), "{script}");
        let over = environment.with_overlay(Path::new("/o"), &["/o/lib/python3.12/site-packages".into()]);
        assert_eq!(over.variable("AMENT_PREFIX_PATH"), "/o:/it's:/b");
        assert!(over.variable("PYTHONPATH").starts_with("/o/lib/python3.12/site-packages"));
        let filter = script.lines().find(|line| line.starts_with("export IDL_PACKAGE_FILTER='")).unwrap();
        assert!(filter.contains(";sensor_msgs;") && filter.ends_with("visualization_msgs'"), "{filter}");
    }
}
