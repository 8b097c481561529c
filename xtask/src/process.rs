//! Child processes. In: commands. Out: their success, a spinner while they run, and on failure the end of what they said.

use std::fs::{self, File};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// Lines of a failed command's output that are shown.
const SHOWN_LINES: usize = 25;

/// A command that a task was there to run has failed; the task ends with its exit code.
#[derive(Debug)]
pub(crate) struct ChildFailed {
    shown: String,
    code: u8,
}

impl std::fmt::Display for ChildFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ended with exit code {}", self.shown, self.code)
    }
}

impl std::error::Error for ChildFailed {}

/// The exit code for an error: the failed child's own, otherwise 1.
pub(crate) fn exit_code_of(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<ChildFailed>().map_or(1, |failed| failed.code)
}

/// Runs a command in the foreground, its output going straight to the terminal.
pub(crate) fn foreground(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|&code| code != 0);
    Err(ChildFailed { shown, code: code.unwrap_or(1) }.into())
}

/// The output of a short command, trimmed; an error names the command and what it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// One step of a set-up: commands whose output goes to a log file while a spinner (on a terminal) or a line tells of it.
pub(crate) struct Step {
    title: String,
    log: PathBuf,
    spinner: Option<ProgressBar>,
    started: Instant,
}

impl Step {
    /// Begins a step; `log_name` names its log in `logs`.
    pub(crate) fn begin(title: &str, logs: &Path, log_name: &str) -> Result<Self> {
        fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let log = logs.join(format!("{log_name}.log"));
        File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let spinner = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style).with_message(title.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if spinner.is_none() {
            eprintln!("  … {title}");
        }
        Ok(Self { title: title.to_owned(), log, spinner, started: Instant::now() })
    }

    /// Runs one command of the step.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let shown = show(command);
        let open = || File::options().append(true).open(&self.log);
        let log = || open().with_context(|| format!("cannot write {}", self.log.display()));
        let status = command
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?)
            .status()
            .with_context(|| format!("{}: cannot start `{shown}`", self.title))?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read(&self.log).unwrap_or_default();
        bail!(
            "{} failed ({status}): `{shown}`\n{}\nThe whole output is in {}",
            self.title,
            last_lines(&String::from_utf8_lossy(&text), SHOWN_LINES),
            self.log.display()
        );
    }

    /// Ends the step with success.
    pub(crate) fn done(self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        eprintln!("  ✓ {} ({:.0} s)", self.title, self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// A command as it would be typed.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let kept = &lines[lines.len().saturating_sub(count)..];
    kept.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_exit_code_is_passed_on() {
        let error = foreground(Command::new("sh").args(["-c", "exit 7"])).unwrap_err();
        assert_eq!(exit_code_of(&error), 7);
        assert_eq!(exit_code_of(&anyhow::anyhow!("other")), 1);
    }

    #[test]
    fn a_failed_step_shows_the_end_of_its_log() {
        let logs = std::env::temp_dir().join(format!("vantage-xtask-{}", std::process::id()));
        let step = Step::begin("count", &logs, "count").unwrap();
        let error = step.run(Command::new("sh").args(["-c", "seq 100; echo broken >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("broken") && text.contains("100") && !text.contains("\n    50\n"), "{text}");
        assert!(text.contains("count.log"), "{text}");
        fs::remove_dir_all(logs).unwrap();
    }
}
