//! Debian's ActiveMQ: KahaDB, every write synced, STOMP and OpenWire.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Peer, free_port};
use crate::fault::{During as _, Fault};

const JAR: &str = "/usr/share/activemq/bin/activemq.jar";

/// Starts it, if it is installed.
pub(super) fn start(folder: &Path) -> Result<Option<Peer>, Fault> {
    if !Path::new(JAR).exists() {
        println!("ActiveMQ is not installed (apt-get install activemq): left out");
        return Ok(None);
    }
    let base = folder.join("activemq");
    if base.exists() {
        fs::remove_dir_all(&base).during("emptying ActiveMQ's folder")?;
    }
    fs::create_dir_all(&base).during("making ActiveMQ's folder")?;
    let (address, openwire) = (free_port()?, free_port()?);
    let configuration = base.join("activemq.xml");
    let text = configured(&base.join("data"), address, openwire);
    fs::write(&configuration, text).during("writing ActiveMQ's configuration")?;
    let log = base.join("broker.log");
    let output = File::create(&log).during("making ActiveMQ's log")?;
    let property = |name: &str, value: &Path| format!("-Dactivemq.{name}={}", value.display());
    let child = Command::new("java")
        .arg("-Xmx1G")
        .arg("-Dactivemq.home=/usr/share/activemq")
        .arg(property("base", &base))
        .arg(property("conf", &base))
        .arg(property("data", &base.join("data")))
        .args(["-jar", JAR, "start"])
        .arg(format!("xbean:file:{}", configuration.display()))
        .stdin(Stdio::null())
        .stderr(output.try_clone().during("sharing ActiveMQ's log")?)
        .stdout(output)
        .spawn()
        .during("starting ActiveMQ")?;
    let pid = child.id();
    let openwire = Some(openwire);
    let peer =
        Peer { name: "ActiveMQ", address, openwire, login: "admin", child, pid, sweep: None };
    peer.wait(&log).map(Some)
}

fn configured(data: &Path, stomp: SocketAddr, openwire: SocketAddr) -> String {
    let data = data.display();
    format!(
        r#"<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
  http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" brokerName="peer"
    dataDirectory="{data}">
    <persistenceAdapter>
      <kahaDB directory="{data}/kahadb" journalDiskSyncStrategy="ALWAYS"/>
    </persistenceAdapter>
    <destinationInterceptors>
      <virtualDestinationInterceptor>
        <virtualDestinations>
          <virtualTopic name="RTO.>" prefix="*."/>
        </virtualDestinations>
      </virtualDestinationInterceptor>
    </destinationInterceptors>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://{stomp}"/>
      <transportConnector name="openwire" uri="tcp://{openwire}"/>
    </transportConnectors>
  </broker>
</beans>
"#
    )
}
