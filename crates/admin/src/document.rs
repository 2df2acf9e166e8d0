//! `/v1/openapi.json`: the OpenAPI 3.1 document, made from the routes themselves, and from
//! [`crate::reading`] for those that another crate serves.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::error::{ProblemPlace, ProblemSchema};
use crate::reading;
use crate::router::described;

const DESCRIPTION: &str = "Operators configure projects, streams, integrations and credentials here, and \
    publishers send events; readers stream them. Every request but this one needs `Authorization: Bearer <token>`. What is not the \
    caller's is answered as what does not exist. Errors are problem documents (RFC 9457).";

/// The document as text, made once.
static TEXT: LazyLock<String> = LazyLock::new(|| openapi().to_pretty_json().unwrap_or_default());

/// The document.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut routes = described();
    routes.merge(reading::described());
    let mut paths = routes.paths;
    for item in paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            // These fail in the words of RFC 6749.
            if operation.tags.as_ref().is_some_and(|tags| tags.iter().any(|tag| tag == "oauth2")) {
                continue;
            }
            let problem =
                ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let problem = ResponseBuilder::new()
                .description("What went wrong.")
                .content("application/problem+json", problem)
                .build();
            operation.responses.responses.insert("default".to_owned(), problem.into());
        }
    }
    let mut components = ComponentsBuilder::new()
        .schema("Problem", ProblemSchema::schema())
        .schema(ProblemPlace::name(), ProblemPlace::schema())
        .security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .build();
    components.schemas.extend(routes.components.unwrap_or_default().schemas);
    let info = InfoBuilder::new()
        .title("Outflow")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("token", [] as [&str; 0])]))
        .build()
}

/// Show this document. Needs no token.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "document", operation_id = "get_openapi", security(()),
    responses((status = 200, description = "The OpenAPI 3.1 document.", content_type = "application/json")))]
pub(crate) async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}
