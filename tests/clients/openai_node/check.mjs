// openai-node, unmodified, over the endpoints it has a method for.
import OpenAI, { toFile } from "openai";
import { KEY, MODEL, URL, expect, run, test } from "../cases.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "hello there" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", parameters } }];

function silence() {
  const data = Buffer.alloc(44 + 16_000);
  data.write("RIFF", 0);
  data.writeUInt32LE(36 + 16_000, 4);
  data.write("WAVEfmt ", 8);
  data.writeUInt32LE(16, 16);
  data.writeUInt16LE(1, 20);
  data.writeUInt16LE(1, 22);
  data.writeUInt32LE(16_000, 24);
  data.writeUInt32LE(32_000, 28);
  data.writeUInt16LE(2, 32);
  data.writeUInt16LE(16, 34);
  data.write("data", 36);
  data.writeUInt32LE(16_000, 40);
  return toFile(data, "speech.wav", { type: "audio/wav" });
}

test("models are listed", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  expect(names.includes(MODEL), names.join());
});

test("chat", async () => {
  const answer = await client.chat.completions.create({ model: MODEL, messages });
  expect(answer.choices[0].message.content, "no content");
});

test("chat streamed with usage", async () => {
  const stream = await client.chat.completions.create({
    model: MODEL,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  expect(text, "no text");
  expect(usage.completion_tokens > 0, "no usage");
});

test("a tool is run by the helper", async () => {
  let told = null;
  const runner = client.chat.completions.runTools({
    model: MODEL,
    messages,
    tools: [
      {
        type: "function",
        function: {
          name: "weather",
          parameters,
          parse: JSON.parse,
          function: (given) => {
            told = given;
            return "sunny";
          },
        },
      },
    ],
  });
  const last = await runner.finalContent();
  expect(told && "city" in told, "the tool was not run");
  expect(last, "no answer after the tool's result");
});

test("a tool is called in a stream", async () => {
  const stream = client.chat.completions.stream({ model: MODEL, messages, tools });
  const last = await stream.finalChatCompletion();
  expect("city" in JSON.parse(last.choices[0].message.tool_calls[0].function.arguments), "arguments");
});

test("completion", async () => {
  const answer = await client.completions.create({ model: MODEL, prompt: "one two" });
  expect(answer.choices[0].text, "no text");
});

test("embeddings", async () => {
  const found = await client.embeddings.create({ model: MODEL, input: ["one", "two"] });
  expect(found.data.length === 2 && found.data[0].embedding.length > 1, "no vectors");
});

test("moderations", async () => {
  const found = await client.moderations.create({ model: MODEL, input: "hello" });
  expect(typeof found.results[0].flagged === "boolean", "no verdict");
});

test("transcription", async () => {
  const found = await client.audio.transcriptions.create({ model: MODEL, file: await silence() });
  expect(found.text, "no text");
});

test("translation", async () => {
  const found = await client.audio.translations.create({ model: MODEL, file: await silence() });
  expect(found.text, "no text");
});

test("speech", async () => {
  const found = await client.audio.speech.create({
    model: MODEL,
    input: "hello",
    voice: "alloy",
    response_format: "wav",
  });
  const data = Buffer.from(await found.arrayBuffer());
  expect(data.subarray(0, 4).toString() === "RIFF", "no RIFF");
});

test("response", async () => {
  const found = await client.responses.create({ model: MODEL, input: "hello there" });
  expect(found.status === "completed" && found.output_text, found.status);
});

test("response streamed", async () => {
  const types = [];
  for await (const event of await client.responses.create({ model: MODEL, input: "hi", stream: true }))
    types.push(event.type);
  expect(types[0] === "response.created" && types.at(-1) === "response.completed", types.join());
});

test("response stored, retrieved and deleted", async () => {
  const kept = await client.responses.create({ model: MODEL, input: "hello", store: true });
  const again = await client.responses.retrieve(kept.id);
  expect(again.id === kept.id, "another response");
  await client.responses.delete(kept.id);
});

test("errors have their own types", async () => {
  for (const [kind, change] of [
    [OpenAI.NotFoundError, { model: "no-such-model" }],
    [OpenAI.BadRequestError, { temperature: 9 }],
  ]) {
    let caught = null;
    try {
      await client.chat.completions.create({ model: MODEL, messages, ...change });
    } catch (error) {
      caught = error;
    }
    expect(caught instanceof kind, `${JSON.stringify(change)}: ${caught}`);
  }
});

await run();
