//! Items in, what a function makes of each out, in order: shared over worker threads, each with a pool of one thread, because most
//! operations of the CPU backend run on one core.

use anyhow::{Context, Result, ensure};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Most workers.
const MOST_WORKERS: usize = 1024;

/// Worker threads.
pub(crate) struct Pools {
    pools: Vec<ThreadPool>,
}

impl Pools {
    /// `count` workers, at least one.
    ///
    /// # Errors
    /// When there are to be more than 1024, or a thread cannot be started.
    pub(crate) fn new(count: usize) -> Result<Self> {
        ensure!(count <= MOST_WORKERS, "--workers must be at most {MOST_WORKERS}");
        let pools = (0..count.max(1))
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build().context("starting a worker thread"))
            .collect::<Result<_>>()?;
        Ok(Self { pools })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.pools.len()
    }

    /// Worker `w` of `n` takes the items `w`, `w + n`, ... one after another.
    ///
    /// # Errors
    /// When a worker's thread ended early.
    pub(crate) fn share<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: &(dyn Fn(usize, &T) -> R + Sync),
    ) -> Result<Vec<R>> {
        let workers = self.pools.len();
        let parts: Vec<std::thread::Result<Vec<(usize, R)>>> = std::thread::scope(|scope| {
            let running: Vec<_> = self
                .pools
                .iter()
                .enumerate()
                .map(|(w, pool)| {
                    scope.spawn(move || {
                        let own = (w..items.len()).step_by(workers);
                        pool.install(|| own.map(|i| (i, work(i, &items[i]))).collect())
                    })
                })
                .collect();
            running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut all: Vec<(usize, R)> = Vec::with_capacity(items.len());
        for part in parts {
            all.extend(part.map_err(|_| anyhow::anyhow!("a training worker ended early"))?);
        }
        all.sort_by_key(|(i, _)| *i);
        Ok(all.into_iter().map(|(_, result)| result).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..23).collect();
        for workers in [0, 1, 2, 7, 40] {
            let squares = Pools::new(workers).unwrap().share(&items, &|i, item| i * item).unwrap();
            assert_eq!(squares, items.iter().map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_worker_that_ends_early_is_an_error() {
        let pools = Pools::new(2).unwrap();
        let result = pools.share(&[1, 2, 3], &|_, item| assert!(*item < 3, "expected by the test"));
        assert!(result.unwrap_err().to_string().contains("ended early"));
    }
}
