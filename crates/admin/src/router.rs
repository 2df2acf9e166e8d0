//! The routes: every one is registered here, and nowhere else.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{delete, get, patch, post, put};
use futures_util::future::BoxFuture;
use outflow_auth::Auth;
use outflow_body::Door;
use outflow_hub::Hub;

use crate::access::Admin;
use crate::error::name_request;
use crate::{
    api_key, cursor, document, event_type, extraction, ingest_stream, integration, key,
    landed_file, oauth, operator, prepared_transaction, project, stream, subscription, token, user,
    webhook,
};

/// Makes the router of these routes, and of the descriptions above their handlers the document
/// that the served one is tested against.
macro_rules! routes {
    ($($method:ident $path:literal => $first:ident $(:: $rest:ident)+;)*) => {
        fn configuration() -> Router<Admin> {
            Router::new()$(.route($path, $method(served($first $(:: $rest)+))))*
        }

        /// The descriptions of these routes.
        #[cfg(test)]
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($first $(:: $rest)+),*))]
        pub(crate) struct Described;

        /// The method and path of each.
        #[cfg(test)]
        pub(crate) const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path),)*];
    };
}

routes! {
    get "/v1/projects" => project::list;
    post "/v1/projects" => project::create;
    get "/v1/projects/{project}" => project::show;
    patch "/v1/projects/{project}" => project::update;
    delete "/v1/projects/{project}" => project::delete;
    get "/v1/projects/{project}/streams" => stream::list;
    post "/v1/projects/{project}/streams" => stream::create;
    get "/v1/projects/{project}/streams/{stream}" => stream::show;
    patch "/v1/projects/{project}/streams/{stream}" => stream::update;
    delete "/v1/projects/{project}/streams/{stream}" => stream::delete;
    get "/v1/projects/{project}/ingest-streams" => ingest_stream::list;
    post "/v1/projects/{project}/ingest-streams" => ingest_stream::create;
    get "/v1/projects/{project}/ingest-streams/{id}" => ingest_stream::show;
    patch "/v1/projects/{project}/ingest-streams/{id}" => ingest_stream::update;
    delete "/v1/projects/{project}/ingest-streams/{id}" => ingest_stream::delete;
    get "/v1/projects/{project}/ingest-streams/{id}/files" => landed_file::list;
    get "/v1/projects/{project}/ingest-streams/{id}/files/{day}/{file}" => landed_file::show;
    get "/v1/projects/{project}/ingest-streams/{id}/files/{day}/_failed/{file}" => landed_file::show_failed;
    get "/v1/projects/{project}/streams/{stream}/cursors" => cursor::list;
    get "/v1/projects/{project}/streams/{stream}/cursors/{name}" => cursor::show;
    put "/v1/projects/{project}/streams/{stream}/cursors/{name}" => cursor::put;
    delete "/v1/projects/{project}/streams/{stream}/cursors/{name}" => cursor::delete;
    get "/v1/projects/{project}/subscriptions" => subscription::list;
    get "/v1/projects/{project}/subscriptions/{subscription}" => subscription::show;
    patch "/v1/projects/{project}/subscriptions/{subscription}" => subscription::change::update;
    delete "/v1/projects/{project}/subscriptions/{subscription}" => subscription::delete;
    post "/v1/projects/{project}/subscriptions/{subscription}/purge" => subscription::purge;
    post "/v1/projects/{project}/subscriptions/{subscription}/move" => subscription::move_events;
    get "/v1/projects/{project}/subscriptions/{subscription}/events" => subscription::events::show;
    get "/v1/projects/{project}/prepared-transactions" => prepared_transaction::list;
    post "/v1/projects/{project}/prepared-transactions/{id}/commit" => prepared_transaction::commit;
    post "/v1/projects/{project}/prepared-transactions/{id}/rollback" => prepared_transaction::roll_back;
    get "/v1/projects/{project}/extractions" => extraction::list;
    post "/v1/projects/{project}/extractions" => extraction::create;
    get "/v1/projects/{project}/extractions/{id}" => extraction::show;
    post "/v1/projects/{project}/extractions/{id}/cancel" => extraction::cancel;
    get "/v1/projects/{project}/integrations" => integration::list;
    post "/v1/projects/{project}/integrations" => integration::create;
    get "/v1/projects/{project}/integrations/{integration}" => integration::show;
    patch "/v1/projects/{project}/integrations/{integration}" => integration::update;
    delete "/v1/projects/{project}/integrations/{integration}" => integration::delete;
    get "/v1/projects/{project}/integrations/{integration}/tokens" => token::list;
    post "/v1/projects/{project}/integrations/{integration}/tokens" => token::create;
    delete "/v1/projects/{project}/integrations/{integration}/tokens/{id}" => token::revoke;
    get "/v1/projects/{project}/integrations/{integration}/webhook" => webhook::show;
    put "/v1/projects/{project}/integrations/{integration}/webhook" => webhook::change::put;
    delete "/v1/projects/{project}/integrations/{integration}/webhook" => webhook::change::delete;
    get "/v1/projects/{project}/integrations/{integration}/webhook/attempts" => webhook::sent::attempts;
    post "/v1/projects/{project}/integrations/{integration}/webhook/test" => webhook::sent::test;
    post "/v1/projects/{project}/integrations/{integration}/webhook/rotate" => webhook::change::rotate;
    post "/v1/projects/{project}/integrations/{integration}/webhook/pause" => webhook::change::pause;
    post "/v1/projects/{project}/integrations/{integration}/webhook/resume" => webhook::change::resume;
    post "/v1/projects/{project}/integrations/{integration}/webhook/retry" => webhook::retry;
    post "/v1/projects/{project}/integrations/{integration}/webhook/replay" => webhook::replay;
    post "/v1/projects/{project}/integrations/{integration}/webhook/resend" => webhook::sent::resend;
    post "/v1/projects/{project}/integrations/{integration}/webhook/recover" => webhook::recover;
    get "/v1/projects/{project}/keys" => key::list;
    post "/v1/projects/{project}/keys" => key::create;
    delete "/v1/projects/{project}/keys/{id}" => key::revoke;
    get "/v1/projects/{project}/api-keys" => api_key::list;
    post "/v1/projects/{project}/api-keys" => api_key::create;
    get "/v1/projects/{project}/api-keys/{id}" => api_key::show;
    delete "/v1/projects/{project}/api-keys/{id}" => api_key::delete;
    post "/v1/projects/{project}/api-keys/{id}/tokens" => api_key::issue_token;
    post "/v1/projects/{project}/api-keys/{id}/rotate" => api_key::rotate;
    post "/v1/projects/{project}/api-keys/{id}/revoke" => api_key::revoke;
    post "/oauth2/token" => oauth::token;
    post "/api/v0/oauth2/token" => oauth::token_v0;
    get "/v1/projects/{project}/users" => user::list;
    post "/v1/projects/{project}/users" => user::create;
    delete "/v1/projects/{project}/users/{id}" => user::delete;
    get "/v1/operators" => operator::list;
    post "/v1/operators" => operator::create;
    delete "/v1/operators/{id}" => operator::revoke;
    get "/v1/event-types" => event_type::list;
    get "/v1/openapi.json" => document::show;
}

/// The routes of this interface, whose bodies have room by `door`, without fallbacks: `server` sets those on the merged router with
/// [`crate::no_such_route`] and [`crate::method_not_allowed`].
pub fn router(hub: Hub, auth: Auth, door: Arc<Door>) -> Router {
    configuration().layer(from_fn(name_request)).with_state(Admin::new(hub, auth, door))
}

/// A handler behind a pointer, so that what the router does with handlers is compiled once and not
/// for each of them.
#[derive(Clone)]
struct Served(Arc<dyn Fn(Request, Admin) -> BoxFuture<'static, Response> + Send + Sync>);

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Served")
    }
}

impl Handler<(), Admin> for Served {
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, admin: Admin) -> Self::Future {
        (self.0)(request, admin)
    }
}

fn served<T>(handler: impl Handler<T, Admin>) -> Served {
    Served(Arc::new(move |request, admin| Box::pin(handler.clone().call(request, admin))))
}
