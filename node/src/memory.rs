//! A model folder and where it goes in; a plan of its memory out, printed before anything is loaded, or a refusal.

use std::path::Path;

use anyhow::{Result, bail};
use vantage_model::memory::{MemoryPlan, available_bytes};
use vantage_model::packed::MatrixType;
use vantage_model::qwen::{QwenError, QwenVl};
use vantage_model::weights::Placement;

/// What a conversation needs.
#[derive(Debug, Clone, Copy)]
pub struct Conversation {
    /// Most tokens, pictures included.
    pub tokens: usize,
    /// Width and height of the largest picture, pixels.
    pub picture: [u32; 2],
}

/// Plans the memory of a Qwen2.5-VL folder and logs the plan. `limit`: bytes that it may take; what the machine has available
/// without one. A GPU with memory of its own cannot be asked here, so that the plan is only printed for it.
///
/// # Errors
/// Where its settings cannot be read, or it cannot fit, with what would.
pub fn plan(dir: &Path, placement: &Placement, conversation: Conversation, limit: Option<u64>) -> Result<()> {
    let of = |matrices: MatrixType, tokens: usize| -> Result<MemoryPlan, QwenError> {
        let placement = Placement { matrices, ..placement.clone() };
        QwenVl::memory_plan(dir, &placement, tokens, conversation.picture)
    };
    let plan = of(placement.matrices, conversation.tokens)?;
    tracing::info!("{}: {plan}", dir.display());
    let shared = placement.packed.then(available_bytes).flatten();
    let Some(available) = limit.or(shared) else { return Ok(()) };
    let mut alternative = |matrices, tokens| of(matrices, tokens).unwrap_or_else(|_| plan.clone());
    if let Err(refusal) = plan.clone().check(available, &mut alternative) {
        bail!("{}: {refusal}", dir.display());
    }
    Ok(())
}
