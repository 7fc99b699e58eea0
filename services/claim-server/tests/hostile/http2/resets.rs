//! Streams that are opened and given up, faster than anything could be done for them.

use super::peer::Peer;
use super::wire::{
    CANCEL, DATA, END_STREAM, RST_STREAM, WINDOW_UPDATE, call, frame, numbered, streams, whole_call,
};
use super::{scaled, withstands};
use crate::support;
use prost::Message;
use std::net::SocketAddr;

const MINT: &str = "/claim.v1.ClaimService/Mint";
const GET_CLAIM: &str = "/claim.v1.ClaimService/GetClaim";
/// Connections of an attack, one after the other: a server may end each when it has had enough.
const CONNECTIONS: usize = 20;
/// Streams on each, if the server lets it.
const STREAMS: usize = scaled(5_000);
/// Added to any window, more than one may have.
const WINDOW_MAX: u32 = 0x7fff_ffff;
/// Streams that are sent at once.
const BURST: usize = 100;

/// Opens streams as `stream` says, in bursts.
async fn flood(server: SocketAddr, stream: impl Fn(u32) -> Vec<u8>) {
    for _ in 0..CONNECTIONS {
        let mut peer = Peer::connect(server).await;
        let numbers: Vec<u32> = streams().take(STREAMS).collect();
        for burst in numbers.chunks(BURST) {
            let bytes: Vec<u8> = burst.iter().flat_map(|number| stream(*number)).collect();
            if !peer.send(&bytes).await || !peer.skip() {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_at_once_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        flood(server, |stream| {
            [call(stream, GET_CLAIM), numbered(RST_STREAM, stream, CANCEL)].concat()
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_calls_that_are_reset_at_once_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        flood(server, |stream| {
            let entity = format!("/reset/{}", stream % 50);
            let mint = support::mint(&entity, &format!("w_{stream}")).encode_to_vec();
            [whole_call(stream, MINT, &mint), numbered(RST_STREAM, stream, CANCEL)].concat()
        })
        .await;
    })
    .await;
}

/// The server is made to reset streams itself, by faults that concern one stream alone.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_the_server_has_to_reset_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        flood(server, |stream| {
            [call(stream, GET_CLAIM), numbered(WINDOW_UPDATE, stream, WINDOW_MAX)].concat()
        })
        .await;
        flood(server, |stream| {
            let late = frame(DATA, END_STREAM, stream, b"late");
            [whole_call(stream, GET_CLAIM, b""), late].concat()
        })
        .await;
    })
    .await;
}
