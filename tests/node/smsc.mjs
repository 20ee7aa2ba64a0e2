// An SMSC made of node-smpp, which behaves as badly as it is told. The first argument is a file beside which the library
// is installed; the second one JSON object:
//   password       the only one that may bind; any may, if it is not given
//   delay          milliseconds before each answer
//   throttleEvery  every n-th submit_sm is answered ESME_RTHROTTLED
//   silentEvery    every n-th submit_sm is never answered
//   killAfter      the socket is destroyed at the n-th submit_sm, once
//   receipts       "after", "before" (the answer), "twice", "shuffled" (eight at a time); none, if it is not given
//   hexIds         ids are hexadecimal in answers and decimal in receipts
//   frames         PDUs in hexadecimal, sent after each bind
//   inbound        [{ from, to, text }], sent after each bind
//   key, cert      files for TLS
// It prints {"port": n}. Each line on stdin is answered with what was seen so far; when stdin ends, so does it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const smpp = createRequire(process.argv[2])("smpp");
const wanted = JSON.parse(process.argv[3]);
const seen = { binds: 0, refused: 0, unbinds: 0, submits: 0, taken: 0, texts: [], answers: {}, enquiries: 0 };
const basket = [];

function every(n) {
  return n && seen.submits % n === 0;
}

function deliver(session, id) {
  session.deliver_sm(
    {
      esm_class: 4,
      source_addr: "15550002222",
      destination_addr: "15550001111",
      short_message: `id:${id} sub:001 dlvrd:001 submit date:3001011200 done date:3001011200 stat:DELIVRD err:000 text:`,
    },
    (answer) => {
      seen.answers[answer.command_status] = (seen.answers[answer.command_status] ?? 0) + 1;
    },
  );
}

function report(session, id) {
  if (!wanted.receipts) return;
  if (wanted.receipts !== "shuffled") {
    deliver(session, id);
    if (wanted.receipts === "twice") deliver(session, id);
    return;
  }
  basket.push(id);
  if (basket.length === 8) for (const one of basket.splice(0).reverse()) deliver(session, one);
}

function answer(session, pdu) {
  seen.taken += 1;
  const id = wanted.hexIds ? (4096 + seen.taken).toString(16) : String(4096 + seen.taken);
  const told = String(4096 + seen.taken);
  if (wanted.receipts === "before") report(session, told);
  session.send(pdu.response({ message_id: id }));
  if (wanted.receipts !== "before") report(session, told);
}

function take(session, pdu) {
  seen.submits += 1;
  if (seen.submits === wanted.killAfter) return session.destroy();
  const { udh, message } = pdu.short_message;
  seen.texts.push({
    from: pdu.source_addr,
    to: pdu.destination_addr,
    ton: [pdu.source_addr_ton, pdu.dest_addr_ton],
    coding: pdu.data_coding,
    registered: pdu.registered_delivery,
    reference: pdu.user_message_reference,
    text: String(message),
    udh: udh ? Buffer.concat(udh.map((one) => Buffer.isBuffer(one) ? one : Buffer.from([]))).toString("hex") : null,
  });
  if (every(wanted.silentEvery)) return;
  if (every(wanted.throttleEvery)) return session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
  if (wanted.delay) setTimeout(() => answer(session, pdu), wanted.delay);
  else answer(session, pdu);
}

function greet(session, pdu) {
  if (wanted.password && pdu.password !== wanted.password) {
    seen.refused += 1;
    session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
    return session.close();
  }
  seen.binds += 1;
  session.send(pdu.response({ system_id: "node-smpp" }));
  for (const frame of wanted.frames ?? []) session.socket.write(Buffer.from(frame, "hex"));
  for (const { from, to, text } of wanted.inbound ?? [])
    session.deliver_sm({ source_addr: from, source_addr_ton: 1, destination_addr: to, short_message: text });
}

function serve(session) {
  session.on("error", () => {});
  for (const kind of ["bind_transceiver", "bind_transmitter", "bind_receiver"])
    session.on(kind, (pdu) => greet(session, pdu));
  session.on("submit_sm", (pdu) => take(session, pdu));
  session.on("enquire_link", (pdu) => {
    seen.enquiries += 1;
    session.send(pdu.response());
  });
  session.on("unbind", (pdu) => {
    seen.unbinds += 1;
    session.send(pdu.response());
    session.close();
  });
}

const files = wanted.key ? { key: readFileSync(wanted.key), cert: readFileSync(wanted.cert) } : {};
const server = smpp.createServer(files, serve);
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
const lines = createInterface({ input: process.stdin });
lines.on("line", () => console.log(JSON.stringify(seen)));
lines.on("close", () => process.exit(0));
