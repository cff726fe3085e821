//! livelog

pub mod domain;
pub mod limits;
pub mod query;
