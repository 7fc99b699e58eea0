//! Between the messages of `claim.v1` and the domain. Wire types stop here: behind this module
//! there is plain Rust that has been checked.
//!
//! * [`request`]: what callers ask, checked, with every violation found and not just the first.
//! * [`answer`]: what they are told.

pub(crate) mod answer;
pub(crate) mod request;
mod time;
mod violations;

pub(crate) use time::rfc3339;
pub(crate) use violations::InvalidFields;
