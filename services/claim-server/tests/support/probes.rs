//! What a server says of itself to those who watch over it.

use super::{PATIENCE, Server, channel, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// What the health service answers for: the server as a whole, and each service.
pub(crate) const SERVICES: [&str; 3] = ["", "claim.v1.ClaimService", "claim.v1.ClaimAdminService"];

/// A client of the health service, over a connection of its own.
pub(crate) async fn health(server: &Server) -> HealthClient<Channel> {
    HealthClient::new(channel(server.address).await)
}

/// A question after one service.
pub(crate) fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// Whether every service has that status.
pub(crate) async fn all_are(client: &HealthClient<Channel>, status: ServingStatus) -> bool {
    for service in SERVICES {
        let answer = client.clone().check(of(service)).await.expect("an answer").into_inner();
        if answer.status() != status {
            return false;
        }
    }
    true
}

/// Where `/livez` and `/readyz` are, from the log.
pub(crate) async fn http_address(server: &Server) -> String {
    let find = || {
        let log = server.log.lock().expect("a log").clone();
        let (_, rest) = log.split_once("probes on ")?;
        // Behind it, a log in JSON closes its quotation.
        Some(rest.split(['"', ' ', '\n']).next()?.to_owned())
    };
    eventually("the log tells where the probes are", async || find().is_some()).await;
    find().expect("it was there")
}

/// Status and body of a plain HTTP request.
pub(crate) async fn http_get(address: &str, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time");
    let status = answer.split(' ').nth(1).expect("a status line").parse().expect("a status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("headers and a body");
    (status, body.trim().to_owned())
}
