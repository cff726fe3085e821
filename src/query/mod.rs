//! stub
pub mod mongo;
use crate::domain::{Document, Invalid, Record};
#[derive(Debug, Clone)]
pub struct Query {
    pub limit: Option<usize>,
    pub fields: Fields,
}
#[derive(Debug, Clone)]
pub struct Fields;
impl Fields {
    pub fn is_all(&self) -> bool {
        true
    }
    pub fn project(&self, _r: &impl Record) -> Document {
        Document::new()
    }
}
impl Query {
    pub fn everything() -> Self {
        Self {
            limit: None,
            fields: Fields,
        }
    }
    pub fn parse(_asked: &Document, _at: &str) -> Result<Self, Invalid> {
        Ok(Self::everything())
    }
    pub fn admits(&self, _record: &impl Record) -> bool {
        true
    }
    pub fn cursor_after(&self, _record: &impl Record) -> String {
        String::new()
    }
}
