//! Pixels `[images, channels, height, width]` in, flattened patches `[images, patches, channels * size * size]` out.

use burn::tensor::Tensor;

/// Cuts `pixels` `[images, channels, height, width]` into squares of `size` pixels, row by row. A patch is flattened
/// as a convolution's kernel is (channel, row, column), so that a linear layer with a flattened kernel of stride `size`
/// is that convolution. Pixels beyond the last whole patch are left out, as a convolution without padding leaves them.
pub fn patches_from_pixels(pixels: Tensor<4>, size: usize) -> Tensor<3> {
    let [images, channels, height, width] = pixels.dims();
    let (down, across) = (height / size, width / size);
    pixels
        .narrow(2, 0, down * size)
        .narrow(3, 0, across * size)
        .reshape([images, channels, down, size, across, size])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([images, down * across, channels * size * size])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn a_linear_layer_over_patches_is_a_strided_convolution() {
        let device = Device::flex();
        let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let (pixels, kernel) = (random([2, 3, 9, 14]), random([5, 3, 4, 4]));
        let options = ConvOptions::new([4, 4], [0, 0], [1, 1], 1);
        let expected = conv2d(pixels.clone(), kernel.clone(), None, options).flatten::<3>(2, 3).swap_dims(1, 2);
        let patches = patches_from_pixels(pixels, 4);
        assert_eq!(patches.dims(), [2, 6, 48]);
        let given = patches.matmul(kernel.reshape([5, 48]).transpose().unsqueeze::<3>());
        assert!((given - expected).abs().max().into_scalar::<f32>() < 1e-5);
    }
}
