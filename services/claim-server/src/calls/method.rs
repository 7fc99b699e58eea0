//! The methods that are served. Whatever else a caller asks for has no name here, so that no log
//! or metric is named by strangers.

/// A method that is served, or a path that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    name: &'static str,
    streams: bool,
    stays_while_draining: bool,
}

const MINT: &str = "claim.v1.ClaimService/Mint";
/// `package.Service/Method` of every call with one request and one answer.
const UNARY: [&str; 12] = [
    MINT,
    "claim.v1.ClaimService/Heartbeat",
    "claim.v1.ClaimService/HeartbeatBatch",
    "claim.v1.ClaimService/Done",
    "claim.v1.ClaimService/AuthorizeWrite",
    "claim.v1.ClaimService/GetClaim",
    "claim.v1.ClaimService/ListClaims",
    "claim.v1.ClaimService/GetEntity",
    "claim.v1.ClaimService/ListClaimEvents",
    "claim.v1.ClaimAdminService/RevokeClaim",
    "claim.v1.ClaimAdminService/SignalEntity",
    "claim.v1.ClaimAdminService/GetReaperStatus",
];
/// The same of the calls that stream.
const STREAMS: [&str; 4] = [
    "claim.v1.ClaimService/KeepAlive",
    "claim.v1.ClaimService/WatchClaimEvents",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
const HEALTH_CHECK: &str = "grpc.health.v1.Health/Check";
const HEALTH_WATCH: &str = "grpc.health.v1.Health/Watch";
/// Stands for all that is not served.
const UNKNOWN: &str = "unknown";

impl Method {
    /// The method of a request's path.
    pub(crate) fn of(path: &str) -> Self {
        let asked = path.strip_prefix('/').unwrap_or_default();
        let known = |names: &[&'static str]| names.iter().copied().find(|name| *name == asked);
        if let Some(name) = known(&UNARY) {
            return Self { name, streams: false, stays_while_draining: false };
        }
        if let Some(name) = known(&STREAMS) {
            return Self { name, streams: true, stays_while_draining: false };
        }
        if let Some(name) = known(&[HEALTH_CHECK, HEALTH_WATCH]) {
            return Self { name, streams: name == HEALTH_WATCH, stays_while_draining: true };
        }
        Self { name: UNKNOWN, streams: false, stays_while_draining: false }
    }

    /// Whether a request's path is that of a mint.
    pub(crate) fn is_mint(path: &str) -> bool {
        path.strip_prefix('/') == Some(MINT)
    }

    /// `package.Service/Method`, or `unknown`.
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    /// Whether the call may last: then its deadline is its caller's affair.
    pub(crate) const fn streams(self) -> bool {
        self.streams
    }

    /// Whether the call is answered to the very end: how else would anybody learn of it.
    pub(crate) const fn stays_while_draining(self) -> bool {
        self.stays_while_draining
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    #[test]
    fn every_method_of_the_contract_is_known_and_streams_as_the_contract_says() {
        for set in [claim_proto::FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET] {
            for file in FileDescriptorSet::decode(set).unwrap().file {
                for service in &file.service {
                    for method in &service.method {
                        let name =
                            format!("{}.{}/{}", file.package(), service.name(), method.name());
                        let known = Method::of(&format!("/{name}"));
                        assert_eq!(known.name(), name);
                        let streams = method.client_streaming() || method.server_streaming();
                        assert_eq!(known.streams(), streams, "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_path_that_is_no_method_has_no_name() {
        for path in ["", "/", "/claim.v1.ClaimService/Steal", "claim.v1.ClaimService/Mint"] {
            assert_eq!(Method::of(path).name(), "unknown", "{path:?}");
        }
    }
}
