// A customer who uses the official Node.js library, unmodified. The first argument is a file beside which the library
// is installed; stdin is one JSON object that says what to do: { "do": "story", ... }; stdout is one JSON answer.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const twilio = createRequire(process.argv[2])("twilio");
const asked = JSON.parse(await text(process.stdin));

// --- two ways to point the library at a node --------------------------------------------------------------------------

class Local extends twilio.RequestClient {
  request(options) {
    const url = new URL(options.uri);
    if (!url.host.endsWith(".twilio.com")) throw new Error(`not Twilio's: ${options.uri}`);
    return super.request({ ...options, uri: asked.base + url.pathname + url.search });
  }
}

function connect() {
  if (asked.way === "http client") return twilio(asked.account, asked.token, { httpClient: new Local() });
  const client = twilio(asked.account, asked.token);
  client.api.baseUrl = client.messaging.baseUrl = asked.base;
  return client;
}

async function advance(to) {
  const answer = await fetch(`${asked.base}/postdate/v1/TestClock`, {
    method: "POST",
    headers: { authorization: "Basic " + Buffer.from(`${asked.account}:${asked.token}`).toString("base64") },
    body: new URLSearchParams({ AdvanceTo: to }),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

async function fault(call) {
  try {
    await call();
    return null;
  } catch (error) {
    const { name, status, code, message, moreInfo } = error;
    return { kind: error.constructor.name, name, status, code, message, moreInfo };
  }
}

// --- what can be asked for --------------------------------------------------------------------------------------------

const tasks = {
  // The announcement's story: a service with a number, two reminders, one canceled, one delivered; then nothing is left.
  async story() {
    const client = connect();
    const service = await client.messaging.v1.services.create({ friendlyName: "Clinic" });
    const number = await client.incomingPhoneNumbers.create({ phoneNumber: "+15005550011" });
    const pool = client.messaging.v1.services(service.sid).phoneNumbers;
    await pool.create({ phoneNumberSid: number.sid });
    const pooled = await pool.list();
    const schedule = {
      messagingServiceSid: service.sid, to: asked.to, scheduleType: "fixed", statusCallback: asked.statusUrl,
    };
    const sendAt = new Date("2030-01-02T15:00:00Z");
    const first = await client.messages.create({ ...schedule, body: "Tomorrow at 3PM", sendAt });
    const second = await client.messages.create({
      ...schedule, body: "In three hours", mediaUrl: [asked.mediaUrl], sendAt: new Date("2030-01-03T12:00:00Z"),
    });
    await advance("2030-01-02T15:00:10Z");
    const canceled = await client.messages(second.sid).update({ status: "canceled" });
    await advance("2030-01-04T00:00:00Z");
    const delivered = await client.messages(first.sid).fetch();
    const tooLate = await fault(() => client.messages(first.sid).update({ status: "canceled" }));
    const redacted = await client.messages(first.sid).update({ body: "" });
    const feedback = await client.messages(first.sid).feedback.create({ outcome: "confirmed" });
    const removed = [await client.messages(first.sid).remove(), await client.messages(second.sid).remove()];
    const left = await client.messages.list();
    return {
      number, pooled, first, second, canceled, delivered, tooLate, redacted, feedback, removed, left,
      service: service.sid, created: first.dateCreated instanceof Date,
    };
  },

  // One message for each SendAt; what is refused is told.
  async sendAt() {
    const client = connect();
    const made = [];
    for (const { date, text } of asked.sendAts) {
      const sendAt = date === undefined ? text : new Date(date);
      const params = { messagingServiceSid: asked.service, to: asked.to, body: "Hi", scheduleType: "fixed", sendAt };
      let sid = null;
      const failed = await fault(async () => { sid = (await client.messages.create(params)).sid; });
      made.push({ sid, failed });
    }
    return made;
  },

  // What is raised for each set of parameters of a create, and for a message that is none.
  async faults() {
    const client = connect();
    const raised = [];
    for (const params of asked.creates) raised.push(await fault(() => client.messages.create(params)));
    raised.push(await fault(() => client.messages("SM" + "0".repeat(32)).fetch()));
    raised.push(await fault(() => client.messages.list({ dateSent: "yesterday" })));
    raised.push(await fault(() => twilio(asked.account, "wrong", { httpClient: new Local() }).messages.list()));
    return raised;
  },

  // Lists in the ways the library has: with limits, page by page, each, and with filters.
  async lists() {
    const client = connect();
    const sids = (messages) => messages.map((message) => message.sid);
    const page = await client.messages.page({ pageSize: 3 });
    const next = await page.nextPage();
    const last = await next.nextPage();
    const back = await last.previousPage();
    const each = [];
    await new Promise((resolve, reject) => {
      const done = (error) => (error ? reject(error) : resolve());
      client.messages.each({ pageSize: 2, done }, (message) => each.push(message.sid));
    });
    const filtered = [];
    for (const { dates = {}, ...filter } of asked.filters) {
      for (const [name, value] of Object.entries(dates)) filter[name] = new Date(value);
      filtered.push(sids(await client.messages.list(filter)));
    }
    return {
      all: sids(await client.messages.list({ pageSize: 2 })),
      limited: sids(await client.messages.list({ limit: 5, pageSize: 3 })),
      large: sids(await client.messages.list({ limit: 5000 })),
      pages: [page, next, last, back].map((one) => sids(one.instances)),
      end: (await last.nextPage()) ?? null,
      each,
      filtered,
    };
  },

  // Whether the library believes the signature of each callback.
  async validate() {
    return asked.heard.map(({ url, signature, params }) => twilio.validateRequest(asked.token, signature, url, params));
  },
};

process.stdout.write(JSON.stringify(await tasks[asked.do]()));
