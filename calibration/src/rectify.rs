//! Images of a bent lens in, the same view through a pinhole out, by a table made once per camera.

use crate::camera::{MAX_IMAGE_SIDE, PinholeCamera, Projector};
use crate::distortion::Distortion;
use nalgebra::Point3;

/// In the table: the pinhole's pixel lies outside of the source image.
const NOWHERE: u32 = u32::MAX;
/// A view that reaches this share of a side beyond the pinhole with the same focal lengths is cut there, rather than that
/// the whole picture is made smaller.
const CUT_SHARE: f64 = 0.02;
/// Largest tangent of the angle from the axis that the pinhole shows: 68 degrees; beyond, a pinhole spends most pixels on
/// the rim of the view.
const MAX_TANGENT: f64 = 2.5;

/// Straightens images of one camera: depth (whose readings along the optical axis do not change) and colour.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthRectifier {
    camera: PinholeCamera,
    /// Pixels of the source image.
    source_len: usize,
    /// For each pixel of `camera`, the source's pixel; [`NOWHERE`] for none.
    source: Vec<u32>,
}

impl DepthRectifier {
    /// For the images of `source`: onto a pinhole of the same size that shows the same view. Its focal lengths are those of
    /// `source` unless the view would be cut by more than 2%; then it is fitted to the view, up to 68 degrees from the axis.
    pub fn new(source: &PinholeCamera) -> Self {
        Self::onto(source, &pinhole_for(source))
    }

    /// Onto a given camera at the same place and in the same direction, for example so that colour of another size is
    /// straightened to the same view as depth.
    pub fn onto(source: &PinholeCamera, camera: &PinholeCamera) -> Self {
        let projector = Projector::new(source);
        let (width, height) = (f64::from(source.width), f64::from(source.height));
        let pixels = (0..camera.height.min(MAX_IMAGE_SIDE))
            .flat_map(|v| (0..camera.width.min(MAX_IMAGE_SIDE)).map(move |u| (u, v)));
        let find = |(u, v): (u32, u32)| {
            let ray = camera.ray(f64::from(u), f64::from(v));
            let at = projector.project(&Point3::from(ray))?;
            let (u, v) = ((at.x + 0.5).floor(), (at.y + 0.5).floor());
            let inside = u >= 0.0 && v >= 0.0 && u < width && v < height;
            inside.then(|| v as u32 * source.width + u as u32)
        };
        let table = pixels.map(|pixel| find(pixel).unwrap_or(NOWHERE)).collect();
        Self { camera: *camera, source_len: source.width as usize * source.height as usize, source: table }
    }

    /// The camera that straightened images are of.
    pub fn camera(&self) -> &PinholeCamera {
        &self.camera
    }

    /// For each pixel of [`DepthRectifier::camera`], row-major, the index of the source's pixel; `u32::MAX` for none.
    pub fn source_pixels(&self) -> &[u32] {
        &self.source
    }

    /// Straightens an image, nearest pixel: `dst` (as many values as [`DepthRectifier::camera`] has pixels) from `src` (as
    /// many as the source camera has), `none` where the source does not see. Colour is passed as triples
    /// (`as_chunks::<3>()`). A `src` of another length gives `none` everywhere, excess values of `dst` are `none` too.
    pub fn rectify<T: Copy>(&self, src: &[T], dst: &mut [T], none: T) {
        let src = if src.len() == self.source_len { src } else { &[] };
        let filled = dst.len().min(self.source.len());
        let (dst, excess) = dst.split_at_mut(filled);
        for (to, &from) in dst.iter_mut().zip(&self.source) {
            *to = src.get(from as usize).copied().unwrap_or(none);
        }
        excess.fill(none);
    }
}

/// The pinhole that shows what `source` shows.
fn pinhole_for(source: &PinholeCamera) -> PinholeCamera {
    let straight = PinholeCamera { distortion: Distortion::None, ..*source };
    if source.distortion.is_straight() {
        return straight;
    }
    let (right, bottom) = (f64::from(source.width) - 1.0, f64::from(source.height) - 1.0);
    let columns = (0..source.width).flat_map(|u| [(f64::from(u), 0.0), (f64::from(u), bottom)]);
    let rows = (0..source.height).flat_map(|v| [(0.0, f64::from(v)), (right, f64::from(v))]);
    // where the rim has no ray the view ends inside, somewhere up to the largest angle
    let seen = |(u, v): (f64, f64)| {
        let ray = source.ray(u, v);
        let (x, y) = if ray.x.is_nan() { ((u - source.cx).signum(), (v - source.cy).signum()) } else { (ray.x, ray.y) };
        let scale = if ray.x.is_nan() { MAX_TANGENT } else { 1.0 };
        [x * scale, y * scale].map(|t| t.clamp(-MAX_TANGENT, MAX_TANGENT))
    };
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for point in columns.chain(rows).map(seen) {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let fits = |f: f64, c: f64, low: f64, high: f64, last: f64| {
        let slack = CUT_SHARE * (last + 1.0);
        f * low + c >= -slack && f * high + c <= last + slack
    };
    if fits(source.fx, source.cx, low[0], high[0], right) && fits(source.fy, source.cy, low[1], high[1], bottom) {
        return straight;
    }
    let fitted = |low: f64, high: f64, last: f64| {
        let f = last / (high - low);
        (f, -f * low)
    };
    let ((fx, cx), (fy, cy)) = (fitted(low[0], high[0], right), fitted(low[1], high[1], bottom));
    let camera = PinholeCamera { fx, cx, fy, cy, ..straight };
    // an image of a single row or column has no view to fit
    if camera.check().is_ok() { camera } else { straight }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;

    fn camera(focal: f64, distortion: Distortion) -> PinholeCamera {
        PinholeCamera::new(320, 240, focal, focal, 161.0, 118.0, distortion).unwrap()
    }

    fn lenses() -> [PinholeCamera; 4] {
        [
            camera(260.0, Distortion::PlumbBob([0.2624, -0.9531, -0.0054, 0.0026, 1.1633])),
            camera(240.0, Distortion::PlumbBob([-0.3, 0.1, 0.001, -0.001, 0.0])),
            camera(252.0, Distortion::RationalPolynomial([16.17, 8.45, 5.9e-5, -1.5e-5, 0.3245, 16.48, 13.94, 1.996])),
            camera(190.0, Distortion::Equidistant([-0.0186, -0.0127, 0.0172, -0.0083])),
        ]
    }

    /// Depth along the optical axis of the plane n . p = 1 as `camera` sees it.
    fn plane(camera: &PinholeCamera, n: Vector3<f64>) -> Vec<f32> {
        let pixels = (0..camera.height).flat_map(|v| (0..camera.width).map(move |u| (u, v)));
        pixels.map(|(u, v)| (1.0 / n.dot(&camera.ray(f64::from(u), f64::from(v)))) as f32).collect()
    }

    #[test]
    fn a_plane_is_a_plane_to_the_pinhole() {
        let n = Vector3::new(0.05, -0.08, 0.5);
        // half a source pixel's worth of the plane's slope; at the rim of the fisheye pixels are four times as wide
        for (source, tolerance) in lenses().into_iter().zip([0.001, 0.002, 0.002, 0.006]) {
            let rectifier = DepthRectifier::new(&source);
            let straight = *rectifier.camera();
            assert_eq!(straight.distortion, Distortion::None);
            let mut seen = vec![-1.0; 320 * 240];
            rectifier.rectify(&plane(&source, n), &mut seen, 0.0);
            let truth = plane(&straight, n);
            let wrong = |(a, b): (&f32, &f32)| *a > 0.0 && (a / b - 1.0).abs() > tolerance;
            assert_eq!(seen.iter().zip(&truth).filter(|x| wrong(*x)).count(), 0, "{source:?}");
            assert!(seen.iter().all(|z| *z >= 0.0));
            let share = seen.iter().filter(|z| **z > 0.0).count() as f64 / seen.len() as f64;
            assert!(share > 0.6, "{share} of {source:?}");
        }
    }

    #[test]
    fn a_straight_edge_is_straight() {
        // everything with x/z < 0.2 is white
        for source in lenses() {
            let colour: Vec<[u8; 3]> = (0..320 * 240)
                .map(|i| [if source.ray(f64::from(i % 320), f64::from(i / 320)).x < 0.2 { 255 } else { 0 }; 3])
                .collect();
            let rectifier = DepthRectifier::new(&source);
            let mut seen = vec![[7; 3]; 320 * 240];
            rectifier.rectify(&colour, &mut seen, [9; 3]);
            let edge = rectifier.camera().fx * 0.2 + rectifier.camera().cx;
            for (i, pixel) in seen.iter().enumerate().filter(|(_, p)| **p != [9; 3]) {
                let u = (i % 320) as f64;
                // a source pixel is up to 1.5 pinhole pixels where the view is stretched
                let white = u < edge;
                assert!(*pixel == [if white { 255 } else { 0 }; 3] || (u - edge).abs() < 1.5, "{u} {edge} {source:?}");
            }
        }
    }

    #[test]
    fn the_whole_view_is_kept() {
        for source in lenses() {
            let straight = *DepthRectifier::new(&source).camera();
            for (u, v) in [(0.0, 0.0), (319.0, 0.0), (0.0, 239.0), (319.0, 239.0), (160.0, 0.0), (0.0, 120.0)] {
                let pixel = straight.project(&Point3::from(source.ray(u, v))).unwrap();
                let slack = CUT_SHARE * 320.0 + 1e-6;
                assert!(pixel.x >= -slack && pixel.x <= 319.0 + slack, "{pixel} of {source:?}");
                assert!(pixel.y >= -slack && pixel.y <= 239.0 + slack, "{pixel} of {source:?}");
            }
        }
        // wider than a pinhole can show: cut, not shrunk to nothing
        let wide = *DepthRectifier::new(&camera(105.0, Distortion::Equidistant([0.0; 4]))).camera();
        assert!((wide.ray(0.0, 0.0).x + MAX_TANGENT).abs() < 1e-9);
    }

    #[test]
    fn without_distortion_nothing_changes() {
        let source = camera(260.0, Distortion::PlumbBob([0.0; 5]));
        let rectifier = DepthRectifier::new(&source);
        assert_eq!(*rectifier.camera(), PinholeCamera { distortion: Distortion::None, ..source });
        let values: Vec<u32> = (0..320 * 240).collect();
        let mut seen = vec![0; 320 * 240];
        rectifier.rectify(&values, &mut seen, u32::MAX);
        assert_eq!(seen, values);
    }

    #[test]
    fn images_of_other_sizes_read_nothing() {
        let rectifier = DepthRectifier::new(&lenses()[0]);
        let mut seen = vec![1.0; 320 * 240 + 5];
        rectifier.rectify(&[2.0; 100], &mut seen, 0.0);
        assert!(seen.iter().all(|z| *z == 0.0));
        rectifier.rectify(&vec![2.0; 320 * 240], &mut seen, 0.0);
        assert!(seen[320 * 240..].iter().all(|z| *z == 0.0) && seen.contains(&2.0));
        let mut short = [0.0; 3];
        rectifier.rectify(&vec![2.0; 320 * 240], &mut short, 0.0);
    }
}
