//! The claim service over gRPC. This crate converts: a request to a command of the domain, the
//! store's answer back to a message, a refusal to a status. What a claim is and how it may change
//! is the business of the crate `claims`.
//!
//! The way of a call: `transport` (encryption, certificates) → `entrance` (connections, and who may
//! come in) → `calls` (span, drain, deadline, caller, panics, malformed bytes) → the handler in
//! `claim_service` → `wire::request` → `access` (may the caller do that?) →
//! `quota` → the store →
//! `wire::answer`, or `status` for a no.
//!
//! Beside the calls, `server` runs three tasks: `health` asks the database whether it answers,
//! `liveness` signs that this server can hear heartbeats, and `probes` tells orchestrators.

mod access;
mod admin_service;
mod beat;
mod calls;
mod claim_service;
pub mod config;
mod entrance;
mod fingerprint;
mod health;
mod jitter;
mod keep_alive;
mod liveness;
mod metrics;
mod page_token;
mod peer;
mod probes;
mod quota;
mod reason;
pub mod server;
mod source;
mod status;
mod subject;
mod traces;
mod transport;
mod turns;
mod watches;
mod wire;

pub use access::{AccessConfig, AccessSettings};
pub use config::{Config, LaneSettings};
pub use entrance::ConnectionSettings;
pub use quota::file::QuotaFile;
pub use server::{Server, ServerError};
pub use traces::Traces;
pub use transport::{ClientAuth, Transport, TransportSettings};
