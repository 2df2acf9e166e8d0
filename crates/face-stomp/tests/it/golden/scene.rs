//! What was done for the probes that need more than one connection, or answers in between.

use super::TAG;
use crate::stand::{Client, Stand};

/// Plays a probe up to the answers that are compared, which the last of the clients reads.
pub(super) async fn scene(stand: &Stand, name: &str) -> Option<Vec<Client>> {
    if name == "duplicate client-id" {
        let first = stand.connect_with("1.2", &format!("client-id:dup{TAG}\n")).await;
        let mut second = stand.dial().await;
        let login = stand.login();
        let connect = format!("CONNECT\naccept-version:1.2\n{login}client-id:dup{TAG}\n\n");
        second.send(&connect).await;
        second.speak("1.2");
        return Some(vec![first, second]);
    }
    let mut client = stand.connect("1.2").await;
    match name {
        "NACK individual" => nack(&mut client).await,
        "DLQ last frame" => {
            nack(&mut client).await;
            assert_eq!(client.frame().await.command, "RECEIPT");
            client.subscribe("2", "/queue/ActiveMQ.DLQ", "").await;
        }
        "redelivery after drop" => {
            let mut first = stand.connect("1.2").await;
            let queue = format!("/queue/probe.re.{TAG}");
            first.subscribe("1", &queue, "ack:client-individual\n").await;
            first.send(&format!("SEND\ndestination:{queue}\n\nn")).await;
            assert_eq!(first.frame().await.command, "MESSAGE");
            drop(first);
            client.subscribe("1", &queue, "").await;
        }
        "tx send before commit" => begin(&mut client).await,
        "tx after commit" => {
            begin(&mut client).await;
            assert_eq!(client.frame().await.command, "RECEIPT");
            client.send("COMMIT\ntransaction:t\nreceipt:c\n\n").await;
        }
        "RTO mirror" => {
            client.subscribe("1", &format!("/queue/destA.RTO.n{TAG}"), "").await;
            client.subscribe("2", &format!("/queue/destB.RTO.n{TAG}"), "").await;
            let headers = "content-type:application/json\n";
            send(&mut client, &format!("/topic/RTO.n{TAG}"), headers, r#"{"md5":"x"}"#).await;
        }
        "wildcards" => {
            client.subscribe("1", &format!("/topic/w.{TAG}.>"), "").await;
            client.subscribe("2", &format!("/topic/w.{TAG}.*"), "").await;
            for (name, body) in [(".a", "1"), ("", "2"), (".a.b", "3")] {
                send(&mut client, &format!("/topic/w.{TAG}{name}"), "", body).await;
            }
        }
        "composite" => {
            let both = format!("/queue/probe.c1.{TAG},/queue/probe.c2.{TAG}");
            client.subscribe("1", &both, "").await;
            send(&mut client, &both, "", "x").await;
        }
        "temp queue" => {
            client.subscribe("1", "/temp-queue/t1", "").await;
            send(&mut client, "/temp-queue/t1", "reply-to:/temp-queue/t1\n", "x").await;
        }
        "browser" => {
            let queue = format!("/queue/probe.br.{TAG}");
            client.ask("SEND", &format!("destination:{queue}\n"), "x").await;
            client.subscribe("1", &queue, "browser:true\n").await;
        }
        _ => return None,
    }
    Some(vec![client])
}

async fn send(client: &mut Client, to: &str, headers: &str, body: &str) {
    client.send(&format!("SEND\ndestination:{to}\n{headers}\n{body}")).await;
}

/// A message that its consumer refuses, with a receipt.
async fn nack(client: &mut Client) {
    let queue = format!("/queue/probe.nack.{TAG}");
    client.subscribe("1", &queue, "ack:client-individual\n").await;
    send(client, &queue, "", "n").await;
    let message = client.frame().await;
    client.send(&format!("NACK\nid:{}\nreceipt:r\n\n", escaped(message.the("ack")))).await;
}

/// A transaction with a message to a queue that the same client consumes.
async fn begin(client: &mut Client) {
    let queue = format!("/queue/probe.tx.{TAG}");
    client.subscribe("1", &queue, "").await;
    client.send("BEGIN\ntransaction:t\n\n").await;
    client.send(&format!("SEND\ndestination:{queue}\ntransaction:t\nreceipt:r\n\nn")).await;
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(':', "\\c")
}
