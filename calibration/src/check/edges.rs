//! Depth and gray images in; where depth jumps, and where brightness changes, out.

use nalgebra::{Isometry3, Point3};

use super::raster::Raster;
use crate::camera::{PinholeCamera, Projector};

/// Depth steps above this plus [`JUMP_SHARE`] of the nearer depth are edges of objects, metres.
const JUMP_M: f32 = 0.05;
/// Grazing surfaces and the noise of stereo grow with depth.
const JUMP_SHARE: f32 = 0.04;
/// Gradients are cut at their mean plus this many standard deviations, so that one strong edge does not outweigh ten fair ones.
const CUT_DEVIATIONS: f64 = 1.0;

/// A place where depth jumps: the border between two neighbouring pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthEdge {
    /// Column of the border, pixels; pixel centres lie at integers.
    pub u: f32,
    /// Row of the border, pixels.
    pub v: f32,
    /// Depth of the nearer side, metres; an outline belongs to what is in front.
    pub depth_m: f32,
}

/// Finds the borders where depth jumps, evenly thinned to at most `most`; 0 and NaN are no readings and make no edge, for
/// the shadow of a projector ends where no object does. `out` is cleared first.
pub fn depth_edges(depth_m: &Raster<'_, f32>, most: usize, out: &mut Vec<DepthEdge>) {
    out.clear();
    // counted before they are kept: an image of noise has millions
    let mut count = 0usize;
    each_edge(depth_m, |_| count += 1);
    let stride = count.div_ceil(most.max(1)).max(1);
    let mut number = 0usize;
    each_edge(depth_m, |edge| {
        if number.is_multiple_of(stride) {
            out.push(edge);
        }
        number += 1;
    });
}

/// Calls `found` with every border where depth jumps, row by row.
fn each_edge(depth_m: &Raster<'_, f32>, mut found: impl FnMut(DepthEdge)) {
    let mut jump = |a: f32, b: f32, u: f32, v: f32| {
        if a > 0.0 && b > 0.0 && (a - b).abs() > JUMP_M + JUMP_SHARE * a.min(b) {
            found(DepthEdge { u, v, depth_m: a.min(b) });
        }
    };
    let mut above: Option<&[f32]> = None;
    for (v, row) in depth_m.rows().enumerate() {
        for (u, pair) in row.windows(2).enumerate() {
            jump(pair[0], pair[1], u as f32 + 0.5, v as f32);
        }
        for (u, (a, b)) in above.unwrap_or(&[]).iter().zip(row).enumerate() {
            jump(*a, *b, u as f32, v as f32 - 0.5);
        }
        above = Some(row);
    }
}

/// Moves edges from the depth camera's picture into the colour camera's; those behind it are left out.
pub fn carry_edges(
    edges: &mut Vec<DepthEdge>,
    depth: &PinholeCamera,
    color: &PinholeCamera,
    color_from_depth: &Isometry3<f64>,
) {
    let color = Projector::new(color);
    edges.retain_mut(|edge| {
        let p_depth = depth.ray(f64::from(edge.u), f64::from(edge.v)) * f64::from(edge.depth_m);
        let p_color = color_from_depth * Point3::from(p_depth);
        let Some(pixel) = color.project(&p_color) else { return false };
        (edge.u, edge.v) = (pixel.x as f32, pixel.y as f32);
        true
    });
}

/// How strongly brightness changes at each pixel, in standard deviations above the picture's mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrast {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Contrast {
    /// From a gray picture; `None` for one that is flat or has less than 3 pixels a side.
    pub fn of(gray: &Raster<'_, u8>) -> Option<Self> {
        let (width, height) = (gray.width(), gray.height());
        let mut values = vec![0.0f32; width * height];
        for (v, [above, row, below]) in gray.row_triples() {
            for u in 1..width.saturating_sub(1) {
                let difference = |a: u8, b: u8| f32::from(a) - f32::from(b);
                values[v * width + u] = difference(row[u + 1], row[u - 1]).hypot(difference(below[u], above[u]));
            }
        }
        let (mean, deviation) = moments(&values);
        let cut = (mean + CUT_DEVIATIONS * deviation) as f32;
        values.iter_mut().for_each(|x| *x = x.min(cut));
        let (mean, deviation) = moments(&values);
        if deviation.is_nan() || deviation < 1.0e-6 {
            return None;
        }
        values.iter_mut().for_each(|x| *x = ((f64::from(*x) - mean) / deviation) as f32);
        Some(Self { width, height, values })
    }

    /// Width, pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bilinear between the four pixels around; `None` outside of the picture.
    pub fn at(&self, u: f32, v: f32) -> Option<f32> {
        let inside = u >= 0.0 && v >= 0.0 && u <= (self.width - 1) as f32 && v <= (self.height - 1) as f32;
        if !inside {
            return None;
        }
        let (u0, v0) = (u as usize, v as usize);
        let (u1, v1) = ((u0 + 1).min(self.width - 1), (v0 + 1).min(self.height - 1));
        let (x, y) = (u - u0 as f32, v - v0 as f32);
        let value = |u: usize, v: usize| self.values[v * self.width + u];
        let top = value(u0, v0) * (1.0 - x) + value(u1, v0) * x;
        let bottom = value(u0, v1) * (1.0 - x) + value(u1, v1) * x;
        Some(top * (1.0 - y) + bottom * y)
    }
}

/// Mean and standard deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distortion::Distortion;
    use proptest::prelude::*;

    #[test]
    fn an_edge_lies_between_its_pixels_and_belongs_to_the_nearer() {
        let mut depth = vec![3.0f32; 8 * 6];
        depth[2 * 8 + 3] = 1.0;
        depth[4 * 8 + 6] = 0.0;
        let mut edges = Vec::new();
        depth_edges(&Raster::new(8, 6, &depth).unwrap(), 100, &mut edges);
        let mut places: Vec<(f32, f32)> = edges.iter().map(|e| (e.u, e.v)).collect();
        places.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(places, [(2.5, 2.0), (3.0, 1.5), (3.0, 2.5), (3.5, 2.0)]);
        assert!(edges.iter().all(|e| e.depth_m == 1.0));
        depth_edges(&Raster::new(8, 6, &depth).unwrap(), 2, &mut edges);
        assert_eq!(edges.len(), 2);
    }

    #[test]
    fn contrast_is_where_brightness_changes() {
        let gray: Vec<u8> = (0..100).map(|i| if i % 10 < 5 { 20 } else { 200 }).collect();
        let contrast = Contrast::of(&Raster::new(10, 10, &gray).unwrap()).unwrap();
        // symmetric about the border between columns 4 and 5
        assert_eq!(contrast.at(4.0, 5.0), contrast.at(5.0, 5.0));
        assert!(contrast.at(4.5, 5.0).unwrap() > contrast.at(3.5, 5.0).unwrap());
        assert_eq!(contrast.at(-0.1, 5.0), None);
        assert!(Contrast::of(&Raster::new(10, 10, &[9; 100]).unwrap()).is_none());
        assert!(Contrast::of(&Raster::new(1, 1, &[9]).unwrap()).is_none());
    }

    proptest! {
        #[test]
        fn carrying_there_and_back_is_the_identity(u in 10.0f32..600.0, v in 10.0f32..400.0, z in 0.5f32..5.0, x in -0.1..0.1f64) {
            let a = PinholeCamera::new(640, 480, 525.0, 525.0, 319.5, 239.5, Distortion::None).unwrap();
            let mut edges = vec![DepthEdge { u, v, depth_m: z }];
            // a sideways move keeps depths, so that the way back exists
            let there = Isometry3::translation(x, 0.0, 0.0);
            carry_edges(&mut edges, &a, &a, &there);
            prop_assert!((f64::from(edges[0].u - u) - 525.0 * x / f64::from(z)).abs() < 1e-2);
            carry_edges(&mut edges, &a, &a, &there.inverse());
            prop_assert!((edges[0].u - u).abs() < 1e-2 && (edges[0].v - v).abs() < 1e-2);
        }

        #[test]
        fn any_depth_is_taken(bits in prop::collection::vec(any::<u32>(), 12..=12)) {
            let depth: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let mut edges = Vec::new();
            depth_edges(&Raster::new(4, 3, &depth).unwrap(), 5, &mut edges);
            prop_assert!(edges.len() <= 5);
            for e in &edges {
                let _ = Contrast::of(&Raster::new(4, 3, &[0, 9, 0, 9, 1, 1, 1, 1, 7, 7, 7, 0]).unwrap()).unwrap().at(e.u, e.v);
            }
        }
    }
}
