//! Distributed transactions, as a transaction manager's client leads them (reference `activemq.md`
//! a5, Transactions).

use outflow_face_openwire::wire::{
    Command, Identity, MessageAck, MessageDispatch, RemoveInfo, TransactionId, TransactionInfo,
    XaTransactionId,
};

use crate::stand::{Client, Stand, Thrown, queue, text_of};

const BEGIN: i8 = 0;
const PREPARE: i8 = 1;
const COMMIT_ONE_PHASE: i8 = 2;
const COMMIT_TWO_PHASE: i8 = 3;
const ROLLBACK: i8 = 4;
const RECOVER: i8 = 5;
const FORGET: i8 = 6;
const END: i8 = 7;

fn branch(global: &'static str) -> XaTransactionId {
    XaTransactionId {
        format_id: -7,
        global_transaction_id: Some(global.into()),
        branch_qualifier: Some((&b"\x00\xff"[..]).into()),
    }
}

/// Gives an order for a branch; says which number was answered, if one was.
async fn order(client: &mut Client, id: &XaTransactionId, kind: i8) -> Result<Option<i32>, Thrown> {
    let command_id = client.number();
    client
        .send(&Command::TransactionInfo(TransactionInfo {
            command_id,
            response_required: true,
            transaction_id: Some(TransactionId::Xa(id.clone())),
            kind,
            ..TransactionInfo::default()
        }))
        .await;
    match client.read().await.unwrap() {
        Command::Response(answer) if answer.correlation_id == command_id => Ok(None),
        Command::IntegerResponse(answer) if answer.correlation_id == command_id => {
            Ok(Some(answer.result))
        }
        Command::ExceptionResponse(answer) => {
            let thrown = answer.exception.unwrap();
            Err((thrown.class.unwrap().to_string(), thrown.message.unwrap().to_string()))
        }
        other => panic!("{other:?}"),
    }
}

async fn recover(client: &mut Client) -> Vec<XaTransactionId> {
    let info = TransactionInfo {
        command_id: client.number(),
        response_required: true,
        kind: RECOVER,
        ..TransactionInfo::default()
    };
    client.send(&Command::TransactionInfo(info)).await;
    let Command::DataArrayResponse(answer) = client.next().await else { panic!("no array") };
    let all = answer.data.unwrap().into_iter().flatten();
    all.map(|one| match *one {
        Command::XaTransactionId(id) => id,
        other => panic!("{other:?}"),
    })
    .collect()
}

/// Acks `taken` and sends `text` to the queue `q` in a branch.
async fn work(client: &mut Client, id: &XaTransactionId, taken: &MessageDispatch, text: &str) {
    order(client, id, BEGIN).await.unwrap();
    let message_id = taken.message.as_ref().unwrap().message_id.clone();
    let ack = MessageAck {
        consumer_id: taken.consumer_id.clone(),
        transaction_id: Some(TransactionId::Xa(id.clone())),
        ack_type: 2,
        first_message_id: message_id.clone(),
        last_message_id: message_id,
        message_count: 1,
        ..MessageAck::default()
    };
    client.send(&Command::MessageAck(ack)).await;
    let mut message = client.text(&queue("out"), text);
    message.transaction_id = Some(TransactionId::Xa(id.clone()));
    client.send(&Command::Message(Box::new(message))).await;
    order(client, id, END).await.unwrap();
}

/// A client that has taken the one message of the queue `q`.
async fn taker(stand: &Stand, id: &str) -> (Client, MessageDispatch) {
    let mut client = stand.connect(id).await;
    let message = client.text(&queue("q"), "taken");
    client.publish(message).await.unwrap();
    client.consume(1, &queue("q"), 1).await.unwrap();
    let taken = client.dispatch().await;
    (client, taken)
}

/// The first message of a queue, for a client of its own.
async fn first(stand: &Stand, name: &str) -> String {
    let mut client = stand.connect(&format!("ID:first:{name}")).await;
    client.consume(1, &queue(name), 1).await.unwrap();
    text_of(&client.dispatch().await)
}

#[tokio::test]
async fn a_branch_that_was_prepared_is_ended_by_another_connection() {
    for (end, queue, text) in [
        (COMMIT_TWO_PHASE, "out", "sent"),
        (COMMIT_ONE_PHASE, "out", "sent"),
        (ROLLBACK, "q", "taken"),
        (FORGET, "q", "taken"),
    ] {
        let stand = Stand::new().await;
        let (mut client, taken) = taker(&stand, "ID:xa:1").await;
        let id = branch("g");
        work(&mut client, &id, &taken, "sent").await;
        assert_eq!(recover(&mut client).await, []);
        assert_eq!(order(&mut client, &id, PREPARE).await, Ok(Some(0)));
        drop(client);
        let mut other = stand.connect("ID:xa:2").await;
        assert_eq!(recover(&mut other).await, std::slice::from_ref(&id));
        assert_eq!(order(&mut other, &id, end).await, Ok(None));
        assert_eq!(recover(&mut other).await, []);
        assert_eq!(first(&stand, queue).await, text);
    }
}

#[tokio::test]
async fn what_a_branch_acked_outlives_the_consumer_that_took_it() {
    for (prepares, end, queue, text) in [
        (true, COMMIT_TWO_PHASE, "out", "sent"),
        (true, ROLLBACK, "q", "taken"),
        (false, COMMIT_ONE_PHASE, "out", "sent"),
        (false, ROLLBACK, "q", "taken"),
    ] {
        let stand = Stand::new().await;
        let (mut client, taken) = taker(&stand, "ID:xa:1").await;
        let id = branch("g");
        work(&mut client, &id, &taken, "sent").await;
        // A program closes its consumer before the transaction manager ends the branch.
        let command_id = client.number();
        let gone = RemoveInfo {
            command_id,
            response_required: true,
            object_id: taken.consumer_id.clone().map(Identity::from),
            last_delivered_sequence_id: -2,
        };
        client.ask(command_id, Command::RemoveInfo(gone)).await.unwrap();
        if prepares {
            assert_eq!(order(&mut client, &id, PREPARE).await, Ok(Some(0)));
        }
        assert_eq!(order(&mut client, &id, end).await, Ok(None));
        let last = client.text(&crate::stand::queue("q"), "last");
        client.publish(last).await.unwrap();
        assert_eq!(first(&stand, queue).await, text);
        if end != ROLLBACK {
            assert_eq!(first(&stand, "q").await, "last", "what was acked is gone");
        }
    }
}

#[tokio::test]
async fn what_was_rolled_back_is_still_its_consumers() {
    let stand = Stand::new().await;
    let (mut client, taken) = taker(&stand, "ID:xa:1").await;
    let id = branch("g");
    work(&mut client, &id, &taken, "sent").await;
    assert_eq!(order(&mut client, &id, PREPARE).await, Ok(Some(0)));
    assert_eq!(order(&mut client, &id, ROLLBACK).await, Ok(None));
    // A client hands it to its user again by itself, in a transaction of its own.
    let id = branch("h");
    work(&mut client, &id, &taken, "second").await;
    assert_eq!(order(&mut client, &id, COMMIT_ONE_PHASE).await, Ok(None));
    assert_eq!(first(&stand, "out").await, "second");
    let last = client.text(&queue("q"), "last");
    client.publish(last).await.unwrap();
    drop(client);
    assert_eq!(first(&stand, "q").await, "last", "what was committed is gone");
}

#[tokio::test]
async fn failures_have_the_codes_that_transaction_managers_go_by() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:xa:1").await;
    let id = branch("g");
    let failed = |result: Result<Option<i32>, Thrown>, code: &str| {
        let (class, message) = result.unwrap_err();
        assert_eq!(class, "javax.transaction.xa.XAException");
        assert!(message.ends_with(&format!(" xaErrorCode:{code}")), "{message}");
    };
    for kind in [PREPARE, COMMIT_ONE_PHASE, COMMIT_TWO_PHASE, ROLLBACK, FORGET] {
        failed(order(&mut client, &id, kind).await, "-4");
    }
    order(&mut client, &id, BEGIN).await.unwrap();
    failed(order(&mut client, &id, COMMIT_TWO_PHASE).await, "-6");
    assert_eq!(order(&mut client, &id, PREPARE).await, Ok(Some(3)), "it has done nothing");
    failed(order(&mut client, &id, COMMIT_TWO_PHASE).await, "-4");
    let long = XaTransactionId { global_transaction_id: Some(vec![0; 65].into()), ..id };
    failed(order(&mut client, &long, BEGIN).await, "-5");
}

#[tokio::test]
async fn a_branch_that_another_connection_rolls_back_gives_its_messages_to_the_queue() {
    let stand = Stand::new().await;
    let (mut client, taken) = taker(&stand, "ID:xa:1").await;
    let id = branch("g");
    work(&mut client, &id, &taken, "sent").await;
    assert_eq!(order(&mut client, &id, PREPARE).await, Ok(Some(0)));
    let mut other = stand.connect("ID:xa:2").await;
    assert_eq!(order(&mut other, &id, ROLLBACK).await, Ok(None));
    // The client that had it was not told, and gets it once more.
    let again = client.dispatch().await;
    assert_eq!((text_of(&again).as_str(), again.redelivery_counter), ("taken", 1));
    // Its own end comes too late.
    let (_, message) = order(&mut client, &id, ROLLBACK).await.unwrap_err();
    assert!(message.ends_with(" xaErrorCode:-4"), "{message}");
    work(&mut client, &branch("h"), &again, "second").await;
    assert_eq!(order(&mut client, &branch("h"), COMMIT_ONE_PHASE).await, Ok(None));
    assert_eq!(first(&stand, "out").await, "second");
}

#[tokio::test]
async fn a_branch_is_known_to_its_own_credential_only() {
    let stand = Stand::new().await;
    let (mut client, taken) = taker(&stand, "ID:xa:1").await;
    let id = branch("g");
    work(&mut client, &id, &taken, "sent").await;
    assert_eq!(order(&mut client, &id, PREPARE).await, Ok(Some(0)));
    let mut other = stand.dial("ID:xa:2").await;
    other.login(&stand.other, None).await.unwrap();
    assert_eq!(recover(&mut other).await, []);
    for end in [COMMIT_ONE_PHASE, COMMIT_TWO_PHASE, ROLLBACK, FORGET] {
        let (_, message) = order(&mut other, &id, end).await.unwrap_err();
        assert!(message.ends_with(" xaErrorCode:-4"), "{message}");
    }
    assert_eq!(order(&mut client, &id, COMMIT_TWO_PHASE).await, Ok(None));
}
