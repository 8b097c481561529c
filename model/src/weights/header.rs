//! The bytes of a safetensors file in, its tensors' names, types, shapes and places out, all checked against the file.
//!
//! The format (<https://github.com/huggingface/safetensors>): eight bytes with the header's length, the header in JSON, then
//! the tensors' bytes without gaps. The crate's own reader is not used here, as sums of lying offsets overflow in it.

use std::ops::Range;

use safetensors::Dtype;
use serde::Deserialize;

use super::unique::UniqueMap;

/// Bytes of the header's length.
const LENGTH_BYTES: usize = 8;
/// Longest header read. A tensor takes some 150 bytes; the 72B model has 1 300 in 38 files.
const MAX_HEADER: u64 = 16 << 20;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 8;

/// A tensor that a header names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeaderTensor {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Within the file.
    pub(super) range: Range<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Reads the header of `file`, whole.
///
/// # Errors
/// What is wrong, naming the tensor.
pub(super) fn read_header(file: &[u8]) -> Result<Vec<HeaderTensor>, String> {
    let (length, rest) = file.split_first_chunk::<LENGTH_BYTES>().ok_or("shorter than a header's length")?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes, at most {MAX_HEADER} are read"));
    }
    let header = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let header = header.ok_or_else(|| format!("a header of {length} bytes ends beyond the file"))?;
    let data = rest.len() - header.len();
    let start = LENGTH_BYTES + header.len();
    let entries: UniqueMap<Entry> = serde_json::from_slice(header).map_err(|e| format!("header: {e}"))?;
    let mut tensors = Vec::with_capacity(entries.0.len());
    for (name, entry) in entries.0 {
        let [begin, end] = entry.data_offsets;
        if begin > end || end > data {
            return Err(format!("tensor {name} lies at {begin}..{end} of {data} bytes of data"));
        }
        let bytes = size(&entry).ok_or_else(|| format!("tensor {name} has the absurd shape {:?}", entry.shape))?;
        if bytes != end - begin {
            let Entry { dtype, shape, .. } = entry;
            return Err(format!("tensor {name}, {dtype} {shape:?}, needs {bytes} bytes and has {}", end - begin));
        }
        tensors.push(HeaderTensor { name, dtype: entry.dtype, shape: entry.shape, range: start + begin..start + end });
    }
    tensors.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    let mut free = start;
    for tensor in &tensors {
        if tensor.range.start < free {
            return Err(format!("tensor {} overlaps the one before it", tensor.name));
        }
        if tensor.range.start > free {
            return Err(format!("{} bytes before tensor {} belong to none", tensor.range.start - free, tensor.name));
        }
        free = tensor.range.end;
    }
    if free != file.len() {
        return Err(format!("the last tensor ends at byte {free}"));
    }
    Ok(tensors)
}

/// Bytes of the tensor; none where they cannot be counted, or are no whole number.
fn size(entry: &Entry) -> Option<usize> {
    if entry.shape.len() > MAX_DIMENSIONS {
        return None;
    }
    // a side of zero must not hide sides whose product cannot be counted
    entry.shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side.max(1)))?;
    let numbers: usize = entry.shape.iter().product();
    let bits = numbers.checked_mul(entry.dtype.bitsize())?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
    }

    fn entry(dtype: &str, shape: &str, begin: u64, end: u64) -> String {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
    }

    fn fault(header: &str, data: usize) -> String {
        read_header(&file(header, data)).unwrap_err()
    }

    #[test]
    fn what_the_safetensors_crate_writes_is_read_the_same() {
        let data: Vec<u8> = (0..48).collect();
        let views = [
            ("b", safetensors::tensor::TensorView::new(Dtype::F32, vec![2, 3], &data[..24]).unwrap()),
            ("a", safetensors::tensor::TensorView::new(Dtype::BF16, vec![], &data[..2]).unwrap()),
            ("c", safetensors::tensor::TensorView::new(Dtype::U8, vec![0, 4], &[]).unwrap()),
        ];
        let file = safetensors::serialize(views, Some([("format".to_owned(), "pt".to_owned())].into())).unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&file).unwrap();
        let ours = read_header(&file).unwrap();
        assert_eq!(ours.len(), 3);
        for tensor in ours {
            let view = theirs.tensor(&tensor.name).unwrap();
            assert_eq!((view.dtype(), view.shape()), (tensor.dtype, tensor.shape.as_slice()));
            assert_eq!(view.data(), &file[tensor.range]);
        }
    }

    #[test]
    fn headers_that_lie_are_refused_by_tensor_and_reason() {
        let f32_at = |begin, end| entry("F32", "[2]", begin, end);
        let huge = u64::MAX / 8;
        let cases = [
            (format!(r#"{{"a":{}}}"#, f32_at(0, 16)), 16, "tensor a, F32 [2], needs 8 bytes and has 16"),
            (format!(r#"{{"a":{}}}"#, f32_at(0, 8)), 4, "tensor a lies at 0..8 of 4"),
            (format!(r#"{{"a":{}}}"#, f32_at(8, 0)), 8, "tensor a lies at 8..0"),
            (format!(r#"{{"a":{}}}"#, f32_at(0, 8)), 9, "the last tensor ends"),
            (format!(r#"{{"a":{},"b":{}}}"#, f32_at(0, 8), f32_at(4, 12)), 12, "tensor b overlaps"),
            (format!(r#"{{"a":{},"b":{}}}"#, f32_at(0, 8), f32_at(12, 20)), 20, "4 bytes before tensor b"),
            (format!(r#"{{"a":{},"a":{}}}"#, f32_at(0, 8), f32_at(0, 8)), 8, "a stands there twice"),
            (format!(r#"{{"a":{}}}"#, entry("F32", "[4294967296,4294967296]", 0, 0)), 0, "absurd shape"),
            (format!(r#"{{"a":{}}}"#, entry("U8", &format!("[{huge}]"), 0, huge)), 0, "tensor a lies at"),
            (format!(r#"{{"a":{}}}"#, entry("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4)), 4, "absurd shape"),
            (format!(r#"{{"a":{}}}"#, entry("Q9", "[1]", 0, 4)), 4, "header: a: unknown variant"),
            (r#"{"a":1}"#.to_owned(), 0, "header: a: "),
            ("[]".to_owned(), 0, "header: "),
        ];
        for (header, data, says) in cases {
            let error = fault(&header, data);
            assert!(error.contains(says), "{header}: {error}");
        }
        assert!(read_header(&[1, 0]).unwrap_err().contains("shorter"));
        assert!(read_header(&u64::MAX.to_le_bytes()).unwrap_err().contains("at most"));
        assert!(read_header(&9u64.to_le_bytes()).unwrap_err().contains("beyond the file"));
    }

    proptest! {
        #[test]
        fn changed_and_cut_headers_never_panic(at in 0usize..200, byte in any::<u8>(), cut in 0usize..220) {
            let header = format!(r#"{{"a":{},"b":{}}}"#, entry("F32", "[2,3]", 0, 24), entry("I64", "[2]", 24, 40));
            let mut file = file(&header, 40);
            let length = file.len();
            file[at.min(length - 1)] = byte;
            if let Ok(tensors) = read_header(&file[..cut.min(length)]) {
                for tensor in tensors {
                    prop_assert!(tensor.range.end <= length);
                }
            }
        }

        #[test]
        fn any_offsets_are_refused_or_within_the_file(begin in any::<u64>(), end in any::<u64>(), side in any::<u64>()) {
            let header = format!(r#"{{"a":{},"b":{}}}"#, entry("U8", "[4]", 0, 4), entry("F4", &format!("[{side}]"), begin, end));
            prop_assert!(read_header(&file(&header, 8)).is_err() || (begin, end) == (4, 8));
        }
    }
}
