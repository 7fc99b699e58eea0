//! The `claim.v1` contract: messages, gRPC clients and servers, and the descriptor set, generated
//! from the protos in this folder. Nothing else lives here; how a claim may change is the business
//! of the crate `claims`.
//!
//! * [`v1`] has the messages, [`v1::claim_service_client`], [`v1::claim_service_server`] and the
//!   same for the admin service. Errors inside answers are [`tonic_types::Status`].
//! * [`FILE_DESCRIPTOR_SET`] is what server reflection serves, comments included.
//! * [`ERROR_DOMAIN`] is the domain of every `google.rpc.ErrorInfo` that the services send.
//! * [`SERVICE_CONFIG`] is the published gRPC service config.
//!
//! The `Debug` form of a message never shows a write token: fields marked `debug_redact` are
//! printed as `<redacted>`.

mod codec;
mod redact;
#[cfg(test)]
mod tests;

/// The package `claim.v1`, as generated.
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::doc_lazy_continuation,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("claim.v1");
}

/// The encoded `google.protobuf.FileDescriptorSet` of the package and all that it imports, with
/// comments and with the `debug_redact` options.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptor");

/// The `domain` of every `google.rpc.ErrorInfo` of the services. Reasons are unique within it.
pub const ERROR_DOMAIN: &str = "claim.v1";

/// The gRPC service config for clients of the services, as JSON: which calls a channel may repeat
/// by itself, and the 5 s that a heartbeat may take, repetitions included.
///
/// Every call may be repeated with the same arguments, so the policy covers all of them and asks
/// only which codes a mere repetition can cure, without the caller learning of it:
///
/// | code | reasons | repeated by the channel |
/// |---|---|---|
/// | UNAVAILABLE | `DATABASE_UNAVAILABLE`, `DRAINING`, no connection | yes: another server, or the same one a moment later, can answer |
/// | DEADLINE_EXCEEDED | `TIMED_OUT` | yes: it takes effect where the server gave up before the caller's deadline, which spans all attempts |
/// | RESOURCE_EXHAUSTED | `OVERLOADED`, `QUOTA_EXCEEDED` | no: the caller is to back off for the time in `google.rpc.RetryInfo`, which a channel does not read; quick repetitions would add load where there is too much. gRPC itself uses the code for messages that are too large |
/// | RESOURCE_EXHAUSTED | `WATCHER_TOO_SLOW` | no: the caller has to resume from another sequence |
/// | all others | | no: the answer would be the same |
///
/// `KeepAlive` is left out. A channel would replay the heartbeats it has buffered, however old they
/// are; a client opens a new stream and sends fresh ones. `WatchClaimEvents` is repeated only as
/// long as no answer has begun, which is how gRPC treats all streams.
///
/// A mint should carry a `request_id` (or an epoch and a `runner_id`): without one, the repetition
/// of a mint whose answer was lost is refused with `ALREADY_CLAIMED`, by the channel as by hand.
///
/// Five attempts spread over about 1.5 s fit into a heartbeat's 5 s. What takes longer is left to
/// the caller. The throttle stops repetitions while most calls fail, so that they do not multiply
/// the load of an outage.
///
/// tonic's own channel reads no service config; libraries that do, take it as it is.
pub const SERVICE_CONFIG: &str = include_str!("../claim/v1/service_config.json");
