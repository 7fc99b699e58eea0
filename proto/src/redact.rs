//! `Debug` without secrets.
//!
//! The build leaves out the derived `Debug` of every message with a `debug_redact` field; here are
//! the ones that replace it. Each takes its message apart by name, without `..`, so that a new
//! field has to be decided on before the crate compiles again. Messages that contain one of these,
//! such as `KeepAliveRequest`, keep their derived `Debug` and are safe through it.

use std::fmt;

use crate::v1::{AuthorizeWriteRequest, DoneOutcome, DoneRequest, HeartbeatRequest, MintResponse};

/// Stands where a secret is.
struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Debug for MintResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, write_token: _, reminted, heartbeat_interval, ended_predecessor } = self;
        f.debug_struct("MintResponse")
            .field("claim", claim)
            .field("write_token", &Redacted)
            .field("reminted", reminted)
            .field("heartbeat_interval", heartbeat_interval)
            .field("ended_predecessor", ended_predecessor)
            .finish()
    }
}

impl fmt::Debug for HeartbeatRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, consumer_id, epoch, write_token: _, lease_ttl, progress } = self;
        f.debug_struct("HeartbeatRequest")
            .field("tenant_id", tenant_id)
            .field("consumer_id", consumer_id)
            .field("epoch", epoch)
            .field("write_token", &Redacted)
            .field("lease_ttl", lease_ttl)
            .field("progress", progress)
            .finish()
    }
}

impl fmt::Debug for DoneRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tenant_id,
            consumer_id,
            epoch,
            write_token: _,
            acked_streams,
            outcome,
            error_message,
        } = self;
        let known = DoneOutcome::try_from(*outcome);
        let outcome: &dyn fmt::Debug = known.as_ref().map_or(outcome, |known| known);
        f.debug_struct("DoneRequest")
            .field("tenant_id", tenant_id)
            .field("consumer_id", consumer_id)
            .field("epoch", epoch)
            .field("write_token", &Redacted)
            .field("acked_streams", acked_streams)
            .field("outcome", outcome)
            .field("error_message", error_message)
            .finish()
    }
}

impl fmt::Debug for AuthorizeWriteRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, stream_path, write_token: _ } = self;
        f.debug_struct("AuthorizeWriteRequest")
            .field("tenant_id", tenant_id)
            .field("stream_path", stream_path)
            .field("write_token", &Redacted)
            .finish()
    }
}
