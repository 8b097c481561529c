//! Where things lie. In: the environment. Out: the project's root, the build folder, the places of prepared software.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Paths that every task uses.
pub(crate) struct Layout {
    /// The workspace's root.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// Prepared software shared by every checkout on this machine, or this checkout's own `.ros/`.
    pub(crate) store: PathBuf,
}

/// The places that the environment names, as text-free values so that the rules can be tested.
struct Surroundings {
    cargo_target: Option<OsString>,
    ros: Option<OsString>,
    home: Option<OsString>,
    ci: bool,
}

impl Layout {
    /// Finds the root from xtask's own manifest and the rest from the environment.
    pub(crate) fn find() -> Result<Self> {
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("xtask lies at the root of the file system; it belongs in the workspace")?
            .to_path_buf();
        let surroundings = Surroundings {
            cargo_target: non_empty("CARGO_TARGET_DIR"),
            ros: non_empty("VANTAGE_ROS_DIR"),
            home: non_empty("HOME"),
            ci: in_ci(),
        };
        Ok(Self::choose(root, &surroundings, Path::is_dir))
    }

    fn choose(root: PathBuf, around: &Surroundings, is_dir: impl Fn(&Path) -> bool) -> Self {
        let cache = around.home.as_ref().map(|home| Path::new(home).join(".cache/vantage"));
        let target = match (&around.cargo_target, &cache) {
            (Some(named), _) => root.join(named),
            (None, Some(cache)) if around.ci || is_dir(&cache.join("target")) => cache.join("target"),
            (None, _) => root.join("target"),
        };
        let store = match (&around.ros, cache) {
            (Some(named), _) => root.join(named),
            (None, Some(cache)) => cache,
            (None, None) => root.join(".ros"),
        };
        Self { root, target, store }
    }

    /// This checkout's own folder for what was prepared: pointers into the store, logs, `env.sh`.
    pub(crate) fn dot_ros(&self) -> PathBuf {
        self.root.join(".ros")
    }

    /// Where commands leave their output.
    pub(crate) fn logs(&self) -> PathBuf {
        self.dot_ros().join("logs")
    }

    /// A program that the dev profile built.
    pub(crate) fn built(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }
}

/// True where a skipped test must count as failed.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn non_empty(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings() -> Surroundings {
        Surroundings { cargo_target: None, ros: None, home: Some("/home/ada".into()), ci: false }
    }

    #[test]
    fn a_plain_machine_builds_in_the_checkout() {
        let layout = Layout::choose("/src/vantage".into(), &surroundings(), |_| false);
        assert_eq!(layout.target, Path::new("/src/vantage/target"));
        assert_eq!(layout.store, Path::new("/home/ada/.cache/vantage"));
    }

    #[test]
    fn a_persistent_target_is_used_where_it_is_there_or_in_ci() {
        let there = Layout::choose("/src/vantage".into(), &surroundings(), |_| true);
        assert_eq!(there.target, Path::new("/home/ada/.cache/vantage/target"));
        let ci = Surroundings { ci: true, ..surroundings() };
        assert_eq!(Layout::choose("/src/vantage".into(), &ci, |_| false).target, there.target);
    }

    #[test]
    fn named_places_win() {
        let named =
            Surroundings { cargo_target: Some("/t".into()), ros: Some("/r".into()), ci: true, ..surroundings() };
        let layout = Layout::choose("/src/vantage".into(), &named, |_| true);
        assert_eq!((layout.target.as_path(), layout.store.as_path()), (Path::new("/t"), Path::new("/r")));
    }
}
