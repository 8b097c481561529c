//! `qa=6,grounding=7` in, the share of each task among questions out.

use std::fmt;
use std::str::FromStr;

use super::Task;

/// Shares without a word from the user, in the order of [`Task::ALL`].
const DEFAULT_SHARES: [u32; Task::ALL.len()] = [6, 3, 7, 2, 1, 2, 1];
/// Largest share that may be given.
const MAX_SHARE: u32 = 1000;

/// How often each task is asked, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskMix([u32; Task::ALL.len()]);

impl Default for TaskMix {
    fn default() -> Self {
        Self(DEFAULT_SHARES)
    }
}

/// What is wrong with a mix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskMixError {
    /// No such task.
    #[error(
        "`{0}` is no task: give qa, situated, grounding, object_caption, dense_caption, dialogue or planning, or all"
    )]
    UnknownTask(String),
    /// Not a share.
    #[error("`{0}` is no share: give TASK=N with N from 0 to {MAX_SHARE}")]
    BadShare(String),
    /// A task given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// Nothing would be asked.
    #[error("all shares are 0: give one task at least")]
    Nothing,
}

impl TaskMix {
    /// The share of one task.
    pub fn share(&self, task: Task) -> u32 {
        Task::ALL.iter().position(|t| *t == task).map_or(0, |i| self.0[i])
    }

    /// Only this task.
    pub fn only(task: Task) -> Self {
        Self(std::array::from_fn(|i| u32::from(Task::ALL[i] == task)))
    }

    /// These tasks alone, with their shares.
    #[must_use]
    pub fn keep(&self, tasks: &[Task]) -> Self {
        Self(std::array::from_fn(|i| if tasks.contains(&Task::ALL[i]) { self.0[i] } else { 0 }))
    }

    /// The tasks with a share, in the order of [`Task::ALL`].
    pub fn tasks(&self) -> Vec<Task> {
        Task::ALL.into_iter().filter(|t| self.share(*t) > 0).collect()
    }
}

/// `all`; or tasks between commas, each with its share, or with its default share when it has none. Others are left out.
impl FromStr for TaskMix {
    type Err = TaskMixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "all" {
            return Ok(Self::default());
        }
        let mut shares = [None; Task::ALL.len()];
        for part in text.split(',').map(str::trim) {
            let (name, share) = part.split_once('=').map_or((part, None), |(n, s)| (n.trim(), Some(s.trim())));
            let place = Task::ALL.iter().position(|t| t.name() == name);
            let place = place.ok_or_else(|| TaskMixError::UnknownTask(name.chars().take(40).collect()))?;
            let bad = || TaskMixError::BadShare(part.chars().take(40).collect());
            let share = match share {
                Some(share) => share.parse().ok().filter(|s| *s <= MAX_SHARE).ok_or_else(bad)?,
                None => DEFAULT_SHARES[place],
            };
            if shares[place].replace(share).is_some() {
                return Err(TaskMixError::Twice(name.to_owned()));
            }
        }
        let shares = shares.map(|s| s.unwrap_or(0));
        if shares.iter().all(|s| *s == 0) {
            return Err(TaskMixError::Nothing);
        }
        Ok(Self(shares))
    }
}

impl fmt::Display for TaskMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.tasks().iter().map(|t| format!("{t}={}", self.share(*t))).collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_printed() {
        let mix: TaskMix = "qa=6, grounding".parse().unwrap();
        assert_eq!((mix.share(Task::Qa), mix.share(Task::Grounding), mix.share(Task::Planning)), (6, 7, 0));
        assert_eq!(mix.to_string().parse::<TaskMix>().unwrap(), mix);
        assert_eq!("all".parse::<TaskMix>().unwrap(), TaskMix::default());
        assert_eq!(TaskMix::only(Task::Planning).tasks(), [Task::Planning]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| text.parse::<TaskMix>().unwrap_err();
        assert_eq!(error("qq"), TaskMixError::UnknownTask("qq".to_owned()));
        assert!(matches!(error(""), TaskMixError::UnknownTask(_)));
        for bad in ["qa=x", "qa=-1", "qa=", "qa=1001"] {
            assert!(matches!(error(bad), TaskMixError::BadShare(_)), "{bad}");
        }
        assert_eq!(error("qa=1,qa"), TaskMixError::Twice("qa".to_owned()));
        assert_eq!(error("qa=0"), TaskMixError::Nothing);
    }
}
