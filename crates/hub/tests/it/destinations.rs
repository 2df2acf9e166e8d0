//! What stands behind queues and topics, and who reaches them.
//!
//! Long because it is one list: each rule of a destination with its test.

use std::sync::Arc;

use outflow_hub::destination::{Kind, VirtualTopics};
use outflow_hub::subscription::{ConsumeError, ConsumerOptions, Sources, Subscription};
use outflow_hub::{
    ConsumeWish, Destination, DestinationDefaults, DestinationError, Options, ReadError,
    ReadRequest, Start, Stream,
};
use outflow_model::{Action, DestinationGrant, DestinationPattern, ErrorCode, Grant};

use crate::world::{World, grant, project_id, world, world_with};

fn queue(name: &str) -> Destination {
    Destination::new(Kind::Queue, name).unwrap()
}

fn topic(name: &str) -> Destination {
    Destination::new(Kind::Topic, name).unwrap()
}

/// A credential that may do all in the project.
fn both() -> Grant {
    grant("p", false, &[Action::Read, Action::Publish])
}

/// A credential that is kept to these destinations.
fn kept(consume: &[&str], send: &[&str]) -> Grant {
    let patterns =
        |all: &[&str]| all.iter().map(|one| DestinationPattern::parse(one).unwrap()).collect();
    let destinations = DestinationGrant { consume: patterns(consume), send: patterns(send) };
    Grant { destinations: Some(Arc::new(destinations)), ..both() }
}

fn customer(namespace: &str) -> Grant {
    let own = [format!("*.RTO.{namespace}"), format!("topic://RTO.{namespace}")];
    let customer = kept(&own.each_ref().map(String::as_str), &[]);
    let credential = outflow_model::CredentialId::new(namespace).unwrap();
    Grant { credential, ..customer }
}

impl World {
    async fn send_to(
        &self,
        grant: &Grant,
        to: &Destination,
    ) -> Result<Arc<Stream>, DestinationError> {
        let mut all = self.hub.send_targets(grant, to).await?;
        assert_eq!(all.len(), 1);
        Ok(all.remove(0))
    }

    async fn consume(
        &self,
        grant: &Grant,
        from: &Destination,
    ) -> Result<Vec<Arc<Subscription>>, DestinationError> {
        self.hub.consume_targets(grant, from, &ConsumeWish::default()).await
    }

    async fn one(&self, grant: &Grant, from: &Destination) -> Arc<Subscription> {
        let mut all = self.consume(grant, from).await.unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    async fn put(&self, stream: &Stream, n: usize) {
        let draft = self.draft(&[&format!(r#"{{"type":"T","body":{n}}}"#)]);
        let publisher = grant("p", false, &[Action::Publish]);
        self.hub.publish(&publisher, stream, draft).await.unwrap();
    }

    fn backlog(&self, subscription: &Subscription) -> u64 {
        self.hub.subscription_stats(subscription).backlog
    }
}

fn sources(subscription: &Subscription) -> Vec<(String, Start)> {
    match subscription.sources() {
        Sources::Streams(all) => {
            all.into_iter().map(|one| (one.stream.to_string(), one.start)).collect()
        }
        Sources::Matching { pattern, start } => vec![(pattern.to_string(), start)],
    }
}

#[test]
fn composites_and_options_are_read() {
    let all = Destination::parse_all(
        Kind::Queue,
        "a, topic://b.>,temp-queue://c?consumer.prefetchSize=1&x=y",
    );
    let shown: Vec<String> = all.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["queue://a", "topic://b.>", "temp-queue://c"]);
    let options: Vec<_> = Destination::options("a?consumer.prefetchSize=1&x=y&z").collect();
    assert_eq!(options, [("consumer.prefetchSize", "1"), ("x", "y")]);
    assert_eq!(Destination::new(Kind::Queue, "a?consumer.exclusive=true").unwrap().name, "a");
    for bad in ["", "a,,b", "?x=1", "a.>.b", "a\nb", &"x".repeat(256), &["a"; 33].join(",")] {
        let refused = Destination::parse_all(Kind::Topic, bad);
        assert!(matches!(refused, Err(DestinationError::Name(_))), "{bad}");
    }
    assert!(Destination::new(Kind::TempQueue, "a.*").is_err());
}

#[tokio::test]
async fn a_queue_made_by_a_send_begins_with_that_event() {
    let world = world().await;
    let stream = world.send_to(&both(), &queue("orders")).await.unwrap();
    assert_eq!(stream.name.as_str(), "queue:orders");
    world.put(&stream, 1).await;
    let subscription = world.one(&both(), &queue("orders")).await;
    assert_eq!(subscription.name().as_str(), "queue:orders");
    assert!(subscription.settings().owns && subscription.settings().group_by_key);
    let dead = subscription.settings().dead_letter.clone().unwrap();
    assert_eq!(Destination::of_stream(&dead), queue("ActiveMQ.DLQ"));
    assert_eq!(world.backlog(&subscription), 1);
    assert_eq!(Destination::of_subscription(&subscription), Some(queue("orders")));
    // A consumer that comes first finds what is sent later.
    let early = world.one(&both(), &queue("returns")).await;
    let stream = world.send_to(&both(), &queue("returns")).await.unwrap();
    world.put(&stream, 1).await;
    assert_eq!(world.backlog(&early), 1);
    // The dead letters' own go nowhere.
    let letters = world.one(&both(), &queue("ActiveMQ.DLQ")).await;
    assert_eq!(letters.settings().dead_letter, None);
}

#[tokio::test]
async fn different_destination_ids_mirror_and_the_same_one_balances() {
    let world = world().await;
    let feed = world.send_to(&both(), &topic("RTO.yourcompany")).await.unwrap();
    assert_eq!(feed.name.as_str(), "RTO.yourcompany");
    world.put(&feed, 0).await;
    let me = customer("yourcompany");
    let first = world.one(&me, &queue("destination1.RTO.yourcompany")).await;
    let again = world.one(&me, &queue("destination1.RTO.yourcompany")).await;
    assert!(Arc::ptr_eq(&first, &again), "one queue, whatever the connection");
    assert_eq!(sources(&first), [("RTO.yourcompany".to_owned(), Start::Latest)]);
    assert!(!first.settings().owns, "the feed is kept for the others");
    world.put(&feed, 1).await;
    let second = world.one(&me, &queue("destination2.RTO.yourcompany")).await;
    world.put(&feed, 2).await;
    // A queue begins at its making and has all that comes after.
    assert_eq!((world.backlog(&first), world.backlog(&second)), (2, 1));
    // Stored once, however many hold it.
    assert_eq!(world.hub.streams(&project_id("p")).len(), 2);
}

#[tokio::test]
async fn what_is_sent_to_a_virtual_queue_itself_is_in_it_too() {
    let world = world().await;
    let direct = world.send_to(&both(), &queue("Consumer.A.VirtualTopic.Orders")).await.unwrap();
    assert_eq!(direct.name.as_str(), "queue:Consumer.A.VirtualTopic.Orders");
    world.put(&direct, 1).await;
    let feed = world.send_to(&both(), &topic("VirtualTopic.Orders")).await.unwrap();
    world.put(&feed, 2).await;
    let queue = world.one(&both(), &queue("Consumer.A.VirtualTopic.Orders")).await;
    assert_eq!(world.backlog(&queue), 2);
    let names: Vec<_> = sources(&queue).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["VirtualTopic.Orders", "queue:Consumer.A.VirtualTopic.Orders"]);
}

#[tokio::test]
async fn wildcards_give_all_that_match() {
    let world = world().await;
    for name in ["prices.a", "prices.a.b", "prices", "other"] {
        world.send_to(&both(), &queue(name)).await.unwrap();
    }
    let names = async |path: &str| {
        let all = world.consume(&both(), &queue(path)).await.unwrap();
        all.iter().map(|one| one.name().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("prices.*").await, ["queue:prices.a"]);
    assert_eq!(names("prices.>").await, ["queue:prices", "queue:prices.a", "queue:prices.a.b"]);
    assert_eq!(names("none.*").await, [""; 0]);
    let refused = world.send_to(&both(), &queue("prices.*")).await.unwrap_err();
    assert_eq!(refused, DestinationError::Wildcard);
    // A topic's wildcards take in what is made later, a virtual queue's too.
    let news = world.one(&both(), &topic("news.>")).await;
    assert_eq!(sources(&news), [("news.>".to_owned(), Start::Latest)]);
    let orders = world.one(&both(), &queue("Consumer.A.VirtualTopic.>")).await;
    assert_eq!(sources(&orders), [("VirtualTopic.>".to_owned(), Start::Latest)]);
}

#[tokio::test]
async fn a_plain_subscriber_of_a_topic_has_a_subscription_of_its_own() {
    let world = world().await;
    let stream = world.send_to(&both(), &topic("news")).await.unwrap();
    world.put(&stream, 1).await;
    let first = world.one(&both(), &topic("news")).await;
    let second = world.one(&both(), &topic("news")).await;
    assert_ne!(first.name(), second.name());
    assert_eq!(sources(&first), [("news".to_owned(), Start::Latest)]);
    let wish = ConsumeWish { retroactive: true, ..ConsumeWish::default() };
    let all = world.hub.consume_targets(&both(), &topic("news"), &wish).await.unwrap();
    assert_eq!(sources(&all[0]), [("news".to_owned(), Start::Earliest)]);
}

#[tokio::test]
async fn a_durable_subscriber_is_found_again_and_begins_anew_when_it_asks_for_something_else() {
    let world = world().await;
    let news = world.send_to(&both(), &topic("news")).await.unwrap();
    let wish = |selector: Option<&str>| ConsumeWish {
        durable: Some(("client:1".into(), "mine".into())),
        selector: selector
            .map(|text| outflow_hub::Selector::parse(text, outflow_hub::Dialect::Plain).unwrap()),
        ..ConsumeWish::default()
    };
    let consume = async |name: &str, wish: ConsumeWish| {
        world.hub.consume_targets(&both(), &topic(name), &wish).await.map(|mut all| all.remove(0))
    };
    let first = consume("news", wish(None)).await.unwrap();
    assert_eq!(first.name().as_str(), "durable:client$3A1:mine");
    world.put(&news, 1).await;
    let again = consume("news", wish(None)).await.unwrap();
    assert_eq!((again.id(), world.backlog(&again)), (first.id(), 1));
    let other_selector = consume("news", wish(Some("a = 1"))).await.unwrap();
    assert_ne!(other_selector.id(), first.id());
    assert_eq!(world.backlog(&other_selector), 0);
    let other_topic = consume("news.more", wish(Some("a = 1"))).await.unwrap();
    assert_ne!(other_topic.id(), other_selector.id());
    let all = consume("news.more", wish(None)).await.unwrap();
    let not_its_own = ConsumeWish { no_local: true, ..wish(None) };
    let others = consume("news.more", not_its_own.clone()).await.unwrap();
    assert_ne!(others.id(), all.id());
    assert_eq!(consume("news.more", not_its_own).await.unwrap().id(), others.id());
    assert!(world.hub.delete_durable(&both(), "client:1", "mine").await.unwrap());
    assert!(!world.hub.delete_durable(&both(), "client:1", "mine").await.unwrap());
    let on_a_queue = world.hub.consume_targets(&both(), &queue("q"), &wish(None)).await;
    assert!(matches!(on_a_queue, Err(DestinationError::Durable(_))));
    let nameless = ConsumeWish { durable: Some((String::new(), "x".into())), ..wish(None) };
    assert!(matches!(consume("news", nameless).await, Err(DestinationError::Durable(_))));
}

#[tokio::test]
async fn a_durable_subscriber_of_several_topics_has_one_place_over_them() {
    let world = world().await;
    let wish = ConsumeWish { durable: Some(("c".into(), "mine".into())), ..ConsumeWish::default() };
    let consume = async |grant: &Grant, names: &[&str]| {
        let topics: Vec<_> = names.iter().map(|name| topic(name)).collect();
        world.hub.durable_target(grant, &topics, &wish).await
    };
    let both_topics = consume(&both(), &["news", "weather", "news"]).await.unwrap();
    for name in ["news", "weather", "sport"] {
        let stream = world.send_to(&both(), &topic(name)).await.unwrap();
        world.put(&stream, 1).await;
    }
    let again = consume(&both(), &["news", "weather"]).await.unwrap();
    assert_eq!((again.id(), world.backlog(&again)), (both_topics.id(), 2));
    // Fewer are something else.
    let fewer = consume(&both(), &["weather"]).await.unwrap();
    assert_ne!(fewer.id(), again.id());
    // Paths with wildcards and names together take in what is made later.
    let mixed = consume(&both(), &["prices.*", "sport"]).await.unwrap();
    for (name, count) in [("prices.a", 1), ("sport", 2), ("sport.more", 2), ("news", 2)] {
        let stream = world.send_to(&both(), &topic(name)).await.unwrap();
        world.put(&stream, 1).await;
        assert_eq!(world.backlog(&mixed), count, "{name}");
    }
    assert_eq!(consume(&both(), &["prices.*", "sport"]).await.unwrap().id(), mixed.id());
    // Each of them has to be the customer's own.
    let me = customer("yourcompany");
    consume(&me, &["RTO.yourcompany"]).await.unwrap();
    for other in ["RTO.rival", "RTO.*"] {
        let refused = consume(&me, &["RTO.yourcompany", other]).await.unwrap_err();
        assert_eq!(refused, DestinationError::Forbidden, "{other}");
    }
    let with_a_queue = [topic("news"), queue("q")];
    let refused = world.hub.durable_target(&both(), &with_a_queue, &wish).await.unwrap_err();
    assert!(matches!(refused, DestinationError::Durable(_)));
}

#[tokio::test]
async fn a_customer_reaches_its_namespace_and_learns_nothing_of_others() {
    let world = world().await;
    let (me, rival) = (customer("yourcompany"), customer("rival"));
    world.one(&rival, &queue("destination1.RTO.rival")).await;
    world.send_to(&both(), &queue("orders")).await.unwrap();
    world.send_to(&both(), &topic("RTO.rival")).await.unwrap();
    let all = world.hub.subscriptions(&project_id("p")).len();
    // What exists and what does not is refused alike.
    for name in [
        "destination1.RTO.rival",
        "destination9.RTO.rival",
        "orders",
        "nothing",
        "*.RTO.*",
        ">",
        "ActiveMQ.DLQ",
    ] {
        let refused = world.consume(&me, &queue(name)).await.unwrap_err();
        assert_eq!(refused, DestinationError::Forbidden, "{name}");
    }
    for name in ["RTO.rival", "RTO.>", "nothing"] {
        let refused = world.consume(&me, &topic(name)).await.unwrap_err();
        assert_eq!(refused, DestinationError::Forbidden, "{name}");
    }
    for to in [topic("RTO.yourcompany"), queue("destination1.RTO.yourcompany"), queue("orders")] {
        let refused = world.send_to(&me, &to).await.unwrap_err();
        assert_eq!(refused, DestinationError::Forbidden, "{to}");
    }
    assert_eq!(world.hub.subscriptions(&project_id("p")).len(), all, "nothing was made");
    // Its own wildcards find its own queues only.
    world.one(&me, &queue("destination1.RTO.yourcompany")).await;
    let found = world.consume(&me, &queue("*.RTO.yourcompany")).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn customers_may_choose_the_same_ids_for_durable_subscribers() {
    let world = world().await;
    let wish = ConsumeWish { durable: Some(("c".into(), "s".into())), ..ConsumeWish::default() };
    let mut ids = Vec::new();
    for namespace in ["yourcompany", "rival"] {
        let topic = topic(&format!("RTO.{namespace}"));
        let mine = world.hub.consume_targets(&customer(namespace), &topic, &wish).await.unwrap();
        ids.push(mine[0].id());
    }
    assert_ne!(ids[0], ids[1]);
    assert!(world.hub.delete_durable(&customer("rival"), "c", "s").await.unwrap());
    let mine = topic("RTO.yourcompany");
    let mine = world.hub.consume_targets(&customer("yourcompany"), &mine, &wish).await.unwrap();
    assert_eq!(mine[0].id(), ids[0]);
}

#[tokio::test]
async fn a_grant_that_is_kept_to_destinations_reaches_streams_as_those_only() {
    let world = world().await;
    let feed = world.send_to(&both(), &topic("RTO.yourcompany")).await.unwrap();
    let orders = world.send_to(&both(), &queue("orders")).await.unwrap();
    let sender = kept(&["topic://RTO.yourcompany"], &["orders"]);
    let may_publish = async |stream: &Stream| {
        let draft = world.draft(&[r#"{"type":"T","body":1}"#]);
        world.hub.publish(&sender, stream, draft).await.is_ok()
    };
    assert!(may_publish(&orders).await && !may_publish(&feed).await);
    assert!(!may_publish(&world.stream()).await);
    let may_read = async |stream: Arc<Stream>| {
        let request = outflow_hub::ReadRequest { stream, ..world.request(Start::Earliest) };
        world.hub.open_read(&sender, request).await.is_ok()
    };
    assert!(may_read(feed).await && !may_read(orders).await);
}

#[tokio::test]
async fn a_customer_may_make_so_many_destinations_and_no_more() {
    let options = Options { max_destinations: 2, ..Options::default() };
    let world = world_with(options).await;
    let me = customer("yourcompany");
    for id in ["a", "b"] {
        world.one(&me, &queue(&format!("{id}.RTO.yourcompany"))).await;
    }
    let refused = world.consume(&me, &queue("c.RTO.yourcompany")).await.unwrap_err();
    assert_eq!(refused, DestinationError::TooMany { max: 2 });
    world.one(&me, &queue("a.RTO.yourcompany")).await;
    // Others have room of their own, and the project has more.
    world.one(&customer("rival"), &queue("c.RTO.rival")).await;
    world.one(&both(), &queue("c.RTO.yourcompany")).await;
}

#[tokio::test]
async fn what_a_user_sends_to_and_consumes_counts_together_and_each_destination_once() {
    let options = Options { max_destinations: 2, ..Options::default() };
    let world = world_with(options).await;
    let many = DestinationError::TooMany { max: 2 };
    let me = kept(&["mine.>"], &["mine.>", "topic://mine.>"]);
    for called in ["mine.a", "mine.b"] {
        world.send_to(&me, &queue(called)).await.unwrap();
        world.one(&me, &queue(called)).await;
    }
    assert_eq!(world.consume(&me, &queue("mine.c")).await.unwrap_err(), many);
    let other = kept(&["other.>"], &["topic://other.>"]);
    world.send_to(&other, &topic("other.news")).await.unwrap();
    world.one(&other, &queue("other.orders")).await;
    assert_eq!(world.send_to(&other, &topic("other.more")).await.unwrap_err(), many);
    assert_eq!(world.consume(&other, &queue("other.more")).await.unwrap_err(), many);
}

#[tokio::test]
async fn a_server_may_have_more_rules() {
    let mut virtual_topics = VirtualTopics::default();
    virtual_topics.add("feeds.>", "Copy.*.").unwrap();
    let world = world_with(Options { virtual_topics, ..Options::default() }).await;
    let copy = world.one(&both(), &queue("Copy.1.feeds.prices")).await;
    assert_eq!(sources(&copy), [("feeds.prices".to_owned(), Start::Latest)]);
}

#[tokio::test]
async fn temporary_destinations_go_with_their_connection() {
    let world = world().await;
    let replies = Destination::new(Kind::TempQueue, "ID:session-1:replies").unwrap();
    // Nobody but its connection makes it.
    let missing = world.send_to(&both(), &replies).await.unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NotFound);
    world.hub.make_temporary(&both(), &replies).await.unwrap();
    world.hub.make_temporary(&both(), &replies).await.unwrap();
    let subscription = world.one(&both(), &replies).await;
    let stream = world.send_to(&both(), &replies).await.unwrap();
    assert_eq!(stream.name.as_str(), "temp-queue:ID:session-1:replies");
    world.put(&stream, 1).await;
    assert_eq!(world.backlog(&subscription), 1);
    world.hub.drop_temporary(&both(), &replies).await.unwrap();
    world.hub.drop_temporary(&both(), &replies).await.unwrap();
    let project = project_id("p");
    assert!(world.hub.stream(&project, &stream.name).is_none());
    assert!(world.hub.subscription(&project, stream.name.as_str()).is_none());
    // Those that a crash left behind go when the server starts.
    world.hub.make_temporary(&both(), &replies).await.unwrap();
    world.hub.drop_all_temporary().await.unwrap();
    assert!(world.hub.stream(&project, &stream.name).is_none());
    let lasting = world.hub.drop_temporary(&both(), &queue("orders")).await.unwrap_err();
    assert_eq!(lasting, DestinationError::Forbidden);
}

#[tokio::test]
async fn a_temporary_queue_is_reached_by_no_other_credential_that_knows_its_name() {
    let world = world().await;
    let replies = Destination::new(Kind::TempQueue, "ID:host-1:1").unwrap();
    let (owner, other) = (customer("one"), customer("two"));
    world.hub.make_temporary(&owner, &replies).await.unwrap();
    let forbidden = Err(DestinationError::Forbidden);
    assert_eq!(world.hub.make_temporary(&other, &replies).await, forbidden);
    assert_eq!(world.hub.drop_temporary(&other, &replies).await, forbidden);
    let subscription = world.one(&owner, &replies).await;
    let mut consumers = world.hub.consumers(&other);
    let taken = consumers.add(&subscription, ConsumerOptions::default()).await;
    assert_eq!(taken, Err(ConsumeError::Forbidden));
    let stream = world.send_to(&both(), &replies).await.unwrap();
    world.put(&stream, 1).await;
    let request = || ReadRequest { stream: stream.clone(), ..world.request(Start::Earliest) };
    let read = world.hub.open_read(&other, request()).await;
    assert_eq!(read.err(), Some(ReadError::Forbidden));
    world.hub.open_read(&owner, request()).await.unwrap();
    let mut consumers = world.hub.consumers(&owner);
    consumers.add(&subscription, ConsumerOptions::default()).await.unwrap();
    // The name is free when it is gone.
    world.hub.drop_temporary(&owner, &replies).await.unwrap();
    world.hub.make_temporary(&other, &replies).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_temporary_queue_leaves_alone_whoever_made_it_again_meanwhile() {
    let world = world().await;
    let replies = Destination::new(Kind::TempQueue, "ID:host-1:1").unwrap();
    let (owner, other) = (customer("one"), customer("two"));
    world.hub.make_temporary(&owner, &replies).await.unwrap();
    world.engine.hold();
    let (hub, grant, old) = (world.hub.clone(), owner.clone(), replies.clone());
    let dropped = tokio::spawn(async move { hub.drop_temporary(&grant, &old).await });
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let (hub, grant, new) = (world.hub.clone(), owner.clone(), replies.clone());
    let made = tokio::spawn(async move { hub.make_temporary(&grant, &new).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    while !dropped.is_finished() || !made.is_finished() {
        world.engine.commit_next();
        tokio::task::yield_now().await;
    }
    world.engine.commit_all();
    dropped.await.unwrap().unwrap();
    made.await.unwrap().unwrap();
    let forbidden = Err(DestinationError::Forbidden);
    assert_eq!(world.hub.make_temporary(&other, &replies).await, forbidden);
    world.hub.drop_temporary(&owner, &replies).await.unwrap();
    world.hub.make_temporary(&other, &replies).await.unwrap();
}

/// What is made as the server is told, one destination for each customer.
fn told() -> Options {
    let day = std::time::Duration::from_secs(86_400);
    let destination_defaults = DestinationDefaults {
        max_deliveries: Some(5),
        max_age: Some(30 * day),
        idle_expiry: Some(10 * day),
    };
    Options { destination_defaults, max_destinations: 1, ..Options::default() }
}

#[tokio::test]
async fn what_is_made_on_first_use_is_told_what_the_server_is() {
    let world = world_with(told()).await;
    let durable =
        ConsumeWish { durable: Some(("client".into(), "name".into())), ..ConsumeWish::default() };
    let me = both();
    let subscriber = world.hub.consume_targets(&me, &topic("news"), &durable).await.unwrap();
    let limits = |one: &Subscription| {
        let settings = one.settings();
        let days = settings.idle_expiry.map(|idle| idle.as_secs() / 86_400);
        (settings.max_deliveries, settings.max_age.is_some(), days)
    };
    assert_eq!(limits(&subscriber[0]), (Some(5), true, Some(10)));
    assert_eq!(limits(&*world.one(&me, &queue("d.RTO.a")).await), (Some(5), true, Some(10)));
    // A queue's senders may be the only ones who use it for long, dead letters stay for operators, and a
    // passing subscriber leaves nothing behind.
    assert_eq!(limits(&*world.one(&me, &queue("orders")).await), (Some(5), true, None));
    let nothing = (None, false, None);
    assert_eq!(limits(&*world.one(&me, &queue("ActiveMQ.DLQ")).await), nothing);
    assert_eq!(limits(&*world.one(&me, &topic("news")).await), nothing);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_destination_id_is_warned_of_and_makes_room_for_another() {
    let world = world_with(told()).await;
    let me = customer("a");
    world.send_to(&both(), &topic("RTO.a")).await.unwrap();
    world.one(&me, &queue("d1.RTO.a")).await;
    let day = 86_400_000;
    let refused = world.consume(&me, &queue("d2.RTO.a")).await.unwrap_err();
    assert_eq!(refused, DestinationError::TooMany { max: 1 });
    world.clock.advance(9 * day);
    world.hub.tick().await;
    let id = world.one(&me, &queue("d1.RTO.a")).await;
    assert!(world.hub.subscription_stats(&id).abandoned, "it is warned of");
    assert_eq!(world.metric("outflow_idle_warnings_total"), 1);
    assert!(world.consume(&me, &queue("d2.RTO.a")).await.is_err());
    world.clock.advance(day);
    world.hub.tick().await;
    assert!(world.hub.subscription(&project_id("p"), "queue:d1.RTO.a").is_none());
    world.one(&me, &queue("d2.RTO.a")).await;
    assert!(world.hub.stream(&project_id("p"), &crate::world::name("RTO.a")).is_some());
}
