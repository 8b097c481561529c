//! Text of a language model in, the tokens of what looks like JSON in it and the prose around out; nothing is refused.
//!
//! One pass, each byte looked at once or twice. Strings may stand in single or double quotes and end with their line at the
//! latest, so that a forgotten quote swallows one line and not the rest.

/// A piece of relaxed JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `{` or, when true, `[`.
    Open(bool),
    /// `}` or, when true, `]`.
    Close(bool),
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// A quoted string, escapes undone.
    Text(String),
    /// A bare word or number, as in `label`, `null`, `-1.5e3`, `NaN`.
    Word(String),
    /// Three backticks: code begins or ends.
    Fence,
}

/// Longest string that is kept, bytes; the rest of it is skipped.
const MAX_STRING: usize = 400;
/// Longest prose that is kept, bytes.
const MAX_PROSE: usize = 4000;

/// Reads a text from its beginning.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// What stood outside of brackets and fences' language names.
    pub(super) prose: String,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, prose: String::new() }
    }

    /// The next token and where it starts. Outside of brackets (`inside` false) all up to the next bracket or fence is prose.
    pub(super) fn next(&mut self, inside: bool) -> Option<(usize, Token)> {
        if !inside {
            self.take_prose();
        }
        loop {
            let rest = self.text.get(self.at..)?;
            let first = rest.chars().next()?;
            let start = self.at;
            if rest.starts_with("```") {
                self.at += 3;
                return Some((start, Token::Fence));
            }
            self.at += first.len_utf8();
            let token = match first {
                '{' | '[' => Token::Open(first == '['),
                '}' | ']' => Token::Close(first == ']'),
                ':' => Token::Colon,
                ',' => Token::Comma,
                '"' | '\'' | '“' | '”' => Token::Text(self.string(first)),
                c if c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '_') => {
                    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '_');
                    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                    self.at = start + end;
                    Token::Word(cut(&rest[..end], MAX_STRING).to_owned())
                }
                _ => continue,
            };
            return Some((start, token));
        }
    }

    /// Moves up to the next opening bracket or fence, or to the end.
    fn take_prose(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let bytes = rest.as_bytes();
        let is_stop = |i: usize| matches!(bytes[i], b'{' | b'[') || bytes[i..].starts_with(b"```");
        let end = (0..bytes.len()).find(|&i| is_stop(i)).unwrap_or(bytes.len());
        let room = MAX_PROSE.saturating_sub(self.prose.len());
        self.prose.push_str(cut(&rest[..end], room));
        self.at += end;
    }

    /// After an opening fence: leaves out the name of the language, and puts a break where the code stood.
    pub(super) fn skip_language(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if self.prose.len() < MAX_PROSE {
            self.prose.push('\n');
        }
    }

    /// The rest of a string that `quote` opened.
    fn string(&mut self, quote: char) -> String {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut out = String::new();
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        while let Some((i, c)) = chars.next() {
            let is_end = match quote {
                '“' | '”' => matches!(c, '“' | '”'),
                _ => c == quote,
            };
            if is_end {
                end = i + c.len_utf8();
                break;
            }
            if c == '\n' {
                end = i;
                break;
            }
            let c = match c {
                '\\' => match chars.next() {
                    Some((_, 'n' | 't' | 'r')) => ' ',
                    Some((i, 'u')) => {
                        let code = rest.get(i + 1..i + 5).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                        if code.is_some() {
                            chars.nth(3);
                        }
                        code.and_then(char::from_u32).unwrap_or(' ')
                    }
                    Some((i, '\n')) => {
                        end = i;
                        break;
                    }
                    Some((_, other)) => other,
                    None => break,
                },
                c => c,
            };
            if out.len() < MAX_STRING {
                out.push(c);
            }
        }
        self.at += end;
        out
    }
}

/// The beginning of `text`, at most `bytes` long and whole characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Token> {
        let mut scanner = Scanner::new(text);
        let mut depth = 0;
        let mut out = Vec::new();
        while let Some((_, token)) = scanner.next(depth > 0) {
            match token {
                Token::Open(_) => depth += 1,
                Token::Close(_) => depth -= 1,
                _ => {}
            }
            out.push(token);
        }
        out
    }

    #[test]
    fn strings_end_with_their_quote_or_their_line() {
        let text = |s: &str| Token::Text(s.to_owned());
        assert_eq!(all(r#"["a\"b", 'c', "é\n"]"#)[1], text("a\"b"));
        assert_eq!(all("[\"open\n, \"next\"]")[1..4], [text("open"), Token::Comma, text("next")]);
        assert_eq!(all(r#"["\u00e9\uD800\u12"]"#)[1], text("é  12"));
        assert_eq!(all("[“curly”]")[1], text("curly"));
        assert_eq!(all("[\"\\"), [Token::Open(true), text("")]);
    }

    #[test]
    fn prose_is_no_json() {
        let mut scanner = Scanner::new("it's \"here\": [1]");
        assert_eq!(scanner.next(false), Some((13, Token::Open(true))));
        assert_eq!(scanner.prose, "it's \"here\": ");
        assert_eq!(scanner.next(true), Some((14, Token::Word("1".to_owned()))));
    }

    #[test]
    fn long_strings_are_cut_between_characters() {
        let long = "ä".repeat(1000);
        let Token::Text(kept) = all(&format!("[\"{long}\"]"))[1].clone() else { panic!() };
        assert!(kept.len() <= MAX_STRING + 1 && kept.chars().all(|c| c == 'ä'));
        assert_eq!(cut("ää", 3), "ä");
    }
}
