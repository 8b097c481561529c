//! Where the model runs.

use burn::tensor::Device;

/// The first CUDA device where the program was built with the feature `cuda` and finds one, else the CPU (Burn's flex backend).
///
/// `Device::default()` is not asked: it takes CUDA whenever it is compiled in, whether there is a GPU or not.
pub fn best_device() -> Device {
    #[cfg(feature = "cuda")]
    if !Device::enumerate(burn::tensor::DeviceType::Cuda).is_empty() {
        return Device::cuda(0);
    }
    Device::flex()
}
