//! livelog

pub mod bench;
pub mod domain;
pub mod limits;
pub mod query;
