// Vercel's AI SDK with its provider for OpenAI-compatible services.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { KEY, MODEL, URL, expect, run, test } from "../cases.mjs";

const littoral = createOpenAICompatible({
  name: "littoral",
  baseURL: `${URL}/v1`,
  apiKey: KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = littoral(MODEL);
const inputSchema = jsonSchema({
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
});

test("generateText", async () => {
  const { text, usage } = await generateText({ model, prompt: "hello there", maxRetries: 0 });
  expect(text, "no text");
  expect(usage.outputTokens > 0, "no usage");
});

test("streamText with usage", async () => {
  const stream = streamText({ model, prompt: "hello there", maxRetries: 0 });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  expect(text, "no text");
  expect((await stream.usage).outputTokens > 0, "no usage");
});

test("a tool in two steps", async () => {
  let told = null;
  const { text, steps } = await generateText({
    model,
    prompt: "the weather?",
    maxRetries: 0,
    stopWhen: stepCountIs(3),
    tools: {
      weather: tool({
        inputSchema,
        execute: async (given) => {
          told = given;
          return "sunny";
        },
      }),
    },
  });
  expect(told && "city" in told, "the tool was not run");
  expect(steps.length === 2 && text, `${steps.length} steps`);
});

test("an object by a schema", async () => {
  const { object } = await generateObject({ model, schema: inputSchema, prompt: "a city", maxRetries: 0 });
  expect("city" in object, JSON.stringify(object));
});

test("an embedding", async () => {
  const { embedding } = await embed({ model: littoral.textEmbeddingModel(MODEL), value: "one", maxRetries: 0 });
  expect(embedding.length > 1, "no vector");
});

await run();
