//! A map and a camera's pose in, what the camera would see out: depth, normals and colours by sphere tracing.

use nalgebra::Isometry3;
use rayon::prelude::*;
use vantage_calibration::{PinholeCamera, RayTable};

use super::TsdfMap;
use super::block::{COLOR_ONE, DISTANCE_ONE, Key, SIDE, Voxels, voxel_at};
use super::config::TsdfError;

/// Shortest step along a ray in voxels.
const LEAST_STEP_VOXELS: f32 = 0.5;
/// Share of the distance to the surface that is gone at once; less than all, as distances are measured along rays of cameras.
const STEP_SHARE: f32 = 0.8;
/// No ray is followed further than this, metres.
const MAX_RANGE_M: f32 = 100.0;
/// Blocks are looked for within this many blocks of the world's origin.
const MAX_BLOCK: f32 = 1.0e6;

/// What a camera would see; all lists are row-major, one entry a pixel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Raycast {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Metres along the optical axis; 0 where the map holds no surface.
    pub depth: Vec<f32>,
    /// Unit length, in the world, away from the solid; zero where there is no surface.
    pub normals: Vec<[f32; 3]>,
    /// Red, green, blue; black where there is no surface.
    pub colors: Vec<[u8; 3]>,
}

/// What a ray hits: depth, normal, color.
type Hit = (f32, [f32; 3], [u8; 3]);

impl TsdfMap {
    /// The map as a camera at `world_from_camera` would see it, up to `max_depth_m`.
    ///
    /// # Errors
    /// [`TsdfError::Pose`] for poses that are not finite or too far away.
    pub fn raycast(
        &self,
        camera: &PinholeCamera,
        world_from_camera: &Isometry3<f64>,
        max_depth_m: f32,
    ) -> Result<Raycast, TsdfError> {
        let eye = world_from_camera.translation.vector;
        if !(self.reaches(eye.into()) && world_from_camera.rotation.coords.iter().all(|x| x.is_finite())) {
            return Err(TsdfError::Pose { stamp: 0 });
        }
        let rays = RayTable::new(camera);
        let rotation = world_from_camera.rotation.to_rotation_matrix();
        let eye: [f64; 3] = eye.into();
        let least = self.least_surface_weight();
        let hits: Vec<Option<Hit>> = rays
            .rays
            .par_chunks(camera.width as usize)
            .flat_map_iter(|row| {
                let mut sampler = Sampler::new(self, eye, least);
                row.iter().map(move |&[x, y]| {
                    let ray = rotation * nalgebra::Vector3::new(f64::from(x), f64::from(y), 1.0);
                    sampler.cast([ray.x as f32, ray.y as f32, ray.z as f32], max_depth_m)
                })
            })
            .collect();
        let mut seen = Raycast { width: camera.width, height: camera.height, ..Raycast::default() };
        for hit in hits {
            let (depth, normal, color) = hit.unwrap_or_default();
            seen.depth.push(depth);
            seen.normals.push(normal);
            seen.colors.push(color);
        }
        Ok(seen)
    }
}

impl TsdfMap {
    /// Whether rays can be followed from `eye`: it is finite, and no further away than blocks are looked for.
    pub(super) fn reaches(&self, eye: [f64; 3]) -> bool {
        let block_m = f64::from(self.config.voxel_size_m) * SIDE as f64;
        eye.iter().all(|x| (x / block_m).abs() < f64::from(MAX_BLOCK))
    }
}

/// Reads the map at places relative to the eye; remembers the last block.
pub(super) struct Sampler<'a> {
    pub(super) map: &'a TsdfMap,
    /// The eye's block and its place in that, voxels.
    home: [i32; 3],
    offset: [f32; 3],
    per_voxel: f32,
    pub(super) least: u16,
    last: Option<(Key, Option<&'a Voxels>)>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(map: &'a TsdfMap, eye: [f64; 3], least: u16) -> Self {
        let voxel_m = f64::from(map.config.voxel_size_m);
        let block = |k: usize| (eye[k] / (voxel_m * SIDE as f64)).floor();
        Self {
            map,
            home: std::array::from_fn(|k| block(k) as i32),
            offset: std::array::from_fn(|k| (eye[k] / voxel_m - block(k) * SIDE as f64) as f32),
            per_voxel: 1.0 / map.config.voxel_size_m,
            least,
            last: None,
        }
    }

    /// Follows a ray whose parameter is the depth.
    fn cast(&mut self, ray: [f32; 3], max_depth_m: f32) -> Option<Hit> {
        let length = ray.iter().map(|x| x * x).sum::<f32>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            return None;
        }
        let voxel_m = self.map.config.voxel_size_m;
        let least_step = LEAST_STEP_VOXELS * voxel_m / length;
        let block_step = SIDE as f32 * voxel_m / length;
        let max_depth_m = max_depth_m.min(MAX_RANGE_M);
        let mut depth = least_step;
        let mut before: Option<(f32, f32)> = None;
        while depth < max_depth_m {
            let at = self.place(ray, depth);
            let Some(voxels) = self.block_of(at) else {
                // on to where the ray leaves this empty block
                depth += self.to_next_block(at, ray).clamp(0.01 * least_step, block_step) + 0.01 * least_step;
                before = None;
                continue;
            };
            let i = voxel_at_place(at);
            if voxels.weight[i] < self.least {
                depth += least_step;
                before = None;
                continue;
            }
            let rough = f32::from(voxels.distance[i]) / DISTANCE_ONE;
            let distance = if rough.abs() < 1.0 { self.distance(at).unwrap_or(rough) } else { rough };
            match before {
                Some((d, z)) if distance <= 0.0 && d > 0.0 => {
                    let hit = z + (depth - z) * d / (d - distance);
                    return (hit <= max_depth_m).then(|| self.hit(ray, hit));
                }
                // the back of a surface
                _ if distance <= 0.0 => {
                    before = None;
                    depth += least_step;
                }
                _ => {
                    before = Some((distance, depth));
                    depth += (STEP_SHARE * distance * self.map.config.truncation_m / length).max(least_step);
                }
            }
        }
        None
    }

    /// Place on the ray in voxels, counted from the corner of the eye's block.
    pub(super) fn place(&self, ray: [f32; 3], depth: f32) -> [f32; 3] {
        std::array::from_fn(|k| self.offset[k] + ray[k] * depth * self.per_voxel)
    }

    pub(super) fn block_of(&mut self, at: [f32; 3]) -> Option<&'a Voxels> {
        let side = SIDE as f32;
        if !at.iter().all(|x| x.abs() < MAX_BLOCK * side) {
            return None;
        }
        let key: Key = std::array::from_fn(|k| self.home[k] + (at[k] / side).floor() as i32);
        match self.last {
            Some((known, voxels)) if known == key => voxels,
            _ => {
                let voxels = self.map.store.get(&key);
                self.last = Some((key, voxels));
                voxels
            }
        }
    }

    /// Depth from `at` to the side of its block that the ray leaves through.
    pub(super) fn to_next_block(&self, at: [f32; 3], ray: [f32; 3]) -> f32 {
        let side = SIDE as f32;
        (0..3).fold(f32::INFINITY, |least, k| {
            let within = at[k].rem_euclid(side);
            let left = if ray[k] > 0.0 { side - within } else { within };
            least.min(left / (ray[k].abs() * self.per_voxel).max(1.0e-9))
        })
    }

    /// Distance at a place over the truncation, interpolated between the eight voxels around it; `None` where one was not observed.
    fn distance(&mut self, at: [f32; 3]) -> Option<f32> {
        self.blend(at, |voxels, i| [f32::from(voxels.distance[i]) / DISTANCE_ONE]).map(|[d]| d)
    }

    fn blend<const N: usize>(&mut self, at: [f32; 3], value: impl Fn(&Voxels, usize) -> [f32; N]) -> Option<[f32; N]> {
        let lowest = at.map(|x| (x - 0.5).floor());
        let share: [f32; 3] = std::array::from_fn(|k| at[k] - 0.5 - lowest[k]);
        let mut sum = [0.0; N];
        for corner in 0..8usize {
            let bits: [usize; 3] = std::array::from_fn(|k| corner >> k & 1);
            let centre: [f32; 3] = std::array::from_fn(|k| lowest[k] + bits[k] as f32 + 0.5);
            let voxels = self.block_of(centre)?;
            let i = voxel_at_place(centre);
            if voxels.weight[i] == 0 {
                return None;
            }
            let weight: f32 = (0..3).map(|k| if bits[k] == 1 { share[k] } else { 1.0 - share[k] }).product();
            for (sum, x) in sum.iter_mut().zip(value(voxels, i)) {
                *sum += weight * x;
            }
        }
        Some(sum)
    }

    fn hit(&mut self, ray: [f32; 3], depth: f32) -> Hit {
        let at = self.place(ray, depth);
        let gradient: [f32; 3] = std::array::from_fn(|k| {
            let mut step = |by: f32| {
                let mut p = at;
                p[k] += by;
                self.distance(p)
            };
            step(1.0).zip(step(-1.0)).map_or(0.0, |(high, low)| high - low)
        });
        let length = gradient.iter().map(|x| x * x).sum::<f32>().sqrt();
        let normal = if length > 0.0 { gradient.map(|x| x / length) } else { [0.0; 3] };
        let color = self.blend(at, |voxels, i| voxels.color.map(|channel| f32::from(channel[i]) / COLOR_ONE));
        (depth, normal, color.unwrap_or_default().map(|x| x.round().clamp(0.0, 255.0) as u8))
    }
}

/// Index within its block of the voxel that holds a place.
pub(super) fn voxel_at_place(at: [f32; 3]) -> usize {
    let [x, y, z] = at.map(|x| (x.floor() as i32).rem_euclid(SIDE as i32) as usize);
    voxel_at(x, y, z)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{furnished, walk};
    use super::super::{TsdfConfig, TsdfMap};

    #[test]
    fn a_view_of_the_map_is_the_view_of_the_world() {
        let world = furnished();
        let config = TsdfConfig { voxel_size_m: 0.03, truncation_m: 0.12, ..TsdfConfig::default() };
        let mut map = TsdfMap::new(config).unwrap();
        for frame in walk(&world, 24, (192, 144)) {
            map.integrate(&frame).unwrap();
        }
        // a pose between those that were fused
        let truth = world.frame(0, [2.4, 1.7, 1.5], [1.4, 1.2, 0.4], (120, 90));
        let seen = map.raycast(&truth.camera, &truth.world_from_camera, 5.0).unwrap();
        let mut errors = Vec::new();
        let mut same_color = 0;
        for (i, &z) in truth.depth.data.iter().enumerate() {
            if seen.depth[i] > 0.0 {
                errors.push((seen.depth[i] - z).abs());
                let off = (0..3).map(|k| seen.colors[i][k].abs_diff(truth.color.data[3 * i + k])).max().unwrap();
                same_color += usize::from(off < 24);
            }
        }
        errors.sort_by(f32::total_cmp);
        let (count, all) = (errors.len(), truth.depth.data.len());
        assert!(count * 100 > all * 97, "{count} of {all} pixels hit");
        assert!(
            errors[count / 2] < 0.004 && errors[count * 95 / 100] < 0.03,
            "{} {}",
            errors[count / 2],
            errors[count * 95 / 100]
        );
        assert!(same_color * 100 > count * 95, "{same_color} of {count}");
        let up = truth.color.data.chunks_exact(3).zip(&seen.normals).filter(|(c, n)| c[2] > 150 && n[2] > 0.9).count();
        assert!(up > 500, "the floor is blue and faces up: {up}");
    }

    #[test]
    fn empty_maps_and_lost_cameras_give_nothing_or_an_error() {
        let map = TsdfMap::new(TsdfConfig::default()).unwrap();
        let truth = furnished().frame(0, [2.4, 1.7, 1.5], [1.4, 1.2, 0.4], (12, 9));
        let seen = map.raycast(&truth.camera, &truth.world_from_camera, 5.0).unwrap();
        assert!(seen.depth.iter().all(|z| *z == 0.0) && seen.depth.len() == 108);
        let mut lost = truth.world_from_camera;
        lost.translation.x = f64::NAN;
        assert!(map.raycast(&truth.camera, &lost, 5.0).is_err());
        assert!(map.raycast(&truth.camera, &truth.world_from_camera, f32::INFINITY).is_ok());
    }
}
