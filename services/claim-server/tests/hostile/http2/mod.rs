//! HTTP/2 as nobody should speak it: floods, bombs, silence and broken frames. Each attack is
//! bounded, and has the whole of a server; meanwhile a client that keeps to the contract is served
//! without a failure, and afterwards the server's memory and descriptors are what they were.

mod bystander;
mod control;
mod flow;
mod headers;
mod peer;
mod resets;
mod silence;
mod violations;
mod wire;

use crate::process::{descriptors, is_unharmed, peak_bytes, resident_bytes};
use crate::support::{Server, eventually};
use bystander::Bystander;
use claims::testing::TestDatabase;
use std::net::SocketAddr;

/// How much more memory the server may have had while an attack lasted.
const PEAK_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How much of that it may keep for later; an allocator gives back what it likes.
const KEPT_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Connections to the database that reads may have made the server open, and that it keeps.
const DATABASE_CONNECTIONS: usize = 4;

/// As much of a flood as fits the build: without optimisation, server and flood take ten times as long
/// for a frame, and the point is not how fast they are.
const fn scaled(amount: usize) -> usize {
    if cfg!(debug_assertions) { amount / 10 } else { amount }
}

/// Plays an attack on a fresh server; panics if anything of what is said above is not so.
async fn withstands(attack: impl AsyncFn(SocketAddr)) {
    withstands_with(&[], attack).await;
}

/// As [`withstands`], with settings for the server.
async fn withstands_with(settings: &[(&str, &str)], attack: impl AsyncFn(SocketAddr)) {
    let db = TestDatabase::in_service().await;
    let mut server = Server::start_with(db.url(), settings).await;
    // Whoever comes first pays for what is made once.
    Bystander::begin(server.address).await.end().await;
    let (resident, open) = (resident_bytes(&server), descriptors(&server));

    let bystander = Bystander::begin(server.address).await;
    attack(server.address).await;
    let peak = peak_bytes(&server).saturating_sub(resident);
    let served = bystander.end().await;

    let is_left = async || descriptors(&server) <= open + DATABASE_CONNECTIONS;
    eventually("its connections are closed", is_left).await;
    // The allocator gives back what is free a little later, when its threads have something to do.
    let kept = || resident_bytes(&server).saturating_sub(resident);
    eventually("its memory is given back", async || {
        Bystander::begin(server.address).await.end().await;
        kept() < KEPT_BYTES_MAX
    })
    .await;
    let kept = kept();
    println!(
        "{} calls of a bystander were served, the slowest in {} ms; the server grew by {} KiB and \
         kept {} KiB of them",
        served.calls,
        served.slowest.as_millis(),
        peak / 1024,
        kept / 1024,
    );
    assert!(peak < PEAK_BYTES_MAX, "the server grew by {peak} bytes");
    is_unharmed(&mut server);
    Bystander::begin(server.address).await.end().await;
    db.check_invariants().await;
}
