//! Durable topic subscriptions (reference `activemq.md` a5).

use outflow_face_openwire::wire::{
    Command, ConsumerInfo, Destination, DestinationKind, Identity, RemoveInfo,
    RemoveSubscriptionInfo,
};

use crate::stand::{Client, Stand, Thrown, text_of};

fn topic(name: &str) -> Destination {
    Destination::new(DestinationKind::Topic, name)
}

fn durable(of: &Destination, selector: Option<&str>) -> ConsumerInfo {
    ConsumerInfo {
        destination: Some(of.clone()),
        subscription_name: Some("mine".into()),
        selector: selector.map(Into::into),
        prefetch_size: 10,
        ..ConsumerInfo::default()
    }
}

async fn remove(client: &mut Client, id: Identity) {
    let command_id = client.number();
    let info = RemoveInfo {
        command_id,
        response_required: true,
        object_id: Some(id),
        last_delivered_sequence_id: -1,
    };
    client.ask(command_id, Command::RemoveInfo(info)).await.unwrap();
}

async fn unsubscribe(client: &mut Client) -> Result<(), Thrown> {
    let command_id = client.number();
    let info = RemoveSubscriptionInfo {
        command_id,
        response_required: true,
        subscription_name: Some("mine".into()),
        ..RemoveSubscriptionInfo::default()
    };
    client.ask(command_id, Command::RemoveSubscriptionInfo(info)).await
}

#[tokio::test]
async fn a_durable_subscription_in_use_is_not_removed() {
    let stand = Stand::new().await;
    let mut client = stand.dial("ID:durable:4").await;
    client.login(&stand.secret, Some("c")).await.unwrap();
    let id = client.consume_as(1, durable(&topic("news"), None)).await.unwrap();
    let (class, message) = unsubscribe(&mut client).await.unwrap_err();
    assert_eq!((&*class, &*message), ("javax.jms.JMSException", "Durable consumer is in use"));
    remove(&mut client, Identity::ConsumerId(id)).await;
    unsubscribe(&mut client).await.unwrap();
}

#[tokio::test]
async fn a_durable_subscription_has_one_consumer() {
    let stand = Stand::new().await;
    let news = topic("news");
    let info = |selector: Option<&str>| durable(&news, selector);
    let mut first = stand.dial("ID:durable:1").await;
    first.login(&stand.secret, Some("c")).await.unwrap();
    let id = first.consume_as(1, info(None)).await.unwrap();
    let mut second = stand.dial("ID:durable:2").await;
    second.login(&stand.other, Some("c")).await.unwrap();
    for selector in [None, Some("a = 1")] {
        for client in [&mut first, &mut second] {
            let (class, message) = client.consume_as(2, info(selector)).await.unwrap_err();
            assert_eq!(class, "javax.jms.JMSException");
            assert_eq!(
                message,
                "Durable consumer is in use for client: c and subscriptionName: mine"
            );
        }
    }
    remove(&mut first, Identity::ConsumerId(id)).await;
    second.consume_as(3, info(None)).await.unwrap();
    // Whose client is gone keeps nobody out.
    drop(second);
    let mut third = stand.dial("ID:durable:3").await;
    third.login(&stand.other, Some("c")).await.unwrap();
    third.consume_as(1, info(None)).await.unwrap();
}

#[tokio::test]
async fn a_durable_subscription_of_several_topics_is_one() {
    let stand = Stand::new().await;
    let both = topic("news,topic://weather");
    let mut sender = stand.connect("ID:several:1").await;
    let mut client = stand.dial("ID:several:2").await;
    client.login(&stand.secret, Some("c")).await.unwrap();
    let id = client.consume_as(1, durable(&both, None)).await.unwrap();
    remove(&mut client, Identity::ConsumerId(id)).await;
    for (name, text) in [("news", "1"), ("weather", "2"), ("sport", "3"), ("news", "4")] {
        let message = sender.text(&topic(name), text);
        sender.publish(message).await.unwrap();
    }
    client.consume_as(2, durable(&both, None)).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..3 {
        let dispatch = client.dispatch().await;
        client.ack(2, &dispatch, &dispatch).await.unwrap();
        let from = dispatch.destination.as_ref().unwrap().name().to_owned();
        got.push((from, text_of(&dispatch)));
    }
    got.sort_by(|a, b| a.1.cmp(&b.1));
    let expected = [("news", "1"), ("weather", "2"), ("news", "4")];
    assert!(got.iter().map(|(from, text)| (&**from, &**text)).eq(expected), "{got:?}");
    let (_, message) = client.consume_as(3, durable(&topic("news"), None)).await.unwrap_err();
    assert!(message.starts_with("Durable consumer is in use"), "{message}");
}
