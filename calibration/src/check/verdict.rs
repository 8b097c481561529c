//! A number and its limits in, a verdict out.

use serde::Serialize;

/// What a check says, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Within the limits.
    Ok,
    /// The recording does not show it, for example because the camera stood still.
    Undecided,
    /// Usable, but worse than it should be.
    Warn,
    /// Answers from such a recording will be wrong.
    Fail,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Undecided => "undecided",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What was checked, for example `depth_unit`; stable, for scripts.
    pub name: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// What was measured, where it is a number.
    pub value: Option<f64>,
    /// Beyond this the verdict is no longer ok.
    pub limit: Option<f64>,
    /// Unit of value and limit; empty for a share or a count.
    pub unit: &'static str,
    /// In words, with what to do when something is wrong.
    pub message: String,
}

impl Finding {
    /// A finding that is no number.
    pub fn new(name: &'static str, verdict: Verdict, message: impl Into<String>) -> Self {
        Self { name, verdict, value: None, limit: None, unit: "", message: message.into() }
    }

    /// Adds the number, and the limit of what is ok. A number that is not finite is left out.
    #[must_use]
    pub fn measured(mut self, value: f64, limit: f64, unit: &'static str) -> Self {
        self.value = Some(value).filter(|x| x.is_finite());
        self.limit = Some(limit);
        self.unit = unit;
        self
    }
}

/// The verdict on a size that should be small: ok up to `ok`, warn up to `warn`, else fail; undecided when it is no number.
pub(crate) fn by_limits(size: f64, ok: f64, warn: f64) -> Verdict {
    match size {
        x if x.is_nan() => Verdict::Undecided,
        x if x <= ok => Verdict::Ok,
        x if x <= warn => Verdict::Warn,
        _ => Verdict::Fail,
    }
}

/// The worst of all verdicts; undecided when there is none.
pub fn overall(findings: &[Finding]) -> Verdict {
    findings.iter().map(|f| f.verdict).max().unwrap_or(Verdict::Undecided)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let of = |v: &[Verdict]| overall(&v.iter().map(|v| Finding::new("x", *v, "")).collect::<Vec<_>>());
        assert_eq!(of(&[Verdict::Ok, Verdict::Warn, Verdict::Undecided]), Verdict::Warn);
        assert_eq!(of(&[Verdict::Fail, Verdict::Ok]), Verdict::Fail);
        assert_eq!(of(&[]), Verdict::Undecided);
    }

    #[test]
    fn limits_hold_and_nan_decides_nothing() {
        let verdicts = [1.0, 2.0, 3.0, f64::NAN].map(|x| by_limits(x, 1.0, 2.0));
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warn, Verdict::Fail, Verdict::Undecided]);
    }
}
