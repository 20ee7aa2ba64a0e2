// A customer who makes contents with the official Node.js library, unmodified, in the spelling of its types. The first
// argument is a file beside which the library is installed; stdin is one JSON object; stdout is one JSON answer.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const twilio = createRequire(process.argv[2])("twilio");
const asked = JSON.parse(await text(process.stdin));

const client = twilio(asked.account, asked.token);
client.api.baseUrl = client.content.baseUrl = asked.base;
const contents = client.content.v1.contents;

const made = await contents.create({
  friendlyName: "Reminder",
  language: "en",
  variables: { firstName: "there" },
  types: {
    twilioText: { body: "Hi {{firstName}}, see you at {{2}}" },
    twilioCallToAction: {
      body: "See {{2}}", actions: [{ type: "URL", title: "Open", url: "https://a.example/{{2}}" }],
    },
    whatsappAuthentication: {
      addSecurityRecommendation: true, actions: [{ type: "COPY_CODE", copyCodeText: "Copy" }],
    },
  },
});
const request = await contents(made.sid).approvalCreate.create({ name: "reminder", category: "UTILITY" });
const approval = (await contents(made.sid).approvalFetch().fetch()).whatsapp;
const sids = (rows) => rows.map((row) => row.sid);
const listed = sids(await contents.list());
const approvals = sids(await client.content.v1.contentAndApprovals.list());
const legacy = (await client.content.v1.legacyContents.list())[0].legacyTemplateName;
const searched = sids(await client.content.v2.contents.list({ language: ["fr", "en"], contentName: "remind" }));
const message = await client.messages.create({
  to: asked.to, from: asked.from, contentSid: made.sid, contentVariables: JSON.stringify({ 2: "3PM" }),
});
const updated = await contents(made.sid).update({ types: { twilioText: { body: "Come at {{2}}" } } });
const removed = await contents(made.sid).remove();
let code = null;
try {
  await contents(made.sid).fetch();
} catch (error) {
  code = error.code;
}
process.stdout.write(JSON.stringify({
  made, asked: request, approval, listed, approvals, legacy, searched, updated, removed, code, body: message.body,
}));
