//! Our own JSON lines in ([`SceneQuestion`], as the data engine writes them), checked questions out.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::finding::{Dataset, Fault, Findings};
use super::json;
use super::question::{Loaded, Lookup, keep};
use super::scene::Scenes;
use crate::data::{RECORD_FORMAT_VERSION, SceneQuestion};

const REMEDY: &str = "the record's fields are in docs/datasets.md";

pub(crate) fn load(path: &Path, scenes: &Scenes, findings: &mut Findings) -> Vec<Loaded> {
    let mut out = Vec::new();
    let mut lookup = Lookup::new(scenes);
    let read = json::lines(path, findings, &mut |place, value, findings| match record(value) {
        Ok(question) => {
            lookup.scene(&question.scene, place);
            keep(&mut out, question, true, path, place, findings)
        }
        Err(fault) => findings.report(fault.error(path, place)),
    });
    if let ControlFlow::Continue(()) = read {
        let _ = lookup.finish(Dataset::Records, path, findings);
    }
    out
}

/// A record of our version.
pub(crate) fn record(value: Value) -> Result<SceneQuestion, Fault> {
    let version = value.get("format_version").and_then(Value::as_u64);
    if let Some(version) = version.filter(|v| *v != u64::from(RECORD_FORMAT_VERSION)) {
        let what = format!("is {version}, this program reads {RECORD_FORMAT_VERSION}");
        return Err(Fault::new("format_version", what, "write the file anew with this program"));
    }
    serde_json::from_value(value).map_err(|e| of_ours(&e))
}

/// What serde says of a value of ours, with the field that it names.
pub(crate) fn of_ours(error: &serde_json::Error) -> Fault {
    let what = error.to_string();
    let field = what.split('`').nth(1).unwrap_or_default().to_owned();
    Fault::new(field, format!("is not as it should be: {what}"), REMEDY)
}
