//! Who asks, before it is known by name.

use std::net::IpAddr;
use std::sync::Arc;

use super::account::Quota;
use super::accounts::Quotas;
use super::who::{AddressBlock, Who};
use crate::access::Grant;

/// Where somebody asks from, and what counts for it there. Credentials that are shown later make another [`Quota`] of it.
#[derive(Debug, Clone)]
pub struct Caller {
    quotas: Quotas,
    address: IpAddr,
}

impl Caller {
    /// Who asks from this address.
    pub fn new(quotas: &Quotas, address: IpAddr) -> Self {
        Self {
            quotas: quotas.clone(),
            address,
        }
    }

    /// Where it is.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Who it is as long as it is not known by name.
    pub fn stranger(&self) -> Who {
        Who::Address(AddressBlock::of(self.address))
    }

    /// What it may take under this grant.
    pub fn quota(&self, grant: &Grant) -> Quota {
        let who = match grant.author() {
            Some(author) => Who::Author(Arc::clone(author)),
            None => self.stranger(),
        };
        let account = self.quotas.account(&who, grant.role(), grant.limits());
        Quota::new(self.clone(), who, account)
    }
}
