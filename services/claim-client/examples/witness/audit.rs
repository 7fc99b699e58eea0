//! What was acknowledged, compared with what the service has.

use crate::ledger::Ledger;
use crate::record::{Grant, Record};
use anyhow::{Context, Result};
use claim_client::v1::ClaimState;
use claim_client::{ClaimId, Client, Refusal};

/// Tokens of an earlier run that are tried: each is a call.
const TRIED_MAX: usize = 500;

/// What cannot be expected.
#[derive(Debug)]
pub(crate) struct But {
    /// The clock of this machine and that of the database differ: leases say nothing here.
    pub(crate) clocks_differ: bool,
    /// What has ended may have been removed.
    pub(crate) may_be_pruned: bool,
}

/// Every grant is there, with its fence; every acknowledged done is; and no lease ends before the time
/// that was promised.
pub(crate) async fn acknowledged_is_there(
    client: &Client,
    ledger: &Ledger,
    but: &But,
) -> Result<()> {
    for grant in ledger.record().0 {
        let name = format!("{} epoch {} on {}", grant.consumer, grant.epoch, grant.entity);
        let claim = match client.get_claim(&id(&grant)).await {
            Ok(claim) => claim,
            Err(error) if error.refusal() == Some(&Refusal::ClaimNotFound) => {
                if but.may_be_pruned && (grant.done || grant.abandoned) {
                    continue;
                }
                ledger.violated(format!("{name} was granted and is gone"));
                continue;
            }
            Err(error) => return Err(error).context("the audit has no answer"),
        };
        if claim.fence != grant.fence {
            ledger.violated(format!("{name}: fence {} and not {}", claim.fence, grant.fence));
        }
        if grant.done && claim.state() != ClaimState::Released {
            let state = claim.state().as_str_name();
            ledger.violated(format!("{name} was reported done and is {state}"));
        }
        let ends = claim
            .lease_expire_time
            .as_ref()
            .map_or(0, |time| time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000);
        if !but.clocks_differ && grant.lease_until.is_some_and(|promised| ends < promised) {
            ledger.violated(format!("{name}: its lease ended before the time that was promised"));
        }
    }
    Ok(())
}

/// No token of an earlier run authorizes a write.
pub(crate) async fn old_tokens_are_refused(
    client: &Client,
    ledger: &Ledger,
    earlier: &Record,
) -> Result<()> {
    // The last ones: those of claims that were held when the run ended are among them.
    for grant in earlier.0.iter().rev().take(TRIED_MAX) {
        match client.authorize_write("", &grant.stream, &grant.token).await {
            Ok(_) => ledger.violated(format!(
                "an old token of {} still writes to {}",
                grant.consumer, grant.stream
            )),
            Err(error) if error.refusal().is_some() => {}
            Err(error) => return Err(error).context("an old token is not judged"),
        }
    }
    Ok(())
}

fn id(grant: &Grant) -> ClaimId {
    ClaimId { tenant_id: String::new(), consumer_id: grant.consumer.clone(), epoch: grant.epoch }
}
