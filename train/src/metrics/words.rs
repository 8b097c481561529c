//! Text of captions and answers -> the words that metrics compare: Penn Treebank tokens without punctuation, and the normal form of answers.

/// One caption and what it is compared with, as words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The words of the scored caption.
    pub candidate: Vec<String>,
    /// The words of each reference.
    pub references: Vec<Vec<String>>,
}

impl Words {
    /// Tokenises a caption and its references by [`tokens`].
    pub fn of<S: AsRef<str>>(candidate: &str, references: &[S]) -> Self {
        Self { candidate: tokens(candidate), references: references.iter().map(|r| tokens(r.as_ref())).collect() }
    }
}

/// Lower case, words alone, one space between: what exact match compares.
pub fn normal_form(text: &str) -> String {
    let words: String = text.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Abbreviations that keep their full stop (of the tokeniser's list, those that a caption may hold).
const ABBREVIATIONS: [&str; 48] = [
    "al", "apr", "assn", "assoc", "aug", "ave", "bldg", "blvd", "bros", "co", "corp", "dec", "dept", "dr", "elec",
    "est", "etc", "ext", "feb", "fri", "ft", "inc", "intl", "jan", "jr", "jul", "jun", "ltd", "mar", "mfg", "mon",
    "mr", "mrs", "ms", "mt", "nov", "oct", "prof", "rd", "sept", "sq", "sr", "st", "tel", "thu", "tue", "vs", "wed",
];
/// Abbreviations that keep their full stop before a number.
const BEFORE_NUMBERS: [&str; 4] = ["no", "art", "pp", "fig"];
/// Words written as one that are two, with the length of the first.
const JOINED: [(&str, usize); 6] =
    [("cannot", 3), ("gonna", 3), ("gotta", 3), ("wanna", 3), ("lemme", 3), ("gimme", 3)];
/// Endings after an apostrophe that are words of their own.
const CLITICS: [&str; 6] = ["s", "m", "d", "re", "ve", "ll"];

/// Words of a caption: lower case, split as the Penn Treebank does, punctuation left out. They are those of
/// pycocoevalcap's `PTBTokenizer` (Stanford CoreNLP 3.4.1 `-preserveLines -lowerCase`, then its list of punctuation),
/// its oddities included: brackets stay as `-lrb-` and so on, runs such as `??` stay.
///
/// Known to differ: URLs, e-mail addresses and emoticons, ordinal and fraction signs, abbreviations that are not among
/// the listed ones, `no.` at the end of a text, `y'all`, `rock'n'roll` and `more'n`.
pub fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let lower = text.to_lowercase();
    let mut chunks = lower.split_whitespace().peekable();
    while let Some(chunk) = chunks.next() {
        let number_next = chunks.peek().is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()));
        let chars: Vec<char> = plain(chunk);
        Chunk { chars: &chars, number_next, out: &mut out }.split();
    }
    out
}

/// Typographic quotes, dashes and ellipses as ASCII.
fn plain(chunk: &str) -> Vec<char> {
    let mut out = Vec::with_capacity(chunk.len());
    for c in chunk.chars() {
        match c {
            '\u{201c}' | '\u{201d}' => out.push('"'),
            '\u{2018}' | '\u{2019}' => out.push('\''),
            '\u{2013}' | '\u{2014}' => out.extend(['-', '-']),
            '\u{2026}' => out.extend(['.', '.', '.']),
            c => out.push(c),
        }
    }
    out
}

/// One run without white space.
struct Chunk<'a> {
    chars: &'a [char],
    number_next: bool,
    out: &'a mut Vec<String>,
}

impl Chunk<'_> {
    fn at(&self, i: usize) -> Option<char> {
        self.chars.get(i).copied()
    }

    fn digit(&self, i: usize) -> bool {
        self.at(i).is_some_and(|c| c.is_ascii_digit())
    }

    fn letter(&self, i: usize) -> bool {
        self.at(i).is_some_and(char::is_alphabetic)
    }

    fn word_char(&self, i: usize) -> bool {
        self.at(i).is_some_and(char::is_alphanumeric)
    }

    fn run(&self, from: usize, same: impl Fn(char) -> bool) -> usize {
        self.chars[from..].iter().take_while(|c| same(**c)).count()
    }

    fn push(&mut self, from: usize, to: usize) {
        self.out.push(self.chars[from..to].iter().collect());
    }

    fn split(mut self) {
        let mut i = 0;
        while let Some(c) = self.at(i) {
            let signed = matches!(c, '-' | '+' | '.' | ',' | ':') && self.digit(i + 1);
            i = match c {
                c if c.is_alphanumeric() => self.word(i),
                '-' | '.' if self.at(i + 1) == Some(c) => i + self.run(i, |x| x == c),
                _ if signed => self.number(i),
                '!' | '?' => {
                    let to = i + self.run(i, |x| matches!(x, '!' | '?'));
                    if to > i + 1 {
                        self.push(i, to);
                    }
                    to
                }
                '\'' => self.apostrophe(i),
                '`' | '"' | ',' | ';' | ':' | '-' | '.' => i + 1,
                '(' | ')' | '[' | ']' | '{' | '}' => {
                    let name = match c {
                        '(' => "-lrb-",
                        ')' => "-rrb-",
                        '[' => "-lsb-",
                        ']' => "-rsb-",
                        '{' => "-lcb-",
                        _ => "-rcb-",
                    };
                    self.out.push(name.to_owned());
                    i + 1
                }
                _ => {
                    self.push(i, i + 1);
                    i + 1
                }
            };
        }
    }

    /// A clitic, an elided word such as `'90s`, or a quote, which is left out.
    fn apostrophe(&mut self, i: usize) -> usize {
        let to = i + 1 + self.run(i + 1, char::is_alphanumeric);
        let rest: String = self.chars[i + 1..to].iter().collect();
        if CLITICS.contains(&rest.as_str()) || rest == "em" || (rest.len() == 3 && rest.ends_with("0s")) {
            self.push(i, to);
            return to;
        }
        if rest == "tis" || rest == "twas" {
            self.push(i, i + 2);
            return self.word(i + 2);
        }
        i + 1
    }

    /// Digits with points, commas or colons between, and a sign before.
    fn number_end(&self, from: usize) -> usize {
        let mut i = from + 1;
        while self.digit(i) || (matches!(self.at(i), Some('.' | ',' | ':')) && self.digit(i + 1) && self.digit(i - 1)) {
            i += 1;
        }
        i
    }

    fn number(&mut self, i: usize) -> usize {
        let to = self.number_end(i);
        self.push(i, to);
        to
    }

    fn word(&mut self, from: usize) -> usize {
        if self.digit(from) {
            let to = self.number_end(from);
            let whole = self.chars[from..to].iter().all(char::is_ascii_digit);
            if !whole || !(self.word_char(to) || self.joint(to)) {
                let end = to + usize::from(whole && self.at(to) == Some('.') && self.clause_goes_on(to + 1));
                self.push(from, end);
                return end;
            }
        }
        let mut i = from;
        while self.word_char(i) || self.joint(i) {
            i += 1;
        }
        self.letters(from, i)
    }

    /// Whether the sign at `i` lies within a word: `dark-brown`, `and/or`, `room_2`, `o'clock`, `d'art`, `table.it`, `so?yes`.
    fn joint(&self, i: usize) -> bool {
        if i == 0 || !self.word_char(i - 1) || !self.word_char(i + 1) {
            return false;
        }
        match self.at(i) {
            Some('-' | '/' | '_' | '@') => true,
            Some('.' | '!' | '?') => self.letter(i - 1) && self.letter(i + 1),
            Some('\'') => {
                let elided = matches!(self.at(i - 1), Some('o' | 'd' | 'l')) && (i < 2 || !self.word_char(i - 2));
                let negated = self.at(i - 1) == Some('n') && self.at(i + 1) == Some('t') && !self.word_char(i + 2);
                negated || (elided && self.letter(i + 1) && !self.is_clitic(i))
            }
            _ => false,
        }
    }

    /// Whether the apostrophe at `i` starts a clitic.
    fn is_clitic(&self, i: usize) -> bool {
        let to = i + 1 + self.run(i + 1, char::is_alphanumeric);
        let rest: String = self.chars[i + 1..to].iter().collect();
        CLITICS.contains(&rest.as_str())
    }

    /// Pushes the word of `from..to` in its parts, and returns where it ends.
    fn letters(&mut self, from: usize, to: usize) -> usize {
        let word: String = self.chars[from..to].iter().collect();
        let cut = match JOINED.iter().find(|(joined, _)| *joined == word) {
            Some((_, first)) => from + first,
            None if word.len() > 3 && word.ends_with("n't") => to - 3,
            None => to,
        };
        if cut < to {
            self.push(from, cut);
            self.push(cut, to);
            return to;
        }
        let end = to + usize::from(self.at(to) == Some('.') && self.keeps_stop(&word, to + 1));
        self.push(from, end);
        end
    }

    /// Whether the full stop after `word`, which ends at `next`, belongs to it.
    fn keeps_stop(&self, word: &str, next: usize) -> bool {
        let number = if next < self.chars.len() { self.digit(next) } else { self.number_next };
        let one_letter = |part: &str| part.chars().count() == 1 && part.chars().all(char::is_alphabetic);
        word.split('.').all(one_letter)
            || word == "ph.d"
            || ABBREVIATIONS.contains(&word)
            || (number && BEFORE_NUMBERS.contains(&word))
            || self.clause_goes_on(next)
    }

    /// Whether a full stop that ends at `next` is followed by a sign that does not follow a sentence.
    fn clause_goes_on(&self, next: usize) -> bool {
        matches!(self.at(next), Some(',' | ';' | ':'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> String {
        tokens(text).join(" ")
    }

    #[test]
    fn punctuation_goes_and_clitics_stand_alone() {
        for (text, expected) in [
            ("A chair, next to the desk.", "a chair next to the desk"),
            (
                "The chair's legs; it isn't the desks' (or is it?)",
                "the chair 's legs it is n't the desks -lrb- or is it -rrb-",
            ),
            ("dark-brown -- L-shaped - couch!", "dark-brown l-shaped couch"),
            ("2.5m 10cm 1,000 #2 $5 50% 12:30 -1", "2.5 m 10cm 1,000 # 2 $ 5 50 % 12:30 -1"),
            ("“curly” ‘quotes’ don’t — stay…", "curly quotes do n't stay"),
            ("I cannot; they're gonna.", "i can not they 're gon na"),
            ("the U.S. has no. 5, no. chair etc. at a. the end.", "the u.s. has no. 5 no chair etc. at a. the end"),
            ("and/or tv/ w/ 3/4 a&b", "and/or tv / w / 3/4 a & b"),
            ("what?? really?", "what ?? really"),
            ("it is one.The end", "it is one.the end"),
            ("the t.v.. is it", "the t.v. is it"),
            ("is it?yes! 7., 3.5.,", "is it?yes 7. 3.5"),
            ("approx., a d'art a'if", "approx. a d'art a if"),
            ("", ""),
            (" ... -- !", ""),
        ] {
            assert_eq!(joined(text), expected, "{text}");
        }
    }

    #[test]
    fn the_normal_form_ignores_case_and_punctuation() {
        assert_eq!(normal_form(" Night stand. "), normal_form("night  stand"));
        assert_ne!(normal_form("red"), normal_form("dark red"));
        assert_eq!(normal_form("?!"), "");
    }
}
