//! The routes: every one is registered here, with its description, and nowhere else.

use axum::Router;
use axum::middleware::from_fn;
use outflow_auth::Auth;
use outflow_hub::Hub;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Admin;
use crate::error::name_request;
use crate::publish::{self, Door, Limits};
use crate::{
    api_key, cursor, document, event_type, extraction, ingest_stream, integration, key, oauth,
    operator, project, stream, subscription, token, user,
};

/// The routes of this interface, without fallbacks: `server` sets those on the merged router with
/// [`crate::no_such_route`] and [`crate::method_not_allowed`].
pub fn router(hub: Hub, auth: Auth, limits: Limits) -> Router {
    let (router, _) = routes().split_for_parts();
    router.with_state(Admin::new(hub, auth, Door::new(limits)))
}

/// What the routes say of themselves, before [`document`] completes it.
pub(crate) fn described() -> OpenApi {
    routes().split_for_parts().1
}

fn routes() -> OpenApiRouter<Admin> {
    let configuration = OpenApiRouter::default()
        .routes(routes!(project::list, project::create))
        .routes(routes!(project::show, project::update, project::delete))
        .routes(routes!(stream::list, stream::create))
        .routes(routes!(stream::show, stream::update, stream::delete))
        .routes(routes!(ingest_stream::list, ingest_stream::create))
        .routes(routes!(ingest_stream::show, ingest_stream::update, ingest_stream::delete))
        .routes(routes!(cursor::list))
        .routes(routes!(cursor::show, cursor::put, cursor::delete))
        .routes(routes!(subscription::list))
        .routes(routes!(subscription::show, subscription::delete))
        .routes(routes!(subscription::purge))
        .routes(routes!(subscription::move_events))
        .routes(routes!(subscription::events::show))
        .routes(routes!(extraction::list, extraction::create))
        .routes(routes!(extraction::show))
        .routes(routes!(extraction::cancel))
        .routes(routes!(integration::list, integration::create))
        .routes(routes!(integration::show, integration::update, integration::delete))
        .routes(routes!(token::list, token::create))
        .routes(routes!(token::revoke))
        .routes(routes!(key::list, key::create))
        .routes(routes!(key::revoke))
        .routes(routes!(api_key::list, api_key::create))
        .routes(routes!(api_key::show, api_key::delete))
        .routes(routes!(api_key::issue_token))
        .routes(routes!(api_key::rotate))
        .routes(routes!(api_key::revoke))
        .routes(routes!(oauth::token))
        .routes(routes!(oauth::token_v0))
        .routes(routes!(user::list, user::create))
        .routes(routes!(user::delete))
        .routes(routes!(operator::list, operator::create))
        .routes(routes!(operator::revoke))
        .routes(routes!(event_type::list))
        .routes(routes!(document::show))
        .layer(from_fn(name_request));
    // Outside the layer, whose wrapping would cost every publish.
    OpenApiRouter::default().merge(configuration).routes(routes!(publish::publish))
}
