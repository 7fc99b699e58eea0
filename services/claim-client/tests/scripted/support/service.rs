//! The calls of the server: each is noted, and played as the script says.

use super::script::{Act, Beat, Reply, Script};
use super::stage::{Answers, Called, Seen};
use claim_proto::v1::claim_service_server::ClaimService;
use claim_proto::v1::keep_alive_response::Result as Answer;
use claim_proto::v1::{self, HeartbeatDirective, HeartbeatResponse, KeepAliveResponse};
use futures_util::stream::{Empty, poll_fn};
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::{Request, Response, Status, Streaming};

/// See the module.
pub(crate) struct Service {
    pub(crate) script: Script,
    pub(crate) seen: Arc<Seen>,
}

impl Service {
    /// Notes a call and plays what the script says.
    async fn play<A>(
        &self,
        method: &'static str,
        request_id: &str,
        answer: impl FnOnce() -> A,
    ) -> Result<Response<A>, Status> {
        let number = {
            let mut calls = self.seen.calls.lock().expect("no panic holds it");
            calls.push(Called { method, request_id: request_id.to_owned(), at: Instant::now() });
            calls.iter().filter(|call| call.method == method).count()
        };
        match self.script.act(method, number) {
            Act::Answer => Ok(Response::new(answer())),
            Act::AnswerAfter(length) => {
                let answer = answer();
                sleep(length).await;
                Ok(Response::new(answer))
            }
            Act::No(status) => Err(status),
            Act::Silence => {
                answer();
                std::future::pending().await
            }
        }
    }

    fn grant(&self, ask: v1::MintRequest) -> v1::MintResponse {
        let ttl = ask.lease_ttl.and_then(|ttl| ttl.try_into().ok());
        let ttl: Duration = ttl.unwrap_or(Duration::from_secs(30));
        let epoch = ask.epoch.unwrap_or(1);
        let key = (ask.consumer_id.clone(), epoch);
        self.seen.leases.lock().expect("no panic holds it").insert(key, ttl);
        let mut tokens = self.seen.tokens.lock().expect("no panic holds it");
        *tokens += 1;
        let claim = v1::Claim {
            tenant_id: ask.tenant_id,
            stream_path: format!("{}/main", ask.entity_url),
            entity_url: ask.entity_url,
            consumer_id: ask.consumer_id,
            epoch,
            fence: i64::from(*tokens),
            lease_ttl: Some(wire(ttl)),
            lease_remaining: Some(wire(ttl)),
            ..v1::Claim::default()
        };
        v1::MintResponse {
            claim: Some(claim),
            write_token: format!("secret-{tokens}"),
            heartbeat_interval: Some(wire(ttl / 3)),
            ..v1::MintResponse::default()
        }
    }
}

fn wire(length: Duration) -> prost_types::Duration {
    length.try_into().expect("a short time")
}

/// Plays the script to one heartbeat.
fn answer(
    script: &Script,
    seen: &Seen,
    answers: &Answers,
    ask: v1::KeepAliveRequest,
    at: Instant,
    stream: usize,
) {
    let heartbeat = ask.heartbeat.expect("a heartbeat");
    let (consumer_id, epoch) = (heartbeat.consumer_id.clone(), heartbeat.epoch);
    let beat = Beat {
        consumer: heartbeat.consumer_id,
        write_token: heartbeat.write_token,
        progress: heartbeat.progress,
        tag: ask.tag,
        at,
        stream,
    };
    seen.beats.lock().expect("no panic holds it").push(beat.clone());
    let (directive, delay, end) = match script.reply(&beat) {
        Reply::Renew { answer_after } => (HeartbeatDirective::Continue, answer_after, None),
        Reply::RenewAndEnd(end) => (HeartbeatDirective::Continue, Duration::ZERO, Some(end)),
        Reply::Stop => (HeartbeatDirective::Stop, Duration::ZERO, None),
        Reply::Silence => return,
        Reply::No(status) => {
            let status = tonic_types::Status {
                code: status.code().into(),
                message: status.message().to_owned(),
                details: details(&status),
            };
            let result = Some(Answer::Error(status));
            let _ =
                answers.send(Ok(KeepAliveResponse { tag: ask.tag, consumer_id, epoch, result }));
            return;
        }
        Reply::End(status) => {
            let _ = answers.send(Err(status));
            return;
        }
    };
    let leases = seen.leases.lock().expect("no panic holds it");
    let ttl = leases.get(&(consumer_id.clone(), epoch)).copied();
    let ttl = ttl.unwrap_or(super::TTL);
    let response = HeartbeatResponse {
        lease_remaining: Some(wire(ttl)),
        heartbeat_interval: Some(wire(ttl / 3)),
        directive: directive.into(),
        ..HeartbeatResponse::default()
    };
    let result = Some(Answer::Response(response));
    let answer = KeepAliveResponse { tag: ask.tag, consumer_id, epoch, result };
    let answers = answers.clone();
    tokio::spawn(async move {
        sleep(delay).await;
        let _ = answers.send(Ok(answer));
        if let Some(end) = end {
            let _ = answers.send(Err(end));
        }
    });
}

/// The details of a status, as they stand in its bytes.
fn details(status: &Status) -> Vec<prost_types::Any> {
    use prost::Message;
    let whole = tonic_types::Status::decode(status.details()).expect("details");
    whole.details
}

type AnswerStream = Pin<Box<dyn Stream<Item = Result<KeepAliveResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ClaimService for Service {
    type KeepAliveStream = AnswerStream;
    type WatchClaimEventsStream = Empty<Result<v1::WatchClaimEventsResponse, Status>>;

    async fn mint(
        &self,
        ask: Request<v1::MintRequest>,
    ) -> Result<Response<v1::MintResponse>, Status> {
        let ask = ask.into_inner();
        let request_id = ask.request_id.clone();
        self.play("mint", &request_id, || self.grant(ask)).await
    }

    async fn keep_alive(
        &self,
        ask: Request<Streaming<v1::KeepAliveRequest>>,
    ) -> Result<Response<AnswerStream>, Status> {
        let (answers, mut outgoing) = mpsc::unbounded_channel();
        let number = {
            let mut streams = self.seen.streams.lock().expect("no panic holds it");
            streams.push(answers.clone());
            streams.len() - 1
        };
        let (script, seen) = (self.script.clone(), self.seen.clone());
        let mut incoming = ask.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(ask)) = incoming.next().await {
                answer(&script, &seen, &answers, ask, Instant::now(), number);
            }
        });
        Ok(Response::new(Box::pin(poll_fn(move |context| outgoing.poll_recv(context)))))
    }

    async fn done(
        &self,
        ask: Request<v1::DoneRequest>,
    ) -> Result<Response<v1::DoneResponse>, Status> {
        let acks_recorded = !ask.into_inner().acked_streams.is_empty();
        let answer = || v1::DoneResponse { acks_recorded, ..v1::DoneResponse::default() };
        self.play("done", "", answer).await
    }

    async fn get_claim(
        &self,
        ask: Request<v1::GetClaimRequest>,
    ) -> Result<Response<v1::GetClaimResponse>, Status> {
        let consumer_id = ask.into_inner().consumer_id;
        let claim = Some(v1::Claim { consumer_id, ..v1::Claim::default() });
        self.play("get_claim", "", || v1::GetClaimResponse { claim }).await
    }

    async fn heartbeat(
        &self,
        _: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        Err(Status::unimplemented("heartbeats come over the stream"))
    }

    async fn heartbeat_batch(
        &self,
        _: Request<v1::HeartbeatBatchRequest>,
    ) -> Result<Response<v1::HeartbeatBatchResponse>, Status> {
        Err(Status::unimplemented("heartbeats come over the stream"))
    }

    async fn authorize_write(
        &self,
        _: Request<v1::AuthorizeWriteRequest>,
    ) -> Result<Response<v1::AuthorizeWriteResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn list_claims(
        &self,
        _: Request<v1::ListClaimsRequest>,
    ) -> Result<Response<v1::ListClaimsResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn get_entity(
        &self,
        _: Request<v1::GetEntityRequest>,
    ) -> Result<Response<v1::GetEntityResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn list_claim_events(
        &self,
        _: Request<v1::ListClaimEventsRequest>,
    ) -> Result<Response<v1::ListClaimEventsResponse>, Status> {
        Err(Status::unimplemented("not in this play"))
    }

    async fn watch_claim_events(
        &self,
        _: Request<v1::WatchClaimEventsRequest>,
    ) -> Result<Response<Self::WatchClaimEventsStream>, Status> {
        Err(Status::unimplemented("not in this play"))
    }
}
