//! The fused surface in, the same surface in small smooth pieces out: what an object is put together from.
//!
//! Points are thinned to one a cell, the room's shell is taken off, and the rest is parted where it bends inwards, as
//! objects do where they stand on one another: graph segmentation (Felzenszwalb and Huttenlocher 2004) on the angle between
//! normals, an outward bend counting little, as in the pieces that ScanNet (Dai et al. 2017) was annotated with.

use rustc_hash::FxHashMap;
use vantage_scene::{CellKey, PointCloud, cell_of, shell_mask};

/// Side of a cell, metres, at least; a coarser map gives coarser cells.
const MIN_GRID_M: f32 = 0.02;
/// Points are neighbours at most so many cells apart.
const LINK_GRIDS: f32 = 1.8;
/// How readily pieces grow, in the units of an edge's weight: 1 less the cosine between normals.
const GROWTH: f32 = 0.05;
/// Smaller pieces join the neighbour that they bend least to.
const MIN_PIECE: u32 = 12;
/// Bends below this, as the sine of the angle that the surface rises over the neighbour's plane, are noise.
const FLAT_RISE: f32 = 0.1;

/// A bend inwards counts as such from this angle on: 1 less the cosine of 20 degrees.
const NOISY_BEND: f32 = 0.06;

/// A fused surface in pieces.
#[derive(Debug, Clone)]
pub(super) struct MapSegments {
    /// Side of a cell, metres.
    pub(super) grid_m: f32,
    /// Mean position of each cell, metres.
    pub(super) positions: Vec<[f32; 3]>,
    /// Mean normal of each cell, smoothed over its neighbours, unit length.
    pub(super) normals: Vec<[f32; 3]>,
    /// Piece of each cell; `None` for the shell.
    pub(super) piece_of: Vec<Option<u32>>,
    /// Cells of each piece, ascending.
    pub(super) pieces: Vec<Vec<u32>>,
    /// For each piece, the pieces that it touches, by number.
    pub(super) contacts: Vec<Vec<Contact>>,
    /// Cell of each place of the lattice. Only looked up.
    cells: FxHashMap<CellKey, u32>,
    /// Surface points behind each cell: the cell's are `surface[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    surface: Vec<([f32; 3], [f32; 3])>,
}

/// Where two pieces touch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contact {
    /// The other piece.
    pub(super) piece: u32,
    /// Pairs of cells.
    pub(super) pairs: u32,
    /// Of these, pairs between which the surface bends inwards.
    pub(super) inward: u32,
}

impl Contact {
    /// Whether both may be sides of one solid, rather than things that stand on or against one another.
    pub(super) fn is_outward(&self) -> bool {
        2 * self.inward < self.pairs
    }
}

impl MapSegments {
    /// Parts `cloud`, the surface of a map of voxels of side `voxel_m` (metres). Points that are not finite, or beyond the
    /// lattice of [`CellKey`], are left out.
    pub(super) fn from_surface(cloud: &PointCloud, voxel_m: f32) -> Self {
        let grid_m = if voxel_m.is_finite() { voxel_m.max(MIN_GRID_M) } else { MIN_GRID_M };
        let shell = shell_mask(cloud);
        let mut keyed: Vec<(CellKey, u32)> = (0..cloud.len().min(u32::MAX as usize))
            .filter_map(|i| Some((cell_of(cloud.positions[i], f64::from(grid_m))?, i as u32)))
            .collect();
        keyed.sort_unstable();
        let mut map = Self {
            grid_m,
            positions: Vec::new(),
            normals: Vec::new(),
            piece_of: Vec::new(),
            pieces: Vec::new(),
            contacts: Vec::new(),
            cells: FxHashMap::default(),
            starts: vec![0],
            surface: Vec::with_capacity(keyed.len()),
        };
        let mut keys = Vec::new();
        let mut is_shell = Vec::new();
        for own in keyed.chunk_by(|a, b| a.0 == b.0) {
            map.cells.insert(own[0].0, map.positions.len() as u32);
            keys.push(own[0].0);
            let (mut position, mut normal, mut on_shell) = ([0.0f32; 3], [0.0f32; 3], 0usize);
            for (_, i) in own {
                let i = *i as usize;
                let own_normal = cloud.normals.get(i).copied().unwrap_or_default();
                for k in 0..3 {
                    position[k] += cloud.positions[i][k] / own.len() as f32;
                    normal[k] += own_normal[k];
                }
                on_shell += usize::from(shell.get(i).copied().unwrap_or(false));
                map.surface.push((cloud.positions[i], own_normal));
            }
            map.positions.push(position);
            map.normals.push(unit(normal));
            is_shell.push(2 * on_shell > own.len());
            map.starts.push(map.surface.len() as u32);
        }
        let pairs = map.neighbours(&keys);
        map.smooth_normals(&pairs, &is_shell);
        map.part(&pairs, &is_shell);
        map.touch(&pairs);
        map
    }

    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Positions and normals of the surface points of `pieces`.
    pub(super) fn surface_of(&self, pieces: &[u32]) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
        let cells = pieces.iter().filter_map(|p| self.pieces.get(*p as usize)).flatten();
        let range = |cell: u32| self.starts[cell as usize] as usize..self.starts[cell as usize + 1] as usize;
        cells.flat_map(|cell| self.surface[range(*cell)].iter().copied()).unzip()
    }

    fn beside(&self, key: CellKey) -> impl Iterator<Item = u32> {
        let at = key.coordinates();
        (0..27i64).filter_map(move |step| {
            let beside = [at[0] + step / 9 - 1, at[1] + step / 3 % 3 - 1, at[2] + step % 3 - 1];
            self.cells.get(&CellKey::new(beside)?).copied()
        })
    }

    /// Pairs of neighbouring cells, the smaller number first, in order.
    fn neighbours(&self, keys: &[CellKey]) -> Vec<(u32, u32)> {
        let reach = (LINK_GRIDS * self.grid_m).powi(2);
        let mut pairs = Vec::new();
        for (i, (key, position)) in keys.iter().zip(&self.positions).enumerate() {
            let near = |j: &u32| {
                let other = self.positions[*j as usize];
                (i as u32) < *j && (0..3).map(|k| (position[k] - other[k]).powi(2)).sum::<f32>() <= reach
            };
            pairs.extend(self.beside(*key).filter(near).map(|j| (i as u32, j)));
        }
        pairs
    }

    /// Averages each normal with those of the neighbours on the same side of the shell, so that a single noisy one does
    /// not part a surface.
    fn smooth_normals(&mut self, pairs: &[(u32, u32)], is_shell: &[bool]) {
        let mut sums = self.normals.clone();
        for &(a, b) in pairs {
            let (a, b) = (a as usize, b as usize);
            if is_shell[a] == is_shell[b] && dot(&self.normals[a], &self.normals[b]) > 0.5 {
                for (to, from) in [(a, b), (b, a)] {
                    for (sum, normal) in sums[to].iter_mut().zip(&self.normals[from]) {
                        *sum += normal;
                    }
                }
            }
        }
        self.normals = sums.into_iter().map(unit).collect();
    }

    /// The angle between two cells' normals as 1 less its cosine, and whether the surface bends inwards between them.
    fn bend(&self, a: u32, b: u32) -> (f32, bool) {
        let (a, b) = (a as usize, b as usize);
        let bend = (1.0 - dot(&self.normals[a], &self.normals[b])).clamp(0.0, 2.0);
        let way: [f32; 3] = unit(std::array::from_fn(|k| self.positions[b][k] - self.positions[a][k]));
        // inwards when either point lies above the other's plane
        let rise = dot(&way, &self.normals[a]).max(-dot(&way, &self.normals[b]));
        (bend, rise >= FLAT_RISE)
    }

    /// Weight of an edge: an outward bend counts squared.
    fn weight(&self, a: u32, b: u32) -> f32 {
        let (bend, inward) = self.bend(a, b);
        if inward { bend } else { bend * bend }
    }

    /// Numbers the pieces.
    fn part(&mut self, pairs: &[(u32, u32)], is_shell: &[bool]) {
        let mut edges: Vec<(f32, u32, u32)> = pairs
            .iter()
            .filter(|(a, b)| !is_shell[*a as usize] && !is_shell[*b as usize])
            .map(|&(a, b)| (self.weight(a, b), a, b))
            .collect();
        edges.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then((x.1, x.2).cmp(&(y.1, y.2))));
        let mut forest = Forest::new(self.positions.len());
        for &(weight, a, b) in &edges {
            let (a, b) = (forest.root(a), forest.root(b));
            if a != b && weight <= forest.limit(a).min(forest.limit(b)) {
                forest.join(a, b, weight);
            }
        }
        for &(weight, a, b) in &edges {
            let (a, b) = (forest.root(a), forest.root(b));
            if a != b && forest.size[a as usize].min(forest.size[b as usize]) < MIN_PIECE {
                forest.join(a, b, weight);
            }
        }
        let mut number_of_root = vec![None; self.positions.len()];
        self.piece_of = vec![None; self.positions.len()];
        for cell in (0..self.positions.len() as u32).filter(|cell| !is_shell[*cell as usize]) {
            let number = *number_of_root[forest.root(cell) as usize].get_or_insert_with(|| {
                self.pieces.push(Vec::new());
                self.pieces.len() as u32 - 1
            });
            self.piece_of[cell as usize] = Some(number);
            self.pieces[number as usize].push(cell);
        }
    }

    /// Counts the contacts between pieces.
    fn touch(&mut self, pairs: &[(u32, u32)]) {
        let mut contacts: Vec<(u32, u32, bool)> = Vec::new();
        for &(a, b) in pairs {
            let (Some(x), Some(y)) = (self.piece_of[a as usize], self.piece_of[b as usize]) else { continue };
            if x != y {
                let (bend, inward) = self.bend(a, b);
                let inward = inward && bend > NOISY_BEND;
                contacts.extend([(x, y, inward), (y, x, inward)]);
            }
        }
        contacts.sort_unstable();
        self.contacts = vec![Vec::new(); self.pieces.len()];
        for same in contacts.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let inward = same.iter().filter(|c| c.2).count() as u32;
            let contact = Contact { piece: same[0].1, pairs: same.len() as u32, inward };
            self.contacts[same[0].0 as usize].push(contact);
        }
    }

    /// The groups of `among` (by piece) that contacts of the kind `joins` connect, in order.
    pub(super) fn connected(&self, among: &[bool], joins: impl Fn(&Contact) -> bool) -> Vec<Vec<u32>> {
        let mut open = among.to_vec();
        let mut found = Vec::new();
        for start in 0..open.len().min(self.contacts.len()) {
            if !std::mem::replace(&mut open[start], false) {
                continue;
            }
            let mut group = vec![start as u32];
            let mut next = 0;
            while let Some(&piece) = group.get(next) {
                next += 1;
                for contact in self.contacts[piece as usize].iter().filter(|c| joins(c)) {
                    if std::mem::replace(&mut open[contact.piece as usize], false) {
                        group.push(contact.piece);
                    }
                }
            }
            found.push(group);
        }
        found
    }
}

/// Disjoint sets with what the segmentation keeps of each.
struct Forest {
    parent: Vec<u32>,
    size: Vec<u32>,
    /// Largest weight within.
    inner: Vec<f32>,
}

impl Forest {
    fn new(count: usize) -> Self {
        Self { parent: (0..count as u32).collect(), size: vec![1; count], inner: vec![0.0; count] }
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.parent[i as usize] != i {
            let above = self.parent[self.parent[i as usize] as usize];
            self.parent[i as usize] = above;
            i = above;
        }
        i
    }

    fn limit(&self, root: u32) -> f32 {
        self.inner[root as usize] + GROWTH / self.size[root as usize] as f32
    }

    fn join(&mut self, a: u32, b: u32, weight: f32) {
        let (large, small) = if self.size[a as usize] >= self.size[b as usize] { (a, b) } else { (b, a) };
        self.parent[small as usize] = large;
        self.size[large as usize] += self.size[small as usize];
        self.inner[large as usize] = self.inner[large as usize].max(self.inner[small as usize]).max(weight);
    }
}

pub(super) fn dot(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// `v` at unit length; zero where it has no direction.
fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = dot(&v, &v).sqrt();
    if length > 0.0 && length.is_finite() { v.map(|x| x / length) } else { [0.0; 3] }
}
