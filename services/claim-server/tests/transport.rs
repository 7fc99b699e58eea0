//! Encryption of the real server: with whom it speaks, and with whom it does not. Calls are health
//! checks, which need no database.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "how a test fails")]
#![allow(dead_code, unreachable_pub, reason = "shared with the tests that have a database")]

mod support;

use claim_proto::v1::GetClaimRequest;
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use support::certificates::{
    Authority, Files, SPIFFE, WARNING, call, call_anew, connect, log, told,
};
use support::{PATIENCE, Server, reason};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;

#[tokio::test]
async fn a_client_is_known_by_the_names_of_its_certificate() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&servers.server());
    files.trust(&[&clients]);
    let server = files.serve(&[("RUST_LOG", "claim_server=debug")]).await;
    let runner = clients.client(SPIFFE, "Runner-1.Example");
    call_anew(&server, &servers, Some(&runner)).await.unwrap();
    for name in [SPIFFE, "runner-1.example"] {
        assert!(log(&server).contains(name), "{name}: {}", log(&server));
    }
}

#[tokio::test]
async fn a_certificate_may_do_what_the_policy_grants_to_its_name() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&servers.server());
    files.trust(&[&clients]);
    let server = files.serve(&[("CLAIM_TLS_CLIENT_AUTH", "optional")]).await;
    let (runner, other) = (clients.client(SPIFFE, "a.b"), clients.client("spiffe://b/c", "a.b"));
    for (client, tenant, expected) in [
        // Permitted: then the database is asked, which is away.
        (Some(&runner), "acme", "DATABASE_UNAVAILABLE"),
        (Some(&runner), "umbrella", "NOT_PERMITTED"),
        (Some(&other), "acme", "NOT_PERMITTED"),
        (None, "acme", "UNAUTHENTICATED"),
    ] {
        let channel = connect(&server, &servers, client).await.unwrap();
        let request = GetClaimRequest {
            tenant_id: tenant.to_owned(),
            consumer_id: "w_1".to_owned(),
            epoch: 1,
        };
        let refused = ClaimServiceClient::new(channel).get_claim(request).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{tenant}: {refused:?}");
    }
}

#[tokio::test]
async fn nobody_gets_in_who_is_not_encrypted_or_has_no_certificate_of_the_authority() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&servers.server());
    files.trust(&[&clients]);
    let server = files.serve(&[]).await;
    let stranger = Authority::new().client(SPIFFE, "runner-1.example");
    call_anew(&server, &servers, None).await.unwrap_err();
    call_anew(&server, &servers, Some(&stranger)).await.unwrap_err();
    // The servers' own authority vouches for no client.
    call_anew(&server, &servers, Some(&servers.client(SPIFFE, "a.b"))).await.unwrap_err();
    let plain = Channel::from_shared(format!("http://{}", server.address)).unwrap();
    let plain = timeout(PATIENCE, async { call(plain.connect().await.unwrap()).await });
    plain.await.expect("a plain client is not kept waiting").unwrap_err();

    call_anew(&server, &servers, Some(&clients.client(SPIFFE, "a.b"))).await.unwrap();
    assert_eq!(told(&server, "no encryption with 1 connections"), 1, "{}", log(&server));
    assert_eq!(told(&server, WARNING), 1, "the others are counted: {}", log(&server));
}

#[tokio::test]
async fn where_a_certificate_is_optional_a_wrong_one_is_refused_all_the_same() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&servers.server());
    files.trust(&[&clients]);
    let server = files.serve(&[("CLAIM_TLS_CLIENT_AUTH", "optional")]).await;
    call_anew(&server, &servers, None).await.unwrap();
    call_anew(&server, &servers, Some(&clients.client(SPIFFE, "a.b"))).await.unwrap();
    let stranger = Authority::new().client(SPIFFE, "a.b");
    call_anew(&server, &servers, Some(&stranger)).await.unwrap_err();
}

#[tokio::test]
async fn a_client_does_not_trust_a_server_of_another_authority() {
    let servers = Authority::new();
    let server = Files::of(&servers.server()).serve(&[]).await;
    call_anew(&server, &Authority::new(), None).await.unwrap_err();
    call_anew(&server, &servers, None).await.unwrap();
}

#[tokio::test]
async fn a_client_that_wants_another_protocol_than_http_2_is_refused() {
    let servers = Authority::new();
    let server = Files::of(&servers.server()).serve(&[]).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(servers.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    for (protocol, is_good) in [("http/1.1", false), ("h2", true)] {
        let mut config = config.clone();
        config.alpn_protocols = vec![protocol.into()];
        let socket = TcpStream::connect(server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let met = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        assert_eq!(met.is_ok(), is_good, "{protocol}");
    }
}

#[tokio::test]
async fn who_does_not_finish_the_handshake_is_dropped_and_keeps_nobody_waiting() {
    let servers = Authority::new();
    let server = Files::of(&servers.server()).serve(&[("CLAIM_HANDSHAKE_TIMEOUT", "1s")]).await;
    let mut mute = vec![];
    for _ in 0..64 {
        mute.push(TcpStream::connect(server.address).await.unwrap());
    }
    call_anew(&server, &servers, None).await.unwrap();
    for socket in &mut mute {
        let read = timeout(PATIENCE, socket.read_u8()).await.expect("it is dropped");
        read.expect_err("it says nothing either");
    }
    call_anew(&server, &servers, None).await.unwrap();
}

#[tokio::test]
async fn plain_text_is_spoken_everywhere_only_if_that_is_allowed() {
    let away = "postgres://nobody@127.0.0.1:1/none";
    let allowed = [
        ("CLAIM_LISTEN", "0.0.0.0:0"),
        ("CLAIM_ALLOW_PLAINTEXT", "true"),
        ("CLAIM_ALLOW_ANONYMOUS", "true"),
    ];
    let server = Server::start_with(away, &allowed).await;
    let address = format!("http://127.0.0.1:{}", server.address.port());
    let channel = Channel::from_shared(address).unwrap().connect_timeout(Duration::from_secs(5));
    call(channel.connect().await.unwrap()).await.unwrap();
    assert_eq!(told(&server, WARNING), 1, "and it is told: {}", log(&server));
}
