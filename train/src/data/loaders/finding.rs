//! What is wrong with a dataset: where, which field, what, and what to do about it.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Whose layout a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dataset {
    /// ScanNet v2 (arXiv 1702.04405).
    ScanNet,
    /// ScanRefer (arXiv 1912.08830).
    ScanRefer,
    /// Nr3D of ReferIt3D (ECCV 2020).
    Nr3d,
    /// ScanQA (arXiv 2112.10482).
    ScanQa,
    /// SQA3D (arXiv 2210.07474).
    Sqa3d,
    /// The language data of 3D-LLM (arXiv 2307.12981).
    ThreeDLlm,
    /// Scene-30K of 3D-R1 (arXiv 2507.23478).
    Scene30k,
    /// ARKitScenes, 3dod (arXiv 2111.08897).
    ArkitScenes,
    /// Our own JSON lines.
    Records,
    /// Folders of `vantage-train rooms`.
    Rooms,
}

impl Dataset {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScanNet => "ScanNet",
            Self::ScanRefer => "ScanRefer",
            Self::Nr3d => "Nr3D",
            Self::ScanQa => "ScanQA",
            Self::Sqa3d => "SQA3D",
            Self::ThreeDLlm => "3D-LLM",
            Self::Scene30k => "Scene-30K",
            Self::ArkitScenes => "ARKitScenes",
            Self::Records => "records",
            Self::Rooms => "rooms",
        }
    }

    /// Whether its scenes are scans of ScanNet.
    pub fn is_about_scannet(self) -> bool {
        matches!(self, Self::ScanRefer | Self::Nr3d | Self::ScanQa | Self::Sqa3d | Self::ThreeDLlm | Self::Scene30k)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something was left aside on purpose.
    Note,
    /// Usable, but perhaps not what was meant.
    Warning,
    /// The item, the file or the split cannot be used as it is.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A line, from 1.
    Line(u64),
    /// An item of the file's list, from 0.
    Item(u64),
    /// A frame of a recording, from 0.
    Frame(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Item(item) => write!(f, "item {item}"),
            Self::Frame(frame) => write!(f, "frame {frame}"),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let (key, value) = match *self {
            Self::File => return serializer.serialize_map(Some(0))?.end(),
            Self::Line(n) => ("line", n),
            Self::Item(n) => ("item", n),
            Self::Frame(n) => ("frame", n),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, &value)?;
        map.end()
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The file or folder.
    pub file: PathBuf,
    /// Where in it.
    #[serde(flatten)]
    pub place: Place,
    /// The field, column or element; empty for all of it.
    pub field: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.file.display())?;
        if self.place != Place::File {
            write!(f, ": {}", self.place)?;
        }
        if !self.field.is_empty() {
            write!(f, ": `{}`", self.field)?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// What is wrong with a value, before it is known where the value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub field: String,
    pub what: String,
    pub remedy: String,
}

impl Fault {
    pub(crate) fn new(field: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn at(self, severity: Severity, file: &Path, place: Place) -> Finding {
        let Self { field, what, remedy } = self;
        Finding { severity, file: file.to_owned(), place, field, what, remedy }
    }

    pub(crate) fn error(self, file: &Path, place: Place) -> Finding {
        self.at(Severity::Error, file, place)
    }

    pub(crate) fn warning(self, file: &Path, place: Place) -> Finding {
        self.at(Severity::Warning, file, place)
    }

    pub(crate) fn note(self, file: &Path, place: Place) -> Finding {
        self.at(Severity::Note, file, place)
    }
}

/// All problems found so far.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    list: Vec<Finding>,
    strict: bool,
}

impl Findings {
    /// Reading goes on after a bad item.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reading ends at the first error.
    pub fn strict() -> Self {
        Self { list: Vec::new(), strict: true }
    }

    /// In the order found.
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// How many of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|f| f.severity == severity).count()
    }

    /// Whether a strict reader has met an error.
    pub fn is_over(&self) -> bool {
        self.strict && self.list.iter().any(|f| f.severity == Severity::Error)
    }

    /// Adds one; breaks when a strict reader should end.
    pub(crate) fn report(&mut self, finding: Finding) -> ControlFlow<()> {
        let ends = self.strict && finding.severity == Severity::Error;
        self.list.push(finding);
        if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Adds those of another reader.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_file_place_field_and_remedy() {
        let finding = Fault::new("answers", "is missing", "add it").error(Path::new("a.json"), Place::Item(3));
        assert_eq!(finding.to_string(), "error: a.json: item 3: `answers`: is missing; add it");
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!((&json["item"], &json["severity"]), (&3.into(), &"error".into()));
        let whole = Fault::new("", "is empty", "get it again").warning(Path::new("b"), Place::File);
        assert_eq!(whole.to_string(), "warning: b: is empty; get it again");
        assert!(serde_json::to_value(&whole).unwrap().get("line").is_none());
    }

    #[test]
    fn strict_ends_at_the_first_error_alone() {
        let fault = || Fault::new("", "x", "y");
        let mut findings = Findings::strict();
        assert!(findings.report(fault().warning(Path::new("a"), Place::File)).is_continue());
        assert!(!findings.is_over());
        assert!(findings.report(fault().error(Path::new("a"), Place::File)).is_break());
        assert!(findings.is_over());
    }
}
