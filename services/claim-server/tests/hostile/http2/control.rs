//! Floods of frames that carry no call, but ask for an answer or some work.

use super::peer::Peer;
use super::wire::{
    DATA, GOAWAY, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, PING, PRIORITY, RST_STREAM, SETTINGS,
    UNKNOWN, WINDOW_UPDATE, call, frame, numbered, settings,
};
use super::{scaled, withstands};
use std::net::SocketAddr;

const GET_CLAIM: &str = "/claim.v1.ClaimService/GetClaim";
/// Connections of an attack, at the same time.
const CONNECTIONS: usize = 8;
/// Bytes on each, if the server lets it.
const BYTES: usize = scaled(8 * 1024 * 1024);
/// Frames that are sent at once.
const BURST: usize = scaled(500);

/// Whether the sender of a flood takes what comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    All,
    Nothing,
}

/// Repeats these bytes, behind a beginning, until the server has had enough or all is sent.
async fn flood(server: SocketAddr, beginning: &[u8], bytes: &[u8], reads: Reads) {
    let mut peers = vec![];
    for _ in 0..CONNECTIONS {
        let mut peer = Peer::connect(server).await;
        peer.send(beginning).await;
        peers.push(peer);
    }
    let burst = bytes.repeat(BURST);
    for _ in 0..BYTES.div_ceil(burst.len()) {
        let mut heard = vec![];
        for mut peer in peers {
            if peer.send(&burst).await && (reads == Reads::Nothing || peer.skip()) {
                heard.push(peer);
            }
        }
        peers = heard;
        if peers.is_empty() {
            break;
        }
    }
}

async fn with_and_without_reading(server: SocketAddr, bytes: &[u8]) {
    flood(server, &[], bytes, Reads::All).await;
    flood(server, &[], bytes, Reads::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_settings_does_not_keep_others_from_being_served() {
    withstands(async |server| {
        with_and_without_reading(server, &settings(&[])).await;
        let busy = [
            settings(&[(INITIAL_WINDOW_SIZE, 0), (HEADER_TABLE_SIZE, u32::MAX)]),
            settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff), (HEADER_TABLE_SIZE, 0)]),
        ];
        with_and_without_reading(server, &busy.concat()).await;
        // As many settings as a frame holds, all of them unknown.
        with_and_without_reading(server, &settings(&[(0xabcd, 7); 100])).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_does_not_keep_others_from_being_served() {
    withstands(async |server| {
        with_and_without_reading(server, &frame(PING, 0, 0, &[7; 8])).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_priorities_does_not_keep_others_from_being_served() {
    withstands(async |server| {
        let on_each_other: Vec<u8> = (1..200)
            .flat_map(|number: u32| {
                let payload = [&(2 * number - 1).to_be_bytes()[..], &[255]].concat();
                frame(PRIORITY, 0, 2 * number + 1, &payload)
            })
            .collect();
        with_and_without_reading(server, &on_each_other).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_frames_that_say_nothing_does_not_keep_others_from_being_served() {
    withstands(async |server| {
        flood(server, &call(1, GET_CLAIM), &frame(DATA, 0, 1, &[]), Reads::All).await;
        let padded = frame(DATA, super::wire::PADDED, 1, &[[255].as_slice(), &[0; 255]].concat());
        flood(server, &call(1, GET_CLAIM), &padded, Reads::Nothing).await;
        with_and_without_reading(server, &frame(UNKNOWN, 0xff, 0, &[0; 64])).await;
        with_and_without_reading(server, &numbered(WINDOW_UPDATE, 0, 1)).await;
        with_and_without_reading(server, &frame(SETTINGS, super::wire::ACK, 0, &[])).await;
        with_and_without_reading(server, &frame(GOAWAY, 0, 0, &[0; 8])).await;
        let opened = call(1, GET_CLAIM);
        flood(server, &opened, &numbered(RST_STREAM, 1, 0), Reads::All).await;
    })
    .await;
}
