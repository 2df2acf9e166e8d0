//! What headers and destinations may ask for beside the usual.

use outflow_face_stomp::Options;

use crate::stand::{Client, Frame, Stand};

/// What each of these connections gets until they have `count` messages together.
async fn shared(consumers: &mut [Client], count: usize) -> Vec<Vec<Frame>> {
    let mut all = vec![Vec::new(); consumers.len()];
    while all.iter().map(Vec::len).sum::<usize>() < count {
        for (consumer, frames) in consumers.iter_mut().zip(&mut all) {
            frames.extend(consumer.until_quiet().await);
        }
    }
    all
}

fn texts(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(Frame::text).collect()
}

#[tokio::test]
async fn options_behind_a_destination_are_honoured() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for n in [3, 10, 7] {
        let headers = format!("destination:/queue/options?x=y\nn:{n}\n");
        client.ask("SEND", &headers, &n.to_string()).await;
    }
    let spelt = "/queue/options?consumer.prefetchSize=1&consumer.selector=n%20%3E+5";
    client.subscribe("1", spelt, "ack:client-individual\n").await;
    let first = client.frame().await;
    assert_eq!((first.text(), first.the("destination")), ("10", "/queue/options"));
    assert_eq!(client.until_quiet().await, [], "one at a time");
    client.ask("ACK", &format!("id:{}\n", first.the("ack")), "").await;
    assert_eq!(client.frame().await.text(), "7");
    // A header says more than an option.
    client.ask("UNSUBSCRIBE", "id:1\n", "").await;
    let header = "selector:n < 5\nactivemq.prefetchSize:9\nack:client\n";
    client.subscribe("2", spelt, header).await;
    assert_eq!(texts(&client.until_quiet().await), ["3"]);
    let wrong = "SUBSCRIBE\nid:3\ndestination:/queue/q?consumer.prefetchSize=many\nreceipt:r\n\n";
    client.send(wrong).await;
    assert_eq!(client.frame().await.command, "ERROR");
}

#[tokio::test]
async fn a_message_keeps_its_time_and_a_priority_that_there_is() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    client.subscribe("1", "/queue/said", "").await;
    let earlier = (stand.hub.clock().now().millis() - 60_000).to_string();
    for (given, expected) in [("7", "7"), ("15", "9"), ("-3", "0")] {
        let headers = format!("timestamp:{earlier}\npriority:{given}\n");
        client.ask("SEND", &format!("destination:/queue/said\n{headers}"), "x").await;
        let frame = client.frame().await;
        assert_eq!((frame.the("timestamp"), frame.the("priority")), (&*earlier, expected));
    }
}

#[tokio::test]
async fn an_empty_destination_id_is_refused() {
    let stand = Stand::new().await;
    let mut client = stand.connect("1.2").await;
    for destination in ["/queue/.RTO.n1", ".RTO.n1", "/queue/Consumer..RTO.n1"] {
        client.send(&format!("SUBSCRIBE\nid:1\nreceipt:r\ndestination:{destination}\n\n")).await;
        let refused = client.frame().await;
        assert_eq!(refused.command, "ERROR", "{destination}");
        assert!(refused.the("message").contains("empty element"), "{refused:?}");
    }
    assert!(stand.hub.subscriptions(&crate::stand::project()).is_empty());
}

#[tokio::test]
async fn an_exclusive_consumer_gets_everything_and_another_takes_over() {
    let stand = Stand::new().await;
    let mut usual = stand.connect("1.2").await;
    usual.subscribe("1", "/queue/only", "").await;
    let mut only = stand.connect("1.2").await;
    only.subscribe("1", "/queue/only", "activemq.exclusive:true\n").await;
    let mut second = stand.connect("1.2").await;
    second.subscribe("1", "/queue/only", "activemq.exclusive:true\n").await;
    for n in 0..20 {
        usual.ask("SEND", "destination:/queue/only\n", &n.to_string()).await;
    }
    let all = only.frames(20).await;
    assert_eq!(all[19].text(), "19");
    assert_eq!((usual.until_quiet().await, second.until_quiet().await), (vec![], vec![]));
    only.ask("UNSUBSCRIBE", "id:1\n", "").await;
    usual.ask("SEND", "destination:/queue/only\n", "after").await;
    assert_eq!(second.frame().await.text(), "after");
    assert_eq!(usual.until_quiet().await, []);
}

#[tokio::test]
async fn a_consumer_of_higher_priority_is_served_first() {
    let stand = Stand::new().await;
    let mut low = stand.connect("1.2").await;
    low.subscribe("1", "/queue/ranks", "").await;
    let mut high = stand.connect("1.2").await;
    let headers = "activemq.priority:10\nactivemq.prefetchSize:2\nack:client-individual\n";
    high.subscribe("1", "/queue/ranks", headers).await;
    for n in 0..3 {
        low.ask("SEND", "destination:/queue/ranks\n", &n.to_string()).await;
    }
    assert_eq!(texts(&high.frames(2).await), ["0", "1"]);
    // The other one gets what is more than the first may hold.
    assert_eq!(low.frame().await.text(), "2");
}

#[tokio::test]
async fn messages_of_a_group_stick_to_one_consumer_while_it_is_there() {
    let stand = Stand::new().await;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let mut consumer = stand.connect("1.2").await;
        consumer.subscribe("1", "/queue/groups", "").await;
        consumers.push(consumer);
    }
    let mut sender = stand.connect("1.2").await;
    let send = async |sender: &mut Client, group: &str, n: usize| {
        let headers = format!("destination:/queue/groups\nJMSXGroupID:{group}\n");
        sender.ask("SEND", &headers, &format!("{group}{n}")).await;
    };
    for n in 0..10 {
        for group in ["a", "b", "c", "d"] {
            send(&mut sender, group, n).await;
        }
    }
    let mut owner_of_a = None;
    for (index, frames) in shared(&mut consumers, 40).await.into_iter().enumerate() {
        for group in ["a", "b", "c", "d"] {
            let own: Vec<&Frame> =
                frames.iter().filter(|frame| frame.the("JMSXGroupID") == group).collect();
            let expected: Vec<String> = (0..10).map(|n| format!("{group}{n}")).collect();
            assert!(
                own.is_empty() || own.iter().map(|frame| frame.text()).eq(&expected),
                "{own:?}"
            );
            if group == "a" && !own.is_empty() {
                owner_of_a = Some(index);
            }
        }
    }
    // Its owner goes, and the group to another, whole again.
    drop(consumers.remove(owner_of_a.unwrap()));
    while stand
        .hub
        .subscription(&crate::stand::project(), "queue:groups")
        .unwrap()
        .consumers()
        .len()
        > 2
    {
        tokio::task::yield_now().await;
    }
    for n in 10..15 {
        send(&mut sender, "a", n).await;
    }
    let mut counts: Vec<_> = shared(&mut consumers, 5).await.iter().map(Vec::len).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 5]);
}

#[tokio::test]
async fn a_negative_sequence_closes_a_group() {
    let stand = Stand::new().await;
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let mut consumer = stand.connect("1.2").await;
        consumer.subscribe("1", "/queue/closing", "").await;
        consumers.push(consumer);
    }
    let mut sender = stand.connect("1.2").await;
    let mut owners = Vec::new();
    for n in 0..4 {
        for sequence in ["1", "2", "-1"] {
            let headers = "destination:/queue/closing\nJMSXGroupID:g\n";
            let body = format!("{n}{sequence}");
            sender.ask("SEND", &format!("{headers}JMSXGroupSeq:{sequence}\n"), &body).await;
        }
        let got = shared(&mut consumers, 3).await;
        let owner = got.iter().position(|frames| !frames.is_empty()).unwrap();
        let all = [format!("{n}1"), format!("{n}2"), format!("{n}-1")];
        assert_eq!(texts(&got[owner]), all, "a group parted: {got:?}");
        assert_eq!(got[owner][0].the("JMSXGroupFirstForConsumer"), "true");
        owners.push(owner);
    }
    // Each group is anybody's anew: those who take turns for others take turns for groups.
    assert!(owners.contains(&0) && owners.contains(&1), "{owners:?}");
}

#[tokio::test]
async fn a_message_says_who_sent_it_where_that_is_set() {
    for populate_user_id in [false, true] {
        let options = Options { populate_user_id, ..Options::default() };
        let stand = Stand::with(options).await;
        let mut client = stand.connect("1.2").await;
        client.subscribe("1", "/queue/who", "").await;
        client.ask("SEND", "destination:/queue/who\nJMSXUserID:mallory\n", "x").await;
        let expected = if populate_user_id { "broker" } else { "mallory" };
        assert_eq!(client.frame().await.the("JMSXUserID"), expected);
        client.ask("SEND", "destination:/queue/who\n", "x").await;
        let said = client.frame().await.get("JMSXUserID").map(str::to_owned);
        assert_eq!(said.as_deref(), populate_user_id.then_some("broker"));
    }
}

#[tokio::test]
async fn a_connect_that_asks_to_be_recognised_is() {
    let stand = Stand::new().await;
    for (asked, told) in
        [("receipt:a", "a"), ("request-id:b", "b"), ("request-id:c\nreceipt:d", "c")]
    {
        let mut client = stand.dial().await;
        let login = stand.login();
        client.send(&format!("CONNECT\naccept-version:1.2\n{login}{asked}\n\n")).await;
        let connected = client.frame().await;
        assert_eq!((connected.the("response-id"), connected.the("receipt-id")), (told, told));
    }
    let mut client = stand.dial().await;
    client.send(&format!("CONNECT\naccept-version:1.2\n{}\n", stand.login())).await;
    assert_eq!(client.frame().await.get("response-id"), None);
}

#[tokio::test]
async fn what_is_text_for_java_follows_the_rule_that_is_set() {
    use outflow_face_stomp::TextRule;
    let types = "content-type:application/json\ncontent-length:2\n";
    for (text_rule, headers, kind) in [
        (TextRule::ContentType, types, "text"),
        (TextRule::ContentLength, types, "bytes"),
        (TextRule::ContentType, "content-length:2\n", "bytes"),
        (TextRule::ContentLength, "content-type:application/json\n", "text"),
    ] {
        let stand = Stand::with(Options { text_rule, ..Options::default() }).await;
        let mut client = stand.connect("1.2").await;
        client.ask("SEND", &format!("destination:/queue/kinds\n{headers}"), "{}").await;
        let queue = stand.hub.subscription(&crate::stand::project(), "queue:kinds").unwrap();
        let login = outflow_auth::Presented::Login { user: "broker", password: &stand.secret };
        let grant = stand.auth.authenticate(&login).unwrap();
        let mut browse = stand.hub.browse(&grant, &queue, None).await.unwrap();
        let event = browse.next().await.unwrap().event;
        let said =
            event.header("amq-msg-type").or_else(|| event.header(outflow_broker::letter::KIND));
        let media_type = event.header("content-type");
        let is_message = event.event_type() == "MESSAGE";
        let found = outflow_face_stomp::translate::letter::kind_of(
            said.as_deref(),
            media_type.as_deref(),
            false,
            is_message,
        );
        assert_eq!(found.as_str(), kind, "{text_rule:?}: {headers}");
    }
}
