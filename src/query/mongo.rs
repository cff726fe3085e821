//! stub
use super::Query;
/// stub
pub fn narrow(_query: &Query) -> bson::Document {
    bson::Document::new()
}
/// stub
pub fn order(_query: &Query) -> bson::Document {
    bson::doc! {"_id": 1}
}
