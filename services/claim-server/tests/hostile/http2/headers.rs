//! Headers without end, or without measure.

use super::peer::Peer;
use super::wire::{
    CONTINUATION, END_HEADERS, END_STREAM, FRAME_BYTES_MAX, HEADERS, NEWEST, call_headers, field,
    frame, kept_field, streams,
};
use super::withstands;
use std::net::SocketAddr;

const GET_CLAIM: &str = "/claim.v1.ClaimService/GetClaim";
/// Connections of an attack, one after the other.
const CONNECTIONS: usize = 10;
/// Frames on each, if the server lets it: 32 MiB of the largest.
const FRAMES: usize = 2_000;
/// As much as one entry of a table with the default size can hold.
const ENTRY_BYTES: usize = 4_000;

/// Sends a block of headers that goes on for as long as the server lets it.
async fn endless(server: SocketAddr, first: Vec<u8>, more: &[u8]) {
    for _ in 0..CONNECTIONS {
        let mut peer = Peer::connect(server).await;
        let mut is_heard = peer.send(&frame(HEADERS, END_STREAM, 1, &first)).await;
        let next = frame(CONTINUATION, 0, 1, more);
        for _ in 0..FRAMES {
            is_heard = is_heard && peer.send(&next).await && peer.skip();
        }
        assert!(peer.last_words().await.is_some(), "the server takes headers without end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_are_cut_off() {
    withstands(async |server| {
        let filler = field("x", &"x".repeat(FRAME_BYTES_MAX - 100));
        endless(server, call_headers(GET_CLAIM), &filler).await;
        endless(server, call_headers(GET_CLAIM), &field("x", "")).await;
        endless(server, vec![], &[]).await;
    })
    .await;
}

/// A byte on the wire stands for four thousand bytes of headers.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_unfold_to_gigabytes_are_not_unfolded() {
    withstands(async |server| {
        let entry = kept_field("x", &"x".repeat(ENTRY_BYTES));
        let bomb = [call_headers(GET_CLAIM), entry, vec![NEWEST; 10_000]].concat();
        let again = [call_headers(GET_CLAIM), vec![NEWEST; 15_000]].concat();
        for _ in 0..CONNECTIONS {
            let mut peer = Peer::connect(server).await;
            for (stream, block) in
                streams().take(100).zip([&bomb].into_iter().chain([&again].into_iter().cycle()))
            {
                let bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, block);
                if !peer.send(&bytes).await || !peer.skip() {
                    break;
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_headers_than_any_call_has_are_refused() {
    withstands(async |server| {
        let many: Vec<u8> =
            (0..800).flat_map(|number| field(&format!("x-{number}"), "x")).collect();
        let long = field("x", &"x".repeat(FRAME_BYTES_MAX - 400));
        for block in [many, long] {
            for _ in 0..CONNECTIONS {
                let mut peer = Peer::connect(server).await;
                for stream in streams().take(300) {
                    let block = [call_headers(GET_CLAIM), block.clone()].concat();
                    let bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
                    if !peer.send(&bytes).await || !peer.skip() {
                        break;
                    }
                }
            }
        }
    })
    .await;
}
