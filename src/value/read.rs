//! JSON text from outside: read whole, or refused with the place of the offender.
//!
//! What serde_json takes and livelog does not is one list, for every text that anyone sends: a name that stands
//! twice in one object, and a number that neither an `i64` nor an `f64` holds. serde_json keeps the first of a
//! name given twice, or the last, and rounds an integer beyond 64 bits to a float; neither is what was written.
//!
//! A text is parsed once. A second pass looks for the path of what is wrong with it, and only if the text was
//! refused, or has a run of digits as long as the shortest integer that does not fit.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Value;
use super::check::{Invalid, join};
use crate::limits;

/// Digits of the shortest integers that do not fit 64 signed bits.
const LARGE_DIGITS: usize = 19;

/// The reason to refuse a name that stands twice.
pub(crate) const TWICE: &str = "the same name twice in one object";

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is JSON with something in it that livelog refuses.
    #[error(transparent)]
    Offence(#[from] Invalid),
    /// The text at the path `at` is not JSON, or JSON of another shape than the type that is read.
    #[error("{error}")]
    #[expect(missing_docs, reason = "the variant says it")]
    Json {
        at: String,
        error: serde_json::Error,
    },
}

impl ParseError {
    /// An error of serde_json about the text at the path `at`.
    pub fn json(error: serde_json::Error, at: &str) -> Self {
        Self::Json {
            at: at.to_owned(),
            error,
        }
    }
}

/// Parses the text at the path `at`.
///
/// # Errors
/// The first offence. Nothing is rounded, and nothing that was written is left out.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str, at: &str) -> Result<T, ParseError> {
    let read = serde_json::from_str(text);
    if read.is_ok() && !may_hold_large_integer(text) {
        return read.map_err(|error| ParseError::json(error, at));
    }
    match offence(text) {
        Some(Offence { path, reason }) => {
            let path = path
                .iter()
                .rev()
                .fold(at.to_owned(), |path, segment| join(&path, segment));
            Err(Invalid::new(path, reason).into())
        }
        None => read.map_err(|error| ParseError::json(error, at)),
    }
}

/// Parses the text at the path `at` and passes it on as it is. Its depth is bounded, because the parsers of other
/// clients get it.
///
/// # Errors
/// As [`read`], and if it is nested deeper than a document may be.
pub fn read_as_it_is(text: &str, at: &str) -> Result<Box<RawValue>, ParseError> {
    let value: Value = read(text, at)?;
    if value.depth() > limits::DOCUMENT_DEPTH_MAX {
        let reason = format!("nested deeper than {} levels", limits::DOCUMENT_DEPTH_MAX);
        return Err(Invalid::new(at, reason).into());
    }
    read(text, at)
}

/// The first name that stands twice. Few names are compared pairwise, many through a set: otherwise a text full of
/// names would cost the square of its length.
pub(crate) fn repeated<T>(fields: &[T], name: impl Fn(&T) -> &str) -> Option<&str> {
    const PAIRWISE_MAX: usize = 16;
    let mut names = fields.iter().map(&name);
    if fields.len() > PAIRWISE_MAX {
        let mut seen = HashSet::with_capacity(fields.len());
        return names.find(|name| !seen.insert(*name));
    }
    let earlier = |index: usize| fields[..index].iter().map(&name);
    names
        .enumerate()
        .find(|(index, name)| earlier(*index).any(|earlier| earlier == *name))
        .map(|(_, name)| name)
}

/// Whether there are [`LARGE_DIGITS`] digits in a row. Of every [`LARGE_DIGITS`] bytes one is looked at: a run of
/// that length cannot avoid them all.
fn may_hold_large_integer(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let probes = (LARGE_DIGITS - 1..bytes.len()).step_by(LARGE_DIGITS);
    probes
        .filter(|probe| bytes[*probe].is_ascii_digit())
        .any(|probe| {
            let before = bytes[..probe].iter().rev().take_while(is_digit).count();
            let after = bytes[probe..].iter().take_while(is_digit).count();
            before + after >= LARGE_DIGITS
        })
}

/// Something that livelog refuses, and where it is: the segments of its path, innermost first.
struct Offence {
    path: Vec<String>,
    reason: String,
}

/// The first offence in a text, if it is JSON at all.
fn offence(text: &str) -> Option<Offence> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut scanner = OffenceScanner { rest: raw.get() };
    scanner.value(0).err()
}

/// Scans JSON that is known to be well-formed.
struct OffenceScanner<'a> {
    rest: &'a str,
}

impl<'a> OffenceScanner<'a> {
    fn value(&mut self, depth: usize) -> Result<(), Offence> {
        match self.peek() {
            // The bound of documents is far below this one, and the one to report.
            b'{' | b'[' if depth >= limits::JSON_DEPTH_MAX => Err(Offence::new(format!(
                "nested deeper than {} levels",
                limits::DOCUMENT_DEPTH_MAX
            ))),
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => {
                self.string();
                Ok(())
            }
            _ => check_number(self.scalar()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Offence> {
        let mut names = HashSet::new();
        self.skip(1);
        while self.peek() == b'"' {
            let name = self.string();
            self.skip_to_value();
            if names.contains(&name) {
                return Err(Offence::new(TWICE.to_owned()).within(name));
            }
            self.value(depth)
                .map_err(|offence| offence.within(name.clone()))?;
            names.insert(name);
            self.skip_comma();
        }
        self.skip(1);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), Offence> {
        self.skip(1);
        for index in 0.. {
            if self.peek() == b']' {
                break;
            }
            self.value(depth)
                .map_err(|offence| offence.within(index.to_string()))?;
            self.skip_comma();
        }
        self.skip(1);
        Ok(())
    }

    /// A string, unescaped; or as it is written if it means no text (half a surrogate pair).
    fn string(&mut self) -> String {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        while bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let token = self.skip(end + 1);
        serde_json::from_str(token).unwrap_or_else(|_| token.to_owned())
    }

    /// A number, `true`, `false` or `null`.
    fn scalar(&mut self) -> &'a str {
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']);
        self.skip(end.unwrap_or(self.rest.len()))
    }

    /// The next byte that is not white space, without consuming it.
    fn peek(&mut self) -> u8 {
        self.rest = self.rest.trim_ascii_start();
        let first = self.rest.bytes().next();
        first.expect("well-formed JSON does not end within a value")
    }

    fn skip_to_value(&mut self) {
        self.peek();
        self.skip(1);
    }

    fn skip_comma(&mut self) {
        if self.peek() == b',' {
            self.skip(1);
        }
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        skipped
    }
}

fn check_number(word: &str) -> Result<(), Offence> {
    let is_number = word.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let fits = match word.contains(['.', 'e', 'E']) {
        _ if !is_number => return Ok(()),
        true => word.parse().is_ok_and(f64::is_finite),
        false => word.parse::<i64>().is_ok(),
    };
    match fits {
        true => Ok(()),
        false => Err(Offence::new("the number does not fit 64 bits".to_owned())),
    }
}

impl Offence {
    const fn new(reason: String) -> Self {
        Self {
            path: Vec::new(),
            reason,
        }
    }

    fn within(mut self, segment: String) -> Self {
        self.path.push(segment);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Value;

    fn refusal(json: &str) -> String {
        let read = read::<Value>(json, "payload");
        read.expect_err("it is refused").to_string()
    }

    #[test]
    fn numbers_keep_their_kind_and_what_64_bits_hold() {
        for (json, value) in [
            ("1", Value::Int(1)),
            ("1.0", Value::Float(1.0)),
            ("1E5", Value::Float(100_000.0)),
            ("-0.0", Value::Float(-0.0)),
            ("9223372036854775807", Value::Int(i64::MAX)),
            ("-9223372036854775808", Value::Int(i64::MIN)),
            (
                "9223372036854775808.0",
                Value::Float(9_223_372_036_854_775_808.0),
            ),
            (
                "18446744073709551616e0",
                Value::Float(18_446_744_073_709_551_616.0),
            ),
            (
                "0.12345678901234567890123",
                Value::Float(0.123_456_789_012_345_68),
            ),
            ("1e-400", Value::Float(0.0)),
        ] {
            assert_eq!(read::<Value>(json, "").unwrap(), value, "{json}");
        }
        // No integer is less than nothing and nothing.
        let Value::Float(zero) = read("-0", "").unwrap() else {
            panic!("-0 is a float");
        };
        assert!(zero == 0.0 && zero.is_sign_negative());
    }

    #[test]
    fn offenders_are_named_by_path_wherever_they_stand() {
        let large = "the number does not fit 64 bits";
        for (json, path, reason) in [
            ("9223372036854775808", "payload", large),
            ("[0, -9223372036854775809]", "payload.1", large),
            (
                r#"{"a":{"b":[{},18446744073709551616]}}"#,
                "payload.a.b.1",
                large,
            ),
            (
                r#"{"\"9223372036854775808":1e400}"#,
                "payload.\"9223372036854775808",
                large,
            ),
            (r#"{"a":-1e999 ,"b":1}"#, "payload.a", large),
            (r#"{"a":1,"b":{"c":1,"c":2}}"#, "payload.b.c", TWICE),
            (r#"[[],{"x":[],"\u0078":0}]"#, "payload.1.x", TWICE),
        ] {
            assert_eq!(refusal(json), format!("{path}: {reason}"), "{json}");
        }
        let many: Vec<String> = (0..40).map(|n| format!("\"f{n}\":1")).collect();
        assert!(read::<Value>(&format!("{{{}}}", many.join(",")), "").is_ok());
        let twice = format!("{{{},\"f3\":2}}", many.join(","));
        assert_eq!(refusal(&twice), format!("payload.f3: {TWICE}"));
    }

    #[test]
    fn digits_in_a_string_are_no_number() {
        let json = r#"{"9223372036854775808":"18446744073709551616 \" 1e999"}"#;
        assert!(read::<Value>(json, "").is_ok());
    }

    #[test]
    fn nesting_has_an_end_and_a_name() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read::<Value>(&nested(limits::JSON_DEPTH_MAX), "").is_ok());
        let said = refusal(&nested(limits::JSON_DEPTH_MAX + 1));
        assert!(said.ends_with("nested deeper than 32 levels"), "{said}");
        let said = refusal(&nested(limits::MESSAGE_BYTES_MAX / 2));
        assert!(said.ends_with("nested deeper than 32 levels"), "{said}");
    }

    proptest! {
        /// Whatever serde_json takes is read as it is, or has an offence; and nothing else is read.
        #[test]
        fn what_is_no_json_is_not_read(text in r#"([\[\]{}:,."\\ue0\-]|"a":|[0-9]{1,20}|true|null| ){0,24}"#) {
            let raw: Result<&RawValue, _> = serde_json::from_str(&text);
            match (raw, read::<Value>(&text, "")) {
                (Ok(_), Ok(_)) => {
                    let offence = offence(&text).map(|offence| offence.reason);
                    prop_assert_eq!(offence, None);
                }
                (Ok(_), Err(ParseError::Offence(_))) | (Err(_), Err(ParseError::Json { .. })) => {}
                // Half a surrogate pair: JSON by its grammar, and no text.
                (Ok(_), Err(ParseError::Json { .. })) => prop_assert!(text.contains("\\u")),
                (Err(error), read) => prop_assert!(false, "{error} {read:?}"),
            }
        }
    }
}
