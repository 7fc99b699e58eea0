//! Everything that can be called.

/// A method that is served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// `package.Service/Method`.
    pub(crate) path: &'static str,
    /// Its answers may go on for ever.
    pub(crate) is_endless: bool,
}

const fn call(path: &'static str) -> Method {
    Method { path, is_endless: false }
}

const fn watch(path: &'static str) -> Method {
    Method { path, is_endless: true }
}

pub(crate) static MINT: Method = call("claim.v1.ClaimService/Mint");
pub(crate) static HEARTBEAT: Method = call("claim.v1.ClaimService/Heartbeat");
pub(crate) static HEARTBEAT_BATCH: Method = call("claim.v1.ClaimService/HeartbeatBatch");
pub(crate) static KEEP_ALIVE: Method = call("claim.v1.ClaimService/KeepAlive");
pub(crate) static DONE: Method = call("claim.v1.ClaimService/Done");
pub(crate) static AUTHORIZE_WRITE: Method = call("claim.v1.ClaimService/AuthorizeWrite");
pub(crate) static GET_CLAIM: Method = call("claim.v1.ClaimService/GetClaim");
pub(crate) static LIST_CLAIMS: Method = call("claim.v1.ClaimService/ListClaims");
pub(crate) static GET_ENTITY: Method = call("claim.v1.ClaimService/GetEntity");
pub(crate) static LIST_CLAIM_EVENTS: Method = call("claim.v1.ClaimService/ListClaimEvents");
pub(crate) static WATCH_CLAIM_EVENTS: Method = watch("claim.v1.ClaimService/WatchClaimEvents");
pub(crate) static REVOKE_CLAIM: Method = call("claim.v1.ClaimAdminService/RevokeClaim");
pub(crate) static SIGNAL_ENTITY: Method = call("claim.v1.ClaimAdminService/SignalEntity");
pub(crate) static GET_REAPER_STATUS: Method = call("claim.v1.ClaimAdminService/GetReaperStatus");
static HEALTH_CHECK: Method = call("grpc.health.v1.Health/Check");
static HEALTH_WATCH: Method = watch("grpc.health.v1.Health/Watch");
static REFLECTION: Method = call("grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
static REFLECTION_ALPHA: Method =
    call("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");

/// All of them.
pub(crate) static METHODS: [&Method; 18] = [
    &MINT,
    &HEARTBEAT,
    &HEARTBEAT_BATCH,
    &KEEP_ALIVE,
    &DONE,
    &AUTHORIZE_WRITE,
    &GET_CLAIM,
    &LIST_CLAIMS,
    &GET_ENTITY,
    &LIST_CLAIM_EVENTS,
    &WATCH_CLAIM_EVENTS,
    &REVOKE_CLAIM,
    &SIGNAL_ENTITY,
    &GET_REAPER_STATUS,
    &HEALTH_CHECK,
    &HEALTH_WATCH,
    &REFLECTION,
    &REFLECTION_ALPHA,
];

/// Those of the contract.
pub(crate) fn of_the_contract() -> impl Iterator<Item = &'static Method> {
    METHODS.into_iter().filter(|method| method.path.starts_with("claim.v1."))
}

#[test]
fn every_method_of_the_contract_is_tried() {
    let pool = prost_reflect::DescriptorPool::decode(claim_proto::FILE_DESCRIPTOR_SET);
    let services: Vec<_> = pool.expect("the contract").services().collect();
    let methods = services.iter().flat_map(|service| {
        service.methods().map(|method| format!("{}/{}", service.full_name(), method.name()))
    });
    let mut of_it: Vec<String> = methods.collect();
    let mut tried: Vec<&str> = of_the_contract().map(|method| method.path).collect();
    of_it.sort();
    tried.sort_unstable();
    assert_eq!(tried, of_it);
}
