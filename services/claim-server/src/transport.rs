//! How the gRPC listener's connections are carried: in plain text, or encrypted by rustls.
//!
//! [`settings`] says what is wanted and refuses what would be unsafe, [`files`] reads certificates,
//! key and authority, [`reload`] does so again when they have changed, and [`door`] lets a connection
//! in and tells who is at its other end.

mod complaints;
pub(crate) mod door;
mod files;
mod names;
pub(crate) mod reload;
mod settings;

pub(crate) use complaints::Complaints;
pub use settings::{ClientAuth, Transport, TransportSettings};

#[cfg(test)]
mod testing;
