//! Interface packages built with CMake. In: `interfaces/` and an environment to build in. Out: that environment with the packages in front.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Environment, point};
use crate::layout::Layout;
use crate::process::Step;
use crate::stamp;

/// Interface folders in the order in which they are built: later ones use earlier ones.
const PACKAGES: [&str; 3] =
    ["interfaces/fallback/tf2_msgs", "interfaces/fallback/vision_msgs", "interfaces/vantage_interfaces"];

/// Goes up when the way of building changes.
const RECIPE: &[u8] = b"1";

/// A ROS 2 interface package of this project.
pub(crate) struct Package {
    pub(crate) name: String,
    source: PathBuf,
    /// Every file's path and content: what the built package depends on.
    content: Vec<u8>,
}

/// Reads the project's interface packages.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    PACKAGES.iter().map(|folder| read(&root.join(folder))).collect()
}

fn read(source: &Path) -> Result<Package> {
    let name = source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut content = Vec::new();
    for (path, bytes) in files(source, source)? {
        content.extend_from_slice(path.to_string_lossy().as_bytes());
        content.push(0);
        content.extend_from_slice(&bytes);
        content.push(0);
    }
    Ok(Package { name, source: source.to_path_buf(), content })
}

fn files(folder: &Path, root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, root)?);
        } else {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.push((path.strip_prefix(root).unwrap_or(&path).to_path_buf(), bytes));
        }
    }
    found.sort();
    Ok(found)
}

/// Builds `packages` into a folder in `store` named by what went into it, and puts it in front of `base`.
///
/// The name matters to Rust's bindings: they are made anew when the prefix path changes, and only then.
pub(crate) fn prepare(
    layout: &Layout,
    store: &Path,
    packages: &[&Package],
    base: Environment,
    python: Option<&Path>,
) -> Result<Environment> {
    let prefixes = base.variable("AMENT_PREFIX_PATH").to_owned();
    let contents = packages.iter().map(|package| package.content.as_slice());
    let name = stamp::name_of([RECIPE, prefixes.as_bytes()].into_iter().chain(contents));
    let folder = store.join(format!("interfaces-{name}"));
    let install = folder.join("install");
    stamp::once(&folder, || {
        for package in packages {
            build(layout, package, &folder, &base, &prefixes, python)?;
        }
        Ok(())
    })?;
    point(&layout.dot_ros().join("interfaces"), &install);
    Ok(base.with_overlay(&install, &python_folders(&install)))
}

fn build(
    layout: &Layout,
    package: &Package,
    folder: &Path,
    base: &Environment,
    prefixes: &str,
    python: Option<&Path>,
) -> Result<()> {
    let name = &package.name;
    let step = Step::begin(&format!("building {name}"), &layout.logs(), &format!("interfaces-{name}"))?;
    let build = folder.join("build").join(name);
    let install = folder.join("install");
    // Packages built before this one are found through the same prefix.
    let search = format!("{}:{prefixes}", install.display());
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&package.source).arg("-B").arg(&build).args(["-G", "Ninja"]);
    configure.arg(format!("-DCMAKE_INSTALL_PREFIX={}", install.display()));
    configure.args(["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF"]);
    configure.args(python.map(|python| format!("-DPython3_EXECUTABLE={}", python.display())));
    let so_far = base.with_overlay(&install, &python_folders(&install));
    step.run(so_far.apply(&mut configure).env("CMAKE_PREFIX_PATH", &search))?;
    let mut make = Command::new("cmake");
    make.arg("--build").arg(&build).args(["--target", "install"]);
    step.run(so_far.apply(&mut make).env("CMAKE_PREFIX_PATH", &search))?;
    step.done();
    Ok(())
}

/// Where the built packages' Python modules lie: `lib/python3.X/site-packages`, or Debian's `local/lib/…/dist-packages`.
fn python_folders(install: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for libraries in [install.join("lib"), install.join("local/lib")] {
        let entries = fs::read_dir(libraries).map(|list| list.flatten().collect::<Vec<_>>()).unwrap_or_default();
        for version in entries.iter().map(fs::DirEntry::path) {
            folders.extend(
                ["site-packages", "dist-packages"].map(|name| version.join(name)).into_iter().filter(|f| f.is_dir()),
            );
        }
    }
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_packages_of_the_project_are_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let packages = packages(root).unwrap();
        let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["tf2_msgs", "vision_msgs", "vantage_interfaces"]);
        let ours = String::from_utf8_lossy(&packages[2].content).into_owned();
        assert!(ours.contains("msg/Answer.msg") && ours.contains("string answer"));
    }
}
