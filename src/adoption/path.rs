//! Where a field is, as `--rename` and `--drop` say it.
//!
//! | written | means |
//! |---|---|
//! | `.` | a step inwards: the field that follows is in the document, or in those of the array, before it |
//! | `=` | the end of the path: what follows is the new name |
//! | `\.` `\=` `\\` | a dot, an equals sign, a backslash in a name |
//! | `\u{1b}` | any character in a name, by its hexadecimal number: one that no terminal shows, or no shell passes on |
//!
//! Indexes of arrays are no part of a path. A path has one written form, so equal forms are equal paths.

use std::fmt;

use super::shown::is_unseen;

/// The names that lead to a field, in their written form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourcePath(String);

/// A letter of a name, or what separates names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Letter(char),
    Step,
    Equals,
}

impl SourcePath {
    /// The field of this name, at the top or within another.
    pub(super) fn within(outer: Option<Self>, name: &str) -> Self {
        let mut text = match outer {
            Some(Self(outer)) => outer + ".",
            None => String::new(),
        };
        for letter in name.chars() {
            match letter {
                '.' | '=' | '\\' => text.extend(['\\', letter]),
                _ if is_unseen(letter) => text.extend(letter.escape_unicode()),
                _ => text.push(letter),
            }
        }
        Self(text)
    }

    /// The path that these marks write, and whether it is of a field at the top.
    ///
    /// # Errors
    /// If there is an equals sign.
    pub(super) fn of(marks: &[Mark]) -> Result<(Self, bool), String> {
        if marks.contains(&Mark::Equals) {
            return Err("an = in a name is written \\=".to_owned());
        }
        let names = marks.split(|mark| *mark == Mark::Step).map(name_of);
        let path = names.fold(None, |outer, name| Some(Self::within(outer, &name)));
        let path = path.expect("a split has a part at least");
        Ok((path, !marks.contains(&Mark::Step)))
    }

    /// Its written form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The name that these marks write.
pub(super) fn name_of(marks: &[Mark]) -> String {
    let letters = marks.iter().map(|mark| match mark {
        Mark::Letter(letter) => *letter,
        Mark::Step => '.',
        Mark::Equals => '=',
    });
    letters.collect()
}

/// Reads what was written.
///
/// # Errors
/// If a backslash stands before anything else than the table has.
pub(super) fn marks(text: &str) -> Result<Vec<Mark>, String> {
    let mut marks = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        marks.push(match letter {
            '.' => Mark::Step,
            '=' => Mark::Equals,
            '\\' => Mark::Letter(escaped(&mut letters)?),
            _ => Mark::Letter(letter),
        });
    }
    Ok(marks)
}

fn escaped(letters: &mut std::str::Chars<'_>) -> Result<char, String> {
    let numbered = |rest: &str| {
        let (digits, _) = rest.strip_prefix('{')?.split_once('}')?;
        // The standard library's parser takes a plus sign too.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        Some((letter, digits.len() + 2))
    };
    match letters.next() {
        Some(letter @ ('.' | '=' | '\\')) => Ok(letter),
        Some('u') if let Some((letter, length)) = numbered(letters.as_str()) => {
            *letters = letters.as_str()[length..].chars();
            Ok(letter)
        }
        _ => Err("a backslash stands before a dot, an = or another backslash, or as \\u{1b} for any character".to_owned()),
    }
}

/// As one word of a shell's.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn path(names: &[String]) -> SourcePath {
        let path = names
            .iter()
            .fold(None, |outer, name| Some(SourcePath::within(outer, name)));
        path.unwrap()
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_was_written_whatever_the_names(
            names in prop::collection::vec("[a.=\\\\u{}'\u{0}\n\u{9b}\u{202e}\u{feff}é]{0,4}", 1..4),
        ) {
            let written = path(&names);
            prop_assert!(!written.as_str().contains(is_unseen));
            let (read, is_top) = SourcePath::of(&marks(written.as_str()).unwrap()).unwrap();
            prop_assert_eq!((read, is_top), (written, names.len() == 1));
        }

        #[test]
        fn different_names_are_different_paths(
            one in prop::collection::vec("[a.\\\\]{0,3}", 1..4),
            other in prop::collection::vec("[a.\\\\]{0,3}", 1..4),
        ) {
            prop_assert_eq!(path(&one) == path(&other), one == other);
        }
    }

    #[test]
    fn a_shell_takes_a_quoted_path_as_one_word() {
        let names = ["it's $HOME", "a.b\\", "-x `y` \"z\" !"].map(str::to_owned);
        let written = path(&names);
        let script = format!("printf %s {}", quoted(written.as_str()));
        let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), written.as_str());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in [
            "a\\",
            "a\\b",
            "\\u",
            "\\u{}",
            "\\u{+61}",
            "\\u{d800}",
            "\\u{1b",
        ] {
            assert!(marks(text).is_err(), "{text}");
        }
        assert!(SourcePath::of(&marks("a=b").unwrap()).is_err());
    }
}
