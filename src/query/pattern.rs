//! `$regex` and `$options`: patterns whose matching takes time linear in the text, or none.

use regex::{Regex, RegexBuilder};

use super::operand::expected;
use crate::domain::{Invalid, Value, join};
use crate::limits;

/// Reads the operands of `$regex` and `$options` of the field that stands `at`.
///
/// # Errors
/// Refuses what the linear-time engine cannot take (look-around, back-references), and patterns
/// that are too long or need too much memory.
pub(super) fn parse(pattern: &Value, options: Option<&Value>, at: &str) -> Result<Regex, Invalid> {
    let pattern_at = join(at, "$regex");
    let text = pattern
        .as_str()
        .ok_or_else(|| expected("a string", pattern, &pattern_at))?;
    if text.len() > limits::REGEX_BYTES_MAX {
        let reason = format!(
            "a pattern must not exceed {} bytes",
            limits::REGEX_BYTES_MAX
        );
        return Err(Invalid::new(pattern_at, reason));
    }
    let mut builder = RegexBuilder::new(text);
    builder
        .size_limit(limits::REGEX_COMPILED_BYTES_MAX)
        .dfa_size_limit(limits::REGEX_COMPILED_BYTES_MAX);
    if let Some(options) = options {
        set_options(&mut builder, options, &join(at, "$options"))?;
    }
    builder
        .build()
        .map_err(|error| Invalid::new(pattern_at, reason(&error)))
}

fn set_options(builder: &mut RegexBuilder, options: &Value, at: &str) -> Result<(), Invalid> {
    let text = options
        .as_str()
        .ok_or_else(|| expected("a string", options, at))?;
    for option in text.chars() {
        match option {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            _ => return Err(Invalid::new(at, "expected only the letters i, m, s and x")),
        };
    }
    Ok(())
}

/// One line: the engine's own message draws the pattern with a pointer below it.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "the pattern needs too much memory".to_owned(),
        _ => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let what = last.strip_prefix("error: ").unwrap_or(last);
            format!("the pattern is not supported: {what}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pattern: &str, options: Option<&str>) -> Invalid {
        let options = options.map(Value::from);
        parse(&pattern.into(), options.as_ref(), "f").expect_err("it is refused")
    }

    #[test]
    fn what_the_linear_engine_cannot_take_is_refused_in_one_line() {
        let invalid = refused("(?=a)b", None);
        assert_eq!(invalid.path, "f.$regex");
        assert_eq!(
            invalid.reason,
            "the pattern is not supported: look-around, including look-ahead and look-behind, is not supported"
        );
        assert!(refused(r"(a)\1", None).reason.contains("backreferences"));
        assert!(refused("(", None).reason.contains("unclosed group"));
    }

    #[test]
    fn a_pattern_is_bounded_in_bytes_and_in_memory() {
        let pattern = |bytes: usize| Value::from("a".repeat(bytes));
        assert!(parse(&pattern(limits::REGEX_BYTES_MAX), None, "f").is_ok());
        assert!(parse(&pattern(limits::REGEX_BYTES_MAX + 1), None, "f").is_err());
        assert_eq!(
            refused(r"\w{1000}", None).reason,
            "the pattern needs too much memory"
        );
    }

    #[test]
    fn options_are_letters_that_are_known() {
        assert_eq!(refused("a", Some("iu")).path, "f.$options");
        let every = parse(&"^ A.b $".into(), Some(&"imsx".into()), "f").expect("known letters");
        assert!(every.is_match("x\na\nb\n"));
    }
}
