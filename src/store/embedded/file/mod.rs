//! The file: its folder, opening it, and what happens when the disk refuses.

pub(super) mod blocks;
pub(super) mod data_dir;
pub(super) mod medium;
pub(super) mod open;
pub(super) mod recovery;
