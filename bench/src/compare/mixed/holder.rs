//! One holder and its times.

use super::{CHURN, Kind, PERIOD, TTL};
use crate::compare::call::{self, Client};
use crate::load::TENANT;
use anyhow::{Context, Result, ensure};
use claim_proto::v1::MintRequest;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What all holders have in common.
#[derive(Clone, Copy)]
pub(super) struct Fleet {
    pub(super) began: Instant,
    pub(super) count: u32,
    pub(super) periods: u32,
}

/// Who holds which claim.
pub(super) struct Holder {
    client: Client,
    number: u32,
    /// Of its present claim, which is also the entity's fence.
    epoch: i64,
    token: String,
}

/// Where answers are told: what, and how long after its time.
type Tell = mpsc::UnboundedSender<(Kind, Duration)>;

impl Holder {
    /// With its first claim.
    pub(super) async fn mint(client: Client, number: u32) -> Result<Self> {
        let mut holder = Self { client, number, epoch: 0, token: String::new() };
        holder.mint_next().await?;
        Ok(holder)
    }

    /// Lives through all periods. Each begins with a heartbeat, or now and then with a done, which a mint
    /// follows after a quarter; in the middle it asks whether it may write. Calls have their times, which
    /// wait for no answer but its own last one.
    pub(super) async fn live(mut self, fleet: Fleet, tell: Tell) -> Result<()> {
        let place = PERIOD.mul_f64(f64::from(self.number) / f64::from(fleet.count));
        for period in 0..fleet.periods {
            let begins = fleet.began + place + PERIOD * period;
            if (self.number + period).is_multiple_of(CHURN) {
                self.at(begins, Kind::Done, &tell).await?;
                self.at(begins + PERIOD / 4, Kind::Mint, &tell).await?;
            } else {
                self.at(begins, Kind::Heartbeat, &tell).await?;
            }
            self.at(begins + PERIOD / 2, Kind::Authorize, &tell).await?;
        }
        Ok(())
    }

    async fn at(&mut self, due: Instant, kind: Kind, tell: &Tell) -> Result<()> {
        tokio::time::sleep_until(due.into()).await;
        let consumer = self.consumer();
        let client = &mut self.client;
        match kind {
            Kind::Heartbeat => call::heartbeat_of(client, &consumer, self.epoch).await?,
            Kind::Authorize => {
                let entity = format!("/agent/{}", self.number);
                call::authorize_write(client, &entity, &consumer, self.epoch, &self.token).await?;
            }
            Kind::Done => {
                call::done_current(client, TENANT, &consumer, self.epoch, &self.token).await?;
            }
            Kind::Mint => self.mint_next().await?,
        }
        Ok(tell.send((kind, due.elapsed()))?)
    }

    async fn mint_next(&mut self) -> Result<()> {
        self.epoch += 1;
        let request = MintRequest {
            tenant_id: TENANT.into(),
            entity_url: format!("/agent/{}", self.number),
            consumer_id: self.consumer(),
            epoch: Some(self.epoch),
            authority: "bench".into(),
            runner_id: format!("runner-{}", self.number % 500),
            lease_ttl: Some(TTL.try_into()?),
            ..Default::default()
        };
        let minted = self.client.mint(request).await?.into_inner();
        let fence = minted.claim.context("a claim")?.fence;
        ensure!(fence == self.epoch, "fence {fence} at epoch {}: another has claimed", self.epoch);
        ensure!(!minted.reminted && minted.ended_predecessor.is_none(), "a fresh claim");
        self.token = minted.write_token;
        Ok(())
    }

    /// Fresh for each wake.
    fn consumer(&self) -> String {
        format!("w{}_{}", self.number, self.epoch)
    }
}
