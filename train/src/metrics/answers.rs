//! Answers in, exact match and its refined form out.

use super::words::normal_form;

/// Whether `said` is one of the accepted answers, letter case and punctuation aside (EM@1).
pub fn exact_match<S: AsRef<str>>(said: &str, accepted: &[S]) -> bool {
    let said = normal_form(said);
    accepted.iter().any(|a| normal_form(a.as_ref()) == said)
}

/// Whether `said` is an accepted answer, or one of the two holds the other. The rule is that of LEO's evaluation of
/// `ScanQA` and SQA3D (Huang et al. 2024, `answer_match` in embodied-generalist/embodied-generalist): white space is
/// left out, then one string has to be within the other, so `1` is in `10` and `bed` in `bedroom`.
///
/// Two things differ from it: answers are compared in the form of [`exact_match`] and not in LEO's, which also rewrites
/// spellings and numerals; and an answer or a reference without words holds nothing and is in nothing, where LEO counts
/// an empty answer as right.
pub fn refined_exact_match<S: AsRef<str>>(said: &str, accepted: &[S]) -> bool {
    let together = |text: &str| normal_form(text).split_whitespace().collect::<String>();
    let given = together(said);
    exact_match(said, accepted)
        || accepted.iter().map(|a| together(a.as_ref())).any(|wanted| {
            !given.is_empty() && !wanted.is_empty() && (given.contains(&wanted) || wanted.contains(&given))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_may_hold_the_other() {
        for (said, accepted, exact, refined) in [
            ("Brown.", "brown", true, true),
            ("dark brown", "brown", false, true),
            ("brown", "dark brown", false, true),
            ("bed", "bedroom", false, true),
            ("night stand", "nightstand", false, true),
            ("blue", "brown", false, false),
            ("", "brown", false, false),
            ("brown", "", false, false),
            ("", "", true, true),
        ] {
            assert_eq!(exact_match(said, &[accepted]), exact, "{said} {accepted}");
            assert_eq!(refined_exact_match(said, &[accepted]), refined, "{said} {accepted}");
        }
        assert!(exact_match("two", &["2", "two"]) && refined_exact_match("it is two", &["2", "two"]));
        assert!(!exact_match::<&str>("two", &[]) && !refined_exact_match::<&str>("", &[]));
    }
}
