//! Keys in a ring, each with something of its own. Whatever is done with one costs the same, however many there are: also
//! to take it out of the middle.
//!
//! Invariant: from `first` on, the keys that come `after` each other are all that there are, and those that come `before`
//! each other are the same ones backwards.

use std::collections::HashMap;
use std::hash::Hash;

#[derive(Debug)]
pub(super) struct Ring<K, T> {
    links: HashMap<K, Link<K, T>>,
    first: Option<K>,
}

#[derive(Debug)]
struct Link<K, T> {
    before: K,
    after: K,
    content: T,
}

impl<K, T> Default for Ring<K, T> {
    fn default() -> Self {
        Self {
            links: HashMap::new(),
            first: None,
        }
    }
}

impl<K: Copy + Eq + Hash, T> Ring<K, T> {
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn first(&self) -> Option<K> {
        self.first
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        self.links.get_mut(&key).map(|link| &mut link.content)
    }

    #[cfg(test)]
    pub(super) fn contents(&self) -> impl Iterator<Item = &T> {
        self.links.values().map(|link| &link.content)
    }

    /// Adds a key that it does not have behind all others.
    pub(super) fn add_last(&mut self, key: K, content: T) {
        let first = *self.first.get_or_insert(key);
        let last = self.links.get(&first).map_or(key, |link| link.before);
        let link = Link {
            before: last,
            after: first,
            content,
        };
        let is_there = self.links.insert(key, link).is_some();
        debug_assert!(!is_there, "each key is there once");
        self.join(last, key);
        self.join(key, first);
    }

    /// Adds a key that it does not have before all others.
    pub(super) fn add_first(&mut self, key: K, content: T) {
        self.add_last(key, content);
        self.first = Some(key);
    }

    /// Puts the first key behind all others.
    pub(super) fn pass_first(&mut self) {
        if let Some(first) = self.first {
            self.first = Some(self.link(first).after);
        }
    }

    pub(super) fn remove(&mut self, key: K) -> Option<T> {
        let Link {
            before,
            after,
            content,
        } = self.links.remove(&key)?;
        if self.first == Some(key) {
            self.first = (after != key).then_some(after);
        }
        if after != key {
            self.join(before, after);
        }
        Some(content)
    }

    fn join(&mut self, before: K, after: K) {
        self.link(before).after = after;
        self.link(after).before = before;
    }

    fn link(&mut self, key: K) -> &mut Link<K, T> {
        self.links.get_mut(&key).expect("the ring goes on to it")
    }
}
