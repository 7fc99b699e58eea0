//! The server: as little of the service as a holder can see, and a script for the rest.

use super::script::{Beat, Script};
use super::service::Service;
use claim_proto::v1::claim_service_server::ClaimServiceServer;
use claim_proto::v1::keep_alive_response::Result as Answer;
use claim_proto::v1::{HeartbeatDirective, HeartbeatResponse, KeepAliveResponse};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Status};

/// A call as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) method: &'static str,
    pub(crate) request_id: String,
    pub(crate) at: Instant,
}

/// Where the answers of one stream go.
pub(crate) type Answers = mpsc::UnboundedSender<Result<KeepAliveResponse, Status>>;

/// What the server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) beats: Mutex<Vec<Beat>>,
    pub(crate) calls: Mutex<Vec<Called>>,
    pub(crate) streams: Mutex<Vec<Answers>>,
    /// The `authorization` of each call and stream, in their order.
    pub(crate) authorizations: Mutex<Vec<Option<String>>>,
    /// The length of each claim's lease, by consumer and epoch.
    pub(crate) leases: Mutex<HashMap<(String, i64), Duration>>,
    /// How many write tokens were given out.
    pub(crate) tokens: Mutex<u32>,
}

/// A server that plays a script until it is dropped.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) script: Script,
    seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    /// Starts one on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with(Server::builder()).await
    }

    /// Starts one that encrypts.
    pub(crate) async fn start_tls(tls: ServerTlsConfig) -> Self {
        Self::start_with(Server::builder().tls_config(tls).expect("good certificates")).await
    }

    async fn start_with(mut server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (script, seen) = (Script::default(), Arc::new(Seen::default()));
        let service = Service { script: script.clone(), seen: seen.clone() };
        let noted = seen.clone();
        let note = move |asked: Request<()>| {
            let header = asked.metadata().get("authorization");
            let header = header.map(|value| value.to_str().expect("a text").to_owned());
            noted.authorizations.lock().expect("no panic holds it").push(header);
            Ok(asked)
        };
        let routes = server.add_service(ClaimServiceServer::with_interceptor(service, note));
        let serving = routes.serve_with_incoming(TcpIncoming::from(listener));
        let task = tokio::spawn(async move { serving.await.expect("it serves") });
        Self { address, script, seen, task }
    }

    /// As a client takes it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every heartbeat so far.
    pub(crate) fn beats(&self) -> Vec<Beat> {
        self.seen.beats.lock().expect("no panic holds it").clone()
    }

    /// The heartbeats of one consumer so far.
    pub(crate) fn beats_of(&self, consumer: &str) -> Vec<Beat> {
        self.beats().into_iter().filter(|beat| beat.consumer == consumer).collect()
    }

    /// Every call with one answer so far.
    pub(crate) fn calls(&self) -> Vec<Called> {
        self.seen.calls.lock().expect("no panic holds it").clone()
    }

    /// How often that method was called.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.calls().iter().filter(|call| call.method == method).count()
    }

    /// What each call and stream so far had as its `authorization`.
    pub(crate) fn authorizations(&self) -> Vec<Option<String>> {
        self.seen.authorizations.lock().expect("no panic holds it").clone()
    }

    /// How many streams were opened so far.
    pub(crate) fn streams(&self) -> usize {
        self.seen.streams.lock().expect("no panic holds it").len()
    }

    /// Pushes to every stream that is open.
    pub(crate) fn push(&self, consumer: &str, epoch: i64, result: &Answer) {
        for stream in self.seen.streams.lock().expect("no panic holds it").iter() {
            let push = KeepAliveResponse {
                tag: 0,
                consumer_id: consumer.to_owned(),
                epoch,
                result: Some(result.clone()),
            };
            let _ = stream.send(Ok(push));
        }
    }

    /// Pushes a request to stop.
    pub(crate) fn push_stop(&self, consumer: &str, epoch: i64) {
        let directive = HeartbeatDirective::Stop.into();
        let response = HeartbeatResponse { directive, ..HeartbeatResponse::default() };
        self.push(consumer, epoch, &Answer::Response(response));
    }
}
