//! What `dev` says once it is ready: lines to copy, for each client.

use std::net::SocketAddr;
use std::path::PathBuf;

use outflow_auth::Secret;
use outflow_model::ProjectId;

use super::billing::BILLING;
use super::broker::{COMPANY, NAMESPACE, PASSWORD, USER};
use super::demonstration::{NAME, STREAM};
use super::upstream::{JSON, XML};

/// What the lines depend on.
pub(super) struct Facts {
    /// Such as `http://127.0.0.1:8080`.
    pub(super) base: String,
    pub(super) admin: SocketAddr,
    /// `None`: switched off.
    pub(super) stomp: Option<SocketAddr>,
    /// `None`: switched off.
    pub(super) openwire: Option<SocketAddr>,
    /// For the ingest streams.
    pub(super) ingest_token: Secret,
    pub(super) rate: u32,
    /// `None`: in memory.
    pub(super) data: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
}

/// Prints to stderr: stdout is for data.
#[expect(clippy::print_stderr, reason = "instructions for the person who started it")]
pub(super) fn print(facts: &Facts) {
    eprintln!("{}", text(facts));
}

fn text(facts: &Facts) -> String {
    let Facts { base, admin, rate, .. } = facts;
    let data = match &facts.data {
        Some(dir) => format!("kept in {}", dir.display()),
        None => "in memory only".to_owned(),
    };
    let feed = match rate {
        0 => "no generated events (--rate 0)".to_owned(),
        rate => format!("{rate} generated events a second"),
    };
    let token = match &facts.token_file {
        Some(file) => format!("\n  operator's token: {}", file.display()),
        None => String::new(),
    };
    // The demonstration's own token reads and publishes only.
    let manage = match &facts.token_file {
        Some(file) => {
            let file = file.display();
            format!(
                "\n  outflow user list --token-file {file}\n  outflow webhook create {NAME} http://127.0.0.1:9000/ --batch 10 --token-file {file}\n  outflow webhook test {NAME} --token-file {file}\n  outflow tail webhook.attempts:{NAME} --from earliest"
            )
        }
        None => String::new(),
    };
    let stomp = facts.stomp.map(consumer).unwrap_or_default();
    let openwire = facts.openwire.map(java_consumer).unwrap_or_default();
    let ingest = upstream(base, facts.ingest_token.expose());
    // It follows from project and name, so the lines below work before it was registered.
    let subscriber = ProjectId::new(NAME)
        .map(|project| outflow_face_mailbox::translate::subscriber_id(&project, "me").to_string())
        .unwrap_or_default();
    format!(
        r#"
Outflow is ready: {base}   ({feed}, {data})

curl
  curl {base}/api/events/ --compressed --no-buffer -u "{NAME}:{NAME}" \
    -H "Accept: application/vnd.urbanairship+x-ndjson; version=3;" -d "{{}}"

Python (pip install uaconnect)
  from uaconnect import EventConsumer, FileRecorder
  consumer = EventConsumer('{NAME}', '{NAME}', FileRecorder('.offset'), url='{base}/')
  consumer.connect(start='EARLIEST')
  for event in consumer.read():
      if event: print(event); consumer.ack(event)

Node (npm install urban-airship-connect)
  const connect = require('urban-airship-connect')
  const stream = connect('{NAME}', '{NAME}', {{uri: '{base}/api/events/'}})
  stream.on('data', event => console.log(event)).write({{start: 'EARLIEST'}})

Server-sent events (accounts, invoices and usage of a company that keep changing; Python: pip install sseclient)
  curl -N -H 'Authorization: Bearer {NAME}' '{base}/v1/projects/{NAME}/feed/changes?stream={BILLING}'
  curl -N -H 'Authorization: Bearer {NAME}' '{base}/v1/projects/{NAME}/feed/load?stream={BILLING}'
  python3 -c "for event in __import__('sseclient').SSEClient('{base}/v1/projects/{NAME}/feed/changes?stream={BILLING}', headers={{'Authorization': 'Bearer {NAME}'}}): print(event.event, event.data, flush=True)"

{stomp}{openwire}{ingest}Mailbox (the calls of Hivedome's ITAS events service; company AA, topics INVOICES, PAYMENTS, …)
  call() {{ curl -s -u {NAME}:{NAME} -X "$1" "{base}/Events/$2"; echo; }}
  call POST   'Register?subscriberName=me'
  call POST   'Subscribe?subscriberId={subscriber}&companyCode={COMPANY}&topic=INVOICES'
  call GET    'Peek?subscriberId={subscriber}&timeout=60'
  call POST   'Receive?subscriberId={subscriber}&lockTimeout=30&messageId=<NextMessageId>'
  call DELETE 'Confirm?subscriberId={subscriber}&messageId=<MessageId>&lockId=<LockId>'

Outflow's own client
  export OUTFLOW_SERVER={base} OUTFLOW_PROJECT={NAME} OUTFLOW_TOKEN={NAME}
  outflow tail {STREAM} --from earliest
  echo '{{"type":"CUSTOM","body":{{"name":"hello"}}}}' | outflow publish --stream {STREAM}
  outflow listen {STREAM} --forward-to http://127.0.0.1:9000/{manage}

  log lines follow here on stderr; health and metrics: http://{admin}/readyz /livez /metrics{token}
  stop with Ctrl-C
"#
    )
}

/// A consumer as AtData's customers have it (seed 000).
fn consumer(stomp: SocketAddr) -> String {
    let (host, port) = (stomp.ip(), stomp.port());
    format!(
        r#"Python over STOMP (pip install stomp.py; namespace {NAMESPACE}, choose your destination id and connection id)
  import stomp, time
  class Printer(stomp.ConnectionListener):
      def on_message(self, frame): print(frame.body)
  connection = stomp.Connection12([('{host}', {port})])
  connection.set_listener('', Printer())
  connection.connect('{USER}', '{PASSWORD}', wait=True, headers={{'client-id': 'connection1'}})
  connection.subscribe('/queue/destination1.RTO.{NAMESPACE}', id='1')
  time.sleep(3600)

"#
    )
}

/// The same consumer in Java.
fn java_consumer(openwire: SocketAddr) -> String {
    format!(
        r#"Java over OpenWire (org.apache.activemq:activemq-client; paste into jshell, its jars in the class path)
  var connection = new org.apache.activemq.ActiveMQConnectionFactory("{USER}", "{PASSWORD}", "failover:(tcp://{openwire})").createConnection();
  connection.setClientID("connection2"); connection.start();
  var session = connection.createSession(false, 1);
  var consumer = session.createConsumer(session.createQueue("destination1.RTO.{NAMESPACE}"));
  while (true) System.out.println(((javax.jms.TextMessage) consumer.receive()).getText());

"#
    )
}

/// An upstream system as Amperity's customers have it (seed 002). The token is the demonstration's
/// own and opens nothing else.
fn upstream(base: &str, token: &str) -> String {
    format!(
        r#"Streaming ingest, JSON and XML (the token is good for 30 days)
  TOKEN={token}
  curl -XPOST -H "Content-Type: application/json" -H "X-Amperity-Tenant: {NAME}" -H "Authorization: Bearer $TOKEN" \
    {base}/stream/v0/data/{JSON} --data-binary '{{"field1": "value1", "field2": "value2"}}'
  curl -XPOST -H "Content-Type: application/xml" -H "X-Amperity-Tenant: {NAME}" -H "Authorization: Bearer $TOKEN" \
    {base}/stream/v0/data/{XML} --data-binary '<records><record><field1>value1</field1></record></records>'

"#
    )
}
