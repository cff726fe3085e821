//! The documents of a text: JSON objects, one after the other. They may stand one a line, spread over lines, or in one
//! array, as `mongoexport --jsonArray` writes them.
//!
//! Only where an object ends is found here, in one pass and in the memory of one object.

use std::io::{self, BufRead};

use crate::limits;

/// An object's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonText {
    /// The number of the line that it begins in.
    pub(super) line: u64,
    /// `None` if it is longer than any document can be.
    pub(super) text: Option<String>,
}

/// Why there is no next object, and in which line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct TextError {
    line: u64,
    reason: String,
}

/// See the module.
pub(super) struct JsonDocuments<R> {
    input: R,
    line: u64,
    array: ArrayState,
}

/// Where in an array the reader is, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArrayState {
    Before,
    Without,
    Within,
    After,
}

impl<R: BufRead> JsonDocuments<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            line: 1,
            array: ArrayState::Before,
        }
    }

    /// The next object; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<JsonText>, TextError> {
        loop {
            let Some(byte) = self.peek()? else {
                return match self.array {
                    ArrayState::Within => {
                        self.failed("the text ends within the array: it was cut off")
                    }
                    _ => Ok(None),
                };
            };
            self.array = match (byte, self.array) {
                (b'{', ArrayState::Within) => return self.object().map(Some),
                (b'{', ArrayState::Before | ArrayState::Without) => {
                    self.array = ArrayState::Without;
                    return self.object().map(Some);
                }
                (b'[', ArrayState::Before) => ArrayState::Within,
                (b',', ArrayState::Within) => ArrayState::Within,
                (b']', ArrayState::Within) => ArrayState::After,
                (_, ArrayState::After) => return self.failed("something follows after the array"),
                _ => return self.failed("expected a document: an object in braces"),
            };
            self.input.consume(1);
        }
    }

    /// The next byte that is not white space, without consuming it.
    fn peek(&mut self) -> Result<Option<u8>, TextError> {
        loop {
            let found = match self.input.fill_buf() {
                Ok(buffer) => buffer.first().copied(),
                Err(error) => return Err(self.unreadable(&error)),
            };
            match found {
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r') => {}
                // A byte order mark, which some tools begin with.
                Some(0xef | 0xbb | 0xbf) if self.array == ArrayState::Before => {}
                other => return Ok(other),
            }
            self.input.consume(1);
        }
    }

    /// The object that begins at the next byte.
    fn object(&mut self) -> Result<JsonText, TextError> {
        let line = self.line;
        let (mut scan, mut bytes, mut is_too_long) = (ObjectScan::default(), Vec::new(), false);
        loop {
            let (taken, is_end) = match self.input.fill_buf() {
                Ok([]) => return self.failed("the text ends within a document: it was cut off"),
                Ok(buffer) => {
                    let (taken, is_end) = scan.advance(buffer);
                    is_too_long |= bytes.len() + taken > limits::IMPORT_LINE_BYTES_MAX;
                    if is_too_long {
                        bytes = Vec::new();
                    } else {
                        bytes.extend_from_slice(&buffer[..taken]);
                    }
                    (taken, is_end)
                }
                Err(error) => return Err(self.unreadable(&error)),
            };
            self.input.consume(taken);
            if is_end {
                break;
            }
        }
        self.line += scan.lines;
        let text = match is_too_long {
            true => None,
            false => match String::from_utf8(bytes) {
                Ok(text) => Some(text),
                Err(_) => return self.failed("it is not UTF-8"),
            },
        };
        Ok(JsonText { line, text })
    }

    fn failed<T>(&self, reason: &str) -> Result<T, TextError> {
        Err(TextError {
            line: self.line,
            reason: reason.to_owned(),
        })
    }

    fn unreadable(&self, error: &io::Error) -> TextError {
        TextError {
            line: self.line,
            reason: format!("cannot read it: {error}"),
        }
    }
}

/// Finds the brace that closes an object.
#[derive(Debug, Default)]
struct ObjectScan {
    depth: u64,
    is_text: bool,
    is_escaped: bool,
    lines: u64,
}

impl ObjectScan {
    /// How many of these bytes belong to the object, and whether it ends with them.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, byte) in bytes.iter().enumerate() {
            self.lines += u64::from(*byte == b'\n');
            match (byte, self.is_text) {
                _ if std::mem::take(&mut self.is_escaped) => {}
                (b'\\', true) => self.is_escaped = true,
                (b'"', _) => self.is_text = !self.is_text,
                (b'{', false) => self.depth += 1,
                (b'}', false) => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (index + 1, true);
                    }
                }
                _ => {}
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(text: &[u8], capacity: usize) -> Result<Vec<(u64, String)>, String> {
        let mut documents = JsonDocuments::new(BufReader::with_capacity(capacity, text));
        let mut found = Vec::new();
        loop {
            match documents.next() {
                Ok(Some(JsonText { line, text })) => found.push((line, text.unwrap())),
                Ok(None) => return Ok(found),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn objects_are_found_however_they_stand() {
        let nested = r#"{"a":"}\"{","b":{"c":[{}]}}"#;
        for text in [
            format!("{{}}\n{nested}\n"),
            format!("[{{}},\n{nested}]\n"),
            format!("\u{feff}{{}}\r\n {nested}"),
            format!("[\n{{}},{nested}\n]"),
        ] {
            for capacity in [1, 3, 64] {
                let found = read(text.as_bytes(), capacity).unwrap();
                let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
                assert_eq!(texts, ["{}", nested], "{text}");
            }
        }
        let lines = read(b"{\n}\n\n{}[", 4);
        assert_eq!(
            lines.unwrap_err(),
            "line 4: expected a document: an object in braces"
        );
    }

    #[test]
    fn what_is_cut_off_is_said_so() {
        for (text, reason) in [
            (
                &b"[{}"[..],
                "line 1: the text ends within the array: it was cut off",
            ),
            (
                b"{}\n{\"a\":\"}",
                "line 2: the text ends within a document: it was cut off",
            ),
            (b"[{}]\n{}", "line 2: something follows after the array"),
            (b"7", "line 1: expected a document: an object in braces"),
            (b"{\"a\":\"\xff\"}", "line 1: it is not UTF-8"),
        ] {
            assert_eq!(read(text, 8).unwrap_err(), reason);
        }
        assert_eq!(read(b" \n", 8), Ok(Vec::new()));
        assert_eq!(read(b"[]", 8), Ok(Vec::new()));
    }
}
