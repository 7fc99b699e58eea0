//! The servers, any of which can take any call, and the one that is asked at present.
//!
//! All calls of a client go to one server over one connection. When it fails, drains or stays
//! silent, the next one is asked, over a fresh connection; after the last comes the first. With one
//! address that still means a fresh connection, which a balancer may lead to another server.

use crate::bearer::Bearer;
use crate::calls::Wire;
use crate::limits::{CONNECT_TIMEOUT, UNACKNOWLEDGED_MAX};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use hyper_util::client::legacy::connect::HttpConnector;
use std::sync::{Mutex, PoisonError};
use tonic::transport::{Channel, Endpoint};

/// Where to ask.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Not empty.
    endpoints: Vec<Endpoint>,
    bearer: Bearer,
    present: Mutex<Present>,
}

#[derive(Debug)]
struct Present {
    server: usize,
    /// How often the present server was given up.
    generation: u64,
    /// Made on first use, within the runtime that carries it.
    channel: Option<Channel>,
}

/// A connection to the server that was the present one when it was picked.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    channel: Channel,
    bearer: Bearer,
    /// Which token its calls have.
    edition: u64,
    pub(crate) address: String,
    generation: u64,
}

impl Servers {
    /// These, beginning with the one of that number: clients that begin anywhere share the work. They
    /// know the client by that token.
    pub(crate) fn new(endpoints: Vec<Endpoint>, bearer: Bearer, first: usize) -> Self {
        let present = Present { server: first % endpoints.len(), generation: 0, channel: None };
        Self { endpoints, bearer, present: Mutex::new(present) }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.endpoints.len()
    }

    /// The present server. It is connected to when the first call needs it. Must be called within
    /// the runtime that is to carry the connection.
    pub(crate) fn pick(&self) -> Picked {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = &self.endpoints[present.server];
        let channel = present.channel.get_or_insert_with(|| connect(endpoint)).clone();
        let (bearer, edition) = (self.bearer.clone(), self.bearer.edition());
        let address = endpoint.uri().to_string();
        Picked { channel, bearer, edition, address, generation: present.generation }
    }

    /// Goes on to the next server, unless somebody has done so since `picked` was picked.
    pub(crate) fn give_up(&self, picked: &Picked) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.generation == picked.generation {
            present.generation += 1;
            present.server = (present.server + 1) % self.endpoints.len();
            present.channel = None;
        }
    }
}

/// As `Endpoint::connect_lazy` does, but for what a connection does with what nobody acknowledges, and
/// that the endpoint's time limit is one for all of connecting.
fn connect(endpoint: &Endpoint) -> Channel {
    let mut connector = HttpConnector::new();
    // The endpoint encrypts by itself.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // The addresses of a name share it, so that one that is away leaves time for the next.
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // Elsewhere it remains possible that an attempt arrives after it was given up.
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
    endpoint.connect_with_connector_lazy(connector)
}

impl Picked {
    /// To make calls with.
    pub(crate) fn wire(&self) -> Wire {
        ClaimServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// After a server did not know the client: whether the next call has another token.
    pub(crate) fn has_another_token(&self) -> bool {
        self.bearer.read_again();
        self.bearer.edition() != self.edition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: usize) -> Servers {
        let endpoint = |n| Endpoint::from_shared(format!("http://127.0.0.1:{n}")).unwrap();
        Servers::new((1..=count).map(endpoint).collect(), Bearer::default(), 0)
    }

    #[tokio::test]
    async fn many_callers_that_fail_together_go_on_by_one_server() {
        let servers = servers(3);
        let (one, other) = (servers.pick(), servers.pick());
        servers.give_up(&one);
        servers.give_up(&other);
        assert_eq!(servers.pick().address, "http://127.0.0.1:2/");
    }

    #[tokio::test]
    async fn after_the_last_server_comes_the_first() {
        let servers = servers(2);
        for expected in [1, 2, 1] {
            let picked = servers.pick();
            assert_eq!(picked.address, format!("http://127.0.0.1:{expected}/"));
            servers.give_up(&picked);
        }
    }
}
