//! The file: its folder, opening it, and recovery after an error of the disk.

mod blocks;
pub(super) mod data_dir;
pub(super) mod medium;
pub(super) mod open;
pub(super) mod recovery;
