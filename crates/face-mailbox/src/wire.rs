//! The grammar of requests: a method, a path and a query to a call. No I/O.
//!
//! Two grammars lead to the same calls (reference `aria_itas_amperity.md` 2.1): the first has
//! `/Events/<call>?<parameters>`, the second resources, `/Subscribers`, `/Subscriptions` and
//! `/Messages`. Both are served side by side, as the vendor's second host does. Paths and names of
//! parameters count in any case, and blanks around them do not count.
//!
//! Called by `listen`. Invariant: any bytes that are a path, a query and a body give a call or a
//! [`WireError`]; nothing is allocated beyond a copy of them.

mod guid;
mod query;

pub use guid::Guid;

use query::{Query, decode, subscriber_name};

/// The longest name of a subscriber, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// Which grammar a request is written in. The answers differ a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// `/Events/…`, of 2015.
    V1,
    /// `/Subscribers`, `/Subscriptions`, `/Messages`.
    V2,
}

/// A topic of a company, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The company code; the second grammar may leave it out.
    pub company: Option<String>,
    /// The topic, such as `INVOICES` or `2-220`.
    pub name: String,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Makes a subscriber, or finds the one made before.
    Register {
        /// The caller's own name for it.
        name: String,
    },
    /// Deletes a subscriber with its mailbox.
    Unregister {
        /// The subscriber.
        subscriber: Guid,
    },
    /// Adds a topic to a subscriber's mailbox; makes the mailbox with the first.
    Subscribe {
        /// The subscriber.
        subscriber: Guid,
        /// What to receive.
        topic: Topic,
        /// Whether nothing behind a locked message is shown; decides for a new mailbox.
        strict: Option<bool>,
    },
    /// Takes a topic out of the mailbox, with its messages.
    Unsubscribe {
        /// The subscriber.
        subscriber: Guid,
        /// What not to receive any more.
        topic: Topic,
    },
    /// Waits for a message and says which is next.
    Peek {
        /// The subscriber.
        subscriber: Guid,
        /// For how long, in seconds.
        timeout: Option<u32>,
    },
    /// The second grammar's peek: waits for a message and gives it.
    Take {
        /// The subscriber.
        subscriber: Guid,
        /// For how long, in seconds.
        timeout: Option<u32>,
        /// For how many seconds it is locked; `None`: not at all.
        lock_timeout: Option<u32>,
    },
    /// Locks a message and gives it.
    Receive {
        /// The subscriber.
        subscriber: Guid,
        /// The message.
        message: Guid,
        /// For how many seconds it is locked.
        lock_timeout: Option<u32>,
    },
    /// Says that a message was dealt with.
    Confirm {
        /// The subscriber.
        subscriber: Guid,
        /// The message.
        message: Guid,
        /// The lock, which the vendor's first version does without.
        lock: Option<Guid>,
    },
    /// Holds a lock for longer.
    Renew {
        /// The subscriber.
        subscriber: Guid,
        /// The message.
        message: Guid,
        /// The lock.
        lock: Guid,
        /// For how many seconds from now.
        lock_timeout: Option<u32>,
    },
    /// Gives a lock back; the message is next again.
    Release {
        /// The subscriber.
        subscriber: Guid,
        /// The message.
        message: Guid,
        /// The lock.
        lock: Guid,
    },
    /// Lists what a subscriber receives.
    ViewSubscriptions {
        /// The subscriber.
        subscriber: Guid,
    },
    /// Lists the topics.
    ViewTopics {
        /// Of this company only.
        company: Option<String>,
    },
    /// Publishes the body as a message.
    Publish {
        /// Where to.
        topic: Topic,
    },
    /// Asks for the description of this interface.
    Describe,
}

impl Call {
    /// Its name, for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::Unregister { .. } => "unregister",
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Peek { .. } => "peek",
            Self::Take { .. } => "take",
            Self::Receive { .. } => "receive",
            Self::Confirm { .. } => "confirm",
            Self::Renew { .. } => "renew",
            Self::Release { .. } => "release",
            Self::ViewSubscriptions { .. } => "view_subscriptions",
            Self::ViewTopics { .. } => "view_topics",
            Self::Publish { .. } => "publish",
            Self::Describe => "describe",
        }
    }
}

/// Why a request is no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The path is not one of ours.
    #[error("there is no such call")]
    NoSuchCall,
    /// The path is, with another method.
    #[error("the method is not allowed here; use {allow}")]
    Method {
        /// The methods that are, as `Allow` lists them.
        allow: &'static str,
    },
    /// A parameter is missing.
    #[error("the parameter `{name}` is missing")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// A parameter is there twice.
    #[error("the parameter `{name}` is given twice")]
    Twice {
        /// Which.
        name: &'static str,
    },
    /// A parameter cannot be read.
    #[error("the parameter `{name}` must {rule}")]
    Bad {
        /// Which.
        name: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// There are too many parameters.
    #[error("there may be at most {max} parameters")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// A body that begins as a JSON object is none.
    #[error("the body is not valid JSON")]
    Body,
    /// A `%` is not followed by two hexadecimal digits, or they do not make UTF-8.
    #[error("the address is not percent-encoded UTF-8")]
    Encoding,
}

/// The first segments of the paths that are this face's.
const ROOTS: [&str; 4] = ["events", "subscribers", "subscriptions", "messages"];

/// Whether a path is this face's to answer, be it with an error.
#[must_use]
pub fn is_ours(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let is = |first: &str| ROOTS.iter().any(|root| root.eq_ignore_ascii_case(first.trim()));
    is(first) || (first.contains('%') && decode(first, false).is_some_and(|first| is(&first)))
}

/// Reads a request without its body.
///
/// # Errors
/// [`WireError`].
pub fn parse(method: &str, path: &str, query: &str) -> Result<(Grammar, Call), WireError> {
    parse_with(method, path, query, b"")
}

/// Reads a request whose parameters may also stand in its body, as a form or a JSON object.
///
/// # Errors
/// [`WireError`].
pub fn parse_with(
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<(Grammar, Call), WireError> {
    let path = path.trim_start_matches('/').trim_end_matches('/');
    let mut segments = path.split('/').map(|part| {
        decode(part, false).map(|part| part.trim().to_owned()).ok_or(WireError::Encoding)
    });
    let mut next = || segments.next().transpose();
    let (root, first, second, more) = (next()?.unwrap_or_default(), next()?, next()?, next()?);
    if more.is_some() {
        return Err(WireError::NoSuchCall);
    }
    let mut query = Query::read(query)?;
    query.add_body(body)?;
    let root = root.to_ascii_lowercase();
    match (root.as_str(), first, second) {
        ("events", Some(call), None) => Ok((Grammar::V1, event(method, &call, &mut query)?)),
        ("subscribers", Some(name), None) => {
            allow(method, &["POST", "DELETE"], "POST, DELETE")?;
            if method == "POST" {
                return Ok((Grammar::V2, Call::Register { name: subscriber_name(&name)? }));
            }
            Ok((Grammar::V2, Call::Unregister { subscriber: query::guid("subscriberId", &name)? }))
        }
        ("subscriptions", Some(id), topic) => {
            let subscriber = query::guid("subscriberId", &id)?;
            Ok((Grammar::V2, subscription(method, subscriber, topic, &mut query)?))
        }
        ("messages", Some(first), second) => {
            Ok((Grammar::V2, message(method, first, second, &mut query)?))
        }
        _ => Err(WireError::NoSuchCall),
    }
}

fn allow(method: &str, methods: &[&str], allow: &'static str) -> Result<(), WireError> {
    if methods.contains(&method) { Ok(()) } else { Err(WireError::Method { allow }) }
}

/// A call of the first grammar. What changes something is never a GET; POST stands in for the
/// vendor's PUT and DELETE, which some clients cannot send.
fn event(method: &str, call: &str, query: &mut Query) -> Result<Call, WireError> {
    let is = |name: &str| call.eq_ignore_ascii_case(name);
    let company = |query: &mut Query| {
        let company = Some(query.needed("companyCode")?);
        Ok(Topic { company, name: query.needed("topic")? })
    };
    if is("Register") {
        allow(method, &["POST"], "POST")?;
        Ok(Call::Register { name: subscriber_name(&query.needed("subscriberName")?)? })
    } else if is("Unregister") {
        allow(method, &["DELETE", "POST"], "DELETE, POST")?;
        Ok(Call::Unregister { subscriber: query.guid("subscriberId")? })
    } else if is("Subscribe") {
        allow(method, &["POST"], "POST")?;
        let subscriber = query.guid("subscriberId")?;
        Ok(Call::Subscribe {
            subscriber,
            topic: company(query)?,
            strict: query.switch("strictOrder")?,
        })
    } else if is("Unsubscribe") {
        allow(method, &["DELETE", "POST"], "DELETE, POST")?;
        let subscriber = query.guid("subscriberId")?;
        Ok(Call::Unsubscribe { subscriber, topic: company(query)? })
    } else if is("Peek") {
        allow(method, &["GET"], "GET")?;
        let subscriber = query.guid("subscriberId")?;
        Ok(Call::Peek { subscriber, timeout: query.seconds("timeout")? })
    } else if is("ViewSubscriptions") {
        allow(method, &["GET"], "GET")?;
        Ok(Call::ViewSubscriptions { subscriber: query.guid("subscriberId")? })
    } else if is("ViewTopics") {
        allow(method, &["GET"], "GET")?;
        Ok(Call::ViewTopics { company: query.text("companyCode") })
    } else if is("Publish") {
        allow(method, &["PUT", "POST"], "PUT, POST")?;
        Ok(Call::Publish { topic: company(query)? })
    } else if is("openapi.json") {
        allow(method, &["GET"], "GET")?;
        Ok(Call::Describe)
    } else {
        locked(method, call, query)
    }
}

/// The calls of the first grammar about one message.
fn locked(method: &str, call: &str, query: &mut Query) -> Result<Call, WireError> {
    let is = |name: &str| call.eq_ignore_ascii_case(name);
    let named = |query: &mut Query| Ok((query.guid("subscriberId")?, query.guid("messageId")?));
    if is("Receive") {
        allow(method, &["POST"], "POST")?;
        let (subscriber, message) = named(query)?;
        Ok(Call::Receive { subscriber, message, lock_timeout: query.seconds("lockTimeout")? })
    } else if is("Confirm") {
        allow(method, &["DELETE", "POST"], "DELETE, POST")?;
        let (subscriber, message) = named(query)?;
        Ok(Call::Confirm { subscriber, message, lock: query.maybe_guid("lockId")? })
    } else if is("Renew") {
        allow(method, &["POST"], "POST")?;
        let (subscriber, message) = named(query)?;
        let lock = query.guid("lockId")?;
        Ok(Call::Renew { subscriber, message, lock, lock_timeout: query.seconds("lockTimeout")? })
    } else if is("Release") {
        allow(method, &["POST"], "POST")?;
        let (subscriber, message) = named(query)?;
        Ok(Call::Release { subscriber, message, lock: query.guid("lockId")? })
    } else {
        Err(WireError::NoSuchCall)
    }
}

/// `/Subscriptions/{id}[/{topic}]`.
fn subscription(
    method: &str,
    subscriber: Guid,
    topic: Option<String>,
    query: &mut Query,
) -> Result<Call, WireError> {
    let Some(name) = topic else {
        allow(method, &["GET"], "GET")?;
        return Ok(Call::ViewSubscriptions { subscriber });
    };
    allow(method, &["PUT", "DELETE"], "PUT, DELETE")?;
    let topic = resource(name, query)?;
    if method == "PUT" {
        Ok(Call::Subscribe { subscriber, topic, strict: query.switch("strictOrder")? })
    } else {
        Ok(Call::Unsubscribe { subscriber, topic })
    }
}

/// `/Messages/{id}[/{message}]` and `/Messages/{topic}`.
fn message(
    method: &str,
    first: String,
    second: Option<String>,
    query: &mut Query,
) -> Result<Call, WireError> {
    if let Some(message) = second {
        allow(method, &["DELETE"], "DELETE")?;
        let subscriber = query::guid("subscriberId", &first)?;
        let message = query::guid("messageId", &message)?;
        return Ok(Call::Confirm { subscriber, message, lock: query.maybe_guid("lockId")? });
    }
    allow(method, &["GET", "PUT"], "GET, PUT")?;
    if method == "PUT" {
        return Ok(Call::Publish { topic: resource(first, query)? });
    }
    Ok(Call::Take {
        subscriber: query::guid("subscriberId", &first)?,
        timeout: query.seconds("timeout")?,
        lock_timeout: query.seconds("lockTimeout")?,
    })
}

/// A topic in a path of the second grammar, which names a company in the query or not at all.
fn resource(name: String, query: &mut Query) -> Result<Topic, WireError> {
    if name.is_empty() {
        return Err(WireError::Missing { name: "topic" });
    }
    Ok(Topic { company: query.text("companyCode"), name })
}
