//! Which parts of a network learn.

use clap::Args;
use vantage_model::Network;

/// What a run trains of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Learning {
    /// Leave the encoders and what chooses views as they are: the decoder, the projections, the box decoder and relations learn, and a
    /// step takes less.
    #[arg(long)]
    pub freeze_encoders: bool,
}

impl Learning {
    /// `network` with gradients for what learns.
    pub(crate) fn of(self, network: Network) -> Network {
        if self.freeze_encoders { network.with_only_reasoning_trainable() } else { network }
    }

    /// What decides the curve, by option.
    pub(crate) fn setting(self) -> Option<(String, String)> {
        self.freeze_encoders.then(|| ("freeze-encoders".to_owned(), "true".to_owned()))
    }
}
