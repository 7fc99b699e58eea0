//! Epochs count claims within an authority; fences count claims of an entity. Both are 64-bit,
//! both only rise, and they must never be compared with each other.

use super::names::InvalidField;
use std::fmt;

/// Generation number of a claim, 1 … 2^63-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(i64);

impl Epoch {
    /// The first epoch of an authority.
    pub const FIRST: Self = Self(1);
    /// The highest epoch there can be.
    pub const LAST: Self = Self(i64::MAX);

    /// Checks that the number is at least 1; the error names `epoch`.
    pub fn parse(value: i64) -> Result<Self, InvalidField> {
        if value < 1 {
            return Err(InvalidField::new("epoch", "must be at least 1"));
        }
        Ok(Self(value))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The next number, or none at the top of the range: an epoch never wraps.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a claim of an entity: +1 with each accepted mint and re-mint, never reset, never
/// reused. Zero is an entity that was never claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(i64);

impl Fence {
    /// The fence of an entity that was never claimed.
    pub const UNCLAIMED: Self = Self(0);

    /// Checks that the number is not negative.
    pub fn parse(value: i64) -> Result<Self, InvalidField> {
        if value < 0 {
            return Err(InvalidField::new("fence", "must not be negative"));
        }
        Ok(Self(value))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The next number, or none at the top of the range: a fence never wraps.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// What a restore of the database to an earlier point may have taken back without a trace: up to this
/// number, fences and epochs may have been handed out for entities that the database does not know.
/// Zero if it was never set back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberFloor(i64);

impl NumberFloor {
    /// Checks that the number is not negative.
    pub fn parse(value: i64) -> Result<Self, InvalidField> {
        Ok(Self(Fence::parse(value)?.get()))
    }

    /// The fence of an entity that this database does not know: the next one lies above.
    #[must_use]
    pub const fn fence(self) -> Fence {
        Fence(self.0)
    }

    /// An epoch that may have been issued; none if the database was never set back.
    #[must_use]
    pub fn epoch(self) -> Option<Epoch> {
        Epoch::parse(self.0).ok()
    }
}
