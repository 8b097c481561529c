//! A step in, a learning rate out: linear warm-up, then a cosine down to a floor.

/// A cosine schedule with warm-up.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f64,
    /// Last learning rate as a share of the peak.
    pub floor_share: f64,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// All steps.
    pub steps: usize,
}

impl Schedule {
    /// The learning rate of `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let done = (step - self.warmup) as f64 / (self.steps.saturating_sub(self.warmup)).max(1) as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos());
        self.peak * (self.floor_share + (1.0 - self.floor_share) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_the_floor() {
        let s = Schedule { peak: 1.0, floor_share: 0.1, warmup: 10, steps: 110 };
        assert!((s.rate(0) - 0.1).abs() < 1e-12 && (s.rate(9) - 1.0).abs() < 1e-12);
        assert!((s.rate(60) - 0.55).abs() < 1e-9 && (s.rate(110) - 0.1).abs() < 1e-12);
    }
}
