//! Keys in, blocks out, within a number of blocks that is never exceeded: the memory of a map.
//!
//! Freed blocks are kept and used again, so that memory neither grows beyond the bound nor fragments.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::block::{Key, Voxels};

/// Memory of one block: its voxels, its header, its place in the index, and what lists of blocks cost.
pub(super) const BLOCK_COST_BYTES: usize = size_of::<Voxels>() + size_of::<Header>() + 64;

/// What is known of a block without looking at its voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Header {
    pub(super) key: Key,
    /// False for a block that waits to be used again.
    pub(super) used: bool,
    /// Whether a voxel lies behind a surface: only such blocks hold a surface.
    pub(super) solid: bool,
    /// Number of the last frame whose band touched it.
    pub(super) frame: u64,
    /// Stamp of the last frame that saw it, nanoseconds.
    pub(super) seen_nanos: i64,
    /// Stamp up to which its weights have decayed, nanoseconds.
    pub(super) decayed_nanos: i64,
}

/// What became of a request for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// It was there; the index.
    Found(u32),
    /// It is new; the index.
    Added(u32),
    /// There is no room.
    Full,
}

/// Blocks by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    index: FxHashMap<Key, u32>,
    pub(super) headers: Vec<Header>,
    pub(super) voxels: Vec<Box<Voxels>>,
    free: Vec<u32>,
    max_blocks: usize,
}

impl Store {
    /// A store that holds as many blocks as fit into `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_blocks: (max_bytes / BLOCK_COST_BYTES).min(u32::MAX as usize), ..Self::default() }
    }

    /// Blocks in use.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Blocks that can still be added.
    pub(super) fn room(&self) -> usize {
        self.max_blocks - self.len().min(self.max_blocks)
    }

    /// Most blocks.
    pub(super) fn max_blocks(&self) -> usize {
        self.max_blocks
    }

    /// Bytes taken from the system, blocks that wait for use included.
    pub(super) fn bytes(&self) -> usize {
        self.voxels.len() * BLOCK_COST_BYTES
    }

    /// The block of a key.
    pub(super) fn get(&self, key: &Key) -> Option<&Voxels> {
        self.index_of(key).and_then(|i| self.voxels.get(i as usize)).map(|v| &**v)
    }

    /// The index of a key's block.
    pub(super) fn index_of(&self, key: &Key) -> Option<u32> {
        self.index.get(key).copied()
    }

    /// The block of a key, made when there is room for it.
    pub(super) fn request(&mut self, key: Key) -> Request {
        let full = self.room() == 0;
        let slot = match self.index.entry(key) {
            Entry::Occupied(entry) => return Request::Found(*entry.get()),
            Entry::Vacant(_) if full => return Request::Full,
            Entry::Vacant(slot) => slot,
        };
        let header = Header { key, used: true, solid: false, frame: 0, seen_nanos: 0, decayed_nanos: 0 };
        let i = match self.free.pop() {
            Some(i) => {
                self.headers[i as usize] = header;
                *self.voxels[i as usize] = Voxels::EMPTY;
                i
            }
            None => {
                self.headers.push(header);
                self.voxels.push(Box::new(Voxels::EMPTY));
                (self.voxels.len() - 1) as u32
            }
        };
        slot.insert(i);
        Request::Added(i)
    }

    /// Forgets a block; its memory is kept for another.
    pub(super) fn release(&mut self, i: u32) {
        let header = &mut self.headers[i as usize];
        if header.used {
            header.used = false;
            header.solid = false;
            self.index.remove(&header.key);
            self.free.push(i);
        }
    }

    /// Indices of the blocks in use, in order of their keys.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.headers.len() as u32).filter(|&i| self.headers[i as usize].used).collect();
        order.sort_unstable_by_key(|&i| self.headers[i as usize].key);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_and_memory_is_used_again() {
        let mut store = Store::new(3 * BLOCK_COST_BYTES);
        let added: Vec<Request> = (0..4).map(|x| store.request([x, 0, 0])).collect();
        assert_eq!(added, [Request::Added(0), Request::Added(1), Request::Added(2), Request::Full]);
        assert_eq!(store.request([1, 0, 0]), Request::Found(1));
        store.voxels[1].weight[7] = 9;
        store.release(1);
        store.release(1);
        assert_eq!((store.len(), store.room(), store.get(&[1, 0, 0])), (2, 1, None));
        assert_eq!(store.request([9, 9, 9]), Request::Added(1));
        assert_eq!(store.get(&[9, 9, 9]), Some(&Voxels::EMPTY));
        assert_eq!((store.voxels.len(), store.bytes()), (3, 3 * BLOCK_COST_BYTES));
        assert_eq!(store.sorted(), [0, 2, 1]);
    }
}
