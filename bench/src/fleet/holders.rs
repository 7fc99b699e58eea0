//! The claims that are held: one consumer and one entity each.

use crate::load::{CONNECTIONS, TENANT, clients};
use anyhow::{Context, Result, ensure};
use claim_proto::v1::{HeartbeatDirective, HeartbeatRequest, HeartbeatResponse, MintRequest};
use std::time::Duration;
use tokio::task::JoinSet;

/// As long as a lease may be, so that none lapses between two measurements.
pub(crate) const LEASE: Duration = Duration::from_secs(600);
/// Mints under way at the same time.
const MINTERS: u32 = 64;

/// Mints the claims of the holders 0 to `count` - 1, and returns their write tokens.
pub(crate) async fn mint(address: &str, count: u32) -> Result<Vec<String>> {
    let mut minters: JoinSet<Result<Vec<(u32, String)>>> = JoinSet::new();
    let clients = clients(address, CONNECTIONS, usize::try_from(MINTERS)?).await?;
    for (minter, mut client) in (0..MINTERS).zip(clients) {
        minters.spawn(async move {
            let mut tokens = Vec::new();
            for number in (minter..count).step_by(usize::try_from(MINTERS)?) {
                let request = MintRequest {
                    tenant_id: TENANT.into(),
                    entity_url: format!("/held/{number}"),
                    consumer_id: consumer(number),
                    epoch: Some(1),
                    authority: "bench".into(),
                    runner_id: "bench".into(),
                    lease_ttl: Some(LEASE.try_into()?),
                    ..Default::default()
                };
                let minted = client.mint(request).await?.into_inner();
                ensure!(minted.claim.context("a claim")?.fence == 1, "a fresh entity");
                tokens.push((number, minted.write_token));
            }
            Ok(tokens)
        });
    }
    let mut tokens = Vec::new();
    while let Some(minted) = minters.join_next().await {
        tokens.extend(minted??);
    }
    tokens.sort_unstable();
    Ok(tokens.into_iter().map(|(_, token)| token).collect())
}

/// A heartbeat of a holder.
pub(crate) fn heartbeat(number: u32) -> HeartbeatRequest {
    HeartbeatRequest {
        tenant_id: TENANT.into(),
        consumer_id: consumer(number),
        epoch: 1,
        ..Default::default()
    }
}

/// Fails unless the heartbeat was accepted and its holder may go on.
pub(crate) fn accept(answer: &HeartbeatResponse) -> Result<()> {
    ensure!(
        answer.lease_expire_time.is_some() && answer.directive() == HeartbeatDirective::Continue,
        "a heartbeat was not simply accepted: {answer:?}"
    );
    Ok(())
}

/// Who holds the claim.
pub(crate) fn consumer(number: u32) -> String {
    format!("holder{number}")
}

/// The holders of one caller, one after the other, without end.
pub(crate) struct Turns {
    first: u32,
    count: u32,
    taken: u64,
}

impl Turns {
    /// Those of one of `callers`, which share all `claims`. Each has a few of its own, so that no two
    /// heartbeats of one claim are under way.
    pub(crate) fn of(caller: u32, callers: u32, claims: u32) -> Self {
        let count = claims / callers;
        Self { first: caller * count, count, taken: 0 }
    }

    /// The next.
    pub(crate) fn next(&mut self) -> Result<u32> {
        let number = self.first + u32::try_from(self.taken % u64::from(self.count))?;
        self.taken += 1;
        Ok(number)
    }

    /// How many there were so far, each counted once.
    pub(crate) fn touched(&self) -> u64 {
        self.taken.min(u64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_different_callers_do_not_meet() {
        let mut turns = [Turns::of(0, 2, 7), Turns::of(1, 2, 7)];
        let taken = turns.each_mut().map(|turns| [(); 4].map(|()| turns.next().unwrap()));
        assert_eq!(taken, [[0, 1, 2, 0], [3, 4, 5, 3]]);
        assert_eq!(turns.map(|turns| turns.touched()), [3, 3]);
    }
}
