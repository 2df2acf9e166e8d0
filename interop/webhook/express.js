// express.js SECRET LIBRARY: a receiver in Express that verifies what it is sent, prints its port,
// then a line for each request: `ok` and what was verified, or `bad` and why.
"use strict";
const crypto = require("crypto");
const express = require("express");

const [secret, library] = process.argv.slice(2);
const verify = {
  standardwebhooks: (body, headers) => new (require("standardwebhooks").Webhook)(secret).verify(body, headers),
  // Verifies and does not parse.
  svix: (body, headers) => {
    new (require("svix").Webhook)(secret).verify(body, headers);
    return JSON.parse(body);
  },
  // Neither library knows v1a: what the specification says, by Node's own Ed25519.
  ed25519: (body, headers) => {
    // The public half, by itself or behind the private one.
    const key = Buffer.from(secret.slice("whsk_".length), "base64").subarray(-32);
    const jwk = { kty: "OKP", crv: "Ed25519", x: key.toString("base64url") };
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const [version, signature] = headers["webhook-signature"].split(",");
    const fits = crypto.verify(null, Buffer.from(signed), crypto.createPublicKey({ key: jwk, format: "jwk" }), Buffer.from(signature, "base64"));
    if (version !== "v1a" || !fits) throw new Error(headers["webhook-signature"]);
    return JSON.parse(body);
  },
}[library];

const app = express();
app.post("/", express.raw({ type: "*/*" }), (request, response) => {
  try {
    const event = verify(request.body.toString(), request.headers);
    console.log(`ok ${JSON.stringify(event.body)}`);
    response.sendStatus(204);
  } catch (error) {
    console.log(`bad ${error.message}`);
    response.sendStatus(400);
  }
});
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
