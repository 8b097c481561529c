//! Running text around the lists in, the plain answer in it out.

use super::relaxed::cut;

/// Longest answer, bytes.
pub(super) const MAX_ANSWER: usize = 1000;

/// Single spaces, no control characters, at most `bytes` long.
pub(super) fn tidy(text: &str, bytes: usize) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()) {
        if out.len() > bytes {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    cut(&out, bytes).trim_end().to_owned()
}

/// What stands behind the last line's beginning `Answer:`, to the end of its paragraph; else all prose. Whether there is such
/// a line comes beside it.
pub(super) fn answer(prose: &str) -> Option<(String, bool)> {
    const MARKS: [char; 6] = ['*', '#', '>', '-', '_', '`'];
    let mut marked: Option<String> = None;
    let mut all = String::new();
    let mut open = false;
    for line in prose.lines() {
        let line = line.trim().trim_start_matches(MARKS).trim_start().trim_end_matches(['*', '`']);
        let named = line.get(..6).filter(|start| start.eq_ignore_ascii_case("answer"));
        let after = named.map(|_| line[6..].trim_start_matches(MARKS).trim_start());
        if let Some(rest) = after.and_then(|rest| rest.strip_prefix(':')) {
            marked = Some(rest.trim_start_matches(MARKS).to_owned());
            open = true;
        } else if line.is_empty() {
            open = false;
        } else if open && let Some(marked) = &mut marked {
            marked.push(' ');
            marked.push_str(line);
        }
        all.push_str(line);
        all.push(' ');
    }
    let is_marked = marked.is_some();
    let found = tidy(&marked.unwrap_or(all), MAX_ANSWER);
    (!found.is_empty()).then_some((found, is_marked))
}
