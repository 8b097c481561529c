//! Class names in, English around them out: articles, plurals and agreement by rule, with the exceptions that rooms need.

use crate::rooms::Object;

/// Words that sound otherwise than their first letter says: no `an` before them.
const CONSONANT_SOUNDS: [&str; 5] = ["uni", "use", "uri", "eu", "one"];

/// The last word of a class name, which carries its number.
fn head(class: &str) -> &str {
    class.rsplit(' ').next().unwrap_or(class)
}

/// Whether a class name is a plural: `books`, `curtains`; not `glass`.
pub(super) fn is_plural(class: &str) -> bool {
    let head = head(class);
    head.ends_with('s') && !["ss", "us", "is"].iter().any(|end| head.ends_with(end))
}

/// Several of a class.
pub(super) fn plural(class: &str) -> String {
    if class == "books" {
        return "stacks of books".to_owned();
    }
    if is_plural(class) {
        return format!("pairs of {class}");
    }
    let vowel_before_y = || class.chars().rev().nth(1).is_some_and(|c| "aeiou".contains(c));
    if let Some(stem) = class.strip_suffix("elf").or_else(|| class.strip_suffix("eaf")) {
        let joint = &class[stem.len()..class.len() - 1];
        return format!("{stem}{joint}ves");
    }
    if class.ends_with('y') && !vowel_before_y() {
        return format!("{}ies", &class[..class.len() - 1]);
    }
    let hissing = ["s", "x", "z", "ch", "sh"].iter().any(|end| class.ends_with(end));
    format!("{class}{}", if hissing { "es" } else { "s" })
}

/// One of a class, with its name in it as it is said of one that is seen: "chair", "stack of books".
pub(super) fn one(class: &str) -> String {
    match class {
        "books" => "stack of books".to_owned(),
        _ if is_plural(class) => format!("pair of {class}"),
        _ => class.to_owned(),
    }
}

/// "is" or "are".
pub(super) fn is(class: &str) -> &'static str {
    if is_plural(class) { "are" } else { "is" }
}

/// "this is" or "these are".
pub(super) fn this_is(class: &str) -> &'static str {
    if is_plural(class) { "these are" } else { "this is" }
}

/// "it" or "them".
pub(super) fn it(class: &str) -> &'static str {
    if is_plural(class) { "them" } else { "it" }
}

/// "it is" or "they are".
pub(super) fn it_is(class: &str) -> &'static str {
    if is_plural(class) { "they are" } else { "it is" }
}

/// "does" or "do".
pub(super) fn does(class: &str) -> &'static str {
    if is_plural(class) { "do" } else { "does" }
}

/// "stands" or "stand".
pub(super) fn stands(class: &str) -> &'static str {
    if is_plural(class) { "stand" } else { "stands" }
}

/// The phrase with its article; `class` says whether it is a plural.
pub(super) fn a(phrase: &str, class: &str) -> String {
    if is_plural(class) {
        return phrase.to_owned();
    }
    let vowel = phrase.starts_with(['a', 'e', 'i', 'o', 'u']);
    let spoken_so = !CONSONANT_SOUNDS.iter().any(|start| phrase.starts_with(start));
    if vowel && spoken_so { format!("an {phrase}") } else { format!("a {phrase}") }
}

/// "a red chair".
pub(super) fn a_thing(o: &Object) -> String {
    a(&thing(o), o.class)
}

/// "red chair".
pub(super) fn thing(o: &Object) -> String {
    format!("{} {}", o.color, o.class)
}

/// A number up to ten as a word.
pub(super) fn number(n: usize) -> String {
    const WORDS: [&str; 11] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    WORDS.get(n).map_or_else(|| n.to_string(), |w| (*w).to_owned())
}

/// An angle from straight ahead, radians and positive to the left, as on the face of a clock: "12 o'clock" is ahead.
pub(super) fn clock(angle: f64) -> String {
    let hour = (-angle.to_degrees() / 30.0).round().rem_euclid(12.0) as u32;
    format!("{} o'clock", if hour == 0 { 12 } else { hour })
}

/// An angle in the map, radians counterclockwise from x, as tens of degrees from 0 to 350.
pub(super) fn degrees(angle: f64) -> String {
    let tens = (angle.to_degrees() / 10.0).round().rem_euclid(36.0) as u32;
    (10 * tens).to_string()
}

/// A length in metres, to a decimetre.
pub(super) fn metres(length: f64) -> String {
    format!("{length:.1} m")
}

/// The sentence with a capital letter at its start.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The sentence with a small letter at its start.
pub(super) fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_told_as_a_clock_and_in_degrees() {
        let at = |degrees: f64| clock(degrees.to_radians());
        assert_eq!([at(0.0), at(90.0), at(-90.0), at(180.0)], ["12 o'clock", "9 o'clock", "3 o'clock", "6 o'clock"]);
        assert_eq!([at(14.0), at(16.0), at(-170.0)], ["12 o'clock", "11 o'clock", "6 o'clock"]);
        assert_eq!([-0.01, 1.6, -1.6, 3.2].map(degrees), ["0", "90", "270", "180"]);
    }

    #[test]
    fn plurals_follow_the_rules() {
        for (one, many) in [
            ("chair", "chairs"),
            ("box", "boxes"),
            ("bookshelf", "bookshelves"),
            ("books", "stacks of books"),
            ("bench", "benches"),
            ("night stand", "night stands"),
            ("tray", "trays"),
            ("lobby", "lobbies"),
            ("curtains", "pairs of curtains"),
            ("floor mat", "floor mats"),
            ("glass", "glasses"),
            ("roof", "roofs"),
        ] {
            assert_eq!(plural(one), many);
        }
        assert_eq!(["chair", "books", "curtains"].map(one), ["chair", "stack of books", "pair of curtains"]);
        assert!(is_plural("books") && !is_plural("glass") && !is_plural("chair"));
    }

    #[test]
    fn articles_go_by_sound() {
        for (phrase, class, with) in [
            ("orange chair", "chair", "an orange chair"),
            ("red books", "books", "red books"),
            ("chair", "chair", "a chair"),
            ("oven", "oven", "an oven"),
            ("urinal", "urinal", "a urinal"),
        ] {
            assert_eq!(a(phrase, class), with);
        }
        assert_eq!(
            (capital("the red chair"), lower("The red chair")),
            ("The red chair".to_owned(), "the red chair".to_owned())
        );
        assert_eq!((number(3), number(12)), ("three".to_owned(), "12".to_owned()));
    }
}
