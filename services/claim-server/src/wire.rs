//! Between the messages of `claim.v1` and the domain. Wire types stop here: behind this module
//! there is plain Rust that has been checked.
//!
//! * [`request`]: what callers ask, checked, with every violation found and not just the first.
//! * [`answer`]: what they are told.
//! * [`stream`]: both, of many heartbeats in one call.
//! * [`admin`]: both, of operators.
//! * [`events`]: both, of those who look on.

pub(crate) mod admin;
pub(crate) mod answer;
pub(crate) mod events;
pub(crate) mod request;
pub(crate) mod stream;
mod time;
mod violations;

pub(crate) use time::rfc3339;
pub(crate) use violations::InvalidFields;
