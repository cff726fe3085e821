//! What stands in a document, shown to people: on a terminal that obeys control characters, and hides others.

/// Whether a terminal would obey this character, turn what is beside it around, or show nothing for it.
pub(super) fn is_unseen(letter: char) -> bool {
    letter.is_control() || is_invisible(letter)
}

/// The soft hyphen, the marks and overrides of direction, the characters without a width, and the separators of lines.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The text with an escape for each of them.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_unseen(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}
