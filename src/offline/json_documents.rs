//! The documents of a text: JSON objects, one after the other. They may stand one a line, spread over lines, or in one
//! array, as `mongoexport --jsonArray` writes them.
//!
//! Only where an object ends is found here, in one pass and in the memory of one object.

use std::fmt;
use std::io::{self, BufRead};

use crate::limits;

/// Where something is in the text, as editors count: both from 1, columns in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextPlace {
    line: u64,
    column: u64,
}

/// What begins with its line is told by that alone.
impl fmt::Display for TextPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}", self.line)?;
        match self.column {
            1 => Ok(()),
            column => write!(formatter, ", column {column}"),
        }
    }
}

impl TextPlace {
    /// The place of an error in the object that begins here.
    pub(super) fn of(self, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line() as u64, error.column() as u64);
        let before = if line > 1 { 0 } else { self.column - 1 };
        Self {
            line: self.line + line.max(1) - 1,
            column: before + column.max(1),
        }
    }

    fn pass(&mut self, byte: u8) {
        match byte {
            b'\n' => (self.line, self.column) = (self.line + 1, 1),
            _ => self.column += 1,
        }
    }
}

/// An object's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonText {
    /// Where it begins.
    pub(super) place: TextPlace,
    /// How long it is.
    pub(super) bytes: u64,
    /// Whether it has a line of its own, outside of an array: then it ends where it seems to, even if it is malformed.
    pub(super) is_line: bool,
    pub(super) text: Result<String, TextFault>,
}

/// Why an object has no text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TextFault {
    /// It is longer than any document can be.
    TooLong,
    /// Other than JSON is.
    NotUtf8,
}

/// Why there is no next object, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}")]
pub(super) struct TextError {
    place: TextPlace,
    reason: String,
}

/// See the module.
pub(super) struct JsonDocuments<R> {
    input: R,
    place: TextPlace,
    array: ArrayState,
}

/// Where in an array the reader is, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArrayState {
    /// Nothing was read yet.
    Before,
    /// There is none.
    Without,
    /// After `[`: an object, or the end.
    Begun,
    /// After a comma: an object.
    Next,
    /// After an object: a comma, or the end.
    Item,
    /// After `]`: nothing.
    After,
}

impl<R: BufRead> JsonDocuments<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            place: TextPlace { line: 1, column: 1 },
            array: ArrayState::Before,
        }
    }

    /// The next object; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<JsonText>, TextError> {
        use ArrayState::{After, Before, Begun, Item, Next, Without};
        loop {
            let byte = self.peek()?;
            let (state, is_object) = match (byte, self.array) {
                (None, Before | Without | After) => return Ok(None),
                (None, Begun | Next | Item) => {
                    return self.failed("the text ends within the array: it was cut off");
                }
                (Some(b'{'), Before | Without) => (Without, true),
                (Some(b'{'), Begun | Next) => (Item, true),
                (Some(b'['), Before) => (Begun, false),
                (Some(b','), Item) => (Next, false),
                (Some(b']'), Begun | Item) => (After, false),
                (Some(b']'), Next) => {
                    return self.failed("a comma stands before the end of the array");
                }
                (Some(_), Item) => return self.failed("expected a comma, or the end of the array"),
                (Some(_), After) => return self.failed("something follows after the array"),
                (Some(_), Before | Without | Begun | Next) => {
                    return self.failed("expected a document: an object in braces");
                }
            };
            self.array = state;
            if is_object {
                return self.object().map(Some);
            }
            self.pass(byte.unwrap_or_default());
        }
    }

    fn pass(&mut self, byte: u8) {
        self.place.pass(byte);
        self.input.consume(1);
    }

    /// The next byte, without consuming it.
    fn byte(&mut self) -> Result<Option<u8>, TextError> {
        match self.input.fill_buf() {
            Ok(buffer) => Ok(buffer.first().copied()),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// The next byte that is not white space, without consuming it.
    fn peek(&mut self) -> Result<Option<u8>, TextError> {
        loop {
            match self.byte()? {
                Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) => self.pass(byte),
                // A byte order mark, which some tools begin with. Nobody sees it.
                Some(0xef | 0xbb | 0xbf) if self.array == ArrayState::Before => {
                    self.input.consume(1);
                }
                other => return Ok(other),
            }
        }
    }

    /// The object that begins at the next byte.
    fn object(&mut self) -> Result<JsonText, TextError> {
        let place = self.place;
        let (mut scan, mut kept, mut bytes) = (ObjectScan::at(place), Vec::new(), 0_usize);
        loop {
            let (taken, is_end) = match self.input.fill_buf() {
                Ok([]) => {
                    self.place = scan.place;
                    return self.failed("the text ends within a document: it was cut off");
                }
                Ok(buffer) => {
                    let (taken, is_end) = scan.advance(buffer);
                    bytes = bytes.saturating_add(taken);
                    match bytes > limits::IMPORT_LINE_BYTES_MAX {
                        true => kept = Vec::new(),
                        false => kept.extend_from_slice(&buffer[..taken]),
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
        self.place = scan.place;
        let is_line = self.is_line_since(place)?;
        let text = match bytes > limits::IMPORT_LINE_BYTES_MAX {
            true => Err(TextFault::TooLong),
            false => String::from_utf8(kept).map_err(|_| TextFault::NotUtf8),
        };
        Ok(JsonText {
            place,
            bytes: bytes as u64,
            is_line,
            text,
        })
    }

    /// Whether what was read since this place is all that its line has. What follows it on the line is passed if it is
    /// white space.
    fn is_line_since(&mut self, begin: TextPlace) -> Result<bool, TextError> {
        if self.array != ArrayState::Without || begin.column != 1 || begin.line != self.place.line {
            return Ok(false);
        }
        loop {
            match self.byte()? {
                Some(byte @ (b' ' | b'\t' | b'\r')) => self.pass(byte),
                other => return Ok(matches!(other, None | Some(b'\n'))),
            }
        }
    }

    fn failed<T>(&self, reason: &str) -> Result<T, TextError> {
        Err(TextError {
            place: self.place,
            reason: reason.to_owned(),
        })
    }

    fn unreadable(&self, error: &io::Error) -> TextError {
        TextError {
            place: self.place,
            reason: format!("cannot read it: {error}"),
        }
    }
}

/// Finds the brace that closes an object.
#[derive(Debug)]
struct ObjectScan {
    /// Of the next byte.
    place: TextPlace,
    depth: u64,
    is_text: bool,
    is_escaped: bool,
}

impl ObjectScan {
    fn at(place: TextPlace) -> Self {
        Self {
            place,
            depth: 0,
            is_text: false,
            is_escaped: false,
        }
    }

    /// How many of these bytes belong to the object, and whether it ends with them.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, byte) in bytes.iter().enumerate() {
            self.place.pass(*byte);
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
                Ok(Some(JsonText { place, text, .. })) => {
                    found.push((place.line, text.unwrap()));
                }
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
            "line 4, column 3: expected a document: an object in braces"
        );
        let mut documents = JsonDocuments::new(&b"\xef\xbb\xbf[{}, {\n},\n {}]"[..]);
        for place in ["line 1, column 2", "line 1, column 6", "line 3, column 2"] {
            let found = documents.next().unwrap().unwrap();
            assert_eq!(found.place.to_string(), place);
        }
    }

    #[test]
    fn what_has_a_line_of_its_own_is_known_and_so_is_its_length() {
        let text = b"{} \r\n{\"a\":}\n {}\n{}{}\n{\n}\n{\"\xff\"}";
        for capacity in [1, 64] {
            let input = BufReader::with_capacity(capacity, &text[..]);
            let mut documents = JsonDocuments::new(input);
            let found = std::iter::from_fn(|| documents.next().unwrap());
            let found: Vec<_> = found.map(|found| (found.bytes, found.is_line)).collect();
            let expected = [
                (2, true),
                (6, true),
                (2, false),
                (2, false),
                (2, false),
                (3, false),
                (5, true),
            ];
            assert_eq!(found, expected);
        }
        let found = JsonDocuments::new(&b"[\n{}\n]"[..]).next().unwrap();
        assert!(!found.unwrap().is_line);
        let found = JsonDocuments::new(&b"{\"\xff\"}"[..]).next().unwrap();
        assert_eq!(found.unwrap().text, Err(TextFault::NotUtf8));
    }

    #[test]
    fn what_is_cut_off_or_no_array_is_said_so() {
        for (text, reason) in [
            (
                &b"[{}"[..],
                "line 1, column 4: the text ends within the array: it was cut off",
            ),
            (
                b"{}\n{\"a\":\"}",
                "line 2, column 8: the text ends within a document: it was cut off",
            ),
            (b"[{}]\n{}", "line 2: something follows after the array"),
            (
                b"[{},]",
                "line 1, column 5: a comma stands before the end of the array",
            ),
            (
                b"[{},\n\n]",
                "line 3: a comma stands before the end of the array",
            ),
            (
                b"[,{}]",
                "line 1, column 2: expected a document: an object in braces",
            ),
            (
                b"[{},,{}]",
                "line 1, column 5: expected a document: an object in braces",
            ),
            (
                b"[{} {}]",
                "line 1, column 5: expected a comma, or the end of the array",
            ),
            (
                b"{},{}",
                "line 1, column 3: expected a document: an object in braces",
            ),
            (b"7", "line 1: expected a document: an object in braces"),
        ] {
            assert_eq!(read(text, 8).unwrap_err(), reason);
        }
        assert_eq!(read(b" \n", 8), Ok(Vec::new()));
        assert_eq!(read(b"[]", 8), Ok(Vec::new()));
    }
}
