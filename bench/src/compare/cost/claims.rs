//! Claims that many callers take through their lives together, one step after the other.

use crate::compare::alone::Call;
use crate::compare::call::{self, Client};
use crate::load::{CONNECTIONS, clients};
use anyhow::Result;
use tokio::task::JoinSet;

/// The callers, each with its claims.
pub(crate) struct Claims(Vec<Caller>);

struct Caller {
    client: Client,
    /// Names and write tokens.
    claims: Vec<(String, String)>,
}

impl Claims {
    /// So many, not minted yet, whose names begin as given.
    pub(crate) async fn new(address: &str, names: &str, callers: u32, count: u32) -> Result<Self> {
        let mut all = Vec::new();
        let clients = clients(address, CONNECTIONS, usize::try_from(callers)?).await?;
        for (caller, client) in (0..callers).zip(clients) {
            let numbers = (caller..count).step_by(usize::try_from(callers)?);
            let claims = numbers.map(|number| (format!("{names}{number}"), String::new()));
            all.push(Caller { client, claims: claims.collect() });
        }
        Ok(Self(all))
    }

    /// One step of all of them; how many there are.
    pub(crate) async fn step(&mut self, call: Call) -> Result<u64> {
        let mut steps = JoinSet::new();
        for caller in self.0.drain(..) {
            steps.spawn(caller.step(call));
        }
        let mut count = 0;
        while let Some(caller) = steps.join_next().await {
            let caller = caller??;
            count += u64::try_from(caller.claims.len())?;
            self.0.push(caller);
        }
        Ok(count)
    }
}

impl Caller {
    async fn step(mut self, call: Call) -> Result<Self> {
        let client = &mut self.client;
        for (name, token) in &mut self.claims {
            match call {
                Call::Mint => *token = call::mint(client, name).await?,
                Call::Heartbeat => call::heartbeat(client, name).await?,
                Call::Authorize => call::authorize(client, name, token).await?,
                Call::Done => call::done(client, name, token).await?,
            }
        }
        Ok(self)
    }
}
