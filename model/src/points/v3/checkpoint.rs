//! A published checkpoint in, the encoder and what its shapes tell of its settings out.

use std::path::Path;

use super::config::PtV3Config;
use super::model::PtV3;
use crate::error::{ModelError, WeightsFault};
use crate::weights::{Placement, STATE, WeightFiles, WeightReader};

/// The tensor that every Point Transformer v3 has.
const STEM: &str = "embedding.stem.conv.weight";
/// What distributed training puts before the names.
const WRAPPERS: [&str; 2] = ["", "module."];
/// What the segmentor or classifier around the encoder calls it.
const BACKBONES: [&str; 2] = ["backbone.", ""];
/// Beside the encoder, for the classes of one data set.
const HEADS: [&str; 2] = ["seg_head.", "cls_head."];
/// Channels of an attention head in every published model; the tensors do not tell.
const HEAD_WIDTH: usize = 16;

impl PtV3 {
    /// Loads a model folder, or one file of PyTorch or safetensors as Pointcept's training saves it. Heads for the classes of
    /// a data set and what a training run keeps beside its model are left aside.
    ///
    /// # Errors
    /// [`ModelError`] naming the file, and the field or tensor.
    pub fn load(path: &Path, config: &PtV3Config, placement: Placement) -> Result<Self, ModelError> {
        config.checked("Point Transformer v3")?;
        let files = WeightFiles::open_path(path)?;
        let Some(names) = CheckpointNames::find(&files) else {
            let fault = WeightsFault::Missing(vec![STEM.to_owned()]);
            return Err(ModelError::Weights { origin: files.origin().to_owned(), fault });
        };
        let files = names.model(files);
        let is_head = |name: &&str| {
            name.strip_prefix(names.wrapper).is_some_and(|name| HEADS.iter().any(|head| name.starts_with(head)))
        };
        let heads: Vec<String> = files.names().filter(is_head).map(str::to_owned).collect();
        let reader = WeightReader::new(files, placement);
        heads.iter().for_each(|name| reader.ignore(name));
        let words = [names.wrapper, names.backbone].into_iter().filter_map(|prefix| prefix.strip_suffix('.'));
        let model = Self::read(config, &words.fold(reader.clone(), |reader, word| reader.enter(word)));
        reader.finish()?;
        Ok(model)
    }
}

/// What stands before the names of a checkpoint's encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckpointNames {
    state: &'static str,
    wrapper: &'static str,
    backbone: &'static str,
}

impl CheckpointNames {
    /// Where the stem is; none where this is no Point Transformer v3.
    pub(crate) fn find(files: &WeightFiles) -> Option<Self> {
        let wrapped = |state| WRAPPERS.map(|wrapper| BACKBONES.map(|backbone| Self { state, wrapper, backbone }));
        ["", STATE].into_iter().flat_map(wrapped).flatten().find(|names| files.get(&names.of(STEM)).is_some())
    }

    fn of(self, name: &str) -> String {
        let Self { state, wrapper, backbone } = self;
        format!("{state}{wrapper}{backbone}{name}")
    }

    /// The model alone, without what a training run keeps beside it.
    pub(crate) fn model(self, files: WeightFiles) -> WeightFiles {
        files.under(self.state)
    }

    /// The settings that the shapes tell; curves and patches are those of [`PtV3Config::base`], heads as wide as in every
    /// published model.
    ///
    /// # Errors
    /// What cannot be told, naming the tensor or field.
    pub(crate) fn settings(self, files: &WeightFiles) -> Result<PtV3Config, String> {
        let shape = |name: &str| files.get(&self.of(name)).map(|tensor| tensor.shape.as_slice());
        let rows = |name: String| shape(&name).and_then(|shape| shape.first()).copied();
        let blocks =
            |stage: String| (0..).take_while(|i| rows(format!("{stage}.block{i}.norm1.0.weight")).is_some()).count();
        let Some(&[first, _, _, _, in_channels]) = shape(STEM) else {
            return Err(format!("tensor {} has no shape of a convolution", self.of(STEM)));
        };
        let mut enc_channels = vec![first];
        enc_channels.extend((1..).map_while(|s| rows(format!("enc.enc{s}.down.proj.weight"))));
        let dec_channels: Vec<usize> = (0..).map_while(|s| rows(format!("dec.dec{s}.up.proj.0.weight"))).collect();
        let heads = |channels: &[usize]| -> Result<Vec<usize>, String> {
            let heads = |&channels: &usize| match channels % HEAD_WIDTH {
                0 => Ok(channels / HEAD_WIDTH),
                _ => Err(format!(
                    "{channels} channels are no heads of {HEAD_WIDTH}; give a config.json with enc_num_head"
                )),
            };
            channels.iter().map(heads).collect()
        };
        let base = PtV3Config::base();
        let mlp_ratio = match shape("enc.enc0.block0.mlp.0.fc1.weight") {
            Some(&[hidden, channels]) if channels > 0 => hidden / channels,
            _ => base.mlp_ratio,
        };
        let patch = base.enc_patch_size.iter().copied().max().unwrap_or(1);
        let config = PtV3Config {
            in_channels,
            enc_depths: (0..enc_channels.len()).map(|s| blocks(format!("enc.enc{s}"))).collect(),
            enc_num_head: heads(&enc_channels)?,
            enc_patch_size: vec![patch; enc_channels.len()],
            enc_channels,
            dec_depths: (0..dec_channels.len()).map(|s| blocks(format!("dec.dec{s}"))).collect(),
            dec_num_head: heads(&dec_channels)?,
            dec_channels,
            mlp_ratio,
            ..base
        };
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::MatrixType;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;
    use std::path::PathBuf;

    type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

    /// A small segmentor as `torch.save` leaves it in training: `state_dict.module.backbone.`, a head, and the optimizer.
    fn saved() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/parity/ptv3/saved_by_training/checkpoint.pth")
    }

    fn settings() -> PtV3Config {
        let files = WeightFiles::open_path(&saved()).unwrap();
        CheckpointNames::find(&files).unwrap().settings(&files).unwrap()
    }

    /// The encoder's tensors under other names, and what `more` adds.
    fn renamed(dir: &Path, prefix: &str, more: &[&str]) -> PathBuf {
        let files = WeightFiles::open_path(&saved()).unwrap().under("state_dict.module.backbone.");
        let mut stored: Vec<Stored> = files
            .iter()
            .map(|(name, tensor)| {
                (format!("{prefix}{name}"), tensor.dtype, tensor.shape.clone(), tensor.bytes().to_vec())
            })
            .collect();
        stored.extend(more.iter().map(|name| ((*name).to_owned(), Dtype::F32, vec![1], vec![0; 4])));
        let views = stored
            .iter()
            .map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        let path = dir.join("model.safetensors");
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    }

    fn load(path: &Path) -> Result<PtV3, String> {
        PtV3::load(path, &settings(), Placement::cpu(MatrixType::F32)).map_err(|error| error.to_string())
    }

    #[test]
    fn shapes_tell_the_settings() {
        let json = std::fs::read(saved().with_file_name("config.json")).unwrap();
        assert_eq!(settings(), PtV3Config::from_json("here", &json).unwrap());
    }

    #[test]
    fn every_published_prefix_is_found_and_heads_are_left_aside() {
        load(&saved()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let prefixes = ["", "backbone.", "module.", "module.backbone.", "state_dict.", "state_dict.module.backbone."];
        for prefix in prefixes {
            let outer = prefix.trim_end_matches("backbone.");
            let heads = [format!("{outer}seg_head.weight"), format!("{outer}cls_head.0.bias")];
            let path = renamed(dir.path(), prefix, &heads.each_ref().map(String::as_str));
            load(&path).unwrap_or_else(|error| panic!("{prefix}: {error}"));
            // the folder as well as the file
            load(dir.path()).unwrap_or_else(|error| panic!("{prefix}: {error}"));
        }
    }

    #[test]
    fn what_has_no_place_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            ("backbone.", "other_head.weight"),
            ("module.backbone.", "seg_head.weight"),
            ("module.backbone.", "module.backbone.enc.enc0.block1.norm1.0.weight"),
            ("state_dict.", "state_dict.stray"),
            ("", "embedding.mask_token"),
        ];
        for (prefix, stray) in cases {
            let error = load(&renamed(dir.path(), prefix, &[stray])).unwrap_err();
            assert!(error.contains("no place") && error.contains(stray.trim_start_matches("state_dict.")), "{error}");
        }
        let error = load(&renamed(dir.path(), "student.", &[])).unwrap_err();
        assert!(error.contains(STEM) && error.contains("model.safetensors"), "{error}");
        assert!(load(&dir.path().join("none.pth")).unwrap_err().contains("none.pth"));
        std::fs::write(dir.path().join("cut.pth"), &std::fs::read(saved()).unwrap()[..50_000]).unwrap();
        assert!(load(&dir.path().join("cut.pth")).unwrap_err().contains("cut.pth"));
    }

    #[test]
    fn a_config_alone_allocates_nothing() {
        // a hundred terabytes, were they made
        let config = PtV3Config {
            in_channels: 1 << 16,
            enc_channels: vec![1 << 16; 5],
            dec_channels: vec![1 << 16; 4],
            ..PtV3Config::base()
        };
        let error = PtV3::load(&saved(), &config, Placement::cpu(MatrixType::F32)).unwrap_err().to_string();
        assert!(error.contains("missing") && error.contains(STEM), "{error}");
    }
}
