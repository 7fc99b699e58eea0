//! Peers that ask and do not take, or begin and do not end.

use super::peer::Peer;
use super::wire::{
    DATA, INITIAL_WINDOW_SIZE, SETTINGS, WINDOW_UPDATE, call, frame, numbered, streams, whole_call,
};
use super::{scaled, withstands};
use crate::support::{self, mint, raw};
use claim_proto::v1;
use prost::Message;
use std::net::SocketAddr;

const LIST_CLAIMS: &str = "/claim.v1.ClaimService/ListClaims";
const KEEP_ALIVE: &str = "/claim.v1.ClaimService/KeepAlive";
const WATCH: &str = "/claim.v1.ClaimService/WatchClaimEvents";
const MINT: &str = "/claim.v1.ClaimService/Mint";
const CONNECTIONS: usize = 5;
/// Calls on each, and those that make the server read.
const STREAMS: usize = scaled(400);
const READS: usize = 100;

/// Claims, so that a listing has something to tell: some 70 KiB.
async fn claims(server: SocketAddr) {
    let mut client = support::client(server).await;
    for number in 0..100 {
        let asked = v1::MintRequest {
            runner_id: "r".repeat(250),
            wake_id: "k".repeat(250),
            ..mint(&format!("/much/{number}"), &format!("w_much_{number}"))
        };
        client.mint(asked).await.expect("a claim");
    }
}

/// Opens streams on some connections and then lets all of them wait for a while.
async fn hold(
    server: SocketAddr,
    settings: &[(u16, u32)],
    count: usize,
    stream: impl Fn(u32) -> Vec<u8>,
) {
    let mut peers = vec![];
    for _ in 0..CONNECTIONS {
        let mut peer = Peer::with_settings(server, settings).await;
        // The settings of the server are in force only for who acknowledges them.
        peer.send(&frame(SETTINGS, super::wire::ACK, 0, &[])).await;
        for number in streams().take(count) {
            if !peer.send(&stream(number)).await {
                break;
            }
        }
        peers.push(peer);
    }
    // Whoever is served now is served beside all of them.
    super::bystander::Bystander::begin(server).await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        claims(server).await;
        let list = v1::ListClaimsRequest { page_size: 1000, ..Default::default() }.encode_to_vec();
        // Not one byte of an answer may be sent; then as many as one connection may by itself; and
        // then all that fit into the socket.
        hold(server, &[(INITIAL_WINDOW_SIZE, 0)], READS, |stream| {
            whole_call(stream, LIST_CLAIMS, &list)
        })
        .await;
        hold(server, &[], READS, |stream| whole_call(stream, LIST_CLAIMS, &list)).await;
        hold(server, &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)], READS, |stream| {
            let open = numbered(WINDOW_UPDATE, 0, 1_000_000);
            [open, whole_call(stream, LIST_CLAIMS, &list)].concat()
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_nobody_reads_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        claims(server).await;
        let watch = v1::WatchClaimEventsRequest { after_sequence: Some(0), ..Default::default() };
        let watch = watch.encode_to_vec();
        hold(server, &[(INITIAL_WINDOW_SIZE, 0)], READS, |stream| {
            whole_call(stream, WATCH, &watch)
        })
        .await;
        let beat = v1::KeepAliveRequest { tag: 1, heartbeat: None }.encode_to_vec();
        let beats = raw::framed(&beat).repeat(20);
        hold(server, &[(INITIAL_WINDOW_SIZE, 0)], STREAMS, |stream| {
            [call(stream, KEEP_ALIVE), frame(DATA, 0, stream, &beats)].concat()
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_end_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        hold(server, &[], STREAMS, |stream| call(stream, MINT)).await;
        // Some bytes of a message that is to have two million.
        let begun = raw::frame(0, 2_000_000, &[7; 40]);
        hold(server, &[], STREAMS, |stream| {
            [call(stream, MINT), frame(DATA, 0, stream, &begun)].concat()
        })
        .await;
    })
    .await;
}
