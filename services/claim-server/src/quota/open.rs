//! What is open at a time, by name, on this server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what each name has open. Names that have nothing open are not kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Open(Arc<Mutex<HashMap<Arc<str>, u32>>>);

/// Something that is open until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Open,
    name: Arc<str>,
}

impl Open {
    /// Opens one more; none if the name has as many as it may. All are counted, also those that have no
    /// limit, as one may be set while they are open.
    pub(super) fn open(&self, name: &str, limit: Option<u32>) -> Option<Place> {
        let mut counts = self.lock();
        let count = counts.get(name).copied().unwrap_or(0);
        if limit.is_some_and(|limit| count >= limit) {
            return None;
        }
        let name = match counts.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        counts.insert(Arc::clone(&name), count + 1);
        Some(Place { open: self.clone(), name })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, u32>> {
        // Nothing panics in between that leaves it half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock();
        match counts.get_mut(&self.name) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = counts.remove(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_open_than_the_limit_and_what_is_closed_makes_room() {
        let open = Open::default();
        let first = open.open("a", Some(2)).unwrap();
        let second = open.open("a", Some(2)).unwrap();
        assert!(open.open("a", Some(2)).is_none());
        assert!(open.open("b", Some(1)).is_some(), "others are not concerned");
        drop(first);
        let third = open.open("a", Some(2)).unwrap();
        assert!(open.open("a", Some(2)).is_none());
        drop((second, third));
        assert!(open.lock().is_empty(), "nothing is kept of who has nothing open");
    }

    #[test]
    fn what_was_opened_without_a_limit_counts_when_there_is_one() {
        let open = Open::default();
        let _first = open.open("a", None).unwrap();
        assert!(open.open("a", Some(1)).is_none());
        assert!(open.open("a", Some(0)).is_none());
        assert!(open.open("b", Some(0)).is_none());
    }
}
