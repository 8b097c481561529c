//! A PLY file in (ASCII or binary of either byte order, version 1.0), the places of its vertices out.
//!
//! Layout: Greg Turk, The PLY Polygon File Format, 1994. Of the faces only that the file is long enough for them is
//! checked.

use std::io::{BufRead, Read};
use std::path::Path;

use super::file::open;
use super::finding::{Fault, Place};

/// Largest file, bytes; ScanNet's largest mesh is a hundredth of it.
const MAX_PLY_BYTES: u64 = 8 << 30;
/// Longest header line and most of them.
const MAX_LINE_BYTES: u64 = 4096;
const MAX_HEADER_LINES: u64 = 512;
/// Most properties of an element.
const MAX_PROPERTIES: usize = 128;
const REMEDY: &str = "get the file again";

/// What is wrong, and the line of the header or of an ASCII body where.
pub(crate) type PlyFault = (Fault, Place);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Ascii,
    Little,
    Big,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Number {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "char" | "int8" => Self::I8,
            "uchar" | "uint8" => Self::U8,
            "short" | "int16" => Self::I16,
            "ushort" | "uint16" => Self::U16,
            "int" | "int32" => Self::I32,
            "uint" | "uint32" => Self::U32,
            "float" | "float32" => Self::F32,
            "double" | "float64" => Self::F64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

struct Property {
    name: String,
    number: Number,
    is_list: bool,
}

struct Element {
    name: String,
    count: u64,
    properties: Vec<Property>,
}

struct Header {
    encoding: Encoding,
    elements: Vec<Element>,
    lines: u64,
    bytes: u64,
}

/// The places of all vertices, all finite.
pub(crate) fn read_vertices(path: &Path) -> Result<Vec<[f32; 3]>, PlyFault> {
    let (mut reader, length) = open(path, MAX_PLY_BYTES).map_err(|fault| (fault, Place::File))?;
    vertices(&mut reader, length)
}

fn fault(what: impl Into<String>, place: Place) -> PlyFault {
    (Fault::new("", what, REMEDY), place)
}

fn vertices(reader: &mut impl BufRead, length: u64) -> Result<Vec<[f32; 3]>, PlyFault> {
    let header = header(reader)?;
    let [vertex, ..] = header.elements.as_slice() else {
        return Err(fault("has no elements", Place::Line(header.lines)));
    };
    if vertex.name != "vertex" {
        let what = format!("has `{}` as its first element, it must be `vertex`", vertex.name);
        return Err(fault(what, Place::Line(header.lines)));
    }
    if vertex.properties.iter().any(|p| p.is_list) {
        return Err(fault("has a list among the properties of a vertex", Place::Line(header.lines)));
    }
    let mut columns = [0; 3];
    for (column, axis) in columns.iter_mut().zip(["x", "y", "z"]) {
        let found =
            vertex.properties.iter().position(|p| p.name == axis && matches!(p.number, Number::F32 | Number::F64));
        *column = found.ok_or_else(|| {
            (Fault::new(axis, "is no float or double property of the vertices", REMEDY), Place::Line(header.lines))
        })?;
    }
    let left = length.saturating_sub(header.bytes);
    let needed = header
        .elements
        .iter()
        .map(|e| e.count.saturating_mul(least_bytes(e, header.encoding)))
        .fold(0, u64::saturating_add);
    if needed > left {
        let counts: Vec<String> = header.elements.iter().map(|e| format!("{} {}", e.count, e.name)).collect();
        let what = format!("is cut off: {} need at least {needed} bytes, {left} are left", counts.join(", "));
        return Err(fault(what, Place::File));
    }
    match header.encoding {
        Encoding::Ascii => ascii(reader, vertex, columns, header.lines),
        encoding => binary(reader, vertex, columns, encoding),
    }
}

/// Fewest bytes that one of an element takes.
fn least_bytes(element: &Element, encoding: Encoding) -> u64 {
    let of = |p: &Property| {
        if encoding == Encoding::Ascii {
            2
        } else if p.is_list {
            1
        } else {
            p.number.bytes() as u64
        }
    };
    element.properties.iter().map(of).sum()
}

fn header(reader: &mut impl BufRead) -> Result<Header, PlyFault> {
    let mut out = Header { encoding: Encoding::Ascii, elements: Vec::new(), lines: 0, bytes: 0 };
    let mut encoding = None;
    loop {
        let text = line(reader, &mut out)?;
        let place = Place::Line(out.lines);
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["ply"] if out.lines == 1 => {}
            _ if out.lines == 1 => return Err(fault("is no PLY file: it does not begin with `ply`", place)),
            ["format", name, "1.0"] => {
                encoding = Some(match *name {
                    "ascii" => Encoding::Ascii,
                    "binary_little_endian" => Encoding::Little,
                    "binary_big_endian" => Encoding::Big,
                    other => return Err(fault(format!("has the unknown format `{other}`"), place)),
                });
            }
            [] | ["comment" | "obj_info", ..] => {}
            ["element", name, count] => {
                let count = count.parse().map_err(|_| fault(format!("counts `{count}` of `{name}`"), place))?;
                out.elements.push(Element { name: (*name).to_owned(), count, properties: Vec::new() });
            }
            ["property", rest @ ..] => {
                let element =
                    out.elements.last_mut().ok_or_else(|| fault("has a property before any element", place))?;
                let (number, name, is_list) = match rest {
                    ["list", _, number, name] => (number, name, true),
                    [number, name] => (number, name, false),
                    _ => return Err(fault("has a property that is neither a number nor a list", place)),
                };
                let number =
                    Number::of(number).ok_or_else(|| fault(format!("has the unknown type `{number}`"), place))?;
                if element.properties.len() == MAX_PROPERTIES {
                    return Err(fault(format!("has more than {MAX_PROPERTIES} properties"), place));
                }
                element.properties.push(Property { name: (*name).to_owned(), number, is_list });
            }
            ["end_header"] => {
                out.encoding = encoding.ok_or_else(|| fault("names no format", place))?;
                return Ok(out);
            }
            _ => return Err(fault("is no line of a PLY header", place)),
        }
    }
}

fn line(reader: &mut impl BufRead, header: &mut Header) -> Result<String, PlyFault> {
    header.lines += 1;
    let place = Place::Line(header.lines);
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
    let n = read.map_err(|e| fault(format!("cannot be read: {e}"), place))?;
    header.bytes += n as u64;
    if n == 0 || header.lines > MAX_HEADER_LINES || !bytes.ends_with(b"\n") {
        return Err(fault("ends within its header", place));
    }
    String::from_utf8(bytes).map_err(|_| fault("has a header that is no text", place))
}

fn finite(place: [f64; 3], index: u64) -> Result<[f32; 3], PlyFault> {
    let single = place.map(|x| x as f32);
    if single.iter().all(|x| x.is_finite()) {
        return Ok(single);
    }
    Err(fault("has a vertex that is not finite", Place::Item(index)))
}

fn binary(
    reader: &mut impl Read,
    vertex: &Element,
    columns: [usize; 3],
    encoding: Encoding,
) -> Result<Vec<[f32; 3]>, PlyFault> {
    let offsets: Vec<usize> = vertex
        .properties
        .iter()
        .scan(0, |at, p| {
            let offset = *at;
            *at += p.number.bytes();
            Some(offset)
        })
        .collect();
    let mut row = vec![0; vertex.properties.iter().map(|p| p.number.bytes()).sum()];
    let mut out = Vec::new();
    for index in 0..vertex.count {
        reader.read_exact(&mut row).map_err(|e| fault(format!("ends early: {e}"), Place::Item(index)))?;
        let number = |column: usize| {
            let bytes = &row[offsets[column]..];
            match (vertex.properties[column].number, encoding) {
                (Number::F64, Encoding::Big) => f64::from_be_bytes(first(bytes)),
                (Number::F64, _) => f64::from_le_bytes(first(bytes)),
                (_, Encoding::Big) => f64::from(f32::from_be_bytes(first(bytes))),
                _ => f64::from(f32::from_le_bytes(first(bytes))),
            }
        };
        out.push(finite(columns.map(number), index)?);
    }
    Ok(out)
}

/// The first `N` bytes; the caller has made sure that they are there.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

fn ascii(
    reader: &mut impl BufRead,
    vertex: &Element,
    columns: [usize; 3],
    header_lines: u64,
) -> Result<Vec<[f32; 3]>, PlyFault> {
    let mut out = Vec::new();
    let mut bytes = Vec::new();
    for index in 0..vertex.count {
        let place = Place::Line(header_lines + 1 + index);
        bytes.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
        read.map_err(|e| fault(format!("cannot be read: {e}"), place))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| fault("is no text", place))?;
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != vertex.properties.len() {
            let what = format!("has {} numbers, a vertex has {}", words.len(), vertex.properties.len());
            return Err(fault(what, place));
        }
        let mut xyz = [0.0; 3];
        for (out, column) in xyz.iter_mut().zip(columns) {
            let word = words[column];
            *out = word.parse().map_err(|_| fault(format!("has `{word}` where a number must be"), place))?;
        }
        out.push(finite(xyz, index).map_err(|(fault, _)| (fault, place))?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "element vertex 2\nproperty float x\nproperty uchar red\nproperty double y\nproperty float z\n";

    fn body(encoding: Encoding) -> Vec<u8> {
        let mut out = Vec::new();
        for (x, y, z) in [(1.0f32, 2.0f64, 3.0f32), (-1.5, 0.25, 8.0)] {
            let big = encoding == Encoding::Big;
            out.extend(if big { x.to_be_bytes() } else { x.to_le_bytes() });
            out.push(7);
            out.extend(if big { y.to_be_bytes() } else { y.to_le_bytes() });
            out.extend(if big { z.to_be_bytes() } else { z.to_le_bytes() });
        }
        out
    }

    fn file(format: &str, body: &[u8]) -> Vec<u8> {
        let mut out = format!("ply\nformat {format} 1.0\ncomment made by hand\n{HEAD}end_header\n").into_bytes();
        out.extend_from_slice(body);
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<[f32; 3]>, PlyFault> {
        vertices(&mut &bytes[..], bytes.len() as u64)
    }

    #[test]
    fn all_three_encodings_give_the_same_vertices() {
        let wanted = vec![[1.0, 2.0, 3.0], [-1.5, 0.25, 8.0]];
        assert_eq!(read(&file("binary_little_endian", &body(Encoding::Little))).unwrap(), wanted);
        assert_eq!(read(&file("binary_big_endian", &body(Encoding::Big))).unwrap(), wanted);
        assert_eq!(read(&file("ascii", b"1 7 2 3\n-1.5 7 0.25 8\n")).unwrap(), wanted);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let told = |bytes: &[u8]| {
            let (fault, place) = read(bytes).unwrap_err();
            format!("{place}: {}{}", fault.field, fault.what)
        };
        assert!(told(b"stl\n").starts_with("line 1: is no PLY file"));
        assert!(told(&file("zip", b"")).contains("line 2: has the unknown format `zip`"));
        assert!(told(&file("binary_little_endian", &body(Encoding::Little)[..20])).contains("is cut off: 2 vertex"));
        assert!(told(&file("ascii", b"1 7 2 3\n-1.5 7 x 8\n")).contains("line 11: has `x` where a number must be"));
        assert!(told(&file("ascii", b"1 7 2 3\n-1.5 7 nan 8\n")).contains("line 11: has a vertex that is not finite"));
        assert!(told(&file("ascii", b"1 7 2 3\n-1.5 7 8     \n")).contains("has 3 numbers, a vertex has 4"));
        let many = b"ply\nformat binary_little_endian 1.0\nelement vertex 18446744073709551615\nproperty float x\nproperty float y\nproperty float z\nend_header\n";
        assert!(told(many).contains("is cut off"));
        let face = b"ply\nformat ascii 1.0\nelement face 0\nend_header\n";
        assert!(told(face).contains("it must be `vertex`"));
        let flat = b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty int y\nend_header\n";
        assert!(told(flat).contains("yis no float"));
    }
}
