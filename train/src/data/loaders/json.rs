//! A file of JSON in, its items one after another out: a list, a list under a key, or a value a line. Never the whole
//! file at once.

use std::io::{BufRead, Read};
use std::ops::ControlFlow;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::file::{MAX_TEXT_BYTES, open};
use super::finding::{Fault, Findings, Place};

/// Longest line of a file of JSON lines, bytes.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Takes an item and where it stands; breaks to end reading.
pub(crate) type Each<'a> = &'a mut dyn FnMut(Place, Value, &mut Findings) -> ControlFlow<()>;

/// Reads the items of the list that the file is, or with `key` of the list there in the object that the file is.
pub(crate) fn items(path: &Path, key: Option<&str>, findings: &mut Findings, each: Each<'_>) -> ControlFlow<()> {
    let (reader, _) = match open(path, MAX_TEXT_BYTES) {
        Ok(opened) => opened,
        Err(fault) => return findings.report(fault.error(path, Place::File)),
    };
    let mut broke = false;
    let mut found = key.is_none();
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let root = Root { key, found: &mut found, broke: &mut broke, findings: &mut *findings, each };
    let result = root.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match result {
        _ if broke => ControlFlow::Break(()),
        Err(error) => findings.report(syntax(&error).error(path, Place::Line(error.line() as u64))),
        Ok(()) if !found => {
            let field = key.unwrap_or_default();
            let fault = Fault::new(field, "is missing", "the published layout is in docs/datasets.md");
            findings.report(fault.error(path, Place::File))
        }
        Ok(()) => ControlFlow::Continue(()),
    }
}

fn syntax(error: &serde_json::Error) -> Fault {
    let what = format!("is not the JSON that it should be: {error}");
    Fault::new("", what, "nothing after this place can be read: get the file again, or correct it there")
}

/// Reads a value a line; a bad line is reported and the next one read. Empty lines are passed over.
pub(crate) fn lines(path: &Path, findings: &mut Findings, each: Each<'_>) -> ControlFlow<()> {
    let (mut reader, _) = match open(path, MAX_TEXT_BYTES) {
        Ok(opened) => opened,
        Err(fault) => return findings.report(fault.error(path, Place::File)),
    };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let place = Place::Line(number);
        match reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(n) if n as u64 == MAX_LINE_BYTES => {
                let fault = Fault::new("", format!("is longer than {MAX_LINE_BYTES} bytes"), "write one object a line");
                return findings.report(fault.error(path, place));
            }
            Ok(_) => {}
            Err(error) => {
                let fault = Fault::new("", format!("cannot be read: {error}"), "get the file again");
                return findings.report(fault.error(path, place));
            }
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(value) => each(place, value, findings)?,
            Err(error) => {
                let what = format!("is no JSON: {error}");
                findings.report(Fault::new("", what, "correct the line or take it out").error(path, place))?;
            }
        }
    }
    ControlFlow::Continue(())
}

struct Root<'a> {
    key: Option<&'a str>,
    found: &'a mut bool,
    broke: &'a mut bool,
    findings: &'a mut Findings,
    each: Each<'a>,
}

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.key.is_some() { deserializer.deserialize_map(self) } else { deserializer.deserialize_seq(self) }
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.key {
            Some(key) => write!(f, "an object with a list `{key}`"),
            None => f.write_str("a list of objects"),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(value) = seq.next_element::<Value>()? {
            if (self.each)(Place::Item(index), value, self.findings).is_break() {
                *self.broke = true;
                return Err(A::Error::custom("reading ends here"));
            }
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.key == Some(key.as_str()) && !*self.found {
                *self.found = true;
                let list = Root {
                    key: None,
                    found: &mut *self.found,
                    broke: &mut *self.broke,
                    findings: &mut *self.findings,
                    each: &mut *self.each,
                };
                map.next_value_seed(list)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
