//! Many heartbeats in one call: a batch of them, or a stream. Each is checked for itself and gets
//! a result of its own, so that a bad one disturbs no other.

use super::answer::renewed;
use super::request;
use super::violations::{InvalidFields, Violations};
use claim_proto::v1;
use claims::domain::{ClaimId, ConsumerId, Heartbeat, InvalidField, Renewal};
use tonic_types::Status;

/// Most heartbeats of one batch.
const HEARTBEATS_MAX: usize = 500;

/// What became of one heartbeat of many: renewed, or the status that a call of its own would have
/// ended with.
pub(crate) type Outcome = Result<Renewal, Status>;

/// The heartbeats of a batch, in their order. Their number is the one thing for which the batch as
/// a whole can be refused.
pub(crate) fn heartbeats(
    asked: &v1::HeartbeatBatchRequest,
) -> Result<Vec<Result<Heartbeat, InvalidFields>>, InvalidFields> {
    let count = asked.heartbeats.len();
    if !(1..=HEARTBEATS_MAX).contains(&count) {
        let problem = format!("has {count} entries, must have 1 to {HEARTBEATS_MAX}");
        return Err(InvalidField::new("heartbeats", problem).into());
    }
    Ok(asked.heartbeats.iter().map(request::heartbeat).collect())
}

/// What became of each heartbeat of a batch, in the order of the request.
pub(crate) fn batch_answered(outcomes: Vec<Outcome>) -> v1::HeartbeatBatchResponse {
    use v1::heartbeat_result::Result as Told;
    let told = |outcome| match outcome {
        Ok(renewal) => Told::Response(renewed(&renewal)),
        Err(status) => Told::Error(status),
    };
    let results =
        outcomes.into_iter().map(|outcome| v1::HeartbeatResult { result: Some(told(outcome)) });
    v1::HeartbeatBatchResponse { results: results.collect() }
}

/// One heartbeat of a stream.
pub(crate) fn keep_alive(asked: &v1::KeepAliveRequest) -> Result<Heartbeat, InvalidFields> {
    let mut fields = Violations::default();
    if asked.tag == 0 {
        // It would be taken for a push.
        fields.add(InvalidField::new("tag", "must be at least 1"));
    }
    let Some(heartbeat) = &asked.heartbeat else {
        fields.add(InvalidField::new("heartbeat", "is missing"));
        return fields.or(|| None);
    };
    let heartbeat = fields.check_part(request::heartbeat(heartbeat));
    fields.or(|| heartbeat)
}

/// How an answer on a stream says what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// 0 where nobody asked.
    tag: u64,
    consumer: String,
    epoch: i64,
}

impl About {
    /// What a client asked. Of a heartbeat that names no consumer as it should, nothing is repeated;
    /// nor of one with the tag 0, whose answer would look like news of a claim.
    pub(crate) fn asked(asked: &v1::KeepAliveRequest) -> Self {
        let heartbeat = asked.heartbeat.as_ref().filter(|_| asked.tag != 0);
        let named = heartbeat.filter(|asked| ConsumerId::parse(&asked.consumer_id).is_ok());
        Self {
            tag: asked.tag,
            consumer: named.map(|asked| asked.consumer_id.clone()).unwrap_or_default(),
            epoch: heartbeat.map_or(0, |asked| asked.epoch),
        }
    }

    /// News of a claim.
    pub(crate) fn pushed(id: &ClaimId) -> Self {
        Self { tag: 0, consumer: id.consumer.to_string(), epoch: id.epoch.get() }
    }
}

/// One answer on a stream, or one push.
pub(crate) fn keep_alive_answered(about: About, outcome: Outcome) -> v1::KeepAliveResponse {
    use v1::keep_alive_response::Result as Told;
    let told = match outcome {
        Ok(renewal) => Told::Response(renewed(&renewal)),
        Err(status) => Told::Error(status),
    };
    let About { tag, consumer: consumer_id, epoch } = about;
    v1::KeepAliveResponse { tag, consumer_id, epoch, result: Some(told) }
}

#[cfg(test)]
mod tests;
