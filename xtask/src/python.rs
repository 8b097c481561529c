//! Python interpreters and virtual environments. In: what is on the PATH, pinned requirements. Out: a venv; the system's Python is only read.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::{self, Step};

/// Names tried, in this order; the first that fits is taken.
const NAMES: &[&str] = &[
    "python3",
    "/usr/bin/python3",
    "python3.12",
    "python3.11",
    "python3.13",
    "/usr/bin/python3.12",
    "/usr/bin/python3.11",
];

/// Minor versions of Python 3 that the pinned wheels exist for.
const MINORS: std::ops::RangeInclusive<u32> = 11..=13;

/// Prints what `Interpreter` holds, a line each; fails where venv cannot work.
const PROBE: &str = r#"
import os, sys, sysconfig, ensurepip, venv
print(os.path.realpath(sys.executable))
print(sys.version_info[1])
include = sysconfig.get_paths()["include"]
print(include if os.path.exists(os.path.join(include, "Python.h")) else "")
"#;

/// A Python that can make virtual environments and compile extension modules.
pub(crate) struct Interpreter {
    /// The real executable, not a shim or a link.
    pub(crate) executable: PathBuf,
    /// The `11` of 3.11.
    pub(crate) minor: u32,
    /// The folder of `Python.h`.
    pub(crate) include: PathBuf,
}

/// The first Python of a fitting version that has venv, pip and headers.
pub(crate) fn find() -> Option<Interpreter> {
    NAMES.iter().find_map(|name| probe(name))
}

fn probe(name: &str) -> Option<Interpreter> {
    let output = Command::new(name).args(["-c", PROBE]).output().ok().filter(|output| output.status.success())?;
    interpreter_from_probe(std::str::from_utf8(&output.stdout).ok()?)
}

fn interpreter_from_probe(text: &str) -> Option<Interpreter> {
    let mut lines = text.lines();
    let executable = PathBuf::from(lines.next()?);
    let minor = lines.next()?.parse().ok().filter(|minor| MINORS.contains(minor))?;
    let include = lines.next().filter(|include| !include.is_empty())?.into();
    Some(Interpreter { executable, minor, include })
}

/// Makes a virtual environment and installs pinned requirements into it, with what they need.
pub(crate) fn make_venv(
    interpreter: &Path,
    venv: &Path,
    requirements: &str,
    system_site_packages: bool,
    step: &Step,
) -> Result<()> {
    make_venv_with(interpreter, venv, requirements, system_site_packages, &[], step)
}

/// As [`make_venv`], with more `options` of `pip install`.
pub(crate) fn make_venv_with(
    interpreter: &Path,
    venv: &Path,
    requirements: &str,
    system_site_packages: bool,
    options: &[&str],
    step: &Step,
) -> Result<()> {
    let mut make = Command::new(interpreter);
    make.args(["-m", "venv"]).args(system_site_packages.then_some("--system-site-packages")).arg(venv);
    step.run(&mut make)?;
    let list = venv.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    let mut install = Command::new(venv.join("bin/python"));
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]).args(options);
    install.arg("-r").arg(&list);
    step.run(&mut install)
}

/// One value printed by a Python expression.
pub(crate) fn evaluate(python: &Path, imports: &str, expression: &str) -> Result<String> {
    process::output(Command::new(python).arg("-c").arg(format!("import {imports}\nprint({expression})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_without_headers_or_of_another_version_is_passed_over() {
        let fitting = interpreter_from_probe("/usr/bin/python3.12\n12\n/usr/include/python3.12\n").unwrap();
        assert_eq!((fitting.minor, fitting.executable.as_path()), (12, Path::new("/usr/bin/python3.12")));
        assert!(interpreter_from_probe("/usr/bin/python3.12\n12\n\n").is_none());
        assert!(interpreter_from_probe("/usr/bin/python3.9\n9\n/usr/include/python3.9\n").is_none());
    }
}
