//! A slice and its size in, a picture that can be indexed without fear out.

use crate::camera::MAX_IMAGE_SIDE;

/// A borrowed row-major picture whose size and data agree.
#[derive(Debug, Clone, Copy)]
pub struct Raster<'a, T> {
    width: usize,
    height: usize,
    data: &'a [T],
}

/// Size and data disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a picture of {width}x{height} needs as many values (sides from 1 to {MAX_IMAGE_SIDE}), got {got}; check its size"
)]
pub struct RasterError {
    /// Width given, pixels.
    pub width: u32,
    /// Height given, pixels.
    pub height: u32,
    /// Values given.
    pub got: usize,
}

impl<'a, T: Copy> Raster<'a, T> {
    /// Wraps `data`, `[height, width]` row-major.
    ///
    /// # Errors
    /// [`RasterError`] when a side is 0 or absurd, or the data do not fill the size.
    pub fn new(width: u32, height: u32, data: &'a [T]) -> Result<Self, RasterError> {
        let sides = 1..=MAX_IMAGE_SIDE;
        let fits = u64::from(width) * u64::from(height) == data.len() as u64;
        if !sides.contains(&width) || !sides.contains(&height) || !fits {
            return Err(RasterError { width, height, got: data.len() });
        }
        Ok(Self { width: width as usize, height: height as usize, data })
    }

    /// Width, pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, row-major.
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// The rows from the top.
    pub fn rows(&self) -> impl Iterator<Item = &'a [T]> {
        self.data.chunks_exact(self.width)
    }

    /// Three rows at a time: above, at and below each row that has both; with the row's number.
    pub(crate) fn row_triples(&self) -> impl Iterator<Item = (usize, [&'a [T]; 3])> {
        let (data, width) = (self.data, self.width);
        (1..self.height.saturating_sub(1)).map(move |v| {
            let row = |v: usize| &data[v * width..(v + 1) * width];
            (v, [row(v - 1), row(v), row(v + 1)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_data_must_agree() {
        assert!(Raster::new(2, 3, &[0u8; 6]).is_ok());
        assert_eq!(Raster::new(2, 3, &[0u8; 5]).unwrap_err().got, 5);
        assert!(Raster::<u8>::new(0, 3, &[]).is_err());
        assert!(Raster::<u8>::new(u32::MAX, u32::MAX, &[]).is_err());
    }

    #[test]
    fn triples_are_the_inner_rows() {
        let data: Vec<u8> = (0..8).collect();
        let picture = Raster::new(2, 4, &data).unwrap();
        let middle: Vec<(usize, u8)> = picture.row_triples().map(|(v, [_, m, _])| (v, m[0])).collect();
        assert_eq!(middle, [(1, 2), (2, 4)]);
        assert_eq!(Raster::new(2, 1, &data[..2]).unwrap().row_triples().count(), 0);
    }
}
