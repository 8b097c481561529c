//! A model folder and a mode in, whatever answers questions about a scene out: 3D-R1's own way, or a plain Qwen2.5-VL.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use vantage_model::lift::{LiftReasoner, ViewReader};
use vantage_model::packed::MatrixType;
use vantage_model::qwen::QwenVl;
use vantage_model::weights::{Placement, WeightFiles, read_bounded};
use vantage_model::{Answer, AskOptions, DeviceChoice, ModelError, Reasoner, ViewChoice};
use vantage_scene::Scene;

use crate::memory::{self, Conversation};

/// Largest config.json that is read, bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 24;

/// What is planned for in mode lift: some views of a camera of 1.2 megapixels and an answer.
const CONVERSATION: Conversation = Conversation { tokens: 8192, picture: [1280, 960] };

/// How questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// The scene as 3D tokens, boxes as text: models of this project.
    R1,
    /// Views to a plain Qwen2.5-VL, its 2D boxes lifted onto the map.
    Lift,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::R1 => "r1",
            Self::Lift => "lift",
        })
    }
}

/// What a model folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Architecture {
    /// This project's own.
    Vantage,
    /// Qwen2.5-VL.
    Qwen25Vl,
    /// Something else, as its `model_type` says.
    Other(String),
}

impl Architecture {
    /// As config.json of `folder` says.
    ///
    /// # Errors
    /// When it cannot be read, or says nothing of it.
    pub fn of(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let bytes = std::fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?.len();
        if bytes > MAX_CONFIG_BYTES {
            bail!("{}: it has {bytes} bytes, more than any such file; is it the right one?", path.display());
        }
        let bytes = read_bounded(&path, MAX_CONFIG_BYTES).with_context(|| format!("reading {}", path.display()))?;
        let config: Value = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
        if config.get("point_classes").is_some() {
            return Ok(Self::Vantage);
        }
        match config.get("model_type").and_then(Value::as_str) {
            Some("qwen2_5_vl") => Ok(Self::Qwen25Vl),
            Some(other) => Ok(Self::Other(other.to_owned())),
            None => bail!("{}: it has no model_type", path.display()),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vantage => "vantage",
            Self::Qwen25Vl => "qwen2_5_vl",
            Self::Other(name) => name,
        })
    }
}

/// The number type of the largest tensor of a folder, which its matrices are kept in.
///
/// # Errors
/// Naming the file that cannot be read.
pub(crate) fn largest_type(folder: &Path) -> Result<MatrixType> {
    let files = WeightFiles::open(folder)?;
    let largest = files.iter().max_by_key(|(_, tensor)| tensor.bytes().len());
    Ok(largest.and_then(|(_, tensor)| MatrixType::of_stored(tensor.dtype)).unwrap_or(MatrixType::Bf16))
}

/// Loads a Qwen2.5-VL, its matrices in the number type that they have in the folder, where a plan of its memory says that it fits.
///
/// # Errors
/// Naming the device, or the file, field, tensor or token at fault; or with what would fit.
pub fn load_qwen(folder: &Path, device: DeviceChoice) -> Result<QwenVl> {
    let matrices = largest_type(folder)?;
    let (device, packed) = (device.open()?, device.settled() == DeviceChoice::Cpu);
    let placement = Placement { device, matrices, packed };
    memory::plan(folder, &placement, CONVERSATION, None)?;
    Ok(QwenVl::load(folder, placement)?)
}

/// A loaded model that answers questions about a scene.
pub enum Answerer {
    /// See [`Mode::R1`].
    R1(Box<Reasoner>),
    /// See [`Mode::Lift`]; with the name of the model.
    Lift(Box<LiftReasoner>, String),
}

impl Answerer {
    /// Loads `folder`, or the embedded model without one, onto `device` for `mode`; without a mode, for the one that the model is made for.
    ///
    /// # Errors
    /// When the model and the mode do not fit, with what to do; or naming what is wrong with the folder.
    pub fn load(folder: Option<&Path>, mode: Option<Mode>, device: DeviceChoice) -> Result<Self> {
        let Some(folder) = folder else {
            return match mode {
                None | Some(Mode::R1) => {
                    Ok(Self::R1(Box::new(Reasoner::embedded(&device.open()?).context("loading the embedded model")?)))
                }
                Some(Mode::Lift) => bail!(
                    "mode lift and the embedded model do not fit: lift needs a Qwen2.5-VL; name the folder of one, or choose mode r1"
                ),
            };
        };
        let at = || format!("loading the model {}", folder.display());
        let architecture = Architecture::of(folder).with_context(at)?;
        match (&architecture, mode) {
            (Architecture::Vantage, None | Some(Mode::R1)) => {
                Ok(Self::R1(Box::new(Reasoner::load(folder, &device.open()?).with_context(at)?)))
            }
            (Architecture::Qwen25Vl, None | Some(Mode::Lift)) => {
                let name =
                    folder.file_name().map_or_else(|| architecture.to_string(), |n| n.to_string_lossy().into_owned());
                Ok(Self::lift(load_qwen(folder, device).with_context(at)?, &name))
            }
            (Architecture::Vantage, Some(mode)) => bail!(
                "mode {mode} and the model {} do not fit: it is of this project's own, which answer in mode r1; choose mode r1, or \
                 name the folder of a Qwen2.5-VL",
                folder.display()
            ),
            (Architecture::Qwen25Vl, Some(mode)) => bail!(
                "mode {mode} and the model {} do not fit: it is a plain Qwen2.5-VL, which answers in mode lift; choose mode lift, or \
                 name the folder of a model of this project's own",
                folder.display()
            ),
            (Architecture::Other(name), _) => bail!(
                "{}: config.json: model_type is `{name}`; questions are answered by models of this project's own (mode r1) and by \
                 qwen2_5_vl (mode lift)",
                folder.display()
            ),
        }
    }

    /// Answers in mode lift with any model that reads views.
    pub fn lift(reader: impl ViewReader + Send + 'static, name: &str) -> Self {
        Self::Lift(Box::new(LiftReasoner::new(Box::new(reader))), name.to_owned())
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        match self {
            Self::R1(_) => Mode::R1,
            Self::Lift(..) => Mode::Lift,
        }
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        match self {
            Self::R1(reasoner) => reasoner.name(),
            Self::Lift(_, name) => name,
        }
    }

    /// Answers `question` about `scene`; `on_text` sees the text as it comes, and stops it with `ControlFlow::Break`.
    ///
    /// # Errors
    /// As [`Reasoner::ask`] and [`LiftReasoner::ask`].
    pub fn ask(
        &mut self,
        scene: &Scene,
        question: &str,
        options: &AskOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Answer, ModelError> {
        match self {
            Self::R1(reasoner) => reasoner.ask(scene, question, options, on_text),
            Self::Lift(reasoner, _) => reasoner.ask(scene, question, options, on_text),
        }
    }

    /// Prepares what can be before a question comes: call it when `scene` has a new keyframe.
    pub fn keep_up(&mut self, scene: &Scene) {
        if let Self::R1(reasoner) = self {
            reasoner.keep_up(scene);
        }
    }

    /// The views that [`Self::ask`] would look at.
    ///
    /// # Errors
    /// As [`Reasoner::select_views`] and [`LiftReasoner::select_views`].
    pub fn select_views(
        &mut self,
        scene: &Scene,
        question: &str,
        options: &AskOptions,
    ) -> Result<ViewChoice, ModelError> {
        match self {
            Self::R1(reasoner) => reasoner.select_views(scene, question, options).map(|(choice, _)| choice),
            Self::Lift(reasoner, _) => reasoner.select_views(scene, question, options),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(folder: Option<&Path>, mode: Option<Mode>) -> String {
        match Answerer::load(folder, mode, DeviceChoice::Cpu) {
            Ok(answerer) => panic!("{} was loaded", answerer.name()),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_mode_and_a_model_that_do_not_fit_are_both_named() {
        let embedded = refused(None, Some(Mode::Lift));
        assert!(
            embedded.contains("mode lift") && embedded.contains("embedded") && embedded.contains("choose"),
            "{embedded}"
        );
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().display().to_string();
        for (config, mode, said) in [
            ("{\"point_classes\": []}", Some(Mode::Lift), "choose mode r1"),
            ("{\"model_type\": \"qwen2_5_vl\"}", Some(Mode::R1), "choose mode lift"),
            ("{\"model_type\": \"llava\"}", None, "model_type is `llava`"),
            ("{}", None, "no model_type"),
        ] {
            std::fs::write(dir.path().join("config.json"), config).unwrap();
            let error = refused(Some(dir.path()), mode);
            assert!(error.contains(&place) && error.contains(said), "{error}");
            assert!(mode.is_none_or(|mode| error.contains(&format!("mode {mode}"))), "{error}");
        }
        let missing = refused(Some(&dir.path().join("none")), None);
        assert!(missing.contains("none") && missing.contains("config.json"), "{missing}");
    }

    #[test]
    fn the_embedded_model_answers_in_its_own_mode() {
        assert_eq!(Answerer::load(None, None, DeviceChoice::Cpu).unwrap().mode(), Mode::R1);
    }
}
