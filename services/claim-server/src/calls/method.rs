//! The methods that are served. Whatever else a caller asks for has no name here, so that no log
//! or metric is named by strangers.

/// A method that is served, or a path that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Mint,
    Heartbeat,
    HeartbeatBatch,
    KeepAlive,
    Done,
    AuthorizeWrite,
    GetClaim,
    ListClaims,
    GetEntity,
    ListClaimEvents,
    WatchClaimEvents,
    RevokeClaim,
    SignalEntity,
    GetReaperStatus,
    Reflection,
    ReflectionAlpha,
    HealthCheck,
    HealthWatch,
    /// Stands for all that is not served.
    Unknown,
}

impl Method {
    /// All that are served, those that are called most first.
    pub(crate) const SERVED: [Self; 18] = [
        Self::Heartbeat,
        Self::AuthorizeWrite,
        Self::Mint,
        Self::Done,
        Self::HeartbeatBatch,
        Self::KeepAlive,
        Self::GetClaim,
        Self::ListClaims,
        Self::GetEntity,
        Self::ListClaimEvents,
        Self::WatchClaimEvents,
        Self::RevokeClaim,
        Self::SignalEntity,
        Self::GetReaperStatus,
        Self::HealthCheck,
        Self::HealthWatch,
        Self::Reflection,
        Self::ReflectionAlpha,
    ];

    /// The method of a request's path.
    pub(crate) fn of(path: &str) -> Self {
        let asked = path.strip_prefix('/').unwrap_or_default();
        let served = Self::SERVED.into_iter().find(|method| method.name() == asked);
        served.unwrap_or(Self::Unknown)
    }

    /// Whether a request's path is that of a mint.
    pub(crate) fn is_mint(path: &str) -> bool {
        path.strip_prefix('/') == Some(Self::Mint.name())
    }

    /// `package.Service/Method`, or `unknown`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mint => "claim.v1.ClaimService/Mint",
            Self::Heartbeat => "claim.v1.ClaimService/Heartbeat",
            Self::HeartbeatBatch => "claim.v1.ClaimService/HeartbeatBatch",
            Self::KeepAlive => "claim.v1.ClaimService/KeepAlive",
            Self::Done => "claim.v1.ClaimService/Done",
            Self::AuthorizeWrite => "claim.v1.ClaimService/AuthorizeWrite",
            Self::GetClaim => "claim.v1.ClaimService/GetClaim",
            Self::ListClaims => "claim.v1.ClaimService/ListClaims",
            Self::GetEntity => "claim.v1.ClaimService/GetEntity",
            Self::ListClaimEvents => "claim.v1.ClaimService/ListClaimEvents",
            Self::WatchClaimEvents => "claim.v1.ClaimService/WatchClaimEvents",
            Self::RevokeClaim => "claim.v1.ClaimAdminService/RevokeClaim",
            Self::SignalEntity => "claim.v1.ClaimAdminService/SignalEntity",
            Self::GetReaperStatus => "claim.v1.ClaimAdminService/GetReaperStatus",
            Self::Reflection => "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            Self::ReflectionAlpha => {
                "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
            }
            Self::HealthCheck => "grpc.health.v1.Health/Check",
            Self::HealthWatch => "grpc.health.v1.Health/Watch",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the call may last: then its deadline is its caller's affair.
    pub(crate) const fn streams(self) -> bool {
        matches!(
            self,
            Self::KeepAlive
                | Self::WatchClaimEvents
                | Self::Reflection
                | Self::ReflectionAlpha
                | Self::HealthWatch
        )
    }

    /// Whether the call is answered to the very end: how else would anybody learn of it.
    pub(crate) const fn stays_while_draining(self) -> bool {
        matches!(self, Self::HealthCheck | Self::HealthWatch)
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
            assert_eq!(Method::of(path), Method::Unknown, "{path:?}");
        }
    }
}
