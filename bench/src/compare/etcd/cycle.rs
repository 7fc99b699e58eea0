//! What comes nearest to a mint and its done: a lease, a key put under it if nobody has it, and the end
//! of the lease, which takes the key away.

use super::api::compare::{CompareResult, CompareTarget, TargetUnion};
use super::api::kv_client::KvClient;
use super::api::lease_client::LeaseClient;
use super::api::request_op::Request;
use super::api::{Compare, LeaseRevokeRequest, PutRequest, RequestOp, TxnRequest};
use super::{Etcd, grant};
use crate::latencies::Latencies;
use crate::load::Measured;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Cycles of so many callers, each of a key of its own.
pub(crate) async fn cycles(etcd: &Etcd, callers: u32, length: Duration) -> Result<Measured> {
    let began = Instant::now();
    let mut loops = JoinSet::new();
    for caller in 0..callers {
        loops.spawn(cycle(etcd.client(caller)?, format!("/fresh/{caller}"), began + length));
    }
    let mut all = Latencies::new()?;
    while let Some(latencies) = loops.join_next().await {
        all.add(&latencies??)?;
    }
    Measured::of(&all, began.elapsed())
}

async fn cycle(channel: Channel, key: String, until: Instant) -> Result<Latencies> {
    let (mut leases, mut keys) = (LeaseClient::new(channel.clone()), KvClient::new(channel));
    let mut latencies = Latencies::new()?;
    while Instant::now() < until {
        let sent = Instant::now();
        let lease = grant(&mut leases).await?;
        let put = keys.txn(put_if_absent(&key, lease)).await?.into_inner();
        ensure!(put.succeeded, "somebody has {key}");
        leases.lease_revoke(LeaseRevokeRequest { id: lease }).await?;
        latencies.record(sent.elapsed())?;
    }
    Ok(latencies)
}

fn put_if_absent(key: &str, lease: i64) -> TxnRequest {
    let absent = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key: key.into(),
        target_union: Some(TargetUnion::CreateRevision(0)),
    };
    let put = PutRequest { key: key.into(), value: b"holder".to_vec(), lease };
    let success = RequestOp { request: Some(Request::RequestPut(put)) };
    TxnRequest { compare: vec![absent], success: vec![success], failure: Vec::new() }
}
