//! `/v1/openapi.json`: the OpenAPI 3.1 document of this interface, and of the routes that other
//! crates serve (`publishing.rs`, `reading.rs`, `feeding.rs`, `ingesting.rs`).
//!
//! The document is a file of the repository. The tests make it from the descriptions above the
//! handlers and fail while the two differ: so the server carries nothing that makes documents.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

/// The document.
const TEXT: &str = include_str!("../openapi.json");

/// Show this document. Needs no token.
#[cfg_attr(test, utoipa::path(get, path = "/v1/openapi.json", tag = "document", operation_id = "get_openapi", security(()),
    responses((status = 200, description = "The OpenAPI 3.1 document.", content_type = "application/json"))))]
pub(crate) async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], TEXT).into_response()
}

#[cfg(test)]
mod tests {
    //! The document is true to the descriptions, and these to the routes.

    use std::collections::BTreeSet;

    use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
    use utoipa::openapi::{
        ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApiBuilder, Ref, ResponseBuilder,
    };
    use utoipa::{OpenApi, PartialSchema, ToSchema};

    use super::TEXT;
    use crate::error::{ProblemPlace, ProblemSchema};
    use crate::feeding::Feeding;
    use crate::ingesting::Ingesting;
    use crate::publishing::Publishing;
    use crate::reading::Reading;
    use crate::router::{Described, ROUTES};

    const DESCRIPTION: &str = "Operators configure projects, streams, integrations and credentials here, and \
    publishers send events; readers stream them. Requests need `Authorization: Bearer <token>`, but for those whose `security` is \
    empty: this document and the two that give out tokens. Some readers may name themselves in another way, which is said there. What is not the \
    caller's is answered as what does not exist. Errors are problem documents (RFC 9457).";

    /// Set this variable to write the document anew after a deliberate change.
    const REWRITE: &str = "OUTFLOW_REWRITE";

    /// The document that the descriptions make.
    fn described() -> utoipa::openapi::OpenApi {
        let mut routes = Described::openapi();
        routes.merge(Publishing::openapi());
        routes.merge(Reading::openapi());
        routes.merge(Feeding::openapi());
        routes.merge(Ingesting::openapi());
        let mut paths = routes.paths;
        for item in paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
            for operation in operations.into_iter().flatten() {
                // These fail in the words of RFC 6749.
                if operation
                    .tags
                    .as_ref()
                    .is_some_and(|tags| tags.iter().any(|tag| tag == "oauth2"))
                {
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

    #[test]
    fn the_document_is_the_reviewed_one() {
        let made = described().to_pretty_json().unwrap() + "\n";
        if std::env::var_os(REWRITE).is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
            std::fs::write(path, &made).unwrap();
        }
        assert!(
            TEXT == made,
            "the interface has changed: review it, then run this test with {REWRITE}=1"
        );
    }

    #[test]
    fn every_route_is_described_under_its_own_method_and_path() {
        let served: BTreeSet<(String, String)> =
            ROUTES.iter().map(|(method, path)| (method.to_string(), path.to_string())).collect();
        assert_eq!(served.len(), ROUTES.len());
        let document: serde_json::Value =
            serde_json::from_str(&Described::openapi().to_json().unwrap()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let methods = |(path, item): (&String, &serde_json::Value)| {
            let verbs: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
            verbs.into_iter().map(|verb| (verb, path.clone())).collect::<Vec<_>>()
        };
        let described: BTreeSet<_> = paths.iter().flat_map(methods).collect();
        assert_eq!(served, described);
    }
}
