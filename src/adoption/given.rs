//! Values as another program stored them.

use std::borrow::Cow;

/// A value as it was given, of the types that BSON has.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the types of BSON, by their names")]
pub enum Given {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Given>),
    Document(GivenFields),
    /// A document that begins with `$ref` and `$id`.
    DbRef(GivenFields),
    DbPointer {
        namespace: String,
        id: [u8; 12],
    },
    ObjectId([u8; 12]),
    /// Milliseconds since 1970.
    Date(i64),
    /// As text.
    Decimal(String),
    Uuid([u8; 16]),
    Binary(Vec<u8>),
    Timestamp {
        time: u32,
        increment: u32,
    },
    Regex {
        pattern: String,
        options: String,
    },
    Symbol(String),
    Code(String),
    CodeWithScope(String, GivenFields),
    MinKey,
    MaxKey,
    Undefined,
    /// What its reader could not read, and why.
    Unreadable(Cow<'static, str>),
}

/// The fields of a document, in order. A name may stand twice: the conversion refuses it.
pub type GivenFields = Vec<(String, Given)>;

/// The subtype of binary data that is a UUID. The older one, 3, has its bytes in an order that only its driver knows.
const SUBTYPE_UUID: u8 = 4;

impl Given {
    /// A document of a program that knows DBRefs.
    pub fn document(fields: GivenFields) -> Self {
        match &fields[..] {
            [(first, Self::Text(_)), (second, _), ..] if first == "$ref" && second == "$id" => {
                Self::DbRef(fields)
            }
            _ => Self::Document(fields),
        }
    }

    /// Binary data of this subtype.
    pub fn binary(subtype: u8, bytes: Vec<u8>) -> Self {
        match (subtype, <[u8; 16]>::try_from(bytes)) {
            (SUBTYPE_UUID, Ok(uuid)) => Self::Uuid(uuid),
            (_, Ok(bytes)) => Self::Binary(bytes.to_vec()),
            (_, Err(bytes)) => Self::Binary(bytes),
        }
    }
}
