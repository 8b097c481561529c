//! The box decoder's mask and box in, a box refined on the map out, under an id that stays with the object.

use std::collections::VecDeque;

use vantage_scene::OrientedBox;

/// Mask probability above which a point belongs to the object.
const MASK_THRESHOLD: f32 = 0.5;
/// Fewest points that can outvote the regressed box.
const MIN_POINTS: usize = 6;
/// Neighbouring points of one object are at most this many sampling grids apart.
const LINK_GRIDS: f32 = 2.2;
/// A yawed box is kept when its footprint is below this share of the axis-aligned one's.
const YAW_AREA_SHARE: f64 = 0.8;
/// Overlap above which two boxes are the same object.
const SAME_OBJECT_IOU: f64 = 0.4;
/// Objects remembered for stable ids.
const MAX_REMEMBERED: usize = 4096;

/// One box as the box decoder gave it.
#[derive(Debug, Clone)]
pub struct RawBox<'a> {
    /// Regressed box, world frame.
    pub regressed: OrientedBox,
    /// Mask probability of each sampled point.
    pub mask: &'a [f32],
    /// Expected overlap, 0 to 1.
    pub score: f32,
}

/// Fits the box to the masked surface: the heaviest connected part of the mask, its extents widened by half a grid cell,
/// face by face averaged with the regressed box (which knows about the sides that no camera saw).
pub fn refine_on_map(raw: &RawBox<'_>, positions: &[[f32; 3]], grid_m: f32) -> OrientedBox {
    let chosen: Vec<usize> = (0..positions.len()).filter(|&i| raw.mask[i] > MASK_THRESHOLD).collect();
    let part = heaviest_part(&chosen, positions, raw.mask, LINK_GRIDS * grid_m);
    if part.len() < MIN_POINTS {
        return raw.regressed;
    }
    let points: Vec<[f32; 3]> = part.iter().map(|&i| positions[i]).collect();
    let half = f64::from(grid_m) * 0.5;
    let mut min = [f64::INFINITY; 3];
    let mut max = [f64::NEG_INFINITY; 3];
    for p in &points {
        for k in 0..3 {
            min[k] = min[k].min(f64::from(p[k]) - half);
            max[k] = max[k].max(f64::from(p[k]) + half);
        }
    }
    let tight = OrientedBox {
        center: std::array::from_fn(|k| 0.5 * (min[k] + max[k])),
        size: std::array::from_fn(|k| max[k] - min[k]),
        yaw: 0.0,
    };
    if let Some(mut turned) = OrientedBox::fit_yaw(&points) {
        turned.size = turned.size.map(|s| s + 2.0 * half);
        if turned.size[0] * turned.size[1] < YAW_AREA_SHARE * tight.size[0] * tight.size[1] {
            return turned;
        }
    }
    if tight.iou(&raw.regressed) < 0.1 {
        return tight;
    }
    let r = &raw.regressed;
    let face = |sign: f64, k: usize| {
        0.5 * (tight.center[k] + sign * 0.5 * tight.size[k] + r.center[k] + sign * 0.5 * r.size[k])
    };
    let (low, high): ([f64; 3], [f64; 3]) =
        (std::array::from_fn(|k| face(-1.0, k)), std::array::from_fn(|k| face(1.0, k)));
    OrientedBox {
        center: std::array::from_fn(|k| 0.5 * (low[k] + high[k])),
        size: std::array::from_fn(|k| (high[k] - low[k]).max(1e-3)),
        yaw: 0.0,
    }
}

/// Of the points linked by steps of at most `link_m`, the part with the largest sum of mask probabilities.
fn heaviest_part(chosen: &[usize], positions: &[[f32; 3]], mask: &[f32], link_m: f32) -> Vec<usize> {
    let mut best: (f32, Vec<usize>) = (0.0, Vec::new());
    let mut open: Vec<usize> = chosen.to_vec();
    while let Some(seed) = open.pop() {
        let mut part = vec![seed];
        let mut queue = VecDeque::from([seed]);
        while let Some(i) = queue.pop_front() {
            open.retain(|&j| {
                let near = (0..3).map(|k| (positions[i][k] - positions[j][k]).powi(2)).sum::<f32>() <= link_m * link_m;
                if near {
                    part.push(j);
                    queue.push_back(j);
                }
                !near
            });
        }
        let weight: f32 = part.iter().map(|&i| mask[i]).sum();
        if weight > best.0 {
            best = (weight, part);
        }
    }
    best.1
}

/// Gives boxes ids that stay with the object over questions on one scene.
#[derive(Debug, Clone, Default)]
pub struct ObjectRegistry {
    known: VecDeque<(u64, OrientedBox)>,
    next: u64,
}

impl ObjectRegistry {
    /// The id of the known object that overlaps `bbox` most, or a new one.
    pub fn identify(&mut self, bbox: &OrientedBox) -> String {
        let best = self
            .known
            .iter_mut()
            .map(|entry| (entry.1.iou(bbox), entry))
            .filter(|(iou, _)| *iou >= SAME_OBJECT_IOU)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let id = match best {
            Some((_, entry)) => {
                entry.1 = *bbox;
                entry.0
            }
            None => self.remember(bbox),
        };
        name(id)
    }

    /// As [`Self::identify`], of boxes that are different objects, however much they overlap: no two get one id. Where one
    /// known object overlaps several, it is the one that it overlaps most.
    pub fn identify_all(&mut self, boxes: &[OrientedBox]) -> Vec<String> {
        let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
        for (k, (_, known)) in self.known.iter().enumerate() {
            let overlaps = boxes.iter().enumerate().map(|(i, bbox)| (known.iou(bbox), i, k));
            pairs.extend(overlaps.filter(|(iou, ..)| *iou >= SAME_OBJECT_IOU));
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut ids: Vec<Option<u64>> = vec![None; boxes.len()];
        for (_, i, k) in pairs {
            let Some(entry) = self.known.get_mut(k) else { continue };
            if ids[i].is_none() && !ids.contains(&Some(entry.0)) {
                ids[i] = Some(entry.0);
                entry.1 = boxes[i];
            }
        }
        boxes.iter().zip(ids).map(|(bbox, id)| name(id.unwrap_or_else(|| self.remember(bbox)))).collect()
    }

    /// A new object's id.
    fn remember(&mut self, bbox: &OrientedBox) -> u64 {
        let id = self.next;
        self.next += 1;
        self.known.push_back((id, *bbox));
        if self.known.len() > MAX_REMEMBERED {
            self.known.pop_front();
        }
        id
    }
}

fn name(id: u64) -> String {
    format!("object-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(center: [f32; 3], steps: i32, grid: f32) -> Vec<[f32; 3]> {
        let mut out = Vec::new();
        for x in 0..steps {
            for y in 0..steps {
                for z in 0..steps {
                    let at = |i: i32, c: f32| c + (i as f32 - 0.5 * (steps - 1) as f32) * grid;
                    out.push([at(x, center[0]), at(y, center[1]), at(z, center[2])]);
                }
            }
        }
        out
    }

    #[test]
    fn a_stray_part_does_not_stretch_the_box() {
        let mut positions = block([1.0, 1.0, 0.3], 6, 0.07);
        positions.extend(block([3.0, 1.0, 0.3], 2, 0.07));
        let mask = vec![0.9; positions.len()];
        let side = 6.0 * 0.07;
        let truth = OrientedBox { center: [1.0, 1.0, 0.3], size: [side; 3], yaw: 0.0 };
        let raw = RawBox { regressed: truth, mask: &mask, score: 0.5 };
        let refined = refine_on_map(&raw, &positions, 0.07);
        assert!(refined.iou(&truth) > 0.95, "{refined:?}");
    }

    #[test]
    fn an_empty_mask_leaves_the_regressed_box() {
        let regressed = OrientedBox { center: [0.0; 3], size: [1.0; 3], yaw: 0.0 };
        let raw = RawBox { regressed, mask: &[0.1, 0.2], score: 0.5 };
        assert_eq!(refine_on_map(&raw, &[[0.0; 3], [0.1; 3]], 0.07).center, regressed.center);
    }

    #[test]
    fn ids_stay_with_the_object() {
        let mut registry = ObjectRegistry::default();
        let a = OrientedBox { center: [0.0; 3], size: [1.0; 3], yaw: 0.0 };
        let moved = OrientedBox { center: [0.1, 0.0, 0.0], ..a };
        let b = OrientedBox { center: [5.0, 0.0, 0.0], ..a };
        assert_eq!(registry.identify(&a), registry.identify(&moved));
        assert_ne!(registry.identify(&a), registry.identify(&b));
    }

    #[test]
    fn objects_of_one_answer_have_ids_of_their_own() {
        let mut registry = ObjectRegistry::default();
        let a = OrientedBox { center: [0.0; 3], size: [1.0; 3], yaw: 0.0 };
        let close = OrientedBox { center: [0.1, 0.0, 0.0], ..a };
        let ids = registry.identify_all(&[a, close]);
        assert_ne!(ids[0], ids[1]);
        // in another order, each keeps its own
        let again = registry.identify_all(&[close, a]);
        assert_eq!((&again[0], &again[1]), (&ids[1], &ids[0]));
        let moved = OrientedBox { center: [0.02, 0.0, 0.0], ..a };
        assert_eq!(registry.identify_all(&[moved]), [ids[0].clone()]);
    }
}
