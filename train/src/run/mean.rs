//! `vantage-train mean`: model folders of one form in, a folder with the mean of their weights, number by number, out.
//!
//! Models that were trained on from the same one often lie in one valley, whose middle is better than its sides (model soups, arXiv
//! 2203.05482); those of different rewards too (rewarded soups, arXiv 2306.04488).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use vantage_model::checkpoint;

use super::read_model;

/// Arguments of `vantage-train mean`.
#[derive(Debug, Args)]
pub struct MeanArgs {
    /// Model folders, two at least.
    #[arg(required = true, num_args = 2..)]
    pub models: Vec<PathBuf>,
    /// Folder for the mean; it has no model yet.
    #[arg(long)]
    pub out: PathBuf,
}

/// Writes the mean of the models.
///
/// # Errors
/// When a folder cannot be read, differs from the first in its sizes or its tokenizer, or `out` holds a model or cannot be written.
pub fn run(args: &MeanArgs) -> Result<()> {
    let device = Device::flex();
    ensure!(
        !args.out.join("config.json").exists(),
        "{}: holds a model already; name another folder",
        args.out.display()
    );
    let [first, others @ ..] = args.models.as_slice() else { return Ok(()) };
    let words = |dir: &Path| {
        let path = dir.join("tokenizer.json");
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    let (config, tokenizer, network) = read_model(first, &device)?;
    let mut sums = Numbers::default();
    network.visit(&mut sums);
    for dir in others {
        let (own, _, other) = read_model(dir, &device)?;
        let differs = |file: &str| {
            let (dir, first) = (dir.display(), first.display());
            format!(
                "{dir}: its {file} differs from that of {first}; give models that were trained on from the same one"
            )
        };
        ensure!(own == config, differs("config.json"));
        ensure!(words(dir)? == words(first)?, differs("tokenizer.json"));
        let mut numbers = Numbers::default();
        other.visit(&mut numbers);
        sums.add(&numbers);
    }
    let network = network.map(&mut Means { sums: sums.0.into_iter(), count: args.models.len() as f32 });
    checkpoint::save(&network.materialize(), &config, &tokenizer, &args.out)?;
    eprintln!("the mean of {} models is in {}", args.models.len(), args.out.display());
    Ok(())
}

/// The numbers of every parameter, in order.
#[derive(Default)]
struct Numbers(Vec<Vec<f32>>);

impl Numbers {
    fn add(&mut self, other: &Self) {
        for (sum, x) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *sum += x;
        }
    }
}

impl ModuleVisitor for Numbers {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().into_data().iter::<f32>().collect());
    }
}

/// Puts means in the place of parameters, in order.
struct Means {
    sums: std::vec::IntoIter<Vec<f32>>,
    count: f32,
}

impl ModuleMapper for Means {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let value = match self.sums.next() {
            Some(sum) => Tensor::from_data(TensorData::new(sum, value.dims()), &value.device()).div_scalar(self.count),
            None => value,
        };
        Param::from_mapped_value(id, value, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/checkpoints/nano");

    struct Shift(f32);

    impl ModuleMapper for Shift {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value + self.0)
        }
    }

    #[test]
    fn the_mean_lies_between() {
        let device = Device::flex();
        let temp = tempfile::tempdir().unwrap();
        let (config, tokenizer, network) = read_model(Path::new(NANO), &device).unwrap();
        let moved = network.clone().map(&mut Shift(0.5));
        checkpoint::save(&moved, &config, &tokenizer, &temp.path().join("moved")).unwrap();
        let args = |models: Vec<PathBuf>, out: &str| MeanArgs { models, out: temp.path().join(out) };
        let both = vec![NANO.into(), temp.path().join("moved")];
        run(&args(both.clone(), "mean")).unwrap();
        let (_, _, mean) = read_model(&temp.path().join("mean"), &device).unwrap();
        let (mut first, mut middle) = (Numbers::default(), Numbers::default());
        network.visit(&mut first);
        mean.visit(&mut middle);
        let all = first.0.iter().flatten().zip(middle.0.iter().flatten());
        assert!(all.clone().count() > 3_000_000);
        assert!(all.into_iter().all(|(a, m)| (m - a - 0.25).abs() < 1e-4));
        // what holds a model stays as it is
        let refused = run(&args(both, "mean")).unwrap_err().to_string();
        assert!(refused.contains("holds a model already"), "{refused}");
    }

    #[test]
    fn models_of_another_form_are_refused_by_name() {
        let device = Device::flex();
        let temp = tempfile::tempdir().unwrap();
        let (mut config, tokenizer, network) = read_model(Path::new(NANO), &device).unwrap();
        config.name = "other".to_owned();
        let other = temp.path().join("other");
        checkpoint::save(&network, &config, &tokenizer, &other).unwrap();
        let args = MeanArgs { models: vec![NANO.into(), other], out: temp.path().join("mean") };
        let refused = run(&args).unwrap_err().to_string();
        assert!(refused.contains("other: its config.json differs"), "{refused}");
        let (first, other) = (Path::new(NANO), &args.models[1]);
        fs::copy(first.join("config.json"), other.join("config.json")).unwrap();
        let words = fs::read_to_string(first.join("tokenizer.json")).unwrap() + "\n";
        fs::write(other.join("tokenizer.json"), words).unwrap();
        let refused = run(&args).unwrap_err().to_string();
        assert!(refused.contains("other: its tokenizer.json differs"), "{refused}");
        assert!(!args.out.exists());
    }
}
