//! Bytes of pixels in, the numbers that an encoder reads out: scaling to 0..1 and normalising, as one table a channel.

/// Bytes of a pixel.
const CHANNELS: usize = 3;

/// The value of every byte, for each of red, green and blue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Levels([[f32; 256]; CHANNELS]);

impl Levels {
    /// `scale`: what a byte is multiplied with (1 / 255); `normal`: mean and deviation of each channel after that. Rounded as
    /// transformers' torchvision processors round, which fold the scale into mean and deviation.
    pub fn new(scale: Option<f64>, normal: Option<([f64; CHANNELS], [f64; CHANNELS])>) -> Self {
        let unscale = scale.map_or(1.0, |scale| (1.0 / scale) as f32);
        Self(std::array::from_fn(|channel| {
            std::array::from_fn(|level| {
                let level = level as f32;
                match (normal, scale) {
                    (Some((mean, std)), _) => {
                        (level - mean[channel] as f32 * unscale) / (std[channel] as f32 * unscale)
                    }
                    (None, Some(scale)) => level * scale as f32,
                    (None, None) => level,
                }
            })
        }))
    }

    /// A table for each channel.
    pub fn channels(&self) -> &[[f32; 256]; CHANNELS] {
        &self.0
    }

    /// `rgb` pixels as planes, `[3, pixels]`, appended to `values`.
    pub fn append_planes(&self, rgb: &[u8], values: &mut Vec<f32>) {
        for (channel, levels) in self.0.iter().enumerate() {
            values.extend(rgb.iter().skip(channel).step_by(CHANNELS).map(|&byte| levels[usize::from(byte)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_scaled_then_normalised() {
        let mean_and_std = ([0.5, 0.4, 0.3], [0.5, 0.2, 0.1]);
        let levels = Levels::new(Some(1.0 / 255.0), Some(mean_and_std));
        let mut values = Vec::new();
        levels.append_planes(&[0, 51, 255, 255, 102, 0], &mut values);
        for (given, expected) in values.iter().zip([-1.0, 1.0, -1.0, 0.0, 7.0, -3.0]) {
            assert!((given - expected).abs() < 1e-5, "{values:?}");
        }
        assert_eq!(Levels::new(None, None).channels()[2][200], 200.0);
        assert_eq!(Levels::new(Some(0.5), None).channels()[0][3], 1.5);
    }
}
