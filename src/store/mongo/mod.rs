//! stub
#[derive(Debug, Clone)]
pub struct MongoOptions {
    pub uri: String,
    pub database: Option<String>,
}
