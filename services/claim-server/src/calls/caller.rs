//! Who calls: known before anything of the request is decoded, and noted in the call's span. What the
//! caller may do depends on the tenant that it names, and is asked by the handler; but for what is
//! about all tenants, which is decided here.

use super::admission::Refusing;
use super::method::Method;
use crate::access::{Access, Call, Need, need};
use crate::peer::Peer;
use crate::status;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tracing::Span;

/// The request with the [`Call`] that it is; or the answer to a caller that is not known or may not
/// call this at all.
pub(super) async fn known(
    access: &Access,
    method: Method,
    mut request: Request<Body>,
) -> Result<Request<Body>, Response<Body>> {
    let need = need(method);
    if need == Need::Nothing {
        return Ok(request);
    }
    let peer = request.extensions().get::<Peer>();
    let caller = match access.authenticate(request.headers(), peer).await {
        Ok(caller) => caller,
        Err(why) => {
            access.turned_away(peer, method.name(), why);
            return Err(refusal(method, request, &status::unauthenticated()).await);
        }
    };
    if !caller.is_anonymous() {
        Span::current().record("caller", caller.name());
    }
    let call = Call::new(access.clone(), caller, method);
    if let Need::RoleEverywhere(role) = need
        && let Err(status) = call.permit_everywhere(role)
    {
        return Err(refusal(method, request, &status).await);
    }
    request.extensions_mut().insert(call);
    Ok(request)
}

/// The answer to a request that nobody reads. One that is a single message is awaited first, as not
/// every client takes an earlier answer for what it is.
async fn refusal(method: Method, request: Request<Body>, status: &Status) -> Response<Body> {
    let refusal = status.clone().into_http();
    if method.streams() {
        return refusal;
    }
    Refusing::new(request.into_body(), refusal).await
}
