//! A size of a part in, its parameters, bytes, work and times on this machine out. Weights are made up at random: neither speed
//! nor memory depend on their values.

mod bandwidth;
mod decoder;
mod nano;
mod r1;
mod relevance;
mod report;
mod text;
mod work;

pub use bandwidth::read_bandwidth;
pub use decoder::{DecoderReport, DecoderWork, decoder};
pub use nano::own;
pub use r1::{SceneWork, r1, r1_plan};
pub use relevance::RelevanceWork;
pub use report::{DeviceRates, JETSONS, ModelReport, PartReport, Roofline};

/// The middle one; of an even number the lower of the two. 0 of none.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
