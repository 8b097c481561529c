//! A network in, one of which only low-rank adapters and the small parts around the decoder learn out (LoRA, arXiv 2106.09685, as
//! 3D-R1 uses it: rank 12, alpha 16, on the last 8 layers of a decoder that stays as it is).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::module::{Lora, Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Tensor;
use clap::Args;
use vantage_model::{DecoderConfig, Network};

/// The matrices of a layer that get an adapter.
const ADAPTED: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
/// Parts that stay as they are beside adapters: the decoder itself and the encoders.
const FROZEN: [&str; 5] = ["decoder", "image", "depth", "points", "text_tower"];

/// Options of adapters.
#[derive(Debug, Clone, Args)]
pub struct AdapterArgs {
    /// Train adapters of this rank instead of the decoder, and the projections and heads, but no encoder; the paper takes 12.
    #[arg(long)]
    pub lora_rank: Option<usize>,
    /// What an adapter adds counts alpha / rank.
    #[arg(long, default_value_t = 16.0)]
    pub lora_alpha: f64,
    /// Layers with adapters, the last ones.
    #[arg(long, default_value_t = 8)]
    pub lora_layers: usize,
}

impl AdapterArgs {
    /// No adapters.
    pub(crate) fn none() -> Self {
        Self { lora_rank: None, lora_alpha: 1.0, lora_layers: 0 }
    }

    /// What decides the curve, by option; nothing where no adapter is asked for.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let Some(rank) = self.lora_rank else { return BTreeMap::new() };
        [
            ("lora-rank", rank.to_string()),
            ("lora-alpha", self.lora_alpha.to_string()),
            ("lora-layers", self.lora_layers.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Adds adapters that change nothing yet, and freezes what they stand for; gives `network` back where none are asked for.
    ///
    /// # Errors
    /// When an option is out of range.
    pub(crate) fn adapt(&self, network: Network, decoder: &DecoderConfig) -> Result<Network> {
        let Some(rank) = self.lora_rank else { return Ok(network) };
        let least = decoder.hidden_size.min(decoder.key_width());
        ensure!(rank > 0 && rank <= least, "--lora-rank {rank}: it is from 1 to {least} for this decoder");
        ensure!(self.lora_alpha > 0.0 && self.lora_alpha.is_finite(), "--lora-alpha must be a number above 0");
        ensure!(self.lora_layers > 0, "--lora-layers must be at least 1");
        let layers = decoder.num_hidden_layers;
        let paths: Vec<String> = (layers.saturating_sub(self.lora_layers)..layers)
            .flat_map(|i| ADAPTED.iter().map(move |name| format!("decoder.layers.{i}.{name}.weight")))
            .collect();
        let lora = Lora::new(rank, self.lora_alpha).set_param_group(ParamGroup::from_paths(paths));
        let network = network.apply_lora(lora);
        let mut around = Around { path: Vec::new(), ids: Vec::new() };
        network.visit(&mut around);
        Ok(network.unfreeze_group(ParamGroup::from_ids(around.ids)))
    }
}

/// Collects the parameters of the parts that are not [`FROZEN`].
struct Around {
    path: Vec<String>,
    ids: Vec<ParamId>,
}

impl ModuleVisitor for Around {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.first().is_some_and(|part| !FROZEN.contains(&part.as_str())) {
            self.ids.push(param.id);
        }
    }
}

/// Writes all weights as they are, the adapters apart from what they are added to.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn save_apart(network: &Network, path: &Path) -> Result<()> {
    let mut store = SafetensorsStore::from_file(path);
    network
        .save_into(&mut store)
        .map_err(|e| anyhow::anyhow!("{e}"))
        .with_context(|| format!("writing {}", path.display()))
}

/// Reads what [`save_apart`] wrote into a network of the same form.
///
/// # Errors
/// When the file is missing, damaged, or of another form.
pub(crate) fn load_apart(network: &mut Network, path: &Path) -> Result<()> {
    let mut store = SafetensorsStore::from_file(path);
    let done = network
        .load_from(&mut store)
        .map_err(|e| anyhow::anyhow!("{e}"))
        .with_context(|| format!("reading {}", path.display()))?;
    ensure!(done.missing.is_empty(), "{}: it lacks {:?}", path.display(), done.missing);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::numbered::numbered;
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Int, TensorData};
    use vantage_model::ModelConfig;

    fn args(rank: usize) -> AdapterArgs {
        AdapterArgs { lora_rank: Some(rank), lora_alpha: 16.0, lora_layers: 2 }
    }

    fn config() -> ModelConfig {
        ModelConfig::nano(600, vec!["shell".to_owned(), "chair".to_owned()])
    }

    fn logits(network: &Network) -> Tensor<2> {
        let device = network.devices().remove(0);
        let ids = Tensor::<2, Int>::from_data(TensorData::new(vec![5i32, 9, 3], [1, 3]), &device);
        let hidden = network.decoder.read_text(ids, None, &mut network.decoder.cache(0));
        let [_, tokens, width] = hidden.dims();
        network.decoder.logits(hidden.reshape([tokens, width]))
    }

    fn values(x: Tensor<2>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn adapters_learn_and_the_decoder_stays() {
        let device = Device::flex().autodiff();
        device.seed(1);
        let config = config();
        let base = Network::new(&config, &device);
        let before = values(logits(&base));
        let mut network = numbered(args(12).adapt(base.clone(), &config.decoder).unwrap());
        // they begin with nothing
        assert_eq!(values(logits(&network)), before);
        let mut optimizer = AdamWConfig::new().init();
        for _ in 0..2 {
            let loss = logits(&network).square().mean();
            let grads = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(0.01, network, grads);
        }
        let after = values(logits(&network));
        assert!(after.iter().zip(&before).any(|(a, b)| (a - b).abs() > 1e-4));
        // switched off, they leave the reference: the base shares its weights and never moved
        assert_eq!(values(logits(&base)), before);
        // merged, they give the same answers without being there
        let merged = values(logits(&network.clone().materialize()));
        assert!(after.iter().zip(&merged).all(|(a, b)| (a - b).abs() < 1e-4));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("apart.safetensors");
        save_apart(&network.valid(), &path).unwrap();
        let mut again = numbered(args(12).adapt(base.clone(), &config.decoder).unwrap());
        load_apart(&mut again, &path).unwrap();
        assert_eq!(values(logits(&again)), after);
        // of another rank
        let mut other = args(4).adapt(base, &config.decoder).unwrap();
        assert!(load_apart(&mut other, &path).is_err());
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let config = config();
        let network = Network::new(&config, &Device::flex());
        let error = |args: AdapterArgs| args.adapt(network.clone(), &config.decoder).unwrap_err().to_string();
        assert!(error(args(0)).contains("--lora-rank 0"));
        assert!(error(args(4096)).contains("--lora-rank 4096"));
        assert!(error(AdapterArgs { lora_alpha: f64::NAN, ..args(4) }).contains("--lora-alpha"));
        assert!(error(AdapterArgs { lora_layers: 0, ..args(4) }).contains("--lora-layers"));
    }
}
