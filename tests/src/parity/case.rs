//! A case's folder in, its description and expected tensors out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use vantage_scene::ColorImage;

use vantage_model::DeviceChoice;
use vantage_model::packed::MatrixType;
use vantage_model::weights::Placement;

use super::{CASE_FORMAT_VERSION, Line};

/// Errors of two computations that round alike differ by less than this factor.
const ALIKE: f64 = 1.1;

/// One reference model with inputs and outputs.
#[derive(Debug)]
pub struct Case {
    /// The folder: config.json and weights as the reference saved them.
    pub folder: PathBuf,
    /// Which part of the model it is.
    pub part: String,
    /// case.json.
    pub description: Value,
    expected: Vec<u8>,
    /// Where ours is run.
    device: DeviceChoice,
}

impl Case {
    /// Reads case.json and expected.safetensors.
    ///
    /// # Errors
    /// When one is missing or of another version.
    pub fn read(folder: &Path, device: DeviceChoice) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        let description: Value = serde_json::from_slice(&read("case.json")?).context("case.json")?;
        let version = description["format_version"].as_u64();
        ensure!(
            version == Some(CASE_FORMAT_VERSION),
            "case.json: format_version is {version:?}, this reads {CASE_FORMAT_VERSION}"
        );
        let part = description["part"].as_str().context("case.json: no part")?.to_owned();
        Ok(Self { folder: folder.to_owned(), part, description, expected: read("expected.safetensors")?, device })
    }

    /// The device of ours.
    ///
    /// # Errors
    /// Where there is none.
    pub fn device(&self) -> Result<Device> {
        Ok(self.device.open()?)
    }

    /// The ways in which weights are kept: on the CPU packed for its own kernels and as Burn tensors, elsewhere the latter.
    ///
    /// # Errors
    /// Where there is no such device.
    pub fn placements(&self) -> Result<Vec<Placement>> {
        self.placements_of(MatrixType::F32)
    }

    /// As [`Self::placements`], with matrices of another number type; none where the device has no such numbers.
    ///
    /// # Errors
    /// As [`Self::placements`].
    pub fn placements_of(&self, matrices: MatrixType) -> Result<Vec<Placement>> {
        let tensors = Placement { matrices, ..Placement::tensors(self.device()?) };
        Ok(match self.device.settled() {
            DeviceChoice::Cpu => vec![Placement::cpu(matrices), tensors],
            // WGSL has 32-bit floats, and 16-bit ones of another kind
            DeviceChoice::Wgpu if matrices == MatrixType::Bf16 => Vec::new(),
            _ => vec![tensors],
        })
    }

    /// Shape and values of an expected tensor of numbers of any type.
    ///
    /// # Errors
    /// When it is not there or of a type that is not read.
    pub fn values(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let file = SafeTensors::deserialize(&self.expected).context("expected.safetensors")?;
        let view = file.tensor(name).with_context(|| format!("expected.safetensors: {name}"))?;
        let bytes = view.data();
        let values = match view.dtype() {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
            Dtype::U8 => bytes.iter().map(|b| f64::from(*b)).collect(),
            other => anyhow::bail!("expected.safetensors: {name} is {other}"),
        };
        Ok((view.shape().to_vec(), values))
    }

    /// Whether there is an expected tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.expected).is_ok_and(|file| file.tensor(name).is_ok())
    }

    /// Whole numbers.
    ///
    /// # Errors
    /// As [`Self::values`], or where one is no whole number from 0 on.
    pub fn integers(&self, name: &str) -> Result<(Vec<usize>, Vec<u32>)> {
        let (shape, values) = self.values(name)?;
        ensure!(
            values.iter().all(|x| x.fract() == 0.0 && (0.0..4e9).contains(x)),
            "{name} holds numbers that are no indices"
        );
        Ok((shape, values.into_iter().map(|x| x as u32).collect()))
    }

    /// A tensor on the device of ours.
    ///
    /// # Errors
    /// As [`Self::values`], or where it has another number of dimensions.
    pub fn tensor<const D: usize>(&self, name: &str) -> Result<Tensor<D>> {
        let (shape, values) = self.values(name)?;
        ensure!(shape.len() == D, "{name} has shape {shape:?}, expected {D} dimensions");
        let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        Ok(Tensor::from_data(TensorData::new(values, shape), &self.device()?))
    }

    /// The pictures as bytes, `image.0`, `image.1`, ...
    ///
    /// # Errors
    /// Where one is no `[height, width, 3]` of bytes.
    pub fn images(&self) -> Result<Vec<ColorImage>> {
        let names = (0..).map(|number| format!("image.{number}")).take_while(|name| self.has(name));
        names
            .map(|name| {
                let (shape, bytes) = self.integers(&name)?;
                let [height, width, 3] = shape[..] else { anyhow::bail!("{name} has shape {shape:?}") };
                let data = bytes.into_iter().map(u8::try_from).collect::<Result<_, _>>()?;
                Ok(ColorImage::new(u32::try_from(width)?, u32::try_from(height)?, data)?)
            })
            .collect()
    }

    /// A line for `ours` against the expected tensor `name`; their shapes must agree.
    ///
    /// # Errors
    /// As [`Self::values`], or where the shapes differ.
    pub fn line<const D: usize>(&self, name: &str, ours: Tensor<D>, tolerance: f64) -> Result<Line> {
        let shape = ours.dims();
        let values: Vec<f64> = ours.into_data().iter::<f64>().collect();
        self.line_of(name, &shape, &values, tolerance)
    }

    /// A line for `ours`, computed in `placement` with 16-bit weights, against the exact tensor `name`: the root mean square of its
    /// error beside that of `<name>_bf16`, which is the reference in 16 bits. With 32-bit activations ours must be within it;
    /// with 16-bit ones both round at every step, each in its own way, and their errors are alike.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn rounded_line<const D: usize>(&self, name: &str, ours: Tensor<D>, placement: &Placement) -> Result<Line> {
        let (shape, exact) = self.values(name)?;
        let (_, reference) = self.values(&format!("{name}_bf16"))?;
        ensure!(ours.dims()[..] == shape[..], "{name}: ours has shape {:?}, the reference {shape:?}", ours.dims());
        let ours: Vec<f64> = ours.into_data().iter::<f64>().collect();
        let error = |values: &[f64]| {
            let squares: f64 = values.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum();
            let root = (squares / values.len().max(1) as f64).sqrt();
            if root.is_nan() { f64::INFINITY } else { root }
        };
        let (kept, slack) = if placement.packed { ("packed", 1.0) } else { ("tensors", ALIKE) };
        let part = self.part_of(&format!("{name}/bf16_{kept}_rms"));
        Ok(Line { part, max_abs_err: error(&ours), tolerance: slack * error(&reference) })
    }

    fn part_of(&self, name: &str) -> String {
        let case = self.folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{}/{case}/{name}", self.part)
    }

    /// As [`Self::line`], of plain values.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn line_of(&self, name: &str, shape: &[usize], ours: &[f64], tolerance: f64) -> Result<Line> {
        let (expected_shape, expected) = self.values(name)?;
        ensure!(expected_shape == shape, "{name}: ours has shape {shape:?}, the reference {expected_shape:?}");
        let worst = expected.iter().zip(ours).fold(0.0f64, |worst, (a, b)| {
            let error = (a - b).abs();
            if error.is_nan() { f64::INFINITY } else { worst.max(error) }
        });
        Ok(Line { part: self.part_of(name), max_abs_err: worst, tolerance })
    }
}
