//! Options of the command line in, how rooms are seen out: the sensor, the poses' noise, the look.

use clap::Args;

use super::appearance::Appearance;
use super::pose_noise::PoseNoise;
use super::record::RecordConfig;
use super::sensor::Sensor;

/// How rooms are seen.
#[derive(Debug, Clone, Copy, PartialEq, Args)]
pub struct SensingArgs {
    /// Depth sensor.
    #[arg(long, value_enum, default_value_t = Sensor::default())]
    pub sensor: Sensor,
    /// Errors of reported poses at the walk's end: deviations along each axis, metres, and about each, radians.
    #[arg(long, value_name = "M,RAD", default_value = "0,0")]
    pub pose_noise: PoseNoise,
    /// Strength of patterns on walls, floors and objects, 0 to 1.
    #[arg(long, default_value_t = Appearance::default().textures, value_parser = strength)]
    pub textures: f64,
    /// How much light and exposure vary, 0 to 1.
    #[arg(long, default_value_t = Appearance::default().lighting, value_parser = strength)]
    pub lighting: f64,
}

impl Default for SensingArgs {
    /// As the options are when not given, and [`RecordConfig::default`] has it.
    fn default() -> Self {
        let Appearance { textures, lighting } = Appearance::default();
        Self { sensor: Sensor::default(), pose_noise: PoseNoise::default(), textures, lighting }
    }
}

impl SensingArgs {
    /// `config` with these settings.
    pub fn apply(&self, config: RecordConfig) -> RecordConfig {
        let Self { sensor, pose_noise, textures, lighting } = *self;
        RecordConfig { sensor, pose_noise, appearance: Appearance { textures, lighting }, ..config }
    }
}

/// Reads a number from 0 to 1.
fn strength(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| "give a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        sensing: SensingArgs,
    }

    fn read(options: &[&str]) -> Option<SensingArgs> {
        Command::try_parse_from([&["command"], options].concat()).ok().map(|command| command.sensing)
    }

    #[test]
    fn options_reach_the_recording_and_bad_ones_are_refused() {
        assert_eq!(read(&[]), Some(SensingArgs::default()));
        assert_eq!(SensingArgs::default().apply(RecordConfig::default()), RecordConfig::default());
        let options = ["--sensor", "time-of-flight", "--pose-noise", "0.02,0.01", "--textures", "0", "--lighting", "1"];
        let config = read(&options).unwrap().apply(RecordConfig::default());
        assert_eq!((config.sensor, config.pose_noise.rotation_rad), (Sensor::TimeOfFlight, 0.01));
        assert_eq!(config.appearance, Appearance { textures: 0.0, lighting: 1.0 });
        for bad in [["--textures", "1.5"], ["--lighting", "NaN"], ["--pose-noise", "1"], ["--sensor", "sonar"]] {
            assert!(read(&bad).is_none(), "{bad:?}");
        }
    }
}
