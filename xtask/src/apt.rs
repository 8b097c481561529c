//! System packages (Debian 12, Ubuntu 24.04). In: what a task needs. Out: it is installed, or the one command that installs it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::layout::Layout;
use crate::process::Step;
use crate::python;

/// Something that the build needs from the system.
pub(crate) struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    present: fn() -> bool,
}

/// Enough for the demo: C code is compiled into the binaries (SQLite).
pub(crate) const BUILD: &[Need] =
    &[Need { what: "a C compiler", packages: &["gcc", "libc6-dev"], present: || on_path("cc").is_some() }];

/// What the ROS 2 client and the interface packages need beside `BUILD`.
pub(crate) const ROS: &[Need] = &[
    Need { what: "a C++ compiler", packages: &["g++"], present: || on_path("g++").is_some() },
    Need { what: "CMake", packages: &["cmake"], present: || on_path("cmake").is_some() },
    Need { what: "Ninja", packages: &["ninja-build"], present: || on_path("ninja").is_some() },
    Need { what: "pkg-config", packages: &["pkg-config"], present: || on_path("pkg-config").is_some() },
    Need { what: "clang and libclang (bindgen)", packages: &["clang", "libclang-dev"], present: has_libclang },
    Need {
        what: "Python 3.11 to 3.13 with venv and headers",
        packages: &["python3", "python3-venv", "python3-dev"],
        present: || python::find().is_some(),
    },
];

/// A driver of Vulkan, which wgpu needs; where there is none, the one that computes on the CPU (lavapipe).
pub(crate) const VULKAN: &[Need] = &[Need {
    what: "a Vulkan driver",
    packages: &["libvulkan1", "mesa-vulkan-drivers"],
    present: || {
        let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
        folders
            .iter()
            .any(|folder| entries(Path::new(folder)).iter().any(|file| file.extension().is_some_and(|e| e == "json")))
    },
}];

/// Shared libraries that Open3D's wheel takes from the system, and Java, in which pycocoevalcap's tokeniser and METEOR are written.
pub(crate) const PEERS: &[Need] = &[
    Need {
        what: "the system libraries of Open3D",
        packages: &["libegl1", "libgl1", "libgomp1", "libidn2-0", "libudev1", "libusb-1.0-0", "libx11-6"],
        present: || {
            let needed = [
                "libEGL.so.1",
                "libGL.so.1",
                "libgomp.so.1",
                "libidn2.so.0",
                "libudev.so.1",
                "libusb-1.0.so.0",
                "libX11.so.6",
            ];
            needed.iter().all(|name| library_folders().iter().any(|folder| folder.join(name).exists()))
        },
    },
    Need { what: "Java", packages: &["default-jre-headless"], present: || on_path("java").is_some() },
];

/// Looks for every need; installs the packages of those missing, or fails with the command to run.
pub(crate) fn ensure(layout: &Layout, needs: &[&[Need]]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().copied().flatten().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let what = missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    let command = install_command(&packages);
    if on_path("apt-get").is_none() {
        bail!("missing: {what}. This system has no apt-get; install the equivalents of: {}", packages.join(" "));
    }
    let Some(prefix) = privileges() else {
        bail!("missing: {what}. Run this, then try again:\n\n    {command}\n");
    };
    eprintln!("Missing: {what}");
    let step = Step::begin(&format!("apt-get install {}", packages.join(" ")), &layout.logs(), "apt")?;
    step.run(&mut apt(prefix, &["update", "-qq"]))?;
    let install: Vec<&str> = ["install", "-y", "-qq", "--no-install-recommends"].into_iter().chain(packages).collect();
    step.run(&mut apt(prefix, &install))?;
    step.done();
    if let Some(still) = missing.iter().find(|need| !(need.present)()) {
        bail!("{} is still missing after `{command}`; install it by hand and try again", still.what);
    }
    Ok(())
}

fn install_command(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install -y {}", packages.join(" "))
}

/// What goes before `apt-get`: nothing for root, sudo where it asks for no password, None where neither works.
fn privileges() -> Option<&'static [&'static str]> {
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok().filter(|output| output.status.success())
    };
    let uid = quiet(Command::new("id").arg("-u"))?;
    if uid.stdout.trim_ascii() == b"0" {
        return Some(&[]);
    }
    quiet(Command::new("sudo").args(["-n", "true"])).map(|_| &["sudo", "-n"][..])
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let words: Vec<&str> = prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(arguments);
    command
}

/// A program's path, found as a shell would.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// bindgen loads `libclang.so` at build time and asks `clang` for the compiler's own headers.
fn has_libclang() -> bool {
    if env::var_os("LIBCLANG_PATH").is_some_and(|value| !value.is_empty()) {
        return true;
    }
    let llvm = entries(Path::new("/usr/lib")).into_iter().filter(|entry| starts_with(entry, "llvm-"));
    let mut folders = llvm.map(|entry| entry.join("lib")).chain(library_folders());
    let is_libclang = |file: &PathBuf| starts_with(file, "libclang.so") || starts_with(file, "libclang-");
    let library = folders.any(|folder| entries(&folder).iter().any(is_libclang));
    library && on_path("clang").is_some()
}

/// Where Debian and its kin keep shared libraries.
fn library_folders() -> Vec<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/usr/local/lib",
    ];
    places.map(PathBuf::from).to_vec()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|list| list.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_would() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-anywhere").is_none());
    }

    #[test]
    fn the_command_for_a_person_names_every_package() {
        let packages: Vec<&str> = ROS.iter().flat_map(|need| need.packages).copied().collect();
        let command = install_command(&packages);
        assert!(command.starts_with("sudo apt-get") && command.ends_with("python3-dev"), "{command}");
    }
}
