//! Reasoning in, its steps out: where it says `First`, `Next`, `So`, `Step 2`, `3.` and the like.

/// Words with which a step begins, in lower case (the step cues of 3D-R1, arXiv 2507.23478, Alg. 1, and their kin).
const CUES: [&str; 25] = [
    "first",
    "firstly",
    "second",
    "secondly",
    "third",
    "thirdly",
    "fourth",
    "fifth",
    "next",
    "then",
    "after that",
    "afterwards",
    "finally",
    "last",
    "lastly",
    "so",
    "therefore",
    "thus",
    "hence",
    "consequently",
    "in conclusion",
    "to conclude",
    "to start",
    "to begin",
    "in the end",
];
/// Longest number of a numbered step, digits.
const MAX_STEP_DIGITS: usize = 2;

/// Where steps begin in `text`, bytes, in order.
pub(crate) fn step_starts(text: &str) -> Vec<usize> {
    let mut out = Vec::new();
    let mut fresh = true;
    let mut line_start = true;
    for (at, c) in text.char_indices() {
        if fresh && c.is_alphanumeric() {
            if begins_with_cue(&text[at..]) || line_start && begins_with_number(&text[at..]) {
                out.push(at);
            }
            (fresh, line_start) = (false, false);
        }
        match c {
            '.' | '!' | '?' | '\n' => (fresh, line_start) = (true, true),
            ';' | ':' | ',' => fresh = true,
            _ => {}
        }
    }
    out
}

/// The text of the last step; all of it when there are none.
pub(crate) fn last_step(text: &str) -> &str {
    let start = step_starts(text).last().copied().unwrap_or(0);
    &text[start..]
}

/// `step` without the words that make it one.
pub(crate) fn without_cue(step: &str) -> &str {
    let rest = cue_of(step).and_then(|cue| step.get(cue.len()..)).unwrap_or(step);
    rest.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '<')
}

fn cue_of(text: &str) -> Option<&'static str> {
    let fits = |cue: &&'static str| {
        let head = text.get(..cue.len()).is_some_and(|head| head.eq_ignore_ascii_case(cue));
        head && !text[cue.len()..].starts_with(|c: char| c.is_alphanumeric())
    };
    // the longest, so that "so" does not hide "so that"-like neighbours
    CUES.iter().copied().filter(fits).max_by_key(|cue| cue.len())
}

fn begins_with_cue(text: &str) -> bool {
    let numbered = text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("step"))
        && text[4..].trim_start().starts_with(|c: char| c.is_ascii_digit());
    numbered || cue_of(text).is_some()
}

/// `3. ` or `3) `.
fn begins_with_number(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text[digits..].chars();
    (1..=MAX_STEP_DIGITS).contains(&digits)
        && matches!(rest.next(), Some('.' | ')'))
        && rest.next().is_some_and(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_begin_with_cues() {
        for (text, steps) in [
            ("First, I look. Next, I find it. So it is red.", 3),
            ("1. Look. 2. Find it at 1.5 m. 3) Say so.", 3),
            ("**Step 1:** look\n**Step 2:** find\n- Finally: say", 3),
            ("I look around, then I find it; therefore it is red", 2),
            ("The first chair is so nice. Sofas are next to it. Nextdoor.", 0),
            ("", 0),
            ("AFTER THAT I look. in conclusion, yes", 2),
        ] {
            assert_eq!(step_starts(text).len(), steps, "{text}");
        }
        assert_eq!(last_step("First, a. So the table is red."), "So the table is red.");
        assert_eq!(last_step("nothing"), "nothing");
        assert_eq!(without_cue("So, the table."), "the table.");
        assert_eq!(without_cue("Sofa here"), "Sofa here");
    }

    proptest! {
        #[test]
        fn any_text_has_steps_within_it(text in "(First|So|Step 1|2\\.|ä|🪑|[ ,.;\n]|\\PC){0,20}") {
            let starts = step_starts(&text);
            prop_assert!(starts.iter().all(|s| text.is_char_boundary(*s)));
            prop_assert!(starts.windows(2).all(|w| w[0] < w[1]));
            let _ = without_cue(last_step(&text));
        }
    }
}
