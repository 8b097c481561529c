//! `parity DIR [--json] [--device=D]`: every case under DIR against ours, a line each; fails when one differs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use vantage_model::DeviceChoice;
use vantage_tests::parity;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let (flags, folders): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let json = flags.iter().any(|flag| flag == "--json");
    let device = flags.iter().find_map(|flag| flag.strip_prefix("--device="));
    let device: DeviceChoice = device.unwrap_or("cpu").parse()?;
    let root = PathBuf::from(folders.first().context("name the folder of cases")?);
    let cases = parity::cases(&root)?;
    ensure!(!cases.is_empty(), "{} holds no case", root.display());
    let (mut compared, mut wrong) = (0, 0);
    for case in cases {
        for line in parity::compare(&case, device)? {
            compared += 1;
            wrong += usize::from(!line.ok());
            if json {
                // JSON has no infinity
                let error = line.max_abs_err.is_finite().then_some(line.max_abs_err);
                println!(
                    "{}",
                    json!({"type": "parity", "part": line.part, "max_abs_err": error, "tolerance": line.tolerance, "ok": line.ok()})
                );
            } else {
                let verdict = if line.ok() { "ok" } else { "DIFFERS" };
                println!("{:60} {:9.2e} <= {:.0e}  {verdict}", line.part, line.max_abs_err, line.tolerance);
            }
        }
    }
    if json {
        println!("{}", json!({"type": "summary", "compared": compared, "wrong": wrong}));
    } else {
        println!("{compared} stages compared, {wrong} differ");
    }
    Ok(wrong == 0)
}
