//! The steps that are charged.

use super::What;
use super::claims::Claims;
use crate::compare::alone::Call;
use crate::compare::settings::Settings;
use crate::fleet::heartbeats::{Way, send};
use anyhow::Result;
use tokio::runtime::Runtime;

/// Calls, one after the other or many at a time; how many they were.
pub(crate) type Step<'a> = &'a mut dyn FnMut() -> Result<u64>;

/// Each of them once, on the server of this address: what it is, by how many callers. Names of claims
/// begin as given.
pub(crate) fn each(
    settings: &Settings,
    runtime: &Runtime,
    address: &str,
    names: &str,
    mut take: impl FnMut(What, u32, Step<'_>) -> Result<()>,
) -> Result<()> {
    for (callers, count) in
        [(1, settings.charged.div_ceil(4)), (settings.callers, settings.charged)]
    {
        let names = format!("{names}_{callers}_");
        let mut claims = runtime.block_on(Claims::new(address, &names, callers, count))?;
        for call in [Call::Mint, Call::Heartbeat, Call::Authorize, Call::Done] {
            take(What::Call(call), callers, &mut || runtime.block_on(claims.step(call)))?;
        }
    }
    let sizes = settings.sizes(settings.streams);
    let beats = |way| Ok(runtime.block_on(send(way, sizes, address))?.accepted);
    let under_way = settings.under_way;
    take(What::KeepAlive(under_way), settings.streams, &mut || beats(Way::KeepAlive(under_way)))?;
    take(What::Batch, settings.batch_callers, &mut || beats(Way::Batch))
}
