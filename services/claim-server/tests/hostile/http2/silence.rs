//! Peers that come and say nothing, or stop in the middle of a word.

use super::bystander::Bystander;
use super::peer::Peer;
use super::wire::{
    CONTINUATION, DATA, HEADERS, PREFACE, call, call_headers, frame, frame_that_says, settings,
};
use super::{withstands, withstands_with};
use futures_util::future::join_all;

const GET_CLAIM: &str = "/claim.v1.ClaimService/GetClaim";
/// Connections of each kind at a time.
const CONNECTIONS: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_fall_silent_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        let hello = [PREFACE, &settings(&[])].concat();
        let half_call = frame(HEADERS, 0, 1, &call_headers(GET_CLAIM));
        let words: [Vec<u8>; 8] = [
            vec![],
            b"P".to_vec(),
            PREFACE[..PREFACE.len() - 1].to_vec(),
            PREFACE.to_vec(),
            hello.clone(),
            [&hello[..], &[0, 0]].concat(),
            [&hello[..], &half_call, &frame(CONTINUATION, 0, 1, &[])].concat(),
            [&hello[..], &call(1, GET_CLAIM), &frame_that_says(9000, DATA, 0, 1, b"x")].concat(),
        ];
        let mut silent = vec![];
        for words in &words {
            for _ in 0..CONNECTIONS {
                let mut peer = Peer::mute(server).await;
                peer.send(words).await;
                silent.push(peer);
            }
        }
        // Whoever is served now is served beside all of them.
        Bystander::begin(server).await.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_come_and_go_do_not_keep_others_from_being_served() {
    withstands(async |server| {
        for _ in 0..3_000 {
            let mut peer = Peer::mute(server).await;
            peer.send(&PREFACE[..5]).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_fall_silent_before_they_have_greeted_are_dropped_while_others_are_served() {
    let greeting = [PREFACE, &settings(&[])].concat();
    withstands_with(&[("CLAIM_HANDSHAKE_TIMEOUT", "1s")], async |server| {
        let mut silent = vec![];
        for number in 0..CONNECTIONS {
            let mut peer = Peer::mute(server).await;
            // From nothing at all to all of it but one byte.
            peer.send(&greeting[..number % greeting.len()]).await;
            silent.push(peer);
        }
        let ended = join_all(silent.iter_mut().map(Peer::last_words)).await;
        let left = ended.iter().filter(|words| words.is_none()).count();
        assert_eq!(left, 0, "peers that say nothing are still there");
    })
    .await;
}
