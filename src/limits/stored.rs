//! What stored logs and exports are read by. These may only grow: what was written under a larger bound would become
//! unreadable.

use super::{COMMAND_ID_BYTES_MAX, DOCUMENT_DEPTH_MAX, EVENT_BYTES_MAX, EVENT_ID_BYTES_MAX};

/// The id of a stored event.
pub const STORED_EVENT_ID_BYTES_MAX: usize = 128;

/// The id of a command that is kept with its change.
pub const STORED_COMMAND_ID_BYTES_MAX: usize = 128;

/// Levels of nesting in a stored document, and names in a stored path: shallow enough for any stack.
pub const STORED_DEPTH_MAX: usize = 128;

/// The largest array index that an UPDATE, and so a stored patch, may name: the elements before it are filled with
/// nulls.
pub const ARRAY_INDEX_MAX: usize = 1_500;

/// Bytes of JSON of the largest event that any livelog kept: earlier ones counted bytes in memory, where a control
/// character is one and not six.
pub const IMPORT_EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// A line of an exported log: an update's event before, at most [`IMPORT_EVENT_BYTES_MAX`], and its patch. An input
/// without line ends must not fill the memory.
pub const IMPORT_LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

const _: () = {
    assert!(EVENT_ID_BYTES_MAX <= STORED_EVENT_ID_BYTES_MAX);
    assert!(COMMAND_ID_BYTES_MAX <= STORED_COMMAND_ID_BYTES_MAX);
    assert!(DOCUMENT_DEPTH_MAX <= STORED_DEPTH_MAX);
    assert!(6 * EVENT_BYTES_MAX <= IMPORT_EVENT_BYTES_MAX);
    assert!(2 * IMPORT_EVENT_BYTES_MAX <= IMPORT_LINE_BYTES_MAX);
};
