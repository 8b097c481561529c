//! Words of the Penn Treebank in, the words that METEOR 1.5 compares out (its option `-norm`, English).

/// Abbreviations in lower case that keep their full stop.
const ABBREVIATIONS: [&str; 3] = ["v", "vs", "rev"];

/// Splits words as METEOR's own normaliser does: other signs stand alone (`3 / 4`), hyphens within words go
/// (`dark brown`), an apostrophe leaves the word (`n 't`, `' s`), and acronyms lose their full stops (`us`).
pub(super) fn normalise(words: &[String]) -> Vec<String> {
    let split: Vec<String> = words.iter().flat_map(|word| parts(word)).collect();
    let mut out = Vec::with_capacity(split.len());
    for (i, word) in split.iter().enumerate() {
        let Some(rest) = word.strip_suffix('.').filter(|rest| !rest.is_empty()) else {
            out.push(word.clone());
            continue;
        };
        if rest.contains('.') && rest.chars().any(char::is_alphabetic) {
            out.push(rest.replace('.', ""));
        } else if ABBREVIATIONS.contains(&rest)
            || split.get(i + 1).is_some_and(|next| next.starts_with(|c: char| c.is_ascii_lowercase()))
        {
            out.push(word.clone());
        } else {
            out.push(rest.to_owned());
            out.push(".".to_owned());
        }
    }
    out
}

/// One word's parts by its signs.
fn parts(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let before = |i: usize| i.checked_sub(1).and_then(|i| chars.get(i)).copied().unwrap_or(' ');
    let mut spaced = String::with_capacity(word.len() + 2);
    // The letter after a hyphen was read together with it: `a-b-c` keeps its second hyphen.
    let mut taken = None;
    for (i, c) in chars.iter().copied().enumerate() {
        let (last, next) = (before(i), chars.get(i + 1).copied().unwrap_or(' '));
        match c {
            '-' if (last.is_alphanumeric() || last == '.') && next.is_alphanumeric() && taken != i.checked_sub(1) => {
                taken = Some(i + 1);
                spaced.push(' ');
            }
            '\'' if last.is_alphabetic() && next.is_alphabetic() => spaced.push_str(" '"),
            '\'' if last.is_ascii_digit() && next == 's' => spaced.push_str(" '"),
            '\'' if last.is_ascii_digit() && next.is_alphabetic() => spaced.push(c),
            '\'' => spaced.push_str(" ' "),
            ',' if !(last.is_ascii_digit() && next.is_ascii_digit()) => spaced.push_str(" , "),
            '.' | ',' | '-' | '`' => spaced.push(c),
            c if c.is_alphanumeric() => spaced.push(c),
            c => spaced.extend([' ', c, ' ']),
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_leave_words() {
        for (text, expected) in [
            ("dark-brown a-b-c -1 -lrb-", "dark brown a b-c -1 -lrb-"),
            ("is n't 's chair o'clock '90s", "is n 't ' s chair o 'clock ' 90s"),
            ("3/4 1,000 ,5 2.5 $ 50 % x_2", "3 / 4 1,000 , 5 2.5 $ 50 % x _ 2"),
            ("u.s. e.g. etc. chair etc. 5 vs. 5 etc.", "us eg etc. chair etc . 5 vs. 5 etc ."),
        ] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            assert_eq!(normalise(&words).join(" "), expected, "{text}");
        }
        assert!(normalise(&[]).is_empty());
    }
}
