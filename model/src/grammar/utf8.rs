//! The bytes of one character in, a byte at a time; out, whether it can still be one, and whether it is white space.

/// A character of several bytes of which some are missing. What has the same future is equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PartialChar {
    /// Bytes that are missing.
    missing: u8,
    /// The least that the next byte may be.
    low: u8,
    /// The most that it may be.
    high: u8,
    /// The bits so far while the character can become white space; None where it cannot, or nobody asks.
    white: Option<u16>,
}

/// What a byte makes of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grown {
    /// More bytes must follow.
    Partial(PartialChar),
    /// It is whole; true when it is white space.
    Whole(bool),
}

impl PartialChar {
    /// Begun by a byte that is not ASCII; None where no character begins so (Unicode 15, table 3-7). `asked` tells whether it
    /// matters that the character is white space.
    pub fn begin(byte: u8, asked: bool) -> Option<Self> {
        let (missing, low, high) = match byte {
            0xC2..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xE1..=0xEF => (2, 0x80, 0xBF),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            _ => return None,
        };
        // white space ends at U+3000; behind 0xE0 stand U+0800 to U+0FFF, among which there is none
        let bits = match missing {
            1 => Some(u16::from(byte & 0x1F)),
            2 if byte != 0xE0 => Some(u16::from(byte & 0x0F)),
            _ => None,
        };
        let white = bits.filter(|&bits| asked && can_be_white(bits, missing));
        Some(Self { missing, low, high, white })
    }

    /// Whether it can become white space; false also where nobody asked.
    pub fn can_be_white(self) -> bool {
        self.white.is_some()
    }

    /// With one more byte; None where no character goes on so.
    pub fn grow(self, byte: u8) -> Option<Grown> {
        if !(self.low..=self.high).contains(&byte) {
            return None;
        }
        let missing = self.missing - 1;
        let white =
            self.white.map(|bits| bits << 6 | u16::from(byte & 0x3F)).filter(|&bits| can_be_white(bits, missing));
        Some(match missing {
            0 => Grown::Whole(white.is_some()),
            _ => Grown::Partial(Self { missing, low: 0x80, high: 0xBF, white }),
        })
    }
}

/// Whether white space has `bits` before its last `missing` bytes, which hold 6 bits each.
fn can_be_white(bits: u16, missing: u8) -> bool {
    let shift = 6 * u32::from(missing);
    let first = u32::from(bits) << shift;
    (first..first + (1 << shift)).filter_map(char::from_u32).any(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_read_and_white_space_known() {
        for c in ('\u{80}'..=char::MAX).step_by(3).chain("\u{85}\u{A0}\u{1680}\u{2003}\u{202F}\u{3000}\u{FFFD}".chars())
        {
            for asked in [true, false] {
                let bytes = c.to_string().into_bytes();
                let mut partial = PartialChar::begin(bytes[0], asked).unwrap();
                for (i, &byte) in bytes.iter().enumerate().skip(1) {
                    assert!(partial.can_be_white() || !(asked && c.is_whitespace()), "{c:?}");
                    match partial.grow(byte).unwrap() {
                        Grown::Partial(next) => partial = next,
                        Grown::Whole(white) => {
                            assert!(i + 1 == bytes.len() && white == (asked && c.is_whitespace()), "{c:?}");
                        }
                    }
                }
            }
        }
    }

    /// All strings of two and three bytes, against the standard library.
    #[test]
    fn nothing_else_is_read() {
        for first in 0x80..=0xFF {
            for second in 0..=0xFF {
                let read = PartialChar::begin(first, true).and_then(|p| p.grow(second));
                let known = match std::str::from_utf8(&[first, second]) {
                    Ok(_) => Some(true),
                    Err(e) if e.error_len().is_none() => Some(false),
                    Err(_) => None,
                };
                assert_eq!(read.map(|r| matches!(r, Grown::Whole(_))), known, "{first:x} {second:x}");
            }
        }
    }
}
