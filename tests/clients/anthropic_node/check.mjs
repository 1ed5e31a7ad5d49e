// @anthropic-ai/sdk, unmodified.
import Anthropic from "@anthropic-ai/sdk";
import { KEY, MODEL, URL, expect, run, test } from "../cases.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "hello there" }];
const input_schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ name: "weather", input_schema }];

test("message", async () => {
  const found = await client.messages.create({ model: MODEL, max_tokens: 64, messages });
  expect(found.content[0].text, "no text");
});

test("message streamed", async () => {
  const stream = client.messages.stream({ model: MODEL, max_tokens: 64, messages });
  let text = "";
  stream.on("text", (piece) => {
    text += piece;
  });
  const last = await stream.finalMessage();
  expect(text && last.content[0].text === text, "the pieces are not the whole");
});

test("a tool is used in a stream", async () => {
  const stream = client.messages.stream({ model: MODEL, max_tokens: 256, messages, tools });
  const last = await stream.finalMessage();
  expect("city" in last.content.find((block) => block.type === "tool_use").input, "input");
});

test("tokens are counted", async () => {
  const found = await client.messages.countTokens({ model: MODEL, messages });
  expect(found.input_tokens > 0, "no count");
});

test("errors have their own types", async () => {
  let caught = null;
  try {
    await client.messages.create({ model: "no-such-model", max_tokens: 8, messages });
  } catch (error) {
    caught = error;
  }
  expect(caught instanceof Anthropic.NotFoundError, `${caught}`);
});

await run();
