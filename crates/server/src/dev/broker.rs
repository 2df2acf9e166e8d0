//! What the demonstration has for clients of brokers and mailboxes: a namespace as AtData gives
//! its customers (seed 000; reference `activemq.md` a1), and a company with topics as Hivedome's
//! events service has them (seed 003).

use std::sync::Arc;

use outflow_auth::Auth;
use outflow_generator::TOPICS;
use outflow_hub::{Hub, Stream};
use outflow_model::{ProjectId, StreamName};

use super::demonstration::{self, NAME, failed};
use crate::wiring::StartError;

/// The customer's namespace: its destinations are `<destination id>.RTO.yourcompany`.
pub(super) const NAMESPACE: &str = "yourcompany";

/// The customer's user name and password, of the form that AtData gives.
pub(super) const USER: &str = "12345";
pub(super) const PASSWORD: &str = "0123456789abcdef0123456789abcdef";

/// The company whose topics mailboxes receive.
pub(super) const COMPANY: &str = "AA";

/// The streams that are fed.
pub(super) struct Broker {
    /// The virtual topic of the namespace.
    pub(super) namespace: Arc<Stream>,
    /// The company's topics, in the generator's order.
    pub(super) topics: Vec<Arc<Stream>>,
}

/// Makes what is missing.
pub(super) async fn ensure(hub: &Hub, auth: &Auth) -> Result<Broker, StartError> {
    let project = ProjectId::new(NAME).map_err(|error| failed("project", &error))?;
    let stream = async |name: String, description: &str| {
        let name = StreamName::new(&name).map_err(|error| failed("stream", &error))?;
        demonstration::ensure_stream(hub, &project, name, description).await
    };
    let about =
        "Hashed addresses: a virtual topic, `<destination id>.RTO.yourcompany` to consumers.";
    let namespace = stream(format!("RTO.{NAMESPACE}"), about).await?;
    let mut topics = Vec::new();
    for (topic, about) in TOPICS {
        topics.push(stream(format!("{COMPANY}/{topic}"), about).await?);
    }
    let user = demonstration::customer(&project, USER, NAMESPACE)?;
    auth.issue_fixed(user, PASSWORD).await.map_err(|error| failed("user", &error))?;
    Ok(Broker { namespace, topics })
}
