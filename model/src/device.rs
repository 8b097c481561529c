//! `auto`, `cpu`, `cuda:N` or `wgpu` in, the device that the model runs on out.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

/// Where the model is asked to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device where the program was built with the feature `cuda` and finds one, else the CPU.
    #[default]
    Auto,
    /// The CPU: Burn's flex backend, and this crate's own kernels for packed matrices.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
    /// The device that wgpu takes for the best, or that `CUBECL_WGPU_DEFAULT_DEVICE` names.
    Wgpu,
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No device is called so.
    #[error("device `{0}`: there are auto, cpu, cuda, cuda:N and wgpu")]
    Name(String),
    /// The program was built without it.
    #[error(
        "device {device}: this program was built without the feature `{feature}`; build it with --features vantage-node/{feature}, or take auto or cpu"
    )]
    NotBuilt {
        /// The device.
        device: DeviceChoice,
        /// The feature of the build.
        feature: &'static str,
    },
    /// There are not so many.
    #[error(
        "device {device}: {found} such devices were found; look whether the driver is loaded (nvidia-smi, on a Jetson tegrastats; for wgpu vulkaninfo), or take auto or cpu"
    )]
    NotFound {
        /// The device.
        device: DeviceChoice,
        /// How many there are.
        found: usize,
    },
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu => f.write_str("wgpu"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Name(text.chars().take(40).collect());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "wgpu" => Ok(Self::Wgpu),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse::<u16>().map(|index| Self::Cuda(index.into())).map_err(|_| unknown())
            }
        }
    }
}

impl DeviceChoice {
    /// The choice with `auto` settled.
    #[must_use]
    pub fn settled(self) -> Self {
        match self {
            Self::Auto if cuda_devices().is_some_and(|found| found > 0) => Self::Cuda(0),
            Self::Auto => Self::Cpu,
            named => named,
        }
    }

    /// The device. `Device::default()` is not asked: it takes CUDA whenever it is compiled in, whether there is a GPU or not.
    ///
    /// # Errors
    /// [`DeviceError`] where the program was built without it, or there is none; `auto` and `cpu` never fail.
    pub fn open(self) -> Result<Device, DeviceError> {
        let choice = self.settled();
        let check = |index: usize, found: Option<usize>, feature| match found {
            None => Err(DeviceError::NotBuilt { device: choice, feature }),
            Some(found) if index >= found => Err(DeviceError::NotFound { device: choice, found }),
            Some(_) => Ok(()),
        };
        match choice {
            Self::Auto | Self::Cpu => Ok(Device::flex()),
            Self::Cuda(index) => {
                check(index, cuda_devices(), "cuda")?;
                Ok(cuda(index))
            }
            Self::Wgpu => {
                check(0, wgpu_devices(), "wgpu")?;
                Ok(wgpu())
            }
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> Option<usize> {
    Some(Device::enumerate(burn::tensor::DeviceType::Cuda).len())
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> Option<usize> {
    None
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Device {
    Device::cuda(index)
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Device {
    Device::flex()
}

#[cfg(feature = "wgpu")]
fn wgpu_devices() -> Option<usize> {
    Some(Device::enumerate(burn::tensor::DeviceType::Wgpu).len())
}

#[cfg(not(feature = "wgpu"))]
fn wgpu_devices() -> Option<usize> {
    None
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Device {
    Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Device {
    Device::flex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3), DeviceChoice::Wgpu] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:99999999", "CPU", "wgpu:0"] {
            assert_eq!(bad.parse::<DeviceChoice>(), Err(DeviceError::Name(bad.to_owned())));
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_refused_and_says_what_to_do() {
        assert!(DeviceChoice::Auto.open().is_ok());
        assert_eq!(DeviceChoice::Cpu.open(), Ok(Device::flex()));
        let error = DeviceChoice::Cuda(4000).open().unwrap_err().to_string();
        assert!(error.starts_with("device cuda:4000:") && error.ends_with("take auto or cpu"), "{error}");
    }
}
