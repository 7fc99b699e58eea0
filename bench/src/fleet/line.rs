//! A KeepAlive stream as its client has it.

use super::holders::{accept, heartbeat};
use anyhow::{Context, Result, bail, ensure};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::keep_alive_response::Result as Outcome;
use claim_proto::v1::{KeepAliveRequest, KeepAliveResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// An open stream.
pub(crate) struct Line {
    requests: mpsc::Sender<KeepAliveRequest>,
    answers: Streaming<KeepAliveResponse>,
}

impl Line {
    /// Opens one on which so many requests may wait to be sent.
    pub(crate) async fn open(
        client: &mut ClaimServiceClient<Channel>,
        waiting: usize,
    ) -> Result<Self> {
        let (requests, receiver) = mpsc::channel(waiting);
        let answers = client.keep_alive(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(Self { requests, answers })
    }

    /// Sends a heartbeat of a holder.
    pub(crate) async fn send(&self, tag: u64, holder: u32) -> Result<()> {
        let request = KeepAliveRequest { tag, heartbeat: Some(heartbeat(holder)) };
        self.requests.send(request).await.context("the stream has ended")
    }

    /// The tag of the next answer, which must be a renewal: nobody touches these claims otherwise.
    pub(crate) async fn answered(&mut self) -> Result<u64> {
        let answer = self.answers.message().await?.context("the stream has ended")?;
        ensure!(answer.tag != 0, "a push that nobody has a reason for: {answer:?}");
        match answer.result.context("a result")? {
            Outcome::Response(response) => accept(&response)?,
            Outcome::Error(status) => bail!("a heartbeat was refused: {status:?}"),
        }
        Ok(answer.tag)
    }

    /// Ends it in good order.
    pub(crate) async fn close(mut self) -> Result<()> {
        drop(self.requests);
        let more = self.answers.message().await?;
        ensure!(more.is_none(), "an answer that nobody waits for: {more:?}");
        Ok(())
    }
}
