//! What texts begin with that a pattern can match.

/// The letters after `^`, up to the first that means more than itself. One that may be repeated, or left out, is none.
pub(super) fn beginning(pattern: &str) -> Option<String> {
    let mut rest = pattern.strip_prefix('^')?.chars().peekable();
    let mut text = String::new();
    if pattern.contains('|') {
        return None;
    }
    while let Some(next) = rest.next() {
        let letter = match next {
            '\\' => rest.next().filter(is_escaped),
            _ if r".+*?()[]{}^$".contains(next) => None,
            _ => Some(next),
        };
        let is_counted = rest.peek().is_some_and(|after| "*?{".contains(*after));
        match letter {
            Some(letter) if !is_counted => text.push(letter),
            _ => break,
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Whether a letter after a backslash means itself: `\<` and `\>` are where a word begins and ends.
fn is_escaped(letter: &char) -> bool {
    letter.is_ascii_punctuation() && !matches!(letter, '<' | '>')
}

#[cfg(test)]
mod tests {
    use crate::query::pattern::Pattern;
    use crate::value::Value;

    #[test]
    fn what_matching_texts_begin_with_is_read_from_the_pattern() {
        let beginning = |pattern: &str, options: Option<&str>| {
            let options = options.map(Value::from);
            let parsed = Pattern::parse(&pattern.into(), options.as_ref(), "f");
            parsed.expect("a good pattern").beginning()
        };
        for (pattern, text) in [
            ("^ab", Some("ab")),
            ("^ab.*c$", Some("ab")),
            (r"^a\.b\-c\d", Some("a.b-c")),
            ("^ab+", Some("ab")),
            ("^ab*", Some("a")),
            ("^ab?c", Some("a")),
            ("^ab{0,2}", Some("a")),
            (r"^a\.*", Some("a")),
            ("^a(b)?", Some("a")),
            ("^[ab]", None),
            ("^a?", None),
            ("^a|b", None),
            ("a", None),
            ("^(?i)a", None),
            ("^", None),
            ("^é\0", Some("é\0")),
            // Where a word begins and ends.
            (r"^\<ab", None),
            (r"^ab\>", Some("ab")),
        ] {
            assert_eq!(beginning(pattern, None).as_deref(), text, "{pattern}");
        }
        assert_eq!(beginning("^a", Some("s")).as_deref(), Some("a"));
        for options in ["i", "m", "x"] {
            assert_eq!(beginning("^a", Some(options)), None);
        }
    }
}
