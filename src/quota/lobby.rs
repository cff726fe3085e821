//! Sockets that have not shown credentials: so many of one address, and so many of all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::who::AddressBlock;
use crate::limits;
use crate::protocol::Failure;

/// Where sockets wait until they are admitted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lobby(Arc<Mutex<Waiters>>);

#[derive(Debug, Default)]
struct Waiters {
    by_address: HashMap<AddressBlock, u32>,
    count: usize,
}

impl Lobby {
    /// Takes a seat for a socket from this address, until that is dropped.
    ///
    /// # Errors
    /// `rate_limited` if its address has all that one may, or there is none.
    pub fn enter(&self, address: IpAddr) -> Result<LobbySeat, Failure> {
        let address = AddressBlock::of(address);
        let mut waiting = self.lock();
        let of_address = waiting.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= limits::LOBBY_ADDRESS_MAX || waiting.count >= limits::LOBBY_MAX {
            let message = "too many sockets wait here without credentials";
            return Err(Failure::rate_limited(message, limits::LOBBY_RETRY));
        }
        waiting.by_address.insert(address, of_address + 1);
        waiting.count += 1;
        Ok(LobbySeat {
            lobby: self.clone(),
            address,
        })
    }

    /// A map is whole after a panic elsewhere: nothing is done with it in steps.
    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the sockets that wait, as long as it lives.
#[derive(Debug)]
pub struct LobbySeat {
    lobby: Lobby,
    address: AddressBlock,
}

impl Drop for LobbySeat {
    fn drop(&mut self) {
        let mut waiting = self.lobby.lock();
        waiting.count -= 1;
        let Some(of_address) = waiting.by_address.get_mut(&self.address) else {
            return;
        };
        *of_address -= 1;
        if *of_address == 0 {
            waiting.by_address.remove(&self.address);
        }
    }
}
