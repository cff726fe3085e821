//! Who is counted together.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::Author;

/// How much of a name stands in a line of the log.
const NAME_CHARS_MAX: usize = 64;

/// Who is counted together, and named in the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Who has shown credentials.
    Author(Arc<Author>),
    /// Who has shown none.
    Address(AddressBlock),
}

/// An IPv4 address, or the network of 64 bits that an IPv6 address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressBlock(IpAddr);

impl AddressBlock {
    /// The one that this address is in. An IPv4 address in the form of IPv6 is an IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                Self(Ipv6Addr::from_bits(network).into())
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(formatter),
            IpAddr::V6(network) => write!(formatter, "{network}/64"),
        }
    }
}

impl Who {
    /// 128 bits that stand for it, under this role: names may be long, and are said by others.
    pub(super) fn digest(&self, role: &str) -> u128 {
        let (kind, first, second) = match self {
            Self::Author(author) => match &**author {
                Author::Token { issuer, subject } => (0, issuer.to_string(), subject.to_string()),
                Author::Key { id } => (1, id.to_string(), String::new()),
            },
            Self::Address(block) => (2, block.to_string(), String::new()),
        };
        let mut digest = Sha256::new_with_prefix([kind]);
        for part in [role, &first, &second] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let digest = digest.finalize();
        let half = digest.first_chunk().expect("it has 32 bytes");
        u128::from_le_bytes(*half)
    }
}

/// For the log: what others say of themselves is cut, and its signs are escaped.
impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(block) => block.fmt(formatter),
            Self::Author(author) => match &**author {
                Author::Token { issuer, subject } => {
                    write!(formatter, "{:?} of {:?}", cut(subject), cut(issuer))
                }
                Author::Key { id } => write!(formatter, "key {:?}", cut(id)),
            },
        }
    }
}

fn cut(name: &str) -> &str {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        None => name,
        Some((end, _)) => &name[..end],
    }
}
