//! JSON values as livelog keeps them: integers and floats apart, fields in the order they came.

mod check;
mod expect;
mod hex;
mod json;
mod names;
mod number;
mod order;
mod read;
mod steps;
mod sum;

pub use check::{Invalid, check_document, check_stored};
pub(crate) use check::{check_value, join, name_offence};
pub(crate) use expect::{expect_array, expect_flag, expect_object, expect_text, expected, integer};
pub(crate) use hex::{from_hex, hex};
pub use names::{known, unknown};
pub(crate) use number::{truncated, whole};
pub(crate) use order::{Class, class, compare, compare_within};
pub use read::{ParseError, read, read_as_it_is};
pub(crate) use read::{TWICE, repeated};
pub use steps::{Steps, TooCostly};
pub use sum::Sum;

/// A JSON value. Numbers keep their kind: `1` is an integer and `1.0` a float, here and in every store.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number written without fraction or exponent, within 64 signed bits.
    Int(i64),
    /// Any other number; always finite, because JSON cannot say otherwise.
    Float(f64),
    /// Text, never reinterpreted as a date, an id or anything else.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// A nested document.
    Object(Document),
}

/// Named values in the order they were written.
///
/// Order is part of a document's identity, as in MongoDB: `{"a":1,"b":2}` does not equal
/// `{"b":2,"a":1}`. Look-ups are linear, which beats hashing at the sizes documents have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    fields: Vec<(String, Value)>,
}

impl Document {
    /// A document without fields.
    pub const fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// The value of a field of this very document; dots are not followed.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.fields
            .iter_mut()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value)
    }

    /// Appends a field. The caller knows that the name is not taken.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.fields.push((name.into(), value.into()));
    }

    /// Gives back capacity for fields that were not added; see [`Value::list`].
    pub(super) fn trim(&mut self) {
        trim(&mut self.fields);
    }

    /// Takes a field out, keeping the order of the others.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }

    /// The fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first name that stands twice, in this very document.
    pub(super) fn repeated_name(&self) -> Option<&str> {
        repeated(&self.fields, |(name, _)| name)
    }

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        self.iter()
            .map(|(name, value)| size_of::<String>() + name.len() + value.approx_bytes())
            .sum()
    }
}

/// A list with one item has capacity for four, and a long one for twice its items. [`Value::approx_bytes`] does not count
/// that, so capacity of which less than half is used is given back.
fn trim<T>(items: &mut Vec<T>) {
    if 2 * items.len() <= items.capacity() + 1 {
        items.shrink_to_fit();
    }
}

impl Value {
    /// A list that takes about as much memory as [`approx_bytes`](Self::approx_bytes) says.
    pub fn list(mut items: Vec<Self>) -> Self {
        trim(&mut items);
        Self::Array(items)
    }

    /// No value takes less memory.
    pub(super) const APPROX_BYTES_MIN: usize = size_of::<Self>();

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => Self::APPROX_BYTES_MIN,
            Self::String(text) => Self::APPROX_BYTES_MIN + text.len(),
            Self::Array(items) => {
                Self::APPROX_BYTES_MIN + items.iter().map(Self::approx_bytes).sum::<usize>()
            }
            Self::Object(document) => Self::APPROX_BYTES_MIN + document.approx_bytes(),
        }
    }

    /// Levels of nesting: 0 for a scalar, 1 for a list or document of scalars.
    pub fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(document) => {
                1 + document
                    .iter()
                    .map(|(_, value)| value.depth())
                    .max()
                    .unwrap_or(0)
            }
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::String(_) => 0,
        }
    }

    /// The name of this kind of value in an error message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Array(_)
            | Self::Object(_) => None,
        }
    }

    /// The nested document, if this is one.
    pub fn as_object(&self) -> Option<&Document> {
        match self {
            Self::Object(document) => Some(document),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::String(_)
            | Self::Array(_) => None,
        }
    }

    /// The same value, borrowed.
    pub fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Bool(flag) => ValueRef::Bool(*flag),
            Self::Int(number) => ValueRef::Int(*number),
            Self::Float(number) => ValueRef::Float(*number),
            Self::String(text) => ValueRef::String(text),
            Self::Array(items) => ValueRef::Array(items),
            Self::Object(document) => ValueRef::Object(document),
        }
    }
}

/// A borrowed [`Value`], so that an event's own fields (`_id`, `_version` …) can be
/// compared and written like any other without being copied into a `Value` first.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the variants of Value, borrowed")]
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(&'a str),
    Array(&'a [Value]),
    Object(&'a Document),
}

impl ValueRef<'_> {
    /// An owned copy.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::String(text) => Value::String(text.to_owned()),
            Self::Array(items) => Value::Array(items.to_vec()),
            Self::Object(document) => Value::Object(document.clone()),
        }
    }
}

/// Something with named values that a query can match: a document, or a whole event.
pub trait Record {
    /// The value of a top-level field.
    fn field(&self, name: &str) -> Option<ValueRef<'_>>;

    /// All top-level fields in order.
    fn fields(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)>;

    /// How many fields a look-up may compare with.
    fn width(&self) -> usize;
}

impl Record for Document {
    fn field(&self, name: &str) -> Option<ValueRef<'_>> {
        self.get(name).map(Value::borrow)
    }

    fn fields(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        self.iter().map(|(name, value)| (name, value.borrow()))
    }

    fn width(&self) -> usize {
        self.len()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(items)
    }
}

impl From<Document> for Value {
    fn from(document: Document) -> Self {
        Self::Object(document)
    }
}

impl<N: Into<String>> FromIterator<(N, Value)> for Document {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> Self {
        Self {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        }
    }
}

impl IntoIterator for Document {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.fields.into_iter()
    }
}
